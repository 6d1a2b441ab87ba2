#include "store/log/recovery.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "store/log/fold.h"
#include "store/log/keys.h"
#include "store/log/pending_index.h"
#include "store/log/store_error.h"

namespace baiwan::store {
namespace {

void PutNumber(WriteSet& writes, std::string key, std::uint64_t number) {
  std::string value = MetaValue(key, number);
  writes.puts.push_back({Space::kMeta, std::move(key), std::move(value)});
}

// A number of the meta space; nothing if it is not there.
Result<std::optional<std::uint64_t>, StoreError> ReadNumber(Kv& kv, std::string_view key) {
  std::string value;
  const KvError got = kv.GetNow(Space::kMeta, key, &value);
  if (got == KvError::kNotFound) return std::optional<std::uint64_t>();
  if (got != KvError::kNone) return ToStoreError(got);
  const auto number = NumberOf(key, value);
  if (!number) return StoreError::kCorrupt;
  return number;
}

bool IsEmpty(Kv& kv, Space space) {
  bool empty = true;
  kv.ScanNow(space, {}, {}, [&](auto, auto) { return empty = false; });
  return empty;
}

// A store without a format is new, and has nothing in it. Who wants it to say whose it is calls
// Identify before.
StoreError CheckFormat(Kv& kv, WriteSet& opening) {
  const auto format = ReadNumber(kv, kFormatKey);
  if (!format) return format.error();
  if (format->has_value()) {
    const bool known = **format == kNamelessFormat || **format == kStoreFormat;
    return known ? StoreError{} : StoreError::kVersion;
  }
  if (!IsEmpty(kv, Space::kLog) || !IsEmpty(kv, Space::kSnap)) return StoreError::kCorrupt;
  PutNumber(opening, std::string(kFormatKey), kNamelessFormat);
  return StoreError{};
}

StoreError ReadQuarantine(Kv& kv, std::uint16_t stream, std::set<SectionOwner>& quarantined) {
  const std::string prefix = QuarantinePrefix(stream);
  bool good = true;
  const KvError scanned =
      kv.ScanNow(Space::kMeta, prefix, {}, [&](std::string_view key, std::string_view value) {
        if (key.substr(0, prefix.size()) != prefix) return false;
        SectionOwner owner;
        const char* end = key.data() + key.size();
        const auto partition = std::from_chars(key.data() + prefix.size(), end, owner.partition);
        good =
            NumberOf(key, value).has_value() && partition.ec == std::errc{} && partition.ptr < end;
        if (!good) return false;
        const auto user = std::from_chars(partition.ptr + 1, end, owner.user);
        good = user.ec == std::errc{} && user.ptr == end;
        quarantined.insert(owner);
        return good;
      });
  return scanned == KvError::kNone && !good ? StoreError::kCorrupt : ToStoreError(scanned);
}

// Whose life this store is in, and what it knows of others.
StoreError ReadLives(Kv& kv, std::uint16_t stream, Recovered& result) {
  const auto life = ReadNumber(kv, kLifeKey);
  if (!life) return life.error();
  result.life = life->value_or(0);
  const auto put_back = ReadNumber(kv, PutBackKey(stream));
  if (!put_back) return put_back.error();
  result.put_back = put_back->value_or(0) != 0;
  const std::string key = PeersKey(stream);
  std::string value;
  const KvError got = kv.GetNow(Space::kMeta, key, &value);
  if (got == KvError::kNotFound) return StoreError{};
  if (got != KvError::kNone) return ToStoreError(got);
  const auto text = TextOf(key, value);
  if (!text) return StoreError::kCorrupt;
  Reader r(*text);
  for (std::uint64_t left = r.Varint(); r.ok() && left > 0; --left) {
    wire::PeerStore peer;
    peer.cell = static_cast<CellId>(r.Varint());
    peer.life = r.U64();
    peer.opening = r.U64();
    peer.position = r.Varint();
    result.peers.push_back(peer);
  }
  return r.ok() && r.done() ? StoreError{} : StoreError::kCorrupt;
}

// Walks the log in order, commit by commit.
class LogScan {
 public:
  LogScan(Kv& kv, std::uint16_t stream, Lsn checkpoint, std::size_t max_fold_bytes,
          std::set<SectionOwner>& quarantined, RecoveryReport& report)
      : kv_(kv),
        stream_(stream),
        max_fold_bytes_(max_fold_bytes),
        next_(checkpoint + 1),
        report_(report),
        folder_(kv, stream, quarantined) {}

  StoreError Run() {
    const KvError scanned =
        kv_.ScanNow(Space::kLog, LogKey(stream_, next_), LogEnd(stream_),
                    [this](std::string_view key, std::string_view block) {
                      return OnBlock(LsnOf(key).value_or(0), block) == StoreError{};
                    });
    if (error_ == StoreError{}) error_ = ToStoreError(scanned);
    if (error_ == StoreError{}) error_ = folder_.Flush(next_ - 1);
    report_.users = folder_.users();
    report_.users_folded = folder_.users_folded();
    return error_;
  }

  Lsn next_lsn() const { return next_; }
  // What is left of a commit that is not whole; 0: nothing.
  Lsn torn_from() const { return commit_.empty() ? 0 : commit_.front().first; }
  std::uint64_t torn_blocks() const { return commit_.size(); }

 private:
  StoreError OnBlock(Lsn lsn, std::string_view block) {
    if (lsn == 0) return error_ = StoreError::kCorrupt;  // a key that this program never writes
    report_.damaged_blocks += lsn - next_;
    next_ = lsn + 1;
    ++report_.blocks;
    const BlockReader reader(stream_, lsn, block);
    if (reader.health() == BlockHealth::kNewer) return error_ = StoreError::kVersion;
    commit_.emplace_back(lsn, block);
    return reader.last_of_commit() ? FoldCommit() : StoreError{};
  }

  StoreError FoldCommit() {
    for (const auto& [lsn, block] : commit_) {
      if (folder_.FoldBlock(lsn, block)) ++report_.damaged_blocks;
    }
    commit_.clear();
    if (folder_.bytes() > max_fold_bytes_) return error_ = folder_.Flush(next_ - 1);
    return error_ = folder_.error();
  }

  Kv& kv_;
  const std::uint16_t stream_;
  const std::size_t max_fold_bytes_;
  Lsn next_;
  RecoveryReport& report_;
  Folder folder_;
  std::vector<std::pair<Lsn, std::string>> commit_;  // its blocks so far
  StoreError error_{};
};

}  // namespace

Result<Recovered, StoreError> Recover(Kv& kv, std::uint16_t stream, RecoveryReport* report,
                                      std::size_t max_fold_bytes) {
  const Nanos begin = SystemClock().Monotonic();
  *report = {};
  Recovered result;
  WriteSet opening;
  if (const StoreError error = CheckFormat(kv, opening); error != StoreError{}) return error;
  const auto checkpoint = ReadNumber(kv, CheckpointKey(stream));
  if (!checkpoint) return checkpoint.error();
  const auto incarnation = ReadNumber(kv, IncarnationKey(stream));
  if (!incarnation) return incarnation.error();
  StoreError error = ReadQuarantine(kv, stream, result.quarantined);
  if (error == StoreError{}) error = ReadLives(kv, stream, result);
  if (error != StoreError{}) return error;

  LogScan scan(kv, stream, checkpoint->value_or(0), max_fold_bytes, result.quarantined, *report);
  error = scan.Run();
  if (error != StoreError{}) return error;

  // Positions are never used twice, not even those of a torn tail.
  result.next_lsn = scan.next_lsn();
  result.incarnation = incarnation->value_or(0) + 1;
  if (scan.torn_from() != 0) {
    report->torn_blocks = scan.torn_blocks();
    opening.deletes.push_back({Space::kLog, LogKey(stream, scan.torn_from()), LogEnd(stream)});
  }
  const Lsn last = result.next_lsn - 1;
  for (const SectionOwner& owner : result.quarantined) {
    report->quarantined.push_back(owner.user);
    PutNumber(opening, QuarantineKey(stream, owner.partition, owner.user), last);
  }
  PutNumber(opening, CheckpointKey(stream), last);
  PutNumber(opening, IncarnationKey(stream), result.incarnation);
  const auto since = PendingIndex::Keep(kv, stream, result.incarnation, opening);
  if (!since) return since.error();
  result.index_since = *since;
  if (const KvError failed = kv.CommitNow(opening); failed != KvError::kNone) {
    return ToStoreError(failed);
  }
  report->nanos = SystemClock().Monotonic() - begin;
  return result;
}

}  // namespace baiwan::store
