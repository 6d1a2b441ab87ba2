#include "verify/store_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "verify/log_check.h"

namespace baiwan::verify {

StoreCheck::StoreCheck(const std::string& path, std::uint32_t store, Books& books, Census& census,
                       std::vector<std::unique_ptr<BoxChecker>>& checkers)
    : path_(path), store_(store), books_(books), census_(census), checkers_(checkers) {}

void StoreCheck::Fail(std::string what) {
  census_.unread[store_] = true;
  findings().Error(std::move(what));
}

void StoreCheck::Run() {
  auto opened = StoppedStore::Open(path_);
  if (!opened) return Fail(opened.error());
  files_ = std::move(*opened);
  if (!ReadMeta() || !ReadSnapshots() || !FindStreams() || !StreamsOwned()) return;
  std::vector<std::thread> threads;
  const auto shards = static_cast<std::uint32_t>(checkers_.size());
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    threads.emplace_back([this, shard, shards] {
      LogCheck check({path_, store_, *files_, books_, census_, shard, shards}, *checkers_[shard]);
      for (const Stream& stream : streams_) check.ReadStream(stream.id, stream.last);
      check.CompareRest();
      checkers_[shard]->Finish();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

bool StoreCheck::ReadMeta() {
  std::string value;
  const auto got = files_->Get(Space::kMeta, "format", &value);
  if (!got) return Fail(got.error()), false;
  const auto format = ParseMeta("format", value);
  if (*got && !format)
    return Fail(fmt::format("store {}: its format mark is damaged", path_)), false;
  if (!*got || (*format != kStoreFormat && *format != kOldStoreFormat)) {
    Fail(*got ? fmt::format("store {} has format {}, this program knows {} and {}: use the program "
                            "that wrote it",
                            path_, *format, kOldStoreFormat, kStoreFormat)
              : fmt::format("store {} has no format mark: nothing was ever stored there, or it is "
                            "damaged",
                            path_));
    return false;
  }
  if (*format == kStoreFormat && !ReadOwner()) return false;
  const std::string prefix = "quarantine/";
  const auto wrong =
      files_->Scan(Space::kMeta, prefix, "", [&](std::string_view key, std::string_view) {
        if (key.substr(0, prefix.size()) != prefix) return false;
        findings().Error(fmt::format(
            "store {}: {} (stream, partition, user): this user's records did not read back when "
            "the store was last opened",
            path_, key));
        return true;
      });
  if (wrong) return Fail(*wrong), false;
  return true;
}

bool StoreCheck::ReadOwner() {
  auto owner = ReadStoreOwner(path_, *files_);
  if (!owner) return Fail(owner.error()), false;
  if (const auto wrong = WrongOwner(path_, *owner, books_.spec)) return Fail(*wrong), false;
  owner_ = std::move(*owner);
  return true;
}

// A stream that the store does not own to was put there by somebody else.
bool StoreCheck::StreamsOwned() {
  if (!owner_) return true;
  for (const Stream& stream : streams_) {
    if (owner_->cells_by_stream.count(stream.id) > 0) continue;
    return Fail(fmt::format("store {}: it does not say of which cell its stream {} is", path_,
                            stream.id)),
           false;
  }
  return true;
}

bool StoreCheck::ReadSnapshots() {
  StoredSnapshot snapshot;
  const auto wrong =
      files_->Scan(Space::kSnap, "", "", [&](std::string_view key, std::string_view value) {
        ReadSnapshot(key, value, snapshot);
        return true;
      });
  if (wrong) return Fail(*wrong), false;
  return true;
}

void StoreCheck::ReadSnapshot(std::string_view key, std::string_view value, StoredSnapshot& s) {
  const auto place = ParseSnapshotKey(key);
  if (!place) {
    return Fail(fmt::format("store {}: a snapshot key of {} bytes: use the program that wrote it",
                            path_, key.size()));
  }
  const Population::Number n = books_.people.Find(place->user);
  if (n == Population::kNobody) {
    return findings().Add(Kind::kForeign, 1, "store {}: user {} is not in the friend graph", path_,
                          place->user);
  }
  if (!books_.people.IsOwn(n)) {
    return findings().Add(Kind::kForeign, 1, "store {}: user {} is of a cell of another share",
                          path_, place->user);
  }
  if (!census_.Claim(n, store_)) {
    return findings().Add(Kind::kForeign, 1, "store {}: user {} stands in another store as well",
                          path_, place->user);
  }
  if (place->partition != (place->user - 1) % books_.spec.partitions) {
    findings().Add(Kind::kForeign, 1, "store {}: user {} stands in partition {}, not its own",
                   path_, place->user, place->partition);
  }
  if (const char* why = ParseSnapshot(value, &s); why != nullptr) {
    census_.as_of[n] = Census::kCompared;  // there is nothing to compare with
    return findings().Error(fmt::format("store {}: the snapshot of user {} cannot be read: {}",
                                        path_, place->user, why));
  }
  census_.as_of[n] = s.as_of;
  if (s.user != place->user) {
    findings().Add(Kind::kForeign, 1, "store {}: the snapshot of user {} stands under user {}",
                   path_, s.user, place->user);
  }
  const auto friends = books_.people.friends(n);
  if (!std::equal(s.friends.begin(), s.friends.end(), friends.begin(), friends.end(),
                  [](const SnapshotFriend& f, UserId id) { return f.id == id; })) {
    findings().Add(Kind::kAltered, 1, "user {} has other friends than in the friend graph",
                   place->user);
  }
}

// Which streams there are, and where each of them ends. Behind the last whole commit may stand the
// begin of one that a crash cut off; it was never acknowledged.
bool StoreCheck::FindStreams() {
  std::string from;
  std::optional<LogPlace> found;
  bool unknown_key = false;
  do {
    found = std::nullopt;
    auto wrong = files_->Scan(Space::kLog, from, "", [&](std::string_view key, std::string_view) {
      found = ParseLogKey(key);
      unknown_key = !found.has_value();
      return false;
    });
    if (!found.has_value() || wrong) {
      if (wrong) return Fail(*wrong), false;
      break;
    }
    Stream stream{found->stream, 0};
    const std::string end = LogEndOf(found->stream);
    std::uint64_t torn = 0;
    wrong = files_->ScanBack(Space::kLog, end, [&](std::string_view key, std::string_view value) {
      const auto place = ParseLogKey(key);
      if (!place || place->stream != stream.id) return false;
      const BlockWalker block(key, value);
      if (block.header_good() && block.version() == kBlockVersion && !block.last_of_commit()) {
        ++torn;
        return true;
      }
      stream.last = place->lsn;
      return false;
    });
    if (wrong) return Fail(*wrong), false;
    if (torn > 0) {
      findings().Note(
          fmt::format("store {}: the last {} blocks of stream {} are of a commit that "
                      "was cut off; it was never acknowledged",
                      path_, torn, stream.id));
    }
    streams_.push_back(stream);
    from = end;
  } while (found->stream != 0xFFFF);
  if (unknown_key) {
    Fail(fmt::format("store {}: a log key of another form: use the program that wrote it", path_));
  }
  return !unknown_key;
}

}  // namespace baiwan::verify
