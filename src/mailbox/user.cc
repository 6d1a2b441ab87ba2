#include "mailbox/user.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/planted.h"

namespace baiwan::mailbox {

using wire::CommitBatch;
using wire::Kind;
using wire::VoidReason;

namespace {

constexpr std::size_t kCompactFrom = 64;  // not worth it below
constexpr std::uint32_t kFetchWhole = 64;
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kKeepPending = 8;  // capacity that a user with nothing pending keeps

}  // namespace

const char* Message(Refused refused) {
  switch (refused) {
    case Refused::kNo:
      return "not refused";
    case Refused::kBadSendId:
      return "send ids begin at 1";
    case Refused::kNotFriend:
      return "the receiver is not a friend of the sender";
    case Refused::kBodyTooLarge:
      return "the body is over the limit";
    case Refused::kWindow:
      return "the send id is beyond the window";
    case Refused::kNoMemory:
      return "there is no memory for messages that come before their turn";
    case Refused::kOutboxFull:
      return "too many messages wait for a friend's acknowledgement";
    case Refused::kConflict:
      return "that send id is bound to other content";
    case Refused::kPairDiverged:
      return "the friend's store disagrees about this pair";
  }
  return "unknown";
}

User::User(const wire::UserRecord& record, PartitionId partition)
    : id_(record.user),
      partition_(partition),
      heads_(record.heads),
      durable_heads_(record.heads),
      send_id_(record.send_id),
      durable_send_id_(record.send_id),
      send_ack_id_(record.pending() ? record.send_ack_id : record.send_id),
      receive_id_(record.receive_id),
      durable_receive_id_(record.receive_id),
      durable_cursor_(record.client_receive_id),
      friend_count_(static_cast<std::uint32_t>(record.friends.size())),
      friends_(new Friend[record.friends.size()]) {
  Friend* to = friends_.get();
  for (const wire::FriendRecord& f : record.friends) {
    *to++ = {f.id,
             static_cast<std::uint32_t>(f.sent),
             static_cast<std::uint32_t>(f.acked),
             static_cast<std::uint32_t>(f.received),
             f.received_checksum,
             0,
             0};
    unacked_ += static_cast<std::uint32_t>(f.sent - f.acked);
  }
}

void User::RestorePending(const wire::Message& m) {
  Pending p{m.seq, static_cast<std::uint32_t>(m.pair_seq), m.checksum, kVoidFriend};
  if (m.kind == Kind::kText) {
    const Friend* f = Find(m.peer);
    if (f != nullptr) p.friend_index = IndexOf(f);
  }
  if (pending_.empty() && Settled(p)) {
    send_ack_id_ = m.seq;
  } else {
    pending_.push_back(p);
  }
  // After a friend's store has gone back all of the outbox may come by here.
  if (pending_count() > 2 * std::size_t{unacked_} + kCompactFrom) Compact();
  if (!restored()) return;
  // Nothing of it has been forwarded by this process.
  for (std::size_t i = head_; i < pending_.size(); ++i) {
    if (!Settled(pending_[i])) HoldFrom(pending_[i].friend_index, HoldState::kNoPath, 0);
  }
  PopSettled();
}

void User::TakeMemory(User& before) {
  for (std::uint32_t i = 0; i < friend_count_; ++i) {
    friends_[i].flags |= before.friends_[i].flags & kDiverged;
  }
  if (before.waiting_ == nullptr || before.waiting_->reorder.empty()) return;
  waiting_ = std::make_unique<Waiting>();
  waiting_->reorder = std::move(before.waiting_->reorder);
  waiting_->reorder_bytes = before.waiting_->reorder_bytes;
}

// ---------------------------------------------------------------- submissions

SubmitResult User::Submit(const Submission& s, std::uint64_t now_ms, const Limits& limits,
                          CommitBatch& batch) {
  const auto refuse = [](Refused why) { return SubmitResult{Submitted::kRefused, why}; };
  if (s.send_id == 0) return refuse(Refused::kBadSendId);
  if (s.body.size() > limits.max_body) return refuse(Refused::kBodyTooLarge);
  if (s.send_id <= send_id_) return Repeat(s);
  if (!s.is_void) {
    const Friend* f = Find(s.receiver);
    if (f == nullptr) return refuse(Refused::kNotFriend);
    if (f->flags & kDiverged || f->sent >= kMaxPairSeq) return refuse(Refused::kPairDiverged);
  }
  if (waiting_ != nullptr) {
    const auto it = waiting_->reorder.find(s.send_id);
    if (it != waiting_->reorder.end()) {
      const Buffered& b = it->second;
      const bool same = b.is_void == s.is_void && b.receiver == s.receiver && b.body == s.body;
      return same ? SubmitResult{Submitted::kRepeat, Refused::kNo} : refuse(Refused::kConflict);
    }
  }
  if (s.send_id > window_end(limits)) return refuse(Refused::kWindow);
  const std::size_t taken = undurable_bytes_ + reorder_bytes();
  const bool is_next = s.send_id == send_id_ + 1;
  // One message always fits, and the next one in order always may: it is what frees the rest.
  if (!is_next && taken + s.body.size() > limits.window_bytes) return refuse(Refused::kWindow);
  if (is_next && undurable_bytes_ > 0 && undurable_bytes_ + s.body.size() > limits.window_bytes) {
    return refuse(Refused::kWindow);
  }
  if (!s.is_void && unacked_ >= limits.max_unacked) return refuse(Refused::kOutboxFull);

  if (is_next) {
    Append(s, now_ms, batch);
    DrainReorder(now_ms, batch);
    return {};
  }
  if (!limits.may_wait) return refuse(Refused::kNoMemory);
  if (waiting_ == nullptr) waiting_ = std::make_unique<Waiting>();
  waiting_->reorder.emplace(s.send_id,
                            Buffered{s.receiver, s.checksum, s.is_void, 0, std::string(s.body)});
  waiting_->reorder_bytes += s.body.size();
  return {};
}

SubmitResult User::Repeat(const Submission& s) {
  const Pending* p = FindPending(s.send_id);
  if (p == nullptr) return {Submitted::kAskOutbox, Refused::kNo};
  const bool is_void = p->friend_index == kVoidFriend;
  if (p->checksum != s.checksum || is_void != s.is_void) {
    return {Submitted::kRefused, Refused::kConflict};
  }
  if (is_void) return {Submitted::kRepeat, Refused::kNo};
  // Other content may have the same checksum, by chance or by design.
  const bool durable = s.send_id <= durable_send_id_;
  return {durable ? Submitted::kAskOutbox : Submitted::kAskLater, Refused::kNo};
}

bool User::SameAsStored(const wire::Message& stored, const Submission& s) {
  if (s.is_void || stored.kind == Kind::kVoid) return s.is_void && stored.kind == Kind::kVoid;
  return stored.peer == s.receiver && stored.body == s.body;
}

void User::Append(const Submission& s, std::uint64_t now_ms, CommitBatch& batch) {
  Friend* f = s.is_void ? nullptr : Find(s.receiver);
  // Friendship is checked once, here, when the message is numbered.
  if (f == nullptr || f->flags & kDiverged || f->sent >= kMaxPairSeq) {
    const std::uint32_t checksum = s.is_void ? s.checksum : MessageChecksum(id_, 0, s.send_id, {});
    const VoidReason why = s.is_void ? VoidReason::kByClient : VoidReason::kNotFriend;
    return AppendVoid(s.send_id, checksum, why, now_ms, batch);
  }
  wire::Message m;
  m.seq = m.send_id = s.send_id;
  m.timestamp_ms = now_ms;
  m.checksum = s.checksum;
  m.peer = f->id;
  m.pair_seq = ++f->sent;
  m.body = s.body;
  ++unacked_;
  pending_.push_back({s.send_id, f->sent, s.checksum, IndexOf(f)});
  send_id_ = s.send_id;
  undurable_bytes_ += static_cast<std::uint32_t>(m.body.size());
  batch.AddOut(SlotIn(batch), m);
}

void User::AppendVoid(Seq send_id, std::uint32_t checksum, VoidReason reason, std::uint64_t now_ms,
                      CommitBatch& batch) {
  wire::Message m;
  m.seq = m.send_id = send_id;
  m.timestamp_ms = now_ms;
  m.checksum = checksum;
  m.kind = Kind::kVoid;
  m.reason = reason;
  pending_.push_back({send_id, 0, checksum, kVoidFriend});
  send_id_ = send_id;
  batch.AddOut(SlotIn(batch), m);
}

void User::DrainReorder(std::uint64_t now_ms, CommitBatch& batch) {
  if (waiting_ == nullptr) return;
  auto& reorder = waiting_->reorder;
  while (!reorder.empty() && reorder.begin()->first == send_id_ + 1) {
    const auto node = reorder.extract(reorder.begin());
    const Buffered& b = node.mapped();
    waiting_->reorder_bytes -= b.body.size();
    Append({node.key(), b.receiver, b.body, b.checksum, b.is_void}, now_ms, batch);
  }
  DropWaitingIfEmpty();
}

bool User::AgeReorder() {
  if (waiting_ == nullptr) return false;
  auto& reorder = waiting_->reorder;
  for (auto it = reorder.begin(); it != reorder.end();) {
    if (it->second.age++ < 2) {
      ++it;
      continue;
    }
    waiting_->reorder_bytes -= it->second.body.size();
    it = reorder.erase(it);
  }
  const bool left = !reorder.empty();
  DropWaitingIfEmpty();
  return left;
}

void User::DropReorder() {
  if (waiting_ == nullptr) return;
  waiting_->reorder.clear();
  waiting_->reorder_bytes = 0;
  DropWaitingIfEmpty();
}

void User::ReadUpTo(Seq seq, CommitBatch& batch) {
  seq = std::min(seq, durable_receive_id_);
  if (seq <= durable_cursor_) return;
  const auto slot = SlotIn(batch);
  if (batch.users()[slot].cursor < seq) batch.SetCursor(slot, seq);
}

// ---------------------------------------------------------------- from friends

Delivered User::Deliver(const wire::Message& m, CommitBatch& batch, Outbound& out) {
  Friend* f = Find(m.peer);
  if (f == nullptr) return Delivered::kNotFriend;
  if (f->flags & kDiverged) return Delivered::kDiverged;
  if (m.pair_seq <= f->received) {
    if (m.pair_seq == f->received && m.pair_seq > 0 && m.checksum != f->received_checksum) {
      f->flags |= kDiverged;
      return Delivered::kDiverged;
    }
    // What is under way is acknowledged when it is durable.
    if (f->undurable == 0 || Planted("ack-under-way")) out.Ack(*this, f->id, f->received);
    return Delivered::kDuplicate;
  }
  if (f->undurable == kMaxUndurable) {
    f->flags |= kFull;  // Release says where to go on
    return Delivered::kGap;
  }
  if (m.pair_seq != Seq{f->received} + 1 || m.pair_seq > kMaxPairSeq) {
    if (!(f->flags & kGapTold)) {
      f->flags |= kGapTold;
      out.Gap(*this, f->id, Seq{f->received} + 1);
    }
    return Delivered::kGap;
  }
  if (m.checksum != MessageChecksum(m.peer, id_, m.send_id, m.body)) {
    f->flags |= kDiverged;
    return Delivered::kDiverged;
  }
  f->flags &= static_cast<std::uint16_t>(~kGapTold);
  f->received = static_cast<std::uint32_t>(m.pair_seq);
  f->received_checksum = m.checksum;
  ++f->undurable;
  wire::Message in = m;
  in.seq = ++receive_id_;
  batch.AddIn(SlotIn(batch), in);
  return Delivered::kAccepted;
}

Delivered User::Offered(UserId sender, Seq first, Seq last, Outbound& out) {
  Friend* f = Find(sender);
  if (f == nullptr) return Delivered::kNotFriend;
  if (f->flags & kDiverged) return Delivered::kDiverged;
  f->flags &= static_cast<std::uint16_t>(~kGapTold);
  if (first > last && f->received == last && f->undurable == 0) return Delivered::kDuplicate;
  out.Ack(*this, sender, Seq{f->received} - f->undurable);
  if (f->received >= last) return Delivered::kDuplicate;
  out.Gap(*this, sender, Seq{f->received} + 1);
  return Delivered::kGap;
}

Acked User::Ack(UserId from, Seq upto, CommitBatch& batch) {
  Friend* f = Find(from);
  if (f == nullptr) return Acked::kUnknown;
  if (f->flags & kDiverged) return Acked::kDiverged;
  if (upto > f->sent) return Acked::kAhead;
  AckHold(IndexOf(f), static_cast<std::uint32_t>(upto));
  if (upto <= f->acked) return Acked::kOld;
  batch.AddAck(SlotIn(batch), from, upto);
  return Acked::kJournalled;
}

Acked User::Gap(UserId from, Seq next, bool may_rewind, CommitBatch& batch) {
  Friend* f = Find(from);
  if (f == nullptr) return Acked::kUnknown;
  if (f->flags & kDiverged) return Acked::kDiverged;
  if (next == 0) {
    f->flags |= kDiverged;
    return Acked::kDiverged;
  }
  if (next > Seq{f->sent} + 1) return Acked::kAhead;
  if (next > f->acked) {
    GapHold(IndexOf(f), static_cast<std::uint32_t>(next));
    return Acked::kOld;
  }
  if (!may_rewind) return Acked::kOld;
  const auto slot = SlotIn(batch);
  batch.AddAck(slot, from, 0);  // see FoldAck
  if (next > 1) batch.AddAck(slot, from, next - 1);
  unacked_ += f->acked - static_cast<std::uint32_t>(next - 1);
  f->acked = static_cast<std::uint32_t>(next - 1);
  rewound_ = true;
  return Acked::kRewound;
}

// ---------------------------------------------------------------- release

Released User::Release(const CommitBatch& batch, const CommitBatch::User& of, Outbound& out) {
  Released released;
  for (auto i = of.out.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
    const wire::Message& m = batch.entry(i).message;
    durable_send_id_ = m.seq;
    undurable_bytes_ -= static_cast<std::uint32_t>(m.body.size());
    released.stored = true;
    Pending& p = *FindPending(m.seq);
    const std::uint16_t index = p.friend_index;
    if (index == kVoidFriend || friends_[index].flags & (kHeld | kDiverged)) continue;
    switch (out.Forward(*this, m)) {
      case Outbound::Sent::kSent:
        p.forwarded = true;
        break;
      case Outbound::Sent::kNoPath:
        HoldFrom(index, HoldState::kNoPath, static_cast<std::uint32_t>(m.pair_seq));
        break;
      case Outbound::Sent::kNoCredit:
        HoldFrom(index, HoldState::kReady, static_cast<std::uint32_t>(m.pair_seq));
        break;
    }
  }
  for (auto i = of.acks.first; i != CommitBatch::kEnd; i = batch.ack(i).next) {
    Friend* f = Find(batch.ack(i).from);
    const auto upto = static_cast<std::uint32_t>(batch.ack(i).upto);
    const std::uint32_t before = f->acked;
    f->acked = upto == 0 ? 0 : std::max(before, upto);  // as FoldAck does
    unacked_ -= f->acked - before;
    AckHold(IndexOf(f), f->acked);
  }
  const Seq acked_before = send_ack_id_;
  PopSettled();
  released.delivered = send_ack_id_ != acked_before;
  for (auto i = of.in.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
    const CommitBatch::Entry& e = batch.entry(i);
    durable_receive_id_ = e.message.seq;
    released.received = true;
    Friend& f = *Find(e.message.peer);
    --f.undurable;
    const bool same_pair_follows =
        e.next != CommitBatch::kEnd && batch.entry(e.next).message.peer == e.message.peer;
    if (same_pair_follows) continue;
    out.Ack(*this, f.id, e.message.pair_seq);
    if (f.flags & kFull) {
      f.flags &= static_cast<std::uint16_t>(~kFull);
      out.Gap(*this, f.id, Seq{f.received} + 1);
    }
  }
  durable_cursor_ = std::max(durable_cursor_, of.cursor);
  durable_heads_ = of.heads_after;
  return released;
}

// ---------------------------------------------------------------- parts

CommitBatch::Slot User::SlotIn(CommitBatch& batch) {
  if (batch_number_ != batch.number()) {
    slot_ = batch.AddUser(id_, partition_, &heads_, this);
    batch_number_ = batch.number();
  }
  return slot_;
}

User::Friend* User::Find(UserId id) {
  return const_cast<Friend*>(static_cast<const User*>(this)->Find(id));
}

const User::Friend* User::Find(UserId id) const {
  const Friend* end = friends_.get() + friend_count_;
  // Of a million users' tables hardly one is in a cache. One wait for all of it is shorter than one
  // for each look of the search.
  if (friend_count_ <= kFetchWhole) {
    for (const char* line = reinterpret_cast<const char*>(friends_.get());
         line < reinterpret_cast<const char*>(end); line += kCacheLine) {
      __builtin_prefetch(line);
    }
  }
  const Friend* f = std::lower_bound(static_cast<const Friend*>(friends_.get()), end, id,
                                     [](const Friend& g, UserId i) { return g.id < i; });
  return f != end && f->id == id ? f : nullptr;
}

bool User::Settled(const Pending& p) const {
  return p.friend_index == kVoidFriend || p.pair_seq <= friends_[p.friend_index].acked;
}

User::Pending* User::FindPending(Seq send_id) {
  const auto it = std::lower_bound(pending_.begin() + head_, pending_.end(), send_id,
                                   [](const Pending& p, Seq wanted) { return p.send_id < wanted; });
  return it != pending_.end() && it->send_id == send_id ? &*it : nullptr;
}

// Moves SendAckId up to where the first message is neither a durable void nor acknowledged.
void User::PopSettled() {
  while (head_ < pending_.size() && pending_[head_].send_id <= durable_send_id_ &&
         Settled(pending_[head_])) {
    ++head_;
  }
  send_ack_id_ = pending() ? pending_[head_].send_id - 1 : durable_send_id_;
  if (!pending()) {
    pending_.clear();
    if (pending_.capacity() > kKeepPending) pending_.shrink_to_fit();
    head_ = 0;
  } else if (head_ > kCompactFrom && head_ > pending_.size() / 2) {
    pending_.erase(pending_.begin(), pending_.begin() + head_);
    head_ = 0;
  }
  // One friend that does not answer must not make the others' messages pile up behind its own.
  if (pending_count() > 2 * std::size_t{unacked_} + kCompactFrom) Compact();
}

// Drops what is settled and durable, wherever it stands. The last one stays, see restore_from.
void User::Compact() {
  std::size_t to = 0;
  for (std::size_t i = head_; i < pending_.size(); ++i) {
    const Pending& p = pending_[i];
    const bool last = i + 1 == pending_.size();
    if (last || p.send_id > durable_send_id_ || !Settled(p)) pending_[to++] = p;
  }
  pending_.resize(to);
  head_ = 0;
}

void User::DropWaitingIfEmpty() {
  if (waiting_->holds.empty() && waiting_->reorder.empty()) waiting_.reset();
}

std::vector<UserId> User::friends() const {
  std::vector<UserId> ids;
  ids.reserve(friend_count_);
  for (std::uint32_t i = 0; i < friend_count_; ++i) ids.push_back(friends_[i].id);
  return ids;
}

wire::UserRecord User::ToRecord(const CommitBatch& open) const {
  wire::UserRecord r;
  r.user = id_;
  r.send_id = send_id_;
  // Gone back behind what counted as settled: only the outbox can tell from where on.
  r.send_ack_id = rewound_ ? 0 : send_ack_id_;
  r.receive_id = receive_id_;
  r.client_receive_id = durable_cursor_;
  r.heads = heads_;
  r.friends.reserve(friend_count_);
  for (std::uint32_t i = 0; i < friend_count_; ++i) {
    const Friend& f = friends_[i];
    r.friends.push_back({f.id, f.sent, f.acked, f.received, f.received_checksum});
  }
  if (batch_number_ == open.number()) {  // what only takes effect when the batch is durable
    const CommitBatch::User& mine = open.users()[slot_];
    for (auto i = mine.acks.first; i != CommitBatch::kEnd; i = open.ack(i).next) {
      wire::FoldAck(r, open.ack(i).from, open.ack(i).upto);
    }
    if (mine.cursor > 0) wire::FoldCursor(r, mine.cursor);
    wire::FinishFold(r);
  }
  return r;
}

std::size_t User::memory() const {
  std::size_t bytes =
      sizeof(User) + friend_count_ * sizeof(Friend) + pending_.capacity() * sizeof(Pending);
  if (waiting_ != nullptr) {
    bytes += sizeof(Waiting) + waiting_->holds.capacity() * sizeof(Hold);
  }
  return bytes;
}

}  // namespace baiwan::mailbox
