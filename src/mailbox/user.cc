#include "mailbox/user.h"

#include <algorithm>

#include "base/checksum.h"

namespace baiwan::mailbox {

using wire::CommitBatch;
using wire::Kind;
using wire::VoidReason;

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
      durable_cursor_(record.client_receive_id) {
  friends_.reserve(record.friends.size());
  for (const wire::FriendRecord& f : record.friends) {
    friends_.push_back({f.id, static_cast<std::uint32_t>(f.sent),
                        static_cast<std::uint32_t>(f.acked), static_cast<std::uint32_t>(f.received),
                        f.received_checksum, 0, 0});
  }
}

void User::RestorePending(const wire::Message& m) {
  Pending p{static_cast<std::uint32_t>(m.pair_seq), m.checksum, kVoidFriend};
  if (m.kind == Kind::kText) {
    const Friend* f = Find(m.peer);
    if (f != nullptr) p.friend_index = IndexOf(f);
  }
  pending_.push_back(p);
  if (!restored()) return;
  // Nothing of it has been forwarded by this process.
  for (std::size_t i = head_; i < pending_.size(); ++i) {
    if (!Settled(pending_[i])) HoldFrom(pending_[i].friend_index, HoldState::kNoPath, 0);
  }
  PopSettled();
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
  if (reorder_ != nullptr) {
    const auto it = reorder_->waiting.find(s.send_id);
    if (it != reorder_->waiting.end()) {
      return it->second.checksum == s.checksum && it->second.is_void == s.is_void
                 ? SubmitResult{Submitted::kRepeat, Refused::kNo}
                 : refuse(Refused::kConflict);
    }
  }
  if (s.send_id > window_end(limits)) return refuse(Refused::kWindow);
  const std::size_t taken = undurable_bytes_ + (reorder_ ? reorder_->bytes : 0);
  const bool is_next = s.send_id == send_id_ + 1;
  // One message always fits, and the next one in order always may: it is what frees the rest.
  if (!is_next && taken + s.body.size() > limits.window_bytes) return refuse(Refused::kWindow);
  if (is_next && undurable_bytes_ > 0 && undurable_bytes_ + s.body.size() > limits.window_bytes) {
    return refuse(Refused::kWindow);
  }
  if (pending_count() >= limits.max_unacked) return refuse(Refused::kOutboxFull);

  if (is_next) {
    Append(s, now_ms, batch);
    if (reorder_ != nullptr) DrainReorder(now_ms, batch);
    return {};
  }
  if (reorder_ == nullptr) reorder_ = std::make_unique<Reorder>();
  reorder_->waiting.emplace(s.send_id,
                            Buffered{s.receiver, s.checksum, s.is_void, std::string(s.body)});
  reorder_->bytes += s.body.size();
  return {};
}

SubmitResult User::Repeat(const Submission& s) const {
  if (s.send_id <= send_ack_id_) return {Submitted::kAskOutbox, Refused::kNo};
  const Pending& p = pending_at(s.send_id);
  if (p.checksum == s.checksum && (p.friend_index == kVoidFriend) == s.is_void) {
    return {Submitted::kRepeat, Refused::kNo};
  }
  return {Submitted::kRefused, Refused::kConflict};
}

bool User::SameAsStored(const wire::Message& stored, const Submission& s) {
  if (s.is_void || stored.kind == Kind::kVoid) return s.is_void && stored.kind == Kind::kVoid;
  return stored.peer == s.receiver && stored.body == s.body;
}

void User::Append(const Submission& s, std::uint64_t now_ms, CommitBatch& batch) {
  wire::Message m;
  m.seq = m.send_id = s.send_id;
  m.timestamp_ms = now_ms;
  m.checksum = s.checksum;
  Friend* f = s.is_void ? nullptr : Find(s.receiver);
  // Friendship is checked once, here, when the message is numbered.
  if (f != nullptr && !(f->flags & kDiverged)) {
    m.peer = f->id;
    m.pair_seq = ++f->sent;
    m.body = s.body;
    pending_.push_back({f->sent, s.checksum, IndexOf(f)});
  } else {
    m.kind = Kind::kVoid;
    m.reason = s.is_void ? VoidReason::kByClient : VoidReason::kNotFriend;
    m.checksum = s.is_void ? s.checksum : MessageChecksum(id_, 0, s.send_id, {});
    pending_.push_back({0, m.checksum, kVoidFriend});
  }
  send_id_ = s.send_id;
  undurable_bytes_ += static_cast<std::uint32_t>(m.body.size());
  batch.AddOut(SlotIn(batch), m);
}

void User::DrainReorder(std::uint64_t now_ms, CommitBatch& batch) {
  auto& waiting = reorder_->waiting;
  while (!waiting.empty() && waiting.begin()->first == send_id_ + 1) {
    const auto node = waiting.extract(waiting.begin());
    const Buffered& b = node.mapped();
    reorder_->bytes -= b.body.size();
    Append({node.key(), b.receiver, b.body, b.checksum, b.is_void}, now_ms, batch);
  }
  if (waiting.empty()) reorder_.reset();
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
    if (m.pair_seq == f->received && m.checksum != f->received_checksum) {
      f->flags |= kDiverged;
      return Delivered::kDiverged;
    }
    // What is under way is acknowledged when it is durable.
    if (f->undurable == 0) out.Ack(*this, f->id, f->received);
    return Delivered::kDuplicate;
  }
  if (m.pair_seq != Seq{f->received} + 1 || f->undurable == 0xFFFF) {
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
  if (f->flags & kDiverged || last < first || first == 0) return Delivered::kDiverged;
  if (f->received > last) {  // we have what the sender does not know to have sent
    f->flags |= kDiverged;
    return Delivered::kDiverged;
  }
  f->flags &= static_cast<std::uint16_t>(~kGapTold);
  out.Ack(*this, sender, Seq{f->received} - f->undurable);
  if (f->received >= last) return Delivered::kDuplicate;
  out.Gap(*this, sender, Seq{f->received} + 1);
  return Delivered::kGap;
}

Acked User::Ack(UserId from, Seq upto, CommitBatch& batch) {
  Friend* f = Find(from);
  if (f == nullptr) return Acked::kUnknown;
  if (upto > f->sent) {
    f->flags |= kDiverged;
    return Acked::kDiverged;
  }
  if (f->flags & kHeld) {
    const std::uint16_t index = IndexOf(f);
    Hold& hold = HoldOf(index);
    if (hold.state == HoldState::kAwaiting && upto >= hold.offered_last) {
      hold.state = HoldState::kReady;
      hold.next = static_cast<std::uint32_t>(upto + 1);
    }
    // Whatever it waits for: with everything acknowledged there is nothing left to hold back.
    Advance(index, std::max(hold.next, static_cast<std::uint32_t>(upto + 1)));
  }
  if (upto <= f->acked) return Acked::kOld;
  batch.AddAck(SlotIn(batch), from, upto);
  return Acked::kJournalled;
}

Acked User::Gap(UserId from, Seq next, bool may_rewind, CommitBatch& batch) {
  Friend* f = Find(from);
  if (f == nullptr) return Acked::kUnknown;
  if (next == 0 || next > Seq{f->sent} + 1) {
    f->flags |= kDiverged;
    return Acked::kDiverged;
  }
  const std::uint16_t index = IndexOf(f);
  if (next <= f->acked) {
    if (!may_rewind) return Acked::kOld;
    f->acked = static_cast<std::uint32_t>(next - 1);
    rewound_ = true;
    batch.AddAck(SlotIn(batch), from, next - 1);
    return Acked::kRewound;
  }
  HoldFrom(index, HoldState::kReady, static_cast<std::uint32_t>(next));
  Advance(index, static_cast<std::uint32_t>(next));
  return Acked::kOld;
}

// ---------------------------------------------------------------- paths

void User::StartSession(const std::function<bool(UserId)>& reaches, Outbound& out) {
  struct Range {
    std::uint16_t index;
    std::uint32_t first, last;
  };
  std::vector<Range> ranges;
  std::vector<std::uint32_t> place(friends_.size(), 0);  // 1 + position in ranges
  const std::size_t durable = durable_send_id_ - send_ack_id_;
  for (std::size_t i = head_; i < head_ + durable; ++i) {
    const Pending& p = pending_[i];
    if (Settled(p) || !reaches(friends_[p.friend_index].id)) continue;
    auto& at = place[p.friend_index];
    if (at == 0) {
      ranges.push_back({p.friend_index, p.pair_seq, p.pair_seq});
      at = static_cast<std::uint32_t>(ranges.size());
    } else {
      ranges[at - 1].last = p.pair_seq;
    }
  }
  for (const Range& r : ranges) {
    if (friends_[r.index].flags & kDiverged) continue;
    HoldFrom(r.index, HoldState::kAwaiting, r.first);
    HoldOf(r.index).offered_last = r.last;
    out.Offer(*this, friends_[r.index].id, r.first, r.last);
  }
}

Seq User::RefillFrom() const {
  if (holds_.empty()) return 0;
  const std::size_t durable = durable_send_id_ - send_ack_id_;
  for (std::size_t i = 0; i < durable; ++i) {
    const Pending& p = pending_[head_ + i];
    if (p.friend_index == kVoidFriend || !(friends_[p.friend_index].flags & kHeld)) continue;
    const Hold* hold = FindHold(p.friend_index);
    if (hold->state == HoldState::kReady && p.pair_seq >= hold->next) return send_ack_id_ + 1 + i;
  }
  return 0;
}

bool User::Refill(const wire::Message& m, Outbound& out) {
  if (m.kind != Kind::kText || m.seq > durable_send_id_ || m.seq <= send_ack_id_) return true;
  const Friend* f = Find(m.peer);
  if (f == nullptr || !(f->flags & kHeld) || f->flags & kDiverged) return true;
  const std::uint16_t index = IndexOf(f);
  Hold& hold = HoldOf(index);
  if (hold.state != HoldState::kReady || m.pair_seq != hold.next) return true;
  switch (out.Forward(*this, m)) {
    case Outbound::Sent::kSent: {
      bool& forwarded = pending_[head_ + (m.seq - send_ack_id_ - 1)].forwarded;
      resent_ += std::exchange(forwarded, true) ? 1 : 0;
      Advance(index, hold.next + 1);
      return true;
    }
    case Outbound::Sent::kNoPath:
      hold.state = HoldState::kNoPath;
      return true;
    case Outbound::Sent::kNoCredit:
      return false;
  }
  return true;
}

bool User::diverged(UserId with) const {
  const Friend* f = Find(with);
  return f != nullptr && f->flags & kDiverged;
}

void User::Diverge(UserId with) {
  Friend* f = Find(with);
  if (f != nullptr) f->flags |= kDiverged;
}

// ---------------------------------------------------------------- release

Released User::Release(const CommitBatch& batch, const CommitBatch::User& of, Outbound& out) {
  Released released;
  for (auto i = of.out.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
    const wire::Message& m = batch.entry(i).message;
    durable_send_id_ = m.seq;
    undurable_bytes_ -= static_cast<std::uint32_t>(m.body.size());
    released.stored = true;
    const std::uint16_t index = pending_at(m.seq).friend_index;
    if (index == kVoidFriend || friends_[index].flags & (kHeld | kDiverged)) continue;
    switch (out.Forward(*this, m)) {
      case Outbound::Sent::kSent:
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
    f->acked = rewound_ ? upto : std::max(f->acked, upto);  // as FoldAck does
  }
  const Seq acked_before = send_ack_id_;
  PopSettled();
  released.delivered = send_ack_id_ != acked_before;
  for (auto i = of.in.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
    const CommitBatch::Entry& e = batch.entry(i);
    durable_receive_id_ = e.message.seq;
    released.received = true;
    --Find(e.message.peer)->undurable;
    const bool same_pair_follows =
        e.next != CommitBatch::kEnd && batch.entry(e.next).message.peer == e.message.peer;
    if (!same_pair_follows) out.Ack(*this, e.message.peer, e.message.pair_seq);
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
  const auto it = std::lower_bound(friends_.begin(), friends_.end(), id,
                                   [](const Friend& f, UserId i) { return f.id < i; });
  return it != friends_.end() && it->id == id ? &*it : nullptr;
}

bool User::Settled(const Pending& p) const {
  return p.friend_index == kVoidFriend || p.pair_seq <= friends_[p.friend_index].acked;
}

void User::PopSettled() {
  while (head_ < pending_.size() && send_ack_id_ < durable_send_id_ && Settled(pending_[head_])) {
    ++head_;
    ++send_ack_id_;
  }
  if (head_ == pending_.size()) {
    pending_.clear();
    if (pending_.capacity() > 64) pending_.shrink_to_fit();
    head_ = 0;
  } else if (head_ > 64 && head_ > pending_.size() / 2) {
    pending_.erase(pending_.begin(), pending_.begin() + head_);
    head_ = 0;
  }
}

std::uint32_t User::DurableSent(std::uint16_t index) const {
  std::uint32_t sent = friends_[index].sent;
  const std::size_t durable = head_ + (durable_send_id_ - send_ack_id_);
  for (std::size_t i = pending_.size(); i > durable; --i) {
    if (pending_[i - 1].friend_index == index) sent = pending_[i - 1].pair_seq - 1;
  }
  return sent;
}

const User::Hold* User::FindHold(std::uint16_t index) const {
  const auto it =
      std::lower_bound(holds_.begin(), holds_.end(), index,
                       [](const Hold& h, std::uint16_t i) { return h.friend_index < i; });
  return &*it;
}

User::Hold& User::HoldOf(std::uint16_t index) { return const_cast<Hold&>(*FindHold(index)); }

void User::HoldFrom(std::uint16_t index, HoldState state, std::uint32_t next) {
  Friend& f = friends_[index];
  if (!(f.flags & kHeld)) {
    f.flags |= kHeld;
    const auto it =
        std::lower_bound(holds_.begin(), holds_.end(), index,
                         [](const Hold& h, std::uint16_t i) { return h.friend_index < i; });
    holds_.insert(it, {index, state, next, 0});
    return;
  }
  Hold& hold = HoldOf(index);
  hold.state = state;
  hold.next = next;
}

void User::DropHold(std::uint16_t index) {
  friends_[index].flags &= static_cast<std::uint16_t>(~kHeld);
  holds_.erase(holds_.begin() + (FindHold(index) - holds_.data()));
  if (holds_.empty()) holds_.shrink_to_fit();
}

// The pair goes on at `next`; once nothing durable is left to forward, it flows again.
void User::Advance(std::uint16_t index, std::uint32_t next) {
  HoldOf(index).next = next;
  if (next > DurableSent(index)) DropHold(index);
}

std::vector<UserId> User::friends() const {
  std::vector<UserId> ids;
  ids.reserve(friends_.size());
  for (const Friend& f : friends_) ids.push_back(f.id);
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
  r.friends.reserve(friends_.size());
  for (const Friend& f : friends_) {
    r.friends.push_back({f.id, f.sent, f.acked, f.received, f.received_checksum});
  }
  if (batch_number_ == open.number()) {  // what only takes effect when the batch is durable
    const CommitBatch::User& mine = open.users()[slot_];
    for (auto i = mine.acks.first; i != CommitBatch::kEnd; i = open.ack(i).next) {
      wire::FoldAck(r, open.ack(i).from, open.ack(i).upto);
    }
    if (mine.cursor > 0) wire::FoldCursor(r, mine.cursor);
  }
  return r;
}

std::size_t User::memory() const {
  return sizeof(User) + friends_.capacity() * sizeof(Friend) +
         pending_.capacity() * sizeof(Pending) + holds_.capacity() * sizeof(Hold) +
         (reorder_ ? reorder_->bytes + reorder_->waiting.size() * 96 : 0);
}

}  // namespace baiwan::mailbox
