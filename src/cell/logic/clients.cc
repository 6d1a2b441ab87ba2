// What clients ask, and what they are told.
#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "base/planted.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::size_t kMaxDevice = 64;  // bytes of a device's name
constexpr int kRefusals = 1024;         // in one frame
// WebSocket close codes: ours, and those of RFC 6455 and its registry.
constexpr std::uint32_t kPolicy = 1008;
constexpr std::uint32_t kRestarting = 1012;
constexpr std::uint32_t kTryAgainLater = 1013;
constexpr std::uint32_t kTakenOver = 4001;

wire::Reason ReasonOf(mailbox::Refused refused) {
  switch (refused) {
    case mailbox::Refused::kNo:
      return wire::REASON_NONE;
    case mailbox::Refused::kBadSendId:
      return wire::REASON_BAD_SEND_ID;
    case mailbox::Refused::kNotFriend:
      return wire::REASON_NOT_FRIEND;
    case mailbox::Refused::kBodyTooLarge:
      return wire::REASON_BODY_TOO_LARGE;
    case mailbox::Refused::kWindow:
      return wire::REASON_WINDOW;
    case mailbox::Refused::kNoMemory:
      return wire::REASON_OVERLOADED;
    case mailbox::Refused::kOutboxFull:
      return wire::REASON_OUTBOX_FULL;
    case mailbox::Refused::kConflict:
      return wire::REASON_SEND_ID_CONFLICT;
    case mailbox::Refused::kPairDiverged:
      return wire::REASON_PAIR_DIVERGED;
  }
  return wire::REASON_BAD_REQUEST;
}

mailbox::Submission ToSubmission(UserId sender, const wire::Submit& submit) {
  mailbox::Submission s;
  s.send_id = submit.send_id();
  s.is_void = submit.is_void();
  if (!s.is_void) {
    s.receiver = submit.friend_();
    s.body = submit.body();
  }
  s.checksum = MessageChecksum(sender, s.receiver, s.send_id, s.body);
  return s;
}

void FillCounters(const mailbox::Counters& c, wire::Counters* out) {
  out->set_send_id(c.send_id);
  out->set_send_ack_id(c.send_ack_id);
  out->set_receive_id(c.receive_id);
  out->set_client_receive_id(c.client_receive_id);
}

// What a frame asks is not looked at, and no longer waits.
void NotAsked(ClientPort& from, SessionId session, const wire::ClientFrame& frame) {
  if (frame.has_read()) from.Taken(session);
  if (frame.get_user()) from.Taken(session);
}

}  // namespace

void Logic::FromClient(ClientPort& from, SessionId session, UserId user,
                       const wire::ClientFrame& frame) {
  if (Resident* r = Ready(user)) {
    OnFrame(*r, from, session, frame);
    return;
  }
  const auto waiting = loading_.find(user);
  const bool full =
      waiting != loading_.end() && waiting->second.parked.size() >= options_.max_parked;
  if (full || node_.budget.used() >= node_.budget.hard_limit()) {
    return RefuseFrame(from, session, frame, wire::REASON_OVERLOADED);
  }
  Park(user, {[this, &from, session, frame](Resident* r, wire::Reason failed) {
                if (r != nullptr) {
                  OnFrame(*r, from, session, frame);
                } else {
                  RefuseFrame(from, session, frame, failed);
                }
              },
              frame.ByteSizeLong(), &from, session, !frame.submits().empty()});
}

void Logic::RefuseFrame(ClientPort& from, SessionId session, const wire::ClientFrame& frame,
                        wire::Reason reason) {
  NotAsked(from, session, frame);
  for (const wire::Submit& s : frame.submits()) {
    Refuse(nullptr, from, session, frame.request_id(), s.send_id(), reason);
  }
  if (!frame.submits().empty()) return;
  Refuse(nullptr, from, session, frame.request_id(), 0, reason);
  if (!frame.has_connect()) return;
  const bool again = StatusOf(reason) == 429 || StatusOf(reason) >= 503;
  CloseSession(from, session, again ? kTryAgainLater : kPolicy, Describe(reason));
}

void Logic::OnFrame(Resident& r, ClientPort& from, SessionId session,
                    const wire::ClientFrame& frame) {
  if (r.touched_turn != turn_) {
    r.touched_turn = turn_;
    residents_.Touch(r);
    if (open_since_ == 0) open_since_ = node_.clock.Monotonic();
  }
  if (frame.has_connect()) OnConnect(r, from, session, frame.connect());
  Session* const s = FindSession(r, from, session);
  // Of a connection that was closed while this was on its way.
  if (s == nullptr && frame.request_id() == 0) return;
  if (s != nullptr && !frame.submits().empty()) TakeOver(r, *s);
  for (const wire::Submit& submit : frame.submits()) {
    OnSubmit(r, from, session, submit, frame.request_id(), frame.reply_when());
  }
  if (!old_.empty()) CompareWithOutbox(r, from, session, frame.request_id());
  if (frame.read_up_to() > 0 && refuse_all_) {
    if (frame.request_id() != 0) {
      Refuse(&r, from, session, frame.request_id(), 0, wire::REASON_NOT_READY);
      return NotAsked(from, session, frame);
    }
  } else if (frame.read_up_to() > r.user.counters().receive_id) {
    RefuseBeyondEnd(r, from, session, frame.request_id());
    if (frame.request_id() != 0) return NotAsked(from, session, frame);  // that was the answer
  } else if (frame.read_up_to() > 0) {
    r.user.ReadUpTo(frame.read_up_to(), *open_);
  }
  if (frame.has_read()) OnRead(r, from, session, frame.read(), frame.request_id());
  if (frame.get_user()) {
    OnGetUser(r, from, session, frame.request_id(), frame.ping());
  } else if (frame.ping() > 0) {
    wire::ServerFrame reply;
    reply.set_request_id(frame.request_id());
    reply.set_pong(frame.ping());
    from.ToClient(session, reply);
  }
}

void Logic::OnConnect(Resident& r, ClientPort& from, SessionId session,
                      const wire::Connect& connect) {
  if (connect.device().size() > kMaxDevice) {
    return CloseSession(from, session, kPolicy, "a device's name has at most 64 bytes");
  }
  if (refuse_all_) return CloseSession(from, session, kRestarting, "the cell is stopping");
  if (node_.budget.full()) {
    return CloseSession(from, session, kTryAgainLater, Describe(wire::REASON_OVERLOADED));
  }
  // A device that has lost its connection comes back before we notice.
  DropSessions(r, "this device has connected anew", [&connect](const Session& s) {
    return !s.device.empty() && s.device == connect.device();
  });
  if (r.sessions.size() >= options_.max_devices) {
    return CloseSession(from, session, kPolicy,
                        "this user has as many devices connected as are allowed");
  }
  wire::ServerFrame reply;
  auto s = std::make_unique<Session>();
  s->device = connect.device();
  s->port = &from;
  s->id = session;
  s->receive = connect.receive();
  s->pushed = std::min(connect.after(), r.user.counters().receive_id);
  wire::Welcome* welcome = reply.mutable_welcome();
  welcome->set_user(r.user.id());
  FillCounters(r.user.counters(), welcome->mutable_counters());
  welcome->set_window_end(r.user.window_end(options_.mailbox));
  welcome->set_window_bytes(options_.mailbox.window_bytes);
  welcome->set_heartbeat_s(options_.heartbeat_s);
  welcome->set_life(options_.life);
  welcome->set_beyond_end(connect.after() > r.user.counters().receive_id);
  from.ToClient(session, reply);
  r.sessions.push_back(std::move(s));
  Recharge(r);
  if (connect.receive()) CatchUp(r, *r.sessions.back());
}

void Logic::CloseSession(ClientPort& from, SessionId session, std::uint32_t code, const char* why) {
  wire::ServerFrame reply;
  reply.set_close(why);
  reply.set_close_code(code);
  from.ToClient(session, reply);
}

void Logic::DropSessions(Resident& r, const char* why,
                         const std::function<bool(const Session&)>& which) {
  std::erase_if(r.sessions, [&](const auto& s) {
    if (!which(*s)) return false;
    CloseSession(*s->port, s->id, kTakenOver, why);
    return true;
  });
}

// One connection of a user sends: two that number messages on their own would take each other's
// numbers.
void Logic::TakeOver(Resident& r, Session& now) {
  if (now.sends) return;
  DropSessions(r, "another connection of this user sends now",
               [](const Session& s) { return s.sends; });
  now.sends = true;
}

void Logic::OnSubmit(Resident& r, ClientPort& from, SessionId session, const wire::Submit& submit,
                     std::uint64_t request_id, wire::ReplyWhen when) {
  ++counters_.submits;
  if (refuse_all_) {
    return Refuse(&r, from, session, request_id, submit.send_id(), wire::REASON_NOT_READY);
  }
  if (mending_ != nullptr && !MaySend(r.user)) {
    return Refuse(&r, from, session, request_id, submit.send_id(), wire::REASON_NOT_READY,
                  "this cell's store was put back: what it lacks of this user comes back first");
  }
  if (disk_ != DiskState::kRoom) {
    return Refuse(&r, from, session, request_id, submit.send_id(), wire::REASON_OVERLOADED,
                  "the disk of this cell is nearly full");
  }
  if (memory_full_ || node_.budget.full() || open_->messages() >= options_.max_batch_messages ||
      open_->bytes() >= options_.max_batch_bytes ||
      r.waiters.size() >= std::size_t{options_.max_parked} * 8) {
    return Refuse(&r, from, session, request_id, submit.send_id(), wire::REASON_OVERLOADED);
  }
  const mailbox::Submission s = ToSubmission(r.user.id(), submit);
  const std::size_t reorder_before = r.user.reorder_count();
  const mailbox::SubmitResult result =
      r.user.Submit(s, node_.clock.WallMillis(), LimitsFor(r, s), *open_);
  if (r.user.reorder_count() != reorder_before) NoteReorder(r);
  switch (result.what) {
    case mailbox::Submitted::kRefused:
      return Refuse(&r, from, session, request_id, s.send_id, ReasonOf(result.why));
    case mailbox::Submitted::kAskOutbox:
      ++counters_.repeats;
      old_.push_back({s.send_id, s.receiver, std::string(s.body), s.is_void});
      return;
    case mailbox::Submitted::kAskLater:
      ++counters_.repeats;
      return CompareLater(r, from, session, submit, request_id);
    case mailbox::Submitted::kRepeat:
      ++counters_.repeats;
      // The counters are the answer; a client that repeats may have missed them.
      if (Session* known = FindSession(r, from, session)) MarkDirty(r, *known);
      break;
    case mailbox::Submitted::kTaken:
      break;
  }
  if (request_id == 0) return;
  const Seq stored = r.user.counters().send_id;
  if (when == wire::REPLY_TAKEN || s.send_id <= stored) {
    ReplyStored(from, session, request_id, stored);
  } else {
    r.waiters.push_back({&from, session, request_id, s.send_id});
  }
}

// ---------------------------------------------------------------- answers

void Logic::Refuse(Resident* r, ClientPort& from, SessionId session, std::uint64_t request_id,
                   Seq send_id, wire::Reason reason, std::string detail) {
  ++counters_.refused[static_cast<std::size_t>(reason)];
  wire::Refusal refusal;
  refusal.set_send_id(send_id);
  refusal.set_reason(reason);
  refusal.set_detail(detail.empty() ? Describe(reason) : std::move(detail));
  if (r != nullptr) refusal.set_window_end(r->user.window_end(options_.mailbox));
  if (StatusOf(reason) == 429 || StatusOf(reason) >= 503) {
    refusal.set_retry_after_ms(options_.retry_after_ms);
  }
  Session* s = r != nullptr && request_id == 0 ? FindSession(*r, from, session) : nullptr;
  if (s != nullptr) {
    s->refusals.push_back(std::move(refusal));
    MarkDirty(*r, *s);
    return;
  }
  wire::ServerFrame reply;
  reply.set_request_id(request_id);
  *reply.add_refusals() = std::move(refusal);
  from.ToClient(session, reply);
}

// A client that goes on from a place that this store has not reached would wait for messages that
// have passed: either it is wrong, or the store went back.
void Logic::RefuseBeyondEnd(const Resident& r, ClientPort& from, SessionId session,
                            std::uint64_t request_id) {
  ++counters_.refused[static_cast<std::size_t>(wire::REASON_BEYOND_END)];
  wire::ServerFrame reply;
  reply.set_request_id(request_id);
  wire::Refusal* refusal = reply.add_refusals();
  refusal->set_reason(wire::REASON_BEYOND_END);
  refusal->set_detail(Describe(wire::REASON_BEYOND_END));
  refusal->set_end(r.user.counters().receive_id);
  refusal->set_life(options_.life);
  from.ToClient(session, reply);
}

void Logic::ReplyStored(ClientPort& from, SessionId session, std::uint64_t request_id, Seq stored) {
  wire::ServerFrame reply;
  reply.set_request_id(request_id);
  reply.set_stored(stored);
  from.ToClient(session, reply);
}

void Logic::FillUser(const mailbox::User& user, wire::UserInfo* out) const {
  out->set_user(user.id());
  FillCounters(user.counters(), out->mutable_counters());
  for (const UserId f : user.friends()) out->add_friends(f);
}

void Logic::AnswerWaiters(Resident& r) {
  if (r.waiters.empty()) return;
  const Seq stored = r.user.counters().send_id;
  const auto rest = std::partition(r.waiters.begin(), r.waiters.end(),
                                   [stored](const Waiter& w) { return w.send_id <= stored; });
  for (auto it = r.waiters.begin(); it != rest; ++it) {
    ReplyStored(*it->port, it->session, it->request_id, stored);
  }
  r.waiters.erase(r.waiters.begin(), rest);
}

Session* Logic::FindSession(Resident& r, const ClientPort& port, SessionId session) const {
  for (const auto& s : r.sessions) {
    if (s->id == session && s->port == &port) return s.get();
  }
  return nullptr;
}

void Logic::MarkDirty(Resident& r, Session& s) {
  s.dirty = true;
  if (r.told) return;
  r.told = true;
  told_.push_back(&r);
}

void Logic::TellSessions() {
  if (told_.empty()) return;
  wire::ServerFrame frame;
  for (Resident* r : told_) {
    r->told = false;
    for (const auto& s : r->sessions) {
      if (!std::exchange(s->dirty, false)) continue;
      frame.Clear();
      const mailbox::Counters c = r->user.counters();
      frame.set_stored(c.send_id);
      frame.set_delivered(c.send_ack_id);
      frame.set_window_end(r->user.window_end(options_.mailbox));
      for (wire::Refusal& refusal : s->refusals) {
        if (frame.refusals_size() >= kRefusals) {
          s->port->ToClient(s->id, frame);
          frame.Clear();
        }
        *frame.add_refusals() = std::move(refusal);
      }
      for (wire::BoxMessage& m : s->pushes) *frame.add_pushes() = std::move(m);
      s->refusals.clear();
      s->pushes.clear();
      s->port->ToClient(s->id, frame);
    }
  }
  told_.clear();
}

// ---------------------------------------------------------------- sessions

void Logic::SessionClosed(ClientPort& from, SessionId session, UserId user) {
  for (ReadQueue* queue : {&reads_, &catch_ups_, &compares_}) queue->Cancel(user, from, session);
  if (CloseParked(user, from, session)) return;
  if (Resident* r = residents_.Find(user)) ForgetSession(*r, from, session);
}

void Logic::ForgetSession(Resident& r, const ClientPort& from, SessionId session) {
  std::erase_if(r.sessions, [&](const auto& s) { return s->port == &from && s->id == session; });
  std::erase_if(r.waiters,
                [&](const Waiter& w) { return w.port == &from && w.session == session; });
  std::erase_if(r.repeats, [&](const Repeat& repeat) {
    const bool gone = repeat.port == &from && repeat.session == session;
    if (gone) r.repeat_bytes -= repeat.bytes;
    return gone;
  });
  Recharge(r);
}

void Logic::SessionPaused(ClientPort& from, SessionId session, UserId user, bool paused) {
  Resident* r = residents_.Find(user);
  Session* s = r != nullptr ? FindSession(*r, from, session) : nullptr;
  if (s == nullptr) return;
  s->paused = paused;
  if (paused) return;
  for (ReadQueue* queue : {&reads_, &catch_ups_, &compares_}) queue->Wake(user);
  if (s->receive) CatchUp(*r, *s);
}

void Logic::PortWritable(ClientPort&) {
  for (ReadQueue* queue : {&reads_, &catch_ups_, &compares_}) queue->WakeAll();
}

void Logic::PortClosed(ClientPort& from) {
  for (ReadQueue* queue : {&reads_, &catch_ups_, &compares_}) queue->CancelAll(from);
  for (Resident& r : residents_.by_use) {
    std::erase_if(r.sessions, [&](const auto& s) { return s->port == &from; });
    std::erase_if(r.waiters, [&](const Waiter& w) { return w.port == &from; });
    std::erase_if(r.repeats, [&](const Repeat& repeat) {
      if (repeat.port == &from) r.repeat_bytes -= repeat.bytes;
      return repeat.port == &from;
    });
  }
  for (auto& [user, loading] : loading_) {
    Unpark(loading, [&from](const Parked& p) { return p.port == &from; });
  }
}

}  // namespace baiwan::cell
