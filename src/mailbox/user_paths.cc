// The sending side's held pairs: what is offered in a new session, and read back from the outbox.
#include <algorithm>
#include <vector>

#include "mailbox/user.h"

namespace baiwan::mailbox {

void User::StartSession(const std::function<bool(UserId)>& reaches, Outbound& out) {
  struct Range {
    std::uint16_t index;
    std::uint32_t first, last;
  };
  std::vector<Range> ranges;
  std::vector<std::uint32_t> place(friend_count_, 0);  // 1 + position in ranges
  for (std::size_t i = head_; i < pending_.size(); ++i) {
    const Pending& p = pending_[i];
    if (p.send_id > durable_send_id_) break;
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

bool User::Due(const Hold& hold) const {
  // Gone back: what is due now is not among the pending ones before this user is loaded again.
  return hold.state == HoldState::kReady && !(friends_[hold.friend_index].flags & kDiverged) &&
         !rewound_;
}

bool User::Ready(UserId friend_id) const {
  if (waiting_ == nullptr || waiting_->holds.empty()) return false;
  const Friend* f = Find(friend_id);
  return f != nullptr && f->flags & kHeld && Due(HoldOf(IndexOf(f)));
}

void User::EachReady(const std::function<void(UserId)>& each) const {
  if (waiting_ == nullptr) return;
  for (const Hold& hold : waiting_->holds) {
    if (Due(hold)) each(friends_[hold.friend_index].id);
  }
}

void User::EachPending(const std::function<void(UserId)>& each) const {
  for (std::size_t i = head_; i < pending_.size(); ++i) {
    const Pending& p = pending_[i];
    if (p.send_id > durable_send_id_) break;
    if (!Settled(p)) each(friends_[p.friend_index].id);
  }
}

Seq User::RefillFrom(const std::function<bool(UserId)>& which) const {
  bool any = false;
  EachReady([&](UserId f) { any |= which(f); });
  if (!any) return 0;
  for (std::size_t i = head_; i < pending_.size(); ++i) {
    const Pending& p = pending_[i];
    if (p.send_id > durable_send_id_) break;
    if (p.friend_index == kVoidFriend || !IsHeld(p.friend_index)) continue;
    const Hold& hold = HoldOf(p.friend_index);
    if (p.pair_seq >= hold.next && Due(hold) && which(friends_[p.friend_index].id)) {
      return p.send_id;
    }
  }
  return 0;
}

bool User::Refill(const wire::Message& m, Outbound& out) {
  if (m.kind != wire::Kind::kText || m.seq > durable_send_id_) return true;
  const Friend* f = Find(m.peer);
  if (f == nullptr || !(f->flags & kHeld) || f->flags & kDiverged) return true;
  const std::uint16_t index = IndexOf(f);
  Hold& hold = HoldOf(index);
  Pending* p = FindPending(m.seq);
  if (hold.state != HoldState::kReady || m.pair_seq != hold.next || p == nullptr) return true;
  switch (out.Forward(*this, m)) {
    case Outbound::Sent::kSent:
      resent_ += p->forwarded ? 1 : 0;
      p->forwarded = true;
      Advance(index, hold.next + 1);
      return true;
    case Outbound::Sent::kNoPath:
      hold.state = HoldState::kNoPath;
      return true;
    case Outbound::Sent::kNoCredit:
      return false;
  }
  return true;
}

// The last message to this friend that is durable.
std::uint32_t User::DurableSent(std::uint16_t index) const {
  std::uint32_t sent = friends_[index].sent;
  if (send_id_ == durable_send_id_) return sent;
  for (std::size_t i = pending_.size(); i > head_; --i) {
    const Pending& p = pending_[i - 1];
    if (p.send_id <= durable_send_id_) break;
    if (p.friend_index == index) sent = p.pair_seq - 1;
  }
  return sent;
}

const User::Hold& User::HoldOf(std::uint16_t index) const {
  const auto& holds = waiting_->holds;
  return *std::lower_bound(holds.begin(), holds.end(), index,
                           [](const Hold& h, std::uint16_t i) { return h.friend_index < i; });
}

User::Hold& User::HoldOf(std::uint16_t index) {
  return const_cast<Hold&>(static_cast<const User*>(this)->HoldOf(index));
}

void User::HoldFrom(std::uint16_t index, HoldState state, std::uint32_t next) {
  if (IsHeld(index)) {
    Hold& hold = HoldOf(index);
    hold.state = state;
    hold.next = next;
    return;
  }
  if (waiting_ == nullptr) waiting_ = std::make_unique<Waiting>();
  friends_[index].flags |= kHeld;
  auto& holds = waiting_->holds;
  const auto it =
      std::lower_bound(holds.begin(), holds.end(), index,
                       [](const Hold& h, std::uint16_t i) { return h.friend_index < i; });
  holds.insert(it, {index, state, next, 0});
}

// The pair goes on at `next`; once nothing durable is left to forward, it flows again.
void User::Advance(std::uint16_t index, std::uint32_t next) {
  Hold& hold = HoldOf(index);
  hold.next = next;
  // As many messages as are under way at most are not durable: mostly that says enough.
  if (next + (send_id_ - durable_send_id_) <= friends_[index].sent) return;
  if (next <= DurableSent(index)) return;
  friends_[index].flags &= static_cast<std::uint16_t>(~kHeld);
  auto& holds = waiting_->holds;
  holds.erase(holds.begin() + (&hold - holds.data()));
  DropWaitingIfEmpty();
}

// Whatever the pair waits for: nothing that is acknowledged is forwarded again.
void User::AckHold(std::uint16_t index, std::uint32_t upto) {
  if (!IsHeld(index)) return;
  Hold& hold = HoldOf(index);
  if (hold.state == HoldState::kAwaiting && upto >= hold.offered_last) {
    hold.state = HoldState::kReady;
  }
  Advance(index, std::max(hold.next, upto + 1));
}

void User::GapHold(std::uint16_t index, std::uint32_t next) {
  if (IsHeld(index)) {
    const Hold& hold = HoldOf(index);
    if (hold.state == HoldState::kNoPath) return;  // of a session that is over
    // It may be late, and the friend have lost since what it had then: only an acknowledgement
    // makes us leave out what we were about to send.
    if (hold.state == HoldState::kReady) next = std::min(next, hold.next);
  }
  HoldFrom(index, HoldState::kReady, next);
  Advance(index, next);
}

}  // namespace baiwan::mailbox
