#include "store/log/pending_index.h"

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "store/log/keys.h"
#include "store/log/store_error.h"

namespace baiwan::store {
namespace {

constexpr std::uint64_t kManyOver = 1000;  // entries that say nothing, and are dropped

struct MixHash {
  using is_avalanching = void;
  std::size_t operator()(UserId user) const { return Mix(user); }
};

void PutNumber(WriteSet& writes, std::string key, std::uint64_t number) {
  std::string value = MetaValue(key, number);
  writes.puts.push_back({Space::kMeta, std::move(key), std::move(value)});
}

// 0 as well if it does not read back: then the partition is read once more.
Result<std::uint64_t, StoreError> Number(Kv& kv, const std::string& key) {
  std::string value;
  const KvError got = kv.GetNow(Space::kMeta, key, &value);
  if (got == KvError::kNotFound) return std::uint64_t{0};
  if (got != KvError::kNone) return ToStoreError(got);
  return NumberOf(key, value).value_or(0);
}

}  // namespace

// Of the partitions that were listed: who stands in the index as pending.
struct PendingIndex::Known {
  boost::unordered_flat_map<PartitionId, boost::unordered_flat_set<UserId, MixHash>> pending;
};

PendingIndex::PendingIndex(std::uint16_t stream, Incarnation since)
    : stream_(stream), since_(since), known_(std::make_unique<Known>()) {}
PendingIndex::~PendingIndex() = default;

Result<Incarnation, StoreError> PendingIndex::Keep(Kv& kv, std::uint16_t stream,
                                                   Incarnation incarnation, WriteSet& writes) {
  const auto since = Number(kv, IndexSinceKey(stream));
  if (!since) return since.error();
  const auto kept = Number(kv, IndexKeptKey(stream));
  if (!kept) return kept.error();
  const Incarnation from = *since != 0 && *kept + 1 == incarnation ? *since : incarnation;
  PutNumber(writes, IndexSinceKey(stream), from);
  PutNumber(writes, IndexKeptKey(stream), incarnation);
  return from;
}

void PendingIndex::NoteUnknown(PartitionId partition, const wire::UserRecord& record,
                               WriteSet& writes) {
  PutNumber(writes, PendingKey(partition, record.user), record.pending() ? 1 : 0);
}

void PendingIndex::Note(PartitionId partition, const wire::UserRecord& record, WriteSet& writes) {
  const auto known = known_->pending.find(partition);
  if (known == known_->pending.end()) return NoteUnknown(partition, record, writes);
  const bool pending = record.pending();
  const bool changed =
      pending ? known->second.insert(record.user).second : known->second.erase(record.user) > 0;
  if (changed) PutNumber(writes, PendingKey(partition, record.user), pending ? 1 : 0);
}

StoreError PendingIndex::List(Kv& kv, PartitionId partition,
                              const std::function<void(const Each&)>& scan,
                              const std::function<void(UserId)>& each) {
  const auto marked = Number(kv, IndexedKey(partition));
  if (!marked) return marked.error();
  bool indexed = *marked >= since_;
  std::vector<UserId> users;
  std::uint64_t over = 0;
  const std::string prefix = PendingPrefix(partition);
  const std::string end = PendingEnd(partition);
  if (indexed) {
    const KvError scanned =
        kv.ScanNow(Space::kMeta, prefix, end, [&](std::string_view key, std::string_view value) {
          UserId user = 0;
          const char* last = key.data() + key.size();
          const auto [at, error] = std::from_chars(key.data() + prefix.size(), last, user);
          const auto pending = NumberOf(key, value);
          indexed = error == std::errc{} && at == last && pending.has_value();
          if (indexed && *pending != 0) users.push_back(user);
          if (indexed && *pending == 0) ++over;
          return indexed;
        });
    if (scanned != KvError::kNone) return ToStoreError(scanned);
  }
  if (!indexed) {
    users.clear();
    scan([&users](const wire::UserRecord& record) {
      if (record.pending()) users.push_back(record.user);
    });
  }
  std::sort(users.begin(), users.end());
  if (!indexed || over >= kManyOver) {
    WriteSet writes;
    writes.deletes.push_back({Space::kMeta, prefix, end});
    for (const UserId user : users) PutNumber(writes, PendingKey(partition, user), 1);
    PutNumber(writes, IndexedKey(partition), since_);
    if (const KvError error = kv.CommitNow(writes); error != KvError::kNone) {
      return ToStoreError(error);
    }
  }
  auto& known = known_->pending[partition];
  known = {users.begin(), users.end()};
  for (const UserId user : users) each(user);
  return StoreError{};
}

}  // namespace baiwan::store
