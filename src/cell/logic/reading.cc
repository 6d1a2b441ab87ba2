// What is read of boxes for clients: pages that they ask for, pages that are pushed, and old
// submissions that only the disk knows. All of it waits in queues; see read_queue.h.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kPushPage = 200;      // messages
constexpr std::size_t kPushBytes = 64 << 10;  // bodies
constexpr std::uint32_t kDefaultPage = 100;   // messages, when a client does not say
constexpr std::uint32_t kPolicy = 1008;       // a close code of WebSocket (RFC 6455)
constexpr std::size_t kWalkBytes = 256;       // that one takes while it waits, about

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

}  // namespace

bool Logic::MayBegin(UserId user, ClientPort& port, SessionId session) const {
  if (port.Clogged()) return false;
  Resident* const r = residents_.Find(user);
  const Session* const s = r != nullptr ? FindSession(*r, port, session) : nullptr;
  return s == nullptr || !s->paused;
}

// ---------------------------------------------------------------- pages

void Logic::OnRead(Resident& r, ClientPort& from, SessionId session, const wire::ReadBox& read,
                   std::uint64_t request_id) {
  ++counters_.reads;
  PageWanted what;
  what.user = r.user.id();
  what.box = read.box() == wire::BOX_OUTBOX ? wire::Box::kOut : wire::Box::kIn;
  const bool out = what.box == wire::Box::kOut;
  what.head = out ? r.user.durable_heads().out : r.user.durable_heads().in;
  what.from = std::max<Seq>(read.from(), 1);
  what.limit = std::min(read.limit() == 0 ? kDefaultPage : read.limit(), options_.page_messages);
  what.port = &from;
  what.session = session;
  what.request_id = request_id;
  const Seq last = out ? r.user.counters().send_id : r.user.counters().receive_id;
  if (!out && what.from > last + 1) {
    RefuseBeyondEnd(r, from, session, request_id);
    return from.Taken(session);
  }
  // What needs no walk has its turn all the same, or a flood of it would be all that is done.
  if (what.from > last) what.limit = 0;
  const bool taken = reads_.Add(
      what.user, {&from, session, kWalkBytes,
                  [this, what](store::Wanted wanted) { ReadPage(what, std::move(wanted)); }});
  if (taken) return;
  Refuse(nullptr, from, session, request_id, 0, wire::REASON_TOO_MANY_REQUESTS);
  from.Taken(session);
}

void Logic::ReadPage(const PageWanted& what, store::Wanted wanted) {
  if (what.limit == 0) {
    SendPage(what, {});
    return reads_.Done(what.user);
  }
  store_.ReadBox(
      what.user, what.box, what.head, what.from, what.limit, options_.page_bytes, wanted,
      [this, what, wanted, alive = alive_](const Result<store::BoxPage, store::StoreError>& page) {
        if (!*alive) return;
        reads_.Done(what.user);
        if (!*wanted) return;
        if (page) return SendPage(what, *page);
        Refuse(nullptr, *what.port, what.session, what.request_id, 0, wire::REASON_CORRUPT);
        what.port->Taken(what.session);
      });
}

void Logic::SendPage(const PageWanted& what, const store::BoxPage& page) {
  wire::ServerFrame reply;
  reply.set_request_id(what.request_id);
  wire::BoxPage* out = reply.mutable_page();
  out->set_life(options_.life);
  for (const wire::Message& m : page.messages) Fill(what.user, what.box, m, out->add_messages());
  const Seq next = page.messages.empty() ? what.from : page.messages.back().seq + 1;
  out->set_next(next);
  what.port->ToClient(what.session, reply);
  what.port->Taken(what.session);
  if (what.box != wire::Box::kIn || page.messages.empty() || refuse_all_) return;
  if (Resident* now = Ready(what.user)) now->user.ReadUpTo(next - 1, *open_);
}

// Short, but for its list of friends much longer than what asks for it.
void Logic::OnGetUser(Resident& r, ClientPort& from, SessionId session, std::uint64_t request_id,
                      std::uint64_t ping) {
  const auto answer = [this, &from, session, request_id, ping](const Resident* now) {
    if (now == nullptr) {
      Refuse(nullptr, from, session, request_id, 0, wire::REASON_NOT_READY);
    } else {
      wire::ServerFrame reply;
      reply.set_request_id(request_id);
      reply.set_pong(ping);
      FillUser(now->user, reply.mutable_user());
      from.ToClient(session, reply);
    }
    from.Taken(session);
  };
  const UserId user = r.user.id();
  // Of one HTTP connection there is one at a time.
  if (FindSession(r, from, session) == nullptr && !from.Clogged()) return answer(&r);
  const bool taken =
      reads_.Add(user, {&from, session, kWalkBytes, [this, user, answer](const store::Wanted&) {
                          answer(Ready(user));
                          reads_.Done(user);
                        }});
  if (taken) return;
  Refuse(nullptr, from, session, request_id, 0, wire::REASON_TOO_MANY_REQUESTS);
  from.Taken(session);
}

// ---------------------------------------------------------------- old submissions

// All that a frame has of them, in one walk.
void Logic::CompareWithOutbox(Resident& r, ClientPort& from, SessionId session,
                              std::uint64_t request_id) {
  auto submits = std::make_shared<std::vector<OldSubmit>>(std::exchange(old_, {}));
  std::size_t bytes = kWalkBytes;
  std::vector<Seq> seqs;
  for (const OldSubmit& s : *submits) {
    bytes += sizeof(OldSubmit) + s.body.size();
    seqs.push_back(s.send_id);
  }
  std::sort(seqs.begin(), seqs.end());
  seqs.erase(std::unique(seqs.begin(), seqs.end()), seqs.end());
  const auto found = [submits](const wire::Message& m) {
    for (OldSubmit& s : *submits) {
      if (s.send_id != m.seq) continue;
      const mailbox::Submission as{.send_id = s.send_id,
                                   .receiver = s.receiver,
                                   .body = s.body,
                                   .is_void = s.is_void};
      s.outcome =
          mailbox::User::SameAsStored(m, as) ? wire::REASON_NONE : wire::REASON_SEND_ID_CONFLICT;
    }
  };
  const UserId user = r.user.id();
  const bool taken = compares_.Add(
      user, {&from, session, bytes,
             [this, user, &from, session, request_id, submits, found, seqs = std::move(seqs),
              head = r.user.durable_heads().out](const store::Wanted& wanted) {
               store_.FindInBox(user, wire::Box::kOut, head, seqs, wanted, found,
                                [this, user, &from, session, request_id, submits, wanted,
                                 alive = alive_](store::StoreError) {
                                  if (!*alive) return;
                                  compares_.Done(user);
                                  if (!*wanted) return;
                                  Compared(user, from, session, request_id, *submits);
                                });
             }});
  if (taken) return;
  for (OldSubmit& s : *submits) s.outcome = wire::REASON_TOO_MANY_REQUESTS;
  Compared(user, from, session, request_id, *submits);
}

void Logic::Compared(UserId user, ClientPort& from, SessionId session, std::uint64_t request_id,
                     const std::vector<OldSubmit>& submits) {
  Resident* const now = residents_.Find(user);
  for (const OldSubmit& s : submits) {
    if (s.outcome != wire::REASON_NONE) {
      Refuse(now, from, session, request_id, s.send_id, s.outcome);
    } else if (request_id != 0) {
      ReplyStored(from, session, request_id, s.send_id);
    } else if (Session* to = now != nullptr ? FindSession(*now, from, session) : nullptr) {
      MarkDirty(*now, *to);
    }
  }
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
  const UserId user = r.user.id();
  // Each session has one at most, which it is charged for as long as it lives.
  s.reading = catch_ups_.Add(
      user, {s.port, s.id, 0, [this, user, port = s.port, id = s.id](store::Wanted wanted) {
               ReadPushes(user, *port, id, std::move(wanted));
             }});
  CHECK(s.reading, "there is room for every session's walk");
}

void Logic::ReadPushes(UserId user, ClientPort& port, SessionId session, store::Wanted wanted) {
  Resident* const r = residents_.Find(user);
  const Session* const s = r != nullptr ? FindSession(*r, port, session) : nullptr;
  if (s == nullptr) return catch_ups_.Done(user);
  store_.ReadBox(user, wire::Box::kIn, r->user.durable_heads().in, s->pushed + 1, kPushPage,
                 kPushBytes, wanted,
                 [this, user, &port, session,
                  alive = alive_](const Result<store::BoxPage, store::StoreError>& page) {
                   if (!*alive) return;
                   catch_ups_.Done(user);
                   Resident* now = residents_.Find(user);
                   Session* to = now != nullptr ? FindSession(*now, port, session) : nullptr;
                   if (to == nullptr) return;
                   to->reading = false;
                   if (!page || page->messages.empty()) {
                     return CloseSession(port, session, kPolicy, Describe(wire::REASON_CORRUPT));
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

}  // namespace baiwan::cell
