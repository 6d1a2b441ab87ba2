// What a store should hold, kept in plain memory beside it, and random work that changes both.
//
// The model plays the owner of a stream: it fills batches, keeps the users' heads, writes snapshots
// and checkpoints at random. It follows the rules that an owner has to follow and no others.
// One thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "wire/commit_batch.h"
#include "wire/user_record.h"

namespace baiwan::store::testing {

struct StoredMessage {
  wire::Message message;  // its body is `body`
  std::string body;
};

struct ModelUser {
  PartitionId partition = 0;
  wire::UserRecord record;  // applied; heads are moved by the store
  std::vector<StoredMessage> out;
  std::vector<StoredMessage> in;
  Lsn dirty_since = 0;  // first change that no snapshot has; 0: none
  wire::CommitBatch::Slot slot = 0;
  std::uint64_t in_batch = 0;
};

class StoreModel {
 public:
  explicit StoreModel(std::uint64_t seed) : rng_(seed) {}

  // `count` users with the numbers 1 … count, each with `friends` friends, in 4 partitions.
  void AddUsers(int count, int friends);
  std::vector<std::pair<PartitionId, wire::UserRecord>> Records() const;

  // Puts `operations` random changes into `batch`, and now and then snapshots and a checkpoint.
  // `next_lsn` is the store's.
  void Fill(wire::CommitBatch& batch, Lsn next_lsn, int operations);
  // One change each, of the user's own choice of friend.
  void Send(wire::CommitBatch& batch, ModelUser& user, std::string body);
  void Receive(wire::CommitBatch& batch, ModelUser& user, std::string body);

  std::map<UserId, ModelUser>& users() { return users_; }
  Rng& rng() { return rng_; }
  bool snapshots = true;         // Fill may add snapshots and checkpoints
  std::size_t max_body = 60;     // of most bodies
  std::size_t max_big_body = 0;  // of one in fifty; 0: none is big

 private:
  wire::CommitBatch::Slot SlotOf(wire::CommitBatch& batch, ModelUser& user);
  void Change(wire::CommitBatch& batch, ModelUser& user);
  void AddSnapshots(wire::CommitBatch& batch, Lsn next_lsn);
  std::string Body();

  Rng rng_;
  std::map<UserId, ModelUser> users_;
  std::uint64_t batches_ = 0;
  std::uint64_t now_ms_ = 1'700'000'000'000;
};

}  // namespace baiwan::store::testing
