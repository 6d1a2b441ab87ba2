// Everything that one group commit makes durable, user by user, in the order in which it happened.
//
// The mailbox rules append to a batch; the store encodes it into log blocks; when these are durable
// the same batch says what may now be shown. Bodies are copied into the batch and live until Clear.
//
// A user takes part through one slot. `heads` is where the user's newest sections stand: the store
// reads it for the back-links and moves it when the batch is encoded, so it must outlive that.
// One thread at a time. Bounds are the caller's: see bytes() and messages().
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/arena.h"
#include "base/ids.h"
#include "wire/message.h"
#include "wire/user_record.h"

namespace baiwan::wire {

// Another cell's store, as far as this one was told: in which life it was, which opening spoke, and
// up to which position its log was durable.
struct PeerStore {
  CellId cell = 0;
  std::uint64_t life = 0;
  std::uint64_t opening = 0;
  Lsn position = 0;

  bool operator==(const PeerStore&) const = default;
};

class CommitBatch {
 public:
  using Slot = std::uint32_t;
  static constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();

  struct AckEntry {
    UserId from = 0;  // the friend
    Seq upto = 0;
    std::uint32_t next = kEnd;
  };
  struct Entry {
    Message message;
    std::uint32_t next = kEnd;
  };
  // A chain of entries, by index.
  struct Chain {
    std::uint32_t first = kEnd;
    std::uint32_t last = kEnd;
    std::uint32_t count = 0;
  };
  struct User {
    UserId user = 0;
    PartitionId partition = 0;
    BoxHeads* heads = nullptr;
    Chain out;
    Chain in;
    Chain acks;
    Seq cursor = 0;         // new ClientReceiveId; 0: unchanged
    BoxHeads heads_after;   // set when the batch is encoded: where this batch leaves the boxes
    void* owner = nullptr;  // whoever added the user may find itself again here
  };
  // A user with everything in it, this batch included. When the batch is encoded the store sets
  // record.heads from `heads` and record.as_of to the last position of this commit.
  struct Snapshot {
    PartitionId partition = 0;
    UserRecord record;
    const BoxHeads* heads = nullptr;
  };

  // Which batch this is; a user's slot is good for one number only. Set by whoever recycles
  // batches.
  std::uint64_t number() const { return number_; }
  void set_number(std::uint64_t n) { number_ = n; }

  Slot AddUser(UserId user, PartitionId partition, BoxHeads* heads, void* owner) {
    users_.push_back({user, partition, heads, {}, {}, {}, 0, {}, owner});
    return static_cast<Slot>(users_.size() - 1);
  }
  void AddOut(Slot slot, const Message& m) { Append(users_[slot].out, m); }
  void AddIn(Slot slot, const Message& m) { Append(users_[slot].in, m); }
  void AddAck(Slot slot, UserId from, Seq upto) {
    Chain& chain = users_[slot].acks;
    const auto at = static_cast<std::uint32_t>(acks_.size());
    acks_.push_back({from, upto, kEnd});
    (chain.count++ == 0 ? chain.first : acks_[chain.last].next) = at;
    chain.last = at;
  }
  void SetCursor(Slot slot, Seq cursor) { users_[slot].cursor = cursor; }
  void AddSnapshot(PartitionId partition, UserRecord record, const BoxHeads* heads) {
    snapshot_bytes_ += sizeof(Snapshot) + record.friends.size() * sizeof(FriendRecord);
    snapshots_.push_back({partition, std::move(record), heads});
  }
  // Recovery may begin after this position once the batch is durable; 0: unchanged.
  void SetCheckpoint(Lsn lsn) { checkpoint_ = lsn; }
  // All that is remembered of other cells' stores; in the place of what was before.
  void RememberPeers(std::vector<PeerStore> peers) { peers_ = std::move(peers); }
  // Whether this store was put back from a copy and may still lack something.
  void SetPutBack(bool put_back) { put_back_ = put_back; }

  const std::vector<User>& users() const { return users_; }
  std::vector<User>& users() { return users_; }
  std::vector<Snapshot>& snapshots() { return snapshots_; }
  const Entry& entry(std::uint32_t index) const { return entries_[index]; }
  const AckEntry& ack(std::uint32_t index) const { return acks_[index]; }
  const std::vector<Snapshot>& snapshots() const { return snapshots_; }
  Lsn checkpoint() const { return checkpoint_; }
  const std::vector<PeerStore>& peers() const { return peers_; }
  std::optional<bool> put_back() const { return put_back_; }

  bool empty() const {
    return users_.empty() && snapshots_.empty() && checkpoint_ == 0 && !put_back_.has_value();
  }
  std::size_t messages() const { return entries_.size(); }
  std::size_t bytes() const {
    return bodies_.used() + entries_.size() * sizeof(Entry) + acks_.size() * sizeof(AckEntry) +
           users_.size() * sizeof(User) + snapshot_bytes_;
  }

  void Clear() {
    users_.clear();
    entries_.clear();
    acks_.clear();
    snapshots_.clear();
    bodies_.Clear();
    checkpoint_ = 0;
    peers_.clear();
    put_back_.reset();
    snapshot_bytes_ = 0;
    number_ = 0;
  }

 private:
  void Append(Chain& chain, const Message& m) {
    const auto at = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back({m, kEnd});
    entries_.back().message.body = bodies_.Copy(m.body);
    (chain.count++ == 0 ? chain.first : entries_[chain.last].next) = at;
    chain.last = at;
  }

  std::uint64_t number_ = 0;
  std::vector<User> users_;
  std::vector<Entry> entries_;
  std::vector<AckEntry> acks_;
  std::vector<Snapshot> snapshots_;
  Arena bodies_;
  Lsn checkpoint_ = 0;
  std::vector<PeerStore> peers_;
  std::optional<bool> put_back_;
  std::size_t snapshot_bytes_ = 0;
};

}  // namespace baiwan::wire
