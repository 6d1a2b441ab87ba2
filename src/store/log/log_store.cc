#include <algorithm>
#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "store/log/block.h"
#include "store/log/box_walk.h"
#include "store/log/keys.h"
#include "store/log/pending_index.h"
#include "store/log/recent_blocks.h"
#include "store/log/recovery.h"
#include "store/log/store.h"
#include "store/log/store_error.h"

namespace baiwan::store {
namespace {

using wire::CommitBatch;

// Where sections stand that were walked far: most bytes, and most as a share of all memory.
constexpr std::size_t kIndexBytes = 8 << 20;
constexpr std::uint64_t kIndexShare = 32;

std::size_t IndexBytes(const Budget* budget) {
  if (budget == nullptr) return kIndexBytes;
  return std::min<std::uint64_t>(kIndexBytes, budget->hard_limit() / kIndexShare);
}

// How much log stands behind a position, to about a mebibyte.
class LogLength {
 public:
  void Add(Lsn last, std::uint64_t bytes) {
    total_ += bytes;
    if (marks_.empty() || total_ - marks_.back().second >= kGrain) marks_.push_back({last, total_});
  }
  void Checkpoint(Lsn lsn) {
    while (!marks_.empty() && marks_.front().first <= lsn) {
      behind_ = marks_.front().second;
      marks_.pop_front();
    }
  }
  std::uint64_t since_checkpoint() const { return total_ - behind_; }

 private:
  static constexpr std::uint64_t kGrain = 1 << 20;
  std::deque<std::pair<Lsn, std::uint64_t>> marks_;  // the log up to a position has so many bytes
  std::uint64_t total_ = 0;
  std::uint64_t behind_ = 0;
};

class LogStore final : public Store {
 public:
  LogStore(Kv& kv, std::uint16_t stream, const StoreOptions& options, Recovered recovered)
      : kv_(kv),
        stream_(stream),
        options_(options),
        incarnation_(recovered.incarnation),
        next_lsn_(recovered.next_lsn),
        quarantined_(std::move(recovered.quarantined)),
        index_pending_(stream, recovered.index_since),
        life_(recovered.life),
        put_back_(recovered.put_back),
        peers_(std::move(recovered.peers)),
        encoder_(stream, options.block_bytes),
        recent_(options.recent_bytes),
        index_(IndexBytes(options.budget), options.budget) {}

  Incarnation incarnation() const override { return incarnation_; }
  std::uint64_t life() const override { return life_; }
  bool put_back() const override { return put_back_; }
  std::vector<wire::PeerStore> peers() const override { return peers_; }
  Lsn next_lsn() const override { return next_lsn_; }
  std::optional<DiskRoom> disk() const override { return kv_.disk(); }
  bool CheckpointDue() const override {
    return length_.since_checkpoint() > options_.checkpoint_bytes;
  }

  void Commit(CommitBatch& batch, CommitFn done) override {
    WriteSet writes;
    StoreError refused = failed_ ? StoreError::kAfterFailure : StoreError{};
    const Lsn first = next_lsn_;
    if (!failed_ && !Encode(batch, writes)) refused = StoreError::kCorrupt;
    if (refused != StoreError{}) {
      // Given to the engine all the same, so that commits are called back in order.
      failed_ = true;
      writes = {};
    }
    if (Planted("told-before-synced") && refused == StoreError{}) {
      kv_.Post([told = std::exchange(done, [](StoreError) {})] { told(StoreError{}); });
    }
    kv_.Commit(std::move(writes), [this, alive = std::weak_ptr<void>(alive_), refused, first,
                                   last = next_lsn_ - 1, done = std::move(done)](KvError error) {
      if (alive.expired()) return;
      if (error == KvError::kNone && refused == StoreError{}) {
        recent_.SetDurable(last);
      } else {
        failed_ = true;
        recent_.DropFrom(first);
        index_.Clear();  // it may have seen what never happened
      }
      done(refused != StoreError{} ? refused : ToStoreError(error));
    });
  }

  void Load(PartitionId partition, UserId user, LoadFn done) override {
    kv_.Get(Space::kSnap, SnapKey(partition, user),
            [this, alive = std::weak_ptr<void>(alive_), partition, user, done = std::move(done)](
                KvError error, const std::string& value) {
              if (alive.expired()) return;
              done(ToRecord({partition, user}, error, value));
            });
  }

  void ReadBox(UserId user, wire::Box box, Lsn head, Seq from, std::uint32_t limit,
               std::size_t max_bytes, Wanted wanted, ReadFn done) override {
    const PageRequest request{user,     box, head, std::max<Seq>(from, 1), std::max(limit, 1u),
                              max_bytes};
    std::make_shared<PageWalk>(context(), request, std::move(wanted), std::move(done))->Start();
  }

  void FindInBox(UserId user, wire::Box box, Lsn head, std::vector<Seq> seqs, Wanted wanted,
                 FoundFn found, FindFn done) override {
    std::make_shared<FindWalk>(context(), user, box, head, std::move(seqs), std::move(wanted),
                               std::move(found), std::move(done))
        ->Start();
  }

  void ForEachUser(PartitionId partition,
                   const std::function<void(const wire::UserRecord&)>& each) override {
    kv_.ScanNow(Space::kSnap, SnapKey(partition, 0), SnapEnd(partition),
                [&](std::string_view key, std::string_view value) {
                  const auto user = UserOf(key);
                  const auto record = ToRecord({partition, user}, KvError::kNone, value);
                  if (record && record->pending()) each(*record);
                  return true;
                });
  }

  StoreError PendingUsers(PartitionId partition, const std::function<void(UserId)>& each) override {
    const auto scan = [&](const PendingIndex::Each& each_record) {
      ForEachUser(partition, each_record);
    };
    return index_pending_.List(kv_, partition, scan, [&](UserId user) {
      if (quarantined_.count({partition, user}) == 0) each(user);
    });
  }

  UserId ScanUsers(PartitionId partition, UserId after, std::uint32_t limit,
                   const std::function<void(const wire::UserRecord&)>& each) override {
    UserId last = 0;
    kv_.ScanNow(Space::kSnap, SnapKey(partition, after + 1), SnapEnd(partition),
                [&](std::string_view key, std::string_view value) {
                  last = UserOf(key);
                  const auto record = ToRecord({partition, last}, KvError::kNone, value);
                  if (record) each(*record);
                  return --limit > 0;
                });
    return limit == 0 ? last : 0;
  }

  StoreError ImportNow(
      const std::vector<std::pair<PartitionId, wire::UserRecord>>& users) override {
    WriteSet writes;
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < users.size(); ++i) {
      wire::UserRecord record = users[i].second;
      record.as_of = next_lsn_ - 1;  // the log says nothing of a new user
      if (record.pending()) PendingIndex::NoteUnknown(users[i].first, record, writes);
      writes.puts.push_back(
          {Space::kSnap, SnapKey(users[i].first, record.user), wire::Encode(record)});
      bytes += writes.puts.back().value.size();
      if (bytes < kFlushBytes && i + 1 < users.size()) continue;
      if (const KvError error = kv_.CommitNow(writes); error != KvError::kNone) {
        return ToStoreError(error);
      }
      writes.puts.clear();
      bytes = 0;
    }
    return StoreError{};
  }

 private:
  WalkContext context() {
    return {kv_, recent_, index_, alive_, stream_, std::max(options_.max_chain_steps, 1u)};
  }

  static UserId UserOf(std::string_view key) {
    Reader r(key);
    r.U32Be();
    return r.U64Be();
  }

  // False: nothing of the batch may be kept.
  bool Encode(CommitBatch& batch, WriteSet& writes) {
    std::uint64_t bytes = 0;
    const Lsn next = encoder_.Encode(batch, next_lsn_, [&](Lsn lsn, std::string_view block) {
      writes.puts.push_back({Space::kLog, LogKey(stream_, lsn), std::string(block)});
      recent_.Add(lsn, block);
      bytes += block.size();
    });
    if (next == 0) return false;
    next_lsn_ = next;
    length_.Add(next - 1, bytes);
    // Behind the blocks: an engine that tears a commit shows it in its blocks first.
    for (CommitBatch::Snapshot& snapshot : batch.snapshots()) {
      if (snapshot.heads != nullptr) snapshot.record.heads = *snapshot.heads;
      snapshot.record.as_of = next_lsn_ - 1;
      writes.puts.push_back({Space::kSnap, SnapKey(snapshot.partition, snapshot.record.user),
                             wire::Encode(snapshot.record)});
      index_pending_.Note(snapshot.partition, snapshot.record, writes);
    }
    if (batch.checkpoint() > 0) {
      std::string key = CheckpointKey(stream_);
      const Lsn upto = Planted("checkpoint-too-far") ? next_lsn_ - 1 : batch.checkpoint();
      std::string value = MetaValue(key, upto);
      writes.puts.push_back({Space::kMeta, std::move(key), std::move(value)});
      length_.Checkpoint(batch.checkpoint());
    }
    if (!batch.peers().empty()) PutPeers(batch.peers(), writes);
    if (batch.put_back()) {
      std::string key = PutBackKey(stream_);
      std::string value = MetaValue(key, *batch.put_back() ? 1 : 0);
      writes.puts.push_back({Space::kMeta, std::move(key), std::move(value)});
    }
    return true;
  }

  void PutPeers(const std::vector<wire::PeerStore>& peers, WriteSet& writes) const {
    std::string text;
    Writer w(text);
    w.Varint(peers.size());
    for (const wire::PeerStore& peer : peers) {
      w.Varint(peer.cell);
      w.U64(peer.life);
      w.U64(peer.opening);
      w.Varint(peer.position);
    }
    std::string key = PeersKey(stream_);
    std::string value = MetaText(key, text);
    writes.puts.push_back({Space::kMeta, std::move(key), std::move(value)});
  }

  Result<wire::UserRecord, StoreError> ToRecord(const SectionOwner& owner, KvError error,
                                                std::string_view value) const {
    if (quarantined_.count(owner) > 0) return StoreError::kCorrupt;
    if (error == KvError::kNotFound) return StoreError::kUnknownUser;
    if (error != KvError::kNone) return ToStoreError(error);
    wire::UserRecord record;
    const wire::DecodeError decoded = wire::Decode(value, record);
    if (decoded == wire::DecodeError::kVersion) return StoreError::kVersion;
    // A snapshot that knows more than the log is of another log.
    if (decoded != wire::DecodeError::kNone || record.user != owner.user ||
        record.as_of >= next_lsn_) {
      return StoreError::kCorrupt;
    }
    return record;
  }

  Kv& kv_;
  const std::uint16_t stream_;
  const StoreOptions options_;
  const Incarnation incarnation_;
  Lsn next_lsn_;
  const std::set<SectionOwner> quarantined_;
  PendingIndex index_pending_;
  const std::uint64_t life_;
  const bool put_back_;
  const std::vector<wire::PeerStore> peers_;
  CommitEncoder encoder_;
  RecentBlocks recent_;
  ChainIndex index_;
  LogLength length_;
  bool failed_ = false;
  const std::shared_ptr<WalkMemory> alive_ = std::make_shared<WalkMemory>(options_.budget);
};

}  // namespace

Result<std::unique_ptr<Store>, StoreError> Store::Open(Kv& kv, std::uint16_t stream,
                                                       const StoreOptions& options,
                                                       RecoveryReport* report) {
  RecoveryReport unread;
  auto recovered = Recover(kv, stream, report != nullptr ? report : &unread);
  if (!recovered) return recovered.error();
  return std::unique_ptr<Store>(
      std::make_unique<LogStore>(kv, stream, options, std::move(*recovered)));
}

}  // namespace baiwan::store
