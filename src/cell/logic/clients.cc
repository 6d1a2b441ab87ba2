// What clients ask, and what they are told.
#include <algorithm>
#include <utility>

#include "base/checksum.h"
#include "base/planted.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kPushPage = 200;      // messages
constexpr std::size_t kPushBytes = 64 << 10;  // bodies
constexpr std::size_t kMaxDevice = 64;        // bytes of a device's name
constexpr std::uint32_t kDefaultPage = 100;   // messages, when a client does not say
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

void Fill(UserId owner, wire::Box box, const wire::Message& m, wire::BoxMessage* out) {
  out->set_seq(m.seq);
  out->set_send_id(m.send_id);
  out->set_sender(box == wire::Box::kOut ? owner : m.peer);
  out->set_receiver(box == wire::Box::kOut ? m.peer : owner);
  out->set_body(m.body.data(), m.body.size());
  out->set_timestamp_ms(m.timestamp_ms);
  out->set_checksum(m.checksum);
  if (m.kind == wire::Kind::kVoid) out->set_is_void(true);
}

void FillCounters(const mailbox::Counters& c, wire::Counters* out) {
  out->set_send_id(c.send_id);
  out->set_send_ack_id(c.send_ack_id);
  out->set_receive_id(c.receive_id);
  out->set_client_receive_id(c.client_receive_id);
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
  WithUser(
      user, frame.ByteSizeLong(),
      [this, &from, session, frame, closings = closings_[&from]](Resident* r, wire::Reason failed) {
        if (closings_[&from] != closings) return;  // its sessions are gone
        if (r != nullptr) {
          OnFrame(*r, from, session, frame);
        } else {
          RefuseFrame(from, session, frame, failed);
        }
      });
}

void Logic::RefuseFrame(ClientPort& from, SessionId session, const wire::ClientFrame& frame,
                        wire::Reason reason) {
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
  if (frame.read_up_to() > 0 && refuse_all_) {
    if (frame.request_id() != 0) {
      return Refuse(&r, from, session, frame.request_id(), 0, wire::REASON_NOT_READY);
    }
  } else if (frame.read_up_to() > r.user.counters().receive_id) {
    RefuseBeyondEnd(r, from, session, frame.request_id());
    if (frame.request_id() != 0) return;  // that was the answer
  } else if (frame.read_up_to() > 0) {
    r.user.ReadUpTo(frame.read_up_to(), *open_);
  }
  if (frame.has_read()) OnRead(r, from, session, frame.read(), frame.request_id());
  if (frame.get_user() || frame.ping() > 0) {
    wire::ServerFrame reply;
    reply.set_request_id(frame.request_id());
    reply.set_pong(frame.ping());
    if (frame.get_user()) FillUser(r.user, reply.mutable_user());
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
      return CompareWithOutbox(r, from, session, submit, request_id);
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

void Logic::CompareWithOutbox(Resident& r, ClientPort& from, SessionId session,
                              const wire::Submit& submit, std::uint64_t request_id) {
  store_.ReadBox(
      r.user.id(), wire::Box::kOut, r.user.durable_heads().out, submit.send_id(), 1, 1,
      [this, &from, session, submit, request_id, user = r.user.id(),
       alive = alive_](Result<store::BoxPage, store::StoreError> page) {
        if (!*alive) return;
        Resident* now = residents_.Find(user);
        const bool found =
            page && !page->messages.empty() && page->messages[0].seq == submit.send_id();
        if (!found) {
          Refuse(now, from, session, request_id, submit.send_id(), wire::REASON_NOT_READY);
        } else if (!mailbox::User::SameAsStored(page->messages[0], ToSubmission(user, submit))) {
          Refuse(now, from, session, request_id, submit.send_id(), wire::REASON_SEND_ID_CONFLICT);
        } else if (request_id != 0) {
          ReplyStored(from, session, request_id, submit.send_id());
        } else if (now != nullptr) {
          if (Session* s = FindSession(*now, from, session)) MarkDirty(*now, *s);
        }
      });
}

void Logic::OnRead(Resident& r, ClientPort& from, SessionId session, const wire::ReadBox& read,
                   std::uint64_t request_id) {
  ++counters_.reads;
  const wire::Box box = read.box() == wire::BOX_OUTBOX ? wire::Box::kOut : wire::Box::kIn;
  const wire::BoxHeads& heads = r.user.durable_heads();
  const Seq from_seq = std::max<Seq>(read.from(), 1);
  const Seq last =
      box == wire::Box::kOut ? r.user.counters().send_id : r.user.counters().receive_id;
  const std::uint32_t limit =
      std::min(read.limit() == 0 ? kDefaultPage : read.limit(), options_.page_messages);
  if (box == wire::Box::kIn && from_seq > last + 1) {
    return RefuseBeyondEnd(r, from, session, request_id);
  }
  if (from_seq > last) {
    wire::ServerFrame reply;
    reply.set_request_id(request_id);
    reply.mutable_page()->set_next(from_seq);
    reply.mutable_page()->set_life(options_.life);
    from.ToClient(session, reply);
    return;
  }
  store_.ReadBox(r.user.id(), box, box == wire::Box::kOut ? heads.out : heads.in, from_seq, limit,
                 options_.page_bytes,
                 [this, &from, session, request_id, box, from_seq, user = r.user.id(),
                  alive = alive_](Result<store::BoxPage, store::StoreError> page) {
                   if (!*alive) return;
                   if (!page)
                     return Refuse(nullptr, from, session, request_id, 0, wire::REASON_CORRUPT);
                   wire::ServerFrame reply;
                   reply.set_request_id(request_id);
                   wire::BoxPage* out = reply.mutable_page();
                   out->set_life(options_.life);
                   for (const wire::Message& m : page->messages)
                     Fill(user, box, m, out->add_messages());
                   out->set_next(page->messages.empty() ? from_seq : page->messages.back().seq + 1);
                   from.ToClient(session, reply);
                   Resident* now = Ready(user);
                   if (box == wire::Box::kIn && now != nullptr && !refuse_all_)
                     now->user.ReadUpTo(out->next() - 1, *open_);
                 });
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
      for (wire::Refusal& refusal : s->refusals) *frame.add_refusals() = std::move(refusal);
      for (wire::BoxMessage& m : s->pushes) *frame.add_pushes() = std::move(m);
      s->refusals.clear();
      s->pushes.clear();
      s->port->ToClient(s->id, frame);
    }
  }
  told_.clear();
}

// ---------------------------------------------------------------- pushes

void Logic::PushFrom(Resident& r, const wire::CommitBatch& batch,
                     const wire::CommitBatch::User& of) {
  for (const auto& s : r.sessions) {
    if (!s->receive || s->reading || s->paused) continue;
    const Seq first = batch.entry(of.in.first).message.seq;
    if (s->pushed + 1 != first) {
      CatchUp(r, *s);
      continue;
    }
    std::size_t bytes = 0;
    for (auto i = of.in.first; i != wire::CommitBatch::kEnd; i = batch.entry(i).next) {
      // No more in one frame than a page: a commit may hold more than a connection may have unsent.
      if (s->pushes.size() >= kPushPage || bytes >= kPushBytes) break;
      bytes += batch.entry(i).message.body.size();
      s->pushes.emplace_back();
      Fill(r.user.id(), wire::Box::kIn, batch.entry(i).message, &s->pushes.back());
      s->pushed = batch.entry(i).message.seq;
      ++counters_.pushed;
    }
    MarkDirty(r, *s);
    CatchUp(r, *s);  // with the rest
  }
}

void Logic::CatchUp(Resident& r, Session& s) {
  if (s.reading || s.paused || s.pushed >= r.user.counters().receive_id) return;
  s.reading = true;
  store_.ReadBox(r.user.id(), wire::Box::kIn, r.user.durable_heads().in, s.pushed + 1, kPushPage,
                 kPushBytes,
                 [this, user = r.user.id(), port = s.port, id = s.id,
                  alive = alive_](Result<store::BoxPage, store::StoreError> page) {
                   if (!*alive) return;
                   Resident* now = residents_.Find(user);
                   Session* to = now != nullptr ? FindSession(*now, *port, id) : nullptr;
                   if (to == nullptr) return;
                   to->reading = false;
                   if (!page || page->messages.empty()) {
                     return CloseSession(*port, id, kPolicy, Describe(wire::REASON_CORRUPT));
                   }
                   for (const wire::Message& m : page->messages) {
                     if (m.seq != to->pushed + 1) continue;
                     to->pushes.emplace_back();
                     Fill(user, wire::Box::kIn, m, &to->pushes.back());
                     to->pushed = m.seq;
                     ++counters_.pushed;
                   }
                   MarkDirty(*now, *to);
                   if (!Planted("catch-up-stops")) CatchUp(*now, *to);
                 });
}

// ---------------------------------------------------------------- sessions

void Logic::SessionClosed(ClientPort& from, SessionId session, UserId user) {
  WithUser(user, 0, [this, &from, session](Resident* r, wire::Reason) {
    if (r == nullptr) return;
    std::erase_if(r->sessions, [&](const auto& s) { return s->port == &from && s->id == session; });
    std::erase_if(r->waiters,
                  [&](const Waiter& w) { return w.port == &from && w.session == session; });
    Recharge(*r);
  });
}

void Logic::SessionPaused(ClientPort& from, SessionId session, UserId user, bool paused) {
  Resident* r = residents_.Find(user);
  Session* s = r != nullptr ? FindSession(*r, from, session) : nullptr;
  if (s == nullptr) return;
  s->paused = paused;
  if (!paused && s->receive) CatchUp(*r, *s);
}

void Logic::PortClosed(ClientPort& from) {
  ++closings_[&from];
  const auto forget = [&from](Resident& r) {
    std::erase_if(r.sessions, [&](const auto& s) { return s->port == &from; });
    std::erase_if(r.waiters, [&](const Waiter& w) { return w.port == &from; });
    std::erase_if(r.repeats, [&](const Repeat& repeat) {
      if (repeat.port == &from) r.repeat_bytes -= repeat.bytes;
      return repeat.port == &from;
    });
  };
  for (Resident& r : residents_.by_use) forget(r);
  for (auto& [user, loading] : loading_) {
    if (loading.restoring != nullptr) forget(*loading.restoring);
  }
}

}  // namespace baiwan::cell
