// The heart: one user's state and the rules by which messages pass through it.
//
// The problem: between any two users messages arrive once each, in order, none lost, whatever
// process dies. A User takes what comes in (a submission, a forward, an acknowledgement), changes
// its *applied* state, and appends what must be made durable to a CommitBatch. When that batch is
// durable, Release moves the *durable* state and says what may leave. Nothing leaves before.
//
//   applied   what is in a batch, perhaps still under way; decides what comes next
//   durable   what a commit has made safe; the only thing that anybody is ever shown
//
// On the sending side a pair (this user → a friend) is either *flowing*, and everything durable has
// been forwarded in this session, or *held*: something durable is still to be forwarded and will be
// read from the outbox when the path, the friend's answer to an offer, or credit allows (Refill).
// So what waits, waits on disk.
//
// Pure: no clock, disk, network, threads or randomness; the same inputs give the same outputs. One
// User is used by one thread. If a commit fails, the User is dropped and loaded again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "wire/commit_batch.h"
#include "wire/message.h"
#include "wire/user_record.h"

namespace baiwan::mailbox {

struct Limits {
  std::uint32_t window_messages = 1024;    // send ids beyond the durable SendId that are taken
  std::uint32_t window_bytes = 256 << 10;  // bodies that are taken and not yet durable
  std::uint32_t max_body = 64 << 10;       // bytes
  std::uint32_t max_unacked = 16 << 10;    // messages sent that no friend has acknowledged
  bool may_wait = true;  // whether there is memory for what has to wait for its number
};

enum class Refused : std::uint8_t {
  kNo = 0,
  kBadSendId,  // 0
  kNotFriend,
  kBodyTooLarge,
  kWindow,        // beyond window_end(), or window_bytes are full
  kNoMemory,      // it would have to wait for its number, and may not (Limits::may_wait)
  kOutboxFull,    // max_unacked
  kConflict,      // that number is bound to other content
  kPairDiverged,  // the friend's store disagrees with ours; see the alarm
};
const char* Message(Refused refused);

struct Submission {
  Seq send_id = 0;
  UserId receiver = 0;
  std::string_view body;
  std::uint32_t checksum = 0;  // MessageChecksum; of receiver 0 and no body for a void
  bool is_void = false;
};

enum class Submitted : std::uint8_t {
  kTaken,      // will be stored; the durable SendId tells when
  kRepeat,     // we have it, with this content; a checksum alone does not say so
  kRefused,    // see `why`
  kAskOutbox,  // we have it: compare with the outbox at send_id (see SameAsStored)
  kAskLater,   // likewise, once the durable SendId has reached it
};
struct SubmitResult {
  Submitted what = Submitted::kTaken;
  Refused why = Refused::kNo;
};

enum class Delivered : std::uint8_t {
  kAccepted,
  kDuplicate,  // had it; acknowledged again
  kGap,        // not the next of its pair; dropped, and the sender told where to go on
  kNotFriend,  // nobody here knows this sender
  kDiverged,   // contradicts what is here; the pair has stopped
};

enum class Acked : std::uint8_t {
  kJournalled,  // visible once the batch is durable
  kOld,
  kUnknown,   // from somebody who is not a friend
  kAhead,     // acknowledges what was never sent: nothing has changed, see Restore
  kDiverged,  // the pair has stopped
  kRewound,   // the friend's store has gone back: snapshot this user with the batch, and load it
              // again once no batch with it is under way or gathering
};

enum class Restored : std::uint8_t {
  kAppended,
  kThere,     // stood here already
  kDiverged,  // contradicts what stands here; the pair has stopped
};

class User;

// What may leave now: everything said here is covered by durable commits.
class Outbound {
 public:
  enum class Sent : std::uint8_t {
    kSent,
    kNoPath,    // no session with the friend's cell: the pair waits for StartSession
    kNoCredit,  // the friend's partition has enough on its way: the pair waits for Refill
  };
  virtual ~Outbound() = default;
  virtual Sent Forward(User& from, const wire::Message& message) = 0;  // to message.peer
  virtual void Offer(User& from, UserId receiver, Seq first, Seq last) = 0;
  virtual void Ack(User& receiver, UserId sender, Seq upto) = 0;
  virtual void Gap(User& receiver, UserId sender, Seq next) = 0;
};

struct Counters {  // durable
  Seq send_id = 0;
  Seq send_ack_id = 0;
  Seq receive_id = 0;
  Seq client_receive_id = 0;
  bool operator==(const Counters&) const = default;
};

// What a Release has moved.
struct Released {
  bool stored = false;
  bool delivered = false;
  bool received = false;
};

class User {
 public:
  // From a snapshot with the log folded in. If record.pending(), every message of the outbox from
  // record.send_ack_id + 1 to record.send_id must follow through RestorePending, rising, before
  // anything else happens to this user.
  User(const wire::UserRecord& record, PartitionId partition);
  void RestorePending(const wire::Message& message);
  bool restored() const { return restore_from() > send_id_; }
  // Loaded again in the place of `before`: what only that one knows, which no record has.
  void TakeMemory(User& before);
  // The next one wanted.
  Seq restore_from() const { return (pending() ? pending_.back().send_id : send_ack_id_) + 1; }

  // --- from this user's clients
  SubmitResult Submit(const Submission& submission, std::uint64_t now_ms, const Limits& limits,
                      wire::CommitBatch& batch);
  // What waits for its number is not acknowledged, so its client still has it and it may go again.
  // To be called at a steady beat: what was here at two calls before goes. True if something waits
  // still.
  bool AgeReorder();
  void DropReorder();
  // For kAskOutbox and kAskLater: whether the stored message is what was submitted again.
  static bool SameAsStored(const wire::Message& stored, const Submission& submission);
  // Moves ClientReceiveId up, at most to the durable ReceiveId; never down.
  void ReadUpTo(Seq seq, wire::CommitBatch& batch);

  // --- from friends' cells
  // `message.peer` is the sender.
  Delivered Deliver(const wire::Message& message, wire::CommitBatch& batch, Outbound& out);
  // A new session of the sender: what it has for us. Answers with an Ack, and a Gap if we lack
  // some. That we have more than it sent is for the sender to find out, from the Ack. If `first` is
  // above `last`, the sender knows that we have all of it, and hears only if we have not.
  Delivered Offered(UserId sender, Seq first, Seq last, Outbound& out);
  // A message of ours that is in a friend's store and perhaps no more in this one, which was put
  // back from a copy: into the outbox, under its number. Numbers before it that nothing is known of
  // become voids (lost), and what waited for its number is dropped. Rising, over all friends.
  Restored Restore(const wire::Message& message, wire::CommitBatch& batch);
  struct PairState {
    Seq sent = 0;   // applied
    Seq acked = 0;  // durable
  };
  PairState PairWith(UserId friend_id) const;
  // Acks of an incarnation that is over must not come here once a newer one has answered.
  Acked Ack(UserId from, Seq upto, wire::CommitBatch& batch);
  // `may_rewind`: this answers the current session, so a gap below what was acknowledged says that
  // the friend's store has been replaced by an older one; otherwise it is old news.
  Acked Gap(UserId from, Seq next, bool may_rewind, wire::CommitBatch& batch);

  // --- the path to other cells
  // A new session with all friends for which `reaches` holds: offers what is unacknowledged.
  void StartSession(const std::function<bool(UserId)>& reaches, Outbound& out);
  // The first send id that should be read from the outbox and given to Refill; 0: none. Messages
  // up to the durable SendId follow in order; Refill picks those that are due and says whether it
  // makes sense to go on (false: out of credit).
  Seq RefillFrom() const {
    return RefillFrom([](UserId) { return true; });
  }
  // The same for those friends only for which `which` holds.
  Seq RefillFrom(const std::function<bool(UserId)>& which) const;
  // Something durable is due to this friend.
  bool Ready(UserId friend_id) const;
  void EachReady(const std::function<void(UserId)>& each) const;
  // The friend of each message that is durable and not acknowledged, in their order.
  void EachPending(const std::function<void(UserId)>& each) const;
  bool Refill(const wire::Message& message, Outbound& out);
  // Each pair: the friend, how much of it is acknowledged, and how much was sent. Durable.
  void EachPair(const std::function<void(UserId, Seq acked, Seq sent)>& each) const;
  // Something of this friend is in the inbox that is not durable yet.
  bool UnderWay(UserId from) const;
  bool diverged(UserId with) const;
  // The friend's cell says that its store disagrees about this pair: stops it.
  void Diverge(UserId with);

  // --- the commit that holds this user's part `of` the batch is durable
  Released Release(const wire::CommitBatch& batch, const wire::CommitBatch::User& of,
                   Outbound& out);

  UserId id() const { return id_; }
  PartitionId partition() const { return partition_; }
  Counters counters() const {
    return {durable_send_id_, send_ack_id_, durable_receive_id_, durable_cursor_};
  }
  Seq applied_send_id() const { return send_id_; }
  Seq window_end(const Limits& limits) const { return durable_send_id_ + limits.window_messages; }
  const wire::BoxHeads* heads() const { return &heads_; }  // applied, for AddSnapshot
  std::vector<UserId> friends() const;
  bool pending() const { return head_ < pending_.size(); }
  std::size_t pending_messages() const { return pending_count(); }
  std::uint64_t last_batch() const { return batch_number_; }
  // Nothing is buffered, held back or under way: a snapshot holds everything.
  bool idle(std::uint64_t last_released_batch) const {
    return (waiting_ == nullptr || waiting_->reorder.empty()) &&
           batch_number_ <= last_released_batch;
  }
  // Applied state as a record: everything in `open`, the batch being gathered, is in it. Only when
  // no other batch with this user is under way. The store fills in heads and as_of.
  wire::UserRecord ToRecord(const wire::CommitBatch& open) const;
  // Where the newest durable section of each box stands.
  const wire::BoxHeads& durable_heads() const { return durable_heads_; }
  // Messages that Refill has forwarded a second time since the last call.
  std::uint32_t TakeResent() { return std::exchange(resent_, 0); }
  std::size_t reorder_bytes() const { return waiting_ ? waiting_->reorder_bytes : 0; }
  std::size_t reorder_count() const { return waiting_ ? waiting_->reorder.size() : 0; }
  // Bytes of memory, roughly: without the reorder buffer, and of that.
  std::size_t memory() const;
  std::size_t reorder_memory() const {
    return waiting_ ? waiting_->reorder_bytes + waiting_->reorder.size() * kWaitingBytes : 0;
  }
  // What a message that waits for its number takes beside its body.
  static constexpr std::size_t kWaitingBytes = 160;
  void* context = nullptr;  // the owner's

 private:
  // 28 bytes: a user with 30 friends stays under 1 KiB until something is pending.
  struct __attribute__((packed, aligned(4))) Friend {
    UserId id;
    std::uint32_t sent;               // applied
    std::uint32_t acked;              // durable
    std::uint32_t received;           // applied
    std::uint32_t received_checksum;  // of the last of these
    std::uint16_t undurable;          // of `received`, those under way
    std::uint16_t flags;
  };
  static constexpr std::uint16_t kDiverged = 1;
  static constexpr std::uint16_t kGapTold = 2;
  static constexpr std::uint16_t kHeld = 4;
  static constexpr std::uint16_t kFull = 8;  // dropped something because of kMaxUndurable
  static constexpr std::uint16_t kMaxUndurable = 0xFFFF;

  // A message in the outbox, applied, that is not known to be with the friend. Others stand between
  // them until Compact.
  struct __attribute__((packed, aligned(4))) Pending {
    Seq send_id;
    std::uint32_t pair_seq;
    std::uint32_t checksum;
    std::uint16_t friend_index;  // kVoidFriend: a void
    bool forwarded = false;      // at least once, by this process
  };
  static constexpr std::uint16_t kVoidFriend = 0xFFFF;

  enum class HoldState : std::uint8_t {
    kNoPath,    // until StartSession
    kAwaiting,  // offered; the friend's cell will say where to go on
    kReady,     // to be read from the outbox from `next` on
  };
  struct Hold {
    std::uint16_t friend_index;
    HoldState state;
    std::uint32_t next;
    std::uint32_t offered_last;
  };

  struct Buffered {
    UserId receiver;
    std::uint32_t checksum;
    bool is_void;
    std::uint8_t age;  // calls of AgeReorder that it has seen
    std::string body;
  };
  // What only few users have at a time.
  struct Waiting {
    std::vector<Hold> holds;  // by friend_index
    std::map<Seq, Buffered> reorder;
    std::size_t reorder_bytes = 0;
  };

  wire::CommitBatch::Slot SlotIn(wire::CommitBatch& batch);
  Friend* Find(UserId id);
  const Friend* Find(UserId id) const;
  std::uint16_t IndexOf(const Friend* f) const {
    return static_cast<std::uint16_t>(f - friends_.get());
  }
  std::size_t pending_count() const { return pending_.size() - head_; }
  Pending* FindPending(Seq send_id);  // null: settled
  bool Settled(const Pending& p) const;
  void PopSettled();
  void Compact();
  void DropWaitingIfEmpty();
  SubmitResult Repeat(const Submission& submission);
  void AppendVoid(Seq send_id, std::uint32_t checksum, wire::VoidReason reason,
                  std::uint64_t now_ms, wire::CommitBatch& batch);
  void Append(const Submission& submission, std::uint64_t now_ms, wire::CommitBatch& batch);
  void DrainReorder(std::uint64_t now_ms, wire::CommitBatch& batch);
  // Held pairs: user_paths.cc
  bool IsHeld(std::uint16_t index) const { return friends_[index].flags & kHeld; }
  std::uint32_t DurableSent(std::uint16_t index) const;
  bool Due(const Hold& hold) const;
  Hold& HoldOf(std::uint16_t index);
  const Hold& HoldOf(std::uint16_t index) const;
  void HoldFrom(std::uint16_t index, HoldState state, std::uint32_t next);
  void Advance(std::uint16_t index, std::uint32_t next);
  void AckHold(std::uint16_t index, std::uint32_t upto);
  void GapHold(std::uint16_t index, std::uint32_t next);

  UserId id_;
  PartitionId partition_;
  std::uint32_t head_ = 0;
  wire::BoxHeads heads_;  // applied
  wire::BoxHeads durable_heads_;
  Seq send_id_;
  Seq durable_send_id_;
  Seq send_ack_id_;
  Seq receive_id_;
  Seq durable_receive_id_;
  Seq durable_cursor_;
  std::uint64_t batch_number_ = 0;
  wire::CommitBatch::Slot slot_ = 0;
  std::uint32_t undurable_bytes_ = 0;
  std::uint32_t unacked_ = 0;  // of all friends, sent and not acknowledged
  std::uint32_t resent_ = 0;
  std::uint32_t friend_count_;
  bool rewound_ = false;
  std::unique_ptr<Friend[]> friends_;  // by id
  std::vector<Pending> pending_;  // from head_: rising, all that is neither settled nor durable
  std::unique_ptr<Waiting> waiting_;
};

}  // namespace baiwan::mailbox
