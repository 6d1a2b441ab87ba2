#include "store/log/identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "store/log/keys.h"
#include "store/log/store_error.h"

namespace baiwan::store {
namespace {

void PutNumber(WriteSet& writes, std::string_view key, std::uint64_t number) {
  writes.puts.push_back({Space::kMeta, std::string(key), MetaValue(key, number)});
}

WriteSet::Range OnlyKey(std::string_view key) {
  return {Space::kMeta, std::string(key), std::string(key) + '\0'};
}

// The number behind `prefix` in a key of the meta space.
std::optional<std::uint16_t> StreamIn(std::string_view key, std::string_view prefix) {
  std::uint16_t stream = 0;
  const char* end = key.data() + key.size();
  const auto [at, error] = std::from_chars(key.data() + prefix.size(), end, stream);
  if (error != std::errc{} || at != end) return std::nullopt;
  return stream;
}

// The numbers under `prefix`, by stream. Empty where one does not read back, or none is there.
Result<std::map<std::uint16_t, std::uint64_t>, StoreError> ByStream(Kv& kv,
                                                                    std::string_view prefix) {
  std::map<std::uint16_t, std::uint64_t> found;
  bool good = true;
  const KvError scanned =
      kv.ScanNow(Space::kMeta, prefix, {}, [&](std::string_view key, std::string_view value) {
        if (key.substr(0, prefix.size()) != prefix) return false;
        const auto stream = StreamIn(key, prefix);
        const auto number = NumberOf(key, value);
        good = stream && number;
        if (good) found[*stream] = *number;
        return good;
      });
  if (scanned != KvError::kNone) return ToStoreError(scanned);
  if (!good) return StoreError::kCorrupt;
  return found;
}

class MetaReader {
 public:
  explicit MetaReader(Kv& kv) : kv_(kv) {}

  std::uint64_t Number(std::string_view key) {
    const auto value = Value(key);
    const auto number = value ? NumberOf(key, *value) : std::nullopt;
    if (!number && error_ == StoreError{}) error_ = StoreError::kCorrupt;
    return number.value_or(0);
  }
  std::string Text(std::string_view key) {
    const auto value = Value(key);
    auto text = value ? TextOf(key, *value) : std::nullopt;
    if (!text && error_ == StoreError{}) error_ = StoreError::kCorrupt;
    return text.value_or(std::string());
  }
  StoreError error() const { return error_; }

 private:
  std::optional<std::string> Value(std::string_view key) {
    std::string value;
    const KvError got = kv_.GetNow(Space::kMeta, key, &value);
    if (got == KvError::kNone) return value;
    if (error_ == StoreError{}) error_ = ToStoreError(got);  // kNotFound: kCorrupt
    return std::nullopt;
  }

  Kv& kv_;
  StoreError error_{};
};

// 0: the store is new.
Result<std::uint64_t, StoreError> FormatOf(Kv& kv) {
  std::string value;
  const KvError got = kv.GetNow(Space::kMeta, kFormatKey, &value);
  if (got == KvError::kNotFound) return std::uint64_t{0};
  if (got != KvError::kNone) return ToStoreError(got);
  const auto format = NumberOf(kFormatKey, value);
  if (!format) return StoreError::kCorrupt;
  if (*format != kNamelessFormat && *format != kStoreFormat) return StoreError::kVersion;
  return *format;
}

Result<StoreIdentity, StoreError> ReadIdentity(Kv& kv) {
  MetaReader meta(kv);
  StoreIdentity stored;
  stored.deployment = meta.Text(kDeploymentKey);
  stored.cells = static_cast<std::uint32_t>(meta.Number(kCellsKey));
  stored.partitions = static_cast<std::uint32_t>(meta.Number(kPartitionsKey));
  if (meta.error() != StoreError{}) return meta.error();
  auto streams = ByStream(kv, kStreamCellPrefix);
  if (!streams) return streams.error();
  for (const auto& [stream, cell] : *streams) stored.streams[stream] = static_cast<CellId>(cell);
  return stored;
}

// One user of each partition that has any: whether he stands where our partitions put him.
StoreError UsersFit(Kv& kv, const StoreIdentity& ours,
                    const std::function<bool(PartitionId)>& holds, bool* fit) {
  std::string from;
  bool more = true;
  *fit = true;
  while (more && *fit) {
    more = false;
    const KvError scanned =
        kv.ScanNow(Space::kSnap, from, {}, [&](std::string_view key, std::string_view) {
          if (key.size() != kSnapKeyBytes) return false;  // recovery tells it from damage
          Reader r(key);
          const PartitionId partition = r.U32Be();
          const UserId user = r.U64Be();
          *fit = user > 0 && (user - 1) % ours.partitions == partition && holds(partition);
          from = SnapEnd(partition);
          more = !from.empty();
          return false;
        });
    if (scanned != KvError::kNone) return ToStoreError(scanned);
  }
  return StoreError{};
}

WriteSet Naming(const StoreIdentity& ours, std::uint64_t new_life) {
  WriteSet writes;
  PutNumber(writes, kFormatKey, kStoreFormat);
  writes.puts.push_back(
      {Space::kMeta, std::string(kDeploymentKey), MetaText(kDeploymentKey, ours.deployment)});
  PutNumber(writes, kCellsKey, ours.cells);
  PutNumber(writes, kPartitionsKey, ours.partitions);
  PutNumber(writes, kLifeKey, new_life);
  for (const auto& [stream, cell] : ours.streams) {
    PutNumber(writes, fmt::format("{}{}", kStreamCellPrefix, stream), cell);
  }
  return writes;
}

// A store of the older format tells which streams it has, and where its users stand.
Result<bool, StoreError> CanBe(Kv& kv, const StoreIdentity& ours,
                               const std::function<bool(PartitionId)>& holds,
                               StoreIdentity* stored) {
  const auto opened = ByStream(kv, kIncarnationPrefix);
  if (!opened) return opened.error();
  bool fit = true;
  if (const StoreError error = UsersFit(kv, ours, holds, &fit); error != StoreError{}) return error;
  *stored = {};
  for (const auto& [stream, times] : *opened) {
    const auto it = ours.streams.find(stream);
    stored->streams[stream] = it != ours.streams.end() ? it->second : stream;
    fit &= it != ours.streams.end();
  }
  return fit;
}

}  // namespace

std::string StoreIdentity::ToString() const {
  std::vector<CellId> here;
  for (const auto& [stream, cell] : streams) here.push_back(cell);
  const std::string which =
      fmt::format("holding cell{} {}", here.size() == 1 ? "" : "s", fmt::join(here, " "));
  if (partitions == 0) return "of an older format, " + which;
  return fmt::format("of deployment '{}', {} cells, {} partitions, {}", deployment, cells,
                     partitions, which);
}

Result<Identified, StoreError> Identify(Kv& kv, const StoreIdentity& ours,
                                        const std::function<bool(PartitionId)>& holds,
                                        std::uint64_t new_life) {
  const auto format = FormatOf(kv);
  if (!format) return format.error();
  Identified found;
  if (*format == kStoreFormat) {
    auto stored = ReadIdentity(kv);
    if (!stored) return stored.error();
    MetaReader meta(kv);
    found.life = meta.Number(kLifeKey);
    if (meta.error() != StoreError{}) return meta.error();
    found.stored = std::move(*stored);
    found.ours = found.stored == ours;
    return found;
  }
  if (*format == kNamelessFormat) {
    const auto fits = CanBe(kv, ours, holds, &found.stored);
    if (!fits) return fits.error();
    if (!*fits) return found;
    found.adopted = true;
  } else {
    bool empty = true;
    for (const Space space : {Space::kLog, Space::kSnap}) {
      const KvError scanned = kv.ScanNow(space, {}, {}, [&](auto, auto) { return empty = false; });
      if (scanned != KvError::kNone) return ToStoreError(scanned);
    }
    if (!empty) return StoreError::kCorrupt;
  }
  if (const KvError error = kv.CommitNow(Naming(ours, new_life)); error != KvError::kNone) {
    return ToStoreError(error);
  }
  found.ours = true;
  found.life = new_life;
  found.stored = ours;
  return found;
}

Result<Opening, StoreError> BeginOpening(Kv& kv, std::uint64_t new_id) {
  const auto number = [&kv](std::string_view key) -> Result<std::uint64_t, StoreError> {
    std::string value;
    const KvError got = kv.GetNow(Space::kMeta, key, &value);
    if (got == KvError::kNotFound) return std::uint64_t{0};
    if (got != KvError::kNone) return ToStoreError(got);
    const auto read = NumberOf(key, value);
    if (!read) return StoreError::kCorrupt;
    return *read;
  };
  const auto after = number(kClaimKey);
  if (!after) return after.error();
  const auto begun = number(kClaimingKey);
  if (!begun) return begun.error();
  if (*begun != 0) return Opening{*begun, *after};
  WriteSet writes;
  PutNumber(writes, kClaimingKey, new_id);
  if (const KvError error = kv.CommitNow(writes); error != KvError::kNone) {
    return ToStoreError(error);
  }
  return Opening{new_id, *after};
}

WriteSet OpeningGranted(std::uint64_t id) {
  WriteSet writes;
  PutNumber(writes, kClaimKey, id);
  writes.deletes.push_back(OnlyKey(kClaimingKey));
  return writes;
}

Result<StoreIdentity, StoreError> BeginLife(Kv& kv, std::uint64_t new_life) {
  const auto format = FormatOf(kv);
  if (!format) return format.error();
  if (*format != kStoreFormat) return StoreError::kVersion;
  auto stored = ReadIdentity(kv);
  if (!stored) return stored.error();
  WriteSet writes;
  PutNumber(writes, kLifeKey, new_life);
  for (const auto& [stream, cell] : stored->streams) PutNumber(writes, PutBackKey(stream), 1);
  writes.deletes.push_back(OnlyKey(kClaimKey));
  writes.deletes.push_back(OnlyKey(kClaimingKey));
  if (const KvError error = kv.CommitNow(writes); error != KvError::kNone) {
    return ToStoreError(error);
  }
  return stored;
}

}  // namespace baiwan::store
