// The durable side of the mailboxes: a commit stream, snapshots, and reading back.
//
// One Store is one commit stream: a cell's, with all its partitions. Several cells of one loop have
// streams of their own in one Kv, and share its writes and syncs.
// The log is the truth: a commit becomes log blocks with rising positions (lsn), each holding
// sections (docs/formats.md); a snapshot is a user with everything up to some lsn folded in.
// Opening folds the log since the last checkpoint into snapshots, so afterwards every user's
// snapshot is complete and a load is one read.
//
// Threads: one loop; callbacks come on it in a later turn. Opening blocks.
// Failure: a commit that fails takes all later ones with it; the owner drops the users concerned,
// or ends the process. Damage found while opening is reported by name: a torn tail at the very end
// of the log is dropped (and counted), anything else makes its user `quarantined` (Load gives
// kCorrupt).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/engine/kv.h"
#include "wire/commit_batch.h"
#include "wire/message.h"
#include "wire/user_record.h"

namespace baiwan::store {

enum class StoreError : std::uint8_t {
  kUnknownUser = 1,
  kCorrupt,  // this user's records do not read back
  kVersion,  // written in a format that this program does not know
  kIo,
  kNoSpace,
  kLocked,
  kReadOnly,
  kAfterFailure,
  kCancelled,  // nobody wanted it any more
};
const char* Message(StoreError error);

struct StoreOptions {
  std::uint32_t block_bytes = 4096;  // a log block is closed once it is at least this long
  std::uint64_t checkpoint_bytes = 256ULL
                                   << 20;  // log since the last checkpoint, see CheckpointDue
  // Back-links followed by one walk through a box before it gives up its turn: many walks share
  // that, and a turn of all of them stays short.
  std::uint32_t max_chain_steps = 64;
  // The newest blocks, kept in memory so that what has just come is read without the disk.
  std::size_t recent_bytes = 4 << 20;
  // Charged for what walks through boxes hold, and for what they leave to make the next ones
  // shorter. Null: nobody is; else it outlives the store.
  Budget* budget = nullptr;
};

struct RecoveryReport {
  std::uint64_t blocks = 0;        // read, those damaged included
  std::uint64_t users = 0;         // with a section in these blocks
  std::uint64_t users_folded = 0;  // of these, those whose snapshots were written again
  std::uint64_t torn_blocks = 0;   // dropped at the end of the log
  // Not as they were written, or missing, elsewhere than at the end. Somebody's messages may be
  // gone without anybody being named here: an operator must hear of it.
  std::uint64_t damaged_blocks = 0;
  std::vector<UserId> quarantined;  // all of this stream, those found by earlier Opens included
  std::int64_t nanos = 0;
};

// A page of a box. Bodies belong to the page.
struct BoxPage {
  std::vector<wire::Message> messages;
  std::vector<std::unique_ptr<std::string>> blocks;  // what the bodies point into
};

// Whether somebody still waits for what is being read: a walk may be long, and ends with kCancelled
// soon after this has become false. Null: somebody always does.
using Wanted = std::shared_ptr<const bool>;

class Store {
 public:
  using CommitFn = std::function<void(StoreError)>;  // StoreError{} is success
  using LoadFn = std::function<void(Result<wire::UserRecord, StoreError>)>;
  using ReadFn = std::function<void(Result<BoxPage, StoreError>)>;
  using FoundFn = std::function<void(const wire::Message&)>;  // its body is valid during the call
  using FindFn = std::function<void(StoreError)>;

  // Opens stream `stream` of `kv`, recovering. Blocks. `kv` outlives the store.
  static Result<std::unique_ptr<Store>, StoreError> Open(Kv& kv, std::uint16_t stream,
                                                         const StoreOptions& options,
                                                         RecoveryReport* report);
  virtual ~Store() = default;

  // Rises with every Open of this stream, durably.
  virtual Incarnation incarnation() const = 0;
  // Whose life it is in, see identity.h; 0: it does not say.
  virtual std::uint64_t life() const { return 0; }
  // As CommitBatch::SetPutBack and RememberPeers left them before this Open.
  virtual bool put_back() const { return false; }
  virtual std::vector<wire::PeerStore> peers() const { return {}; }

  // Encodes `batch` now (moving every user's heads) and makes it durable. The batch may be cleared
  // once `done` was called. Several commits may be under way; they finish in order. kCorrupt: a
  // chain's sequences do not follow each other; nothing of the batch was written.
  //
  // Snapshots in the batch get their heads and as_of here, see CommitBatch::Snapshot; they take the
  // place of older ones with the same commit that the batch becomes durable with.
  virtual void Commit(wire::CommitBatch& batch, CommitFn done) = 0;
  // The position that the next block will have.
  virtual Lsn next_lsn() const = 0;
  // More than StoreOptions::checkpoint_bytes of log lie behind the last checkpoint: the owner
  // should commit snapshots of all users changed since, then SetCheckpoint(position before the
  // oldest change that no snapshot has).
  virtual bool CheckpointDue() const = 0;

  // The user's snapshot. The owner makes sure that the user has no commits under way.
  virtual void Load(PartitionId partition, UserId user, LoadFn done) = 0;
  // Up to `limit` messages and about `max_bytes` of bodies of a box whose newest section is at
  // `head`, from sequence `from` on, rising. At least one message if there is one. `head` may
  // belong to a commit that is still under way: the caller knows which sequences are durable and
  // shows no others. kCorrupt if a section on the way is damaged or missing.
  virtual void ReadBox(UserId user, wire::Box box, Lsn head, Seq from, std::uint32_t limit,
                       std::size_t max_bytes, Wanted wanted, ReadFn done) = 0;
  void ReadBox(UserId user, wire::Box box, Lsn head, Seq from, std::uint32_t limit,
               std::size_t max_bytes, ReadFn done) {
    ReadBox(user, box, head, from, limit, max_bytes, nullptr, std::move(done));
  }
  // Looks for the messages with these sequences, rising, in one walk; calls `found` for each that
  // is there, then `done`. Head and failure as for ReadBox.
  virtual void FindInBox(UserId user, wire::Box box, Lsn head, std::vector<Seq> seqs, Wanted wanted,
                         FoundFn found, FindFn done) = 0;

  // Every user of a partition with something unacknowledged, from the snapshots. Blocks; right
  // after Open only.
  virtual void ForEachUser(PartitionId partition,
                           const std::function<void(const wire::UserRecord&)>& each) = 0;
  // The same users by id, from an index where there is one; else it is made. An error: some may be
  // left out.
  virtual StoreError PendingUsers(PartitionId partition, const std::function<void(UserId)>& each) {
    ForEachUser(partition, [&each](const wire::UserRecord& record) { each(record.user); });
    return StoreError{};
  }
  // The snapshots of up to `limit` users of a partition, by id, from behind `after` on; those that
  // do not read back are left out. Blocks. The last user that was looked at; 0: there is none left.
  virtual UserId ScanUsers(PartitionId /*partition*/, UserId /*after*/, std::uint32_t /*limit*/,
                           const std::function<void(const wire::UserRecord&)>& /*each*/) {
    return 0;
  }
  // As Kv::disk.
  virtual std::optional<DiskRoom> disk() const = 0;
  // Import: writes snapshots of new users. Blocks; kAfterFailure etc. on error.
  virtual StoreError ImportNow(
      const std::vector<std::pair<PartitionId, wire::UserRecord>>& users) = 0;
};

}  // namespace baiwan::store
