// Between cells: forwards, offers, acknowledgements, credit; and the same within this cell.
#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "base/rng.h"
#include "cell/logic/logic.h"
#include "wire/reuse.h"

namespace baiwan::cell {
namespace {

constexpr std::size_t kFlushBytes = 256 << 10;  // a peer batch this large leaves at once
// The most that an entry takes in a batch: a forward beside its body, and any other.
constexpr std::size_t kForwardBytes = 80;
constexpr std::size_t kEntryBytes = 48;

}  // namespace

Logic::Path& Logic::PathTo(CellId cell) {
  if (cell >= paths_.size()) paths_.resize(cell + 1);
  if (paths_[cell] == nullptr) paths_[cell] = std::make_unique<Path>();
  return *paths_[cell];
}

bool Logic::Reaches(CellId cell) const {
  if (cell == options_.cell) return Takes();
  return cell < paths_.size() && paths_[cell] != nullptr && paths_[cell]->up;
}

// ---------------------------------------------------------------- sending

Logic::Sent Logic::Forward(mailbox::User& from, const wire::Message& message) {
  const CellId cell = table_.CellOf(message.peer);
  if (cell == options_.cell) {
    if (!Reaches(cell)) return Sent::kNoPath;
    ++counters_.forwarded;
    wire::Message in = message;
    in.peer = from.id();
    if (Resident* r = Ready(message.peer)) {
      Deliver(cell, r, wire::REASON_NONE, message.peer, in);
      return Sent::kSent;
    }
    WithUser(message.peer, message.body.size(),
             [this, cell, receiver = message.peer, in, body = std::string(message.body)](
                 Resident* r, wire::Reason failed) mutable {
               in.body = body;
               Deliver(cell, r, failed, receiver, in);
             });
    return Sent::kSent;
  }
  Path& p = PathTo(cell);
  if (!p.up) return Sent::kNoPath;
  const std::size_t bytes = CreditBytes(message.body.size());
  if (p.sent != p.consumed && p.sent - p.consumed + bytes > options_.path_credit) {
    p.full = true;
    Resident& r = *static_cast<Resident*>(from.context);
    if (!r.refilling) WantRefill(r, cell);  // else where that read has ended
    return Sent::kNoCredit;
  }
  ++counters_.forwarded;
  p.sent += bytes;
  wire::Forward* f = p.out.add_forwards();
  f->set_sender(from.id());
  f->set_receiver(message.peer);
  f->set_pair_seq(message.pair_seq);
  f->set_send_id(message.send_id);
  f->set_checksum(message.checksum);
  f->set_timestamp_ms(message.timestamp_ms);
  f->set_body(message.body.data(), message.body.size());
  p.out_large |= message.body.size() > wire::kReusedPart;
  ListOut(cell, p, message.body.size() + kForwardBytes);
  return Sent::kSent;
}

void Logic::Offer(mailbox::User& from, UserId receiver, Seq first, Seq last) {
  ++counters_.offers;
  const CellId cell = table_.CellOf(receiver);
  if (cell == options_.cell) {
    local_.push_back({LocalAnswer::Kind::kOffer, receiver, from.id(), first, last});
    return;
  }
  wire::PairOffer offer;
  offer.set_sender(from.id());
  offer.set_receiver(receiver);
  offer.set_first(first);
  offer.set_last(last);
  AddOffer(cell, PathTo(cell), offer);
}

void Logic::AddOffer(CellId cell, Path& p, const wire::PairOffer& offer) {
  *p.out.add_offers() = offer;
  p.sent += kOfferCredit;
  ListOut(cell, p, kEntryBytes);
}

void Logic::Ack(mailbox::User& receiver, UserId sender, Seq upto) {
  const CellId cell = table_.CellOf(sender);
  if (cell == options_.cell) {
    local_.push_back({LocalAnswer::Kind::kAck, sender, receiver.id(), upto, 0});
    return;
  }
  Path& p = PathTo(cell);
  wire::PairAck* a = p.reply.add_acks();
  a->set_sender(sender);
  a->set_receiver(receiver.id());
  a->set_upto(upto);
  ListReply(cell, p, kEntryBytes);
}

void Logic::Gap(mailbox::User& receiver, UserId sender, Seq next) {
  const CellId cell = table_.CellOf(sender);
  if (cell == options_.cell) {
    local_.push_back({LocalAnswer::Kind::kGap, sender, receiver.id(), next, 0});
    return;
  }
  Path& p = PathTo(cell);
  wire::PairGap* g = p.reply.add_gaps();
  g->set_sender(sender);
  g->set_receiver(receiver.id());
  g->set_next(next);
  ListReply(cell, p, kEntryBytes);
}

void Logic::Notice(CellId to, UserId sender, UserId receiver, wire::NoticeCode code) {
  if (to == options_.cell) return;  // the sender's own records say as much
  Path& p = PathTo(to);
  wire::PairNotice* n = p.reply.add_notices();
  n->set_sender(sender);
  n->set_receiver(receiver);
  n->set_code(code);
  ListReply(to, p, kEntryBytes);
}

// Whatever is gathered leaves once there is much of it: a link takes frames of a bounded size.
void Logic::ListOut(CellId cell, Path& p, std::size_t bytes) {
  if (!std::exchange(p.listed_out, true)) dirty_out_.push_back(cell);
  p.out_bytes += bytes;
  if (p.out_bytes > kFlushBytes) SendOut(cell, p);
}

void Logic::ListReply(CellId cell, Path& p, std::size_t bytes) {
  if (!std::exchange(p.listed_reply, true)) dirty_reply_.push_back(cell);
  p.reply_bytes += bytes;
  if (p.reply_bytes > kFlushBytes) SendReply(cell, p);
}

void Logic::SendOut(CellId cell, Path& p) {
  if (std::exchange(p.out_bytes, 0) == 0) return;
  Introduce(p, p.out);
  p.out.set_session(p.session);
  if (relay_ != nullptr) {
    p.out.SerializeToString(&encoded_);
    relay_->Send(cell, encoded_);
  }
  wire::ClearReused(&p.out, std::exchange(p.out_large, false));
}

void Logic::SendReply(CellId cell, Path& p) {
  p.reply_bytes = 0;
  Introduce(p, p.reply);
  p.reply.set_session(p.in_session);
  p.reply.set_consumed(p.in_sealed);
  p.reply.set_compared(p.in_compared);
  p.in_told = p.in_sealed;
  if (relay_ != nullptr) {
    p.reply.SerializeToString(&encoded_);
    relay_->Reply(cell, encoded_);
  }
  wire::ClearReused(&p.reply, !p.reply.returned().empty());
}

void Logic::SendPeers() {
  for (const CellId cell : dirty_out_) {
    paths_[cell]->listed_out = false;
    SendOut(cell, *paths_[cell]);
  }
  dirty_out_.clear();
  for (const CellId cell : dirty_reply_) {
    paths_[cell]->listed_reply = false;
    SendReply(cell, *paths_[cell]);
  }
  dirty_reply_.clear();
}

// ---------------------------------------------------------------- receiving

void Logic::FromPeer(CellId from, std::string_view bytes) {
  if (!TakesFromPeers()) return;  // of a session that ends: the next one offers it again
  wire::PeerBatch& batch = in_;
  if (!batch.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    node_.log.Error("cell {} sent a batch that cannot be read", from);
    return;
  }
  Path& p = PathTo(from);
  HearOf(from, p, batch);
  if (p.in_session != batch.session()) {
    p.in_session = batch.session();
    p.in_bytes = p.in_sealed = p.in_told = p.in_compared = 0;
    p.reply.Clear();  // said in the one before, and would be taken for answers in this one
    p.reply_bytes = 0;
    ListReply(from, p, 0);  // at least who we are
  }
  if (open_since_ == 0) open_since_ = node_.clock.Monotonic();
  bool large = bytes.size() > wire::kReusedBatch;
  wire::Message m;
  for (const wire::Forward& f : batch.forwards()) {
    m.peer = f.sender();
    m.pair_seq = f.pair_seq();
    m.send_id = f.send_id();
    m.timestamp_ms = f.timestamp_ms();
    m.checksum = f.checksum();
    m.body = f.body();
    large |= m.body.size() > wire::kReusedPart;
    const std::size_t credit = CreditBytes(f.body().size());
    if (Resident* r = Ready(f.receiver())) {
      p.in_bytes += credit;
      Deliver(from, r, wire::REASON_NONE, f.receiver(), m);
      continue;
    }
    WithUser(f.receiver(), f.body().size(),
             [this, from, m, body = f.body(), receiver = f.receiver(), credit,
              session = p.in_session](Resident* r, wire::Reason failed) mutable {
               Path& path = PathTo(from);
               if (path.in_session != session) return;  // the new one offers it again
               m.body = body;
               path.in_bytes += credit;
               Deliver(from, r, failed, receiver, m);
             });
  }
  for (const wire::PairWant& w : batch.wants()) OnWant(from, w, p.in_session);
  for (const wire::PairOffer& o : batch.offers()) FromOffer(from, o, p.in_session);
  if (large) wire::ClearReused(&batch, true);
}

void Logic::FromOffer(CellId from, const wire::PairOffer& o, std::uint64_t session) {
  WithUser(o.receiver(), 0, [this, from, o, session](Resident* r, wire::Reason failed) {
    Path& path = PathTo(from);
    if (path.in_session != session) return;
    if (r == nullptr) {
      Deliver(from, nullptr, failed, o.receiver(), {.peer = o.sender()});
    } else if (o.compare() && r->user.UnderWay(o.sender())) {
      // What is not durable is not said, and must be known to whoever compares.
      undecided_.push_back({from, o, session});
      return;
    } else {
      Offered(from, r, o.receiver(), o.sender(), o.first(), o.last());
    }
    path.in_bytes += kOfferCredit;
    path.in_compared += o.compare() ? 1 : 0;  // after what there is to answer
  });
}

void Logic::Deliver(CellId from_cell, Resident* r, wire::Reason failed, UserId receiver,
                    const wire::Message& message) {
  if (r == nullptr) {
    const auto code = failed == wire::REASON_UNKNOWN_USER ? wire::NOTICE_UNKNOWN_USER
                      : failed == wire::REASON_WRONG_CELL ? wire::NOTICE_NOT_OWNER
                                                          : wire::NOTICE_NOT_READY;
    if (code == wire::NOTICE_UNKNOWN_USER) ++counters_.unknown_users;
    return Notice(from_cell, message.peer, receiver, code);
  }
  switch (r->user.Deliver(message, *open_, *this)) {
    case mailbox::Delivered::kAccepted:
      if (r->touched_turn != turn_) {
        r->touched_turn = turn_;
        residents_.Touch(*r);
      }
      break;
    case mailbox::Delivered::kDuplicate:
      ++counters_.duplicates;
      break;
    case mailbox::Delivered::kGap:
      ++counters_.gaps;
      break;
    case mailbox::Delivered::kNotFriend:
      ++counters_.unknown_users;
      Notice(from_cell, message.peer, receiver, wire::NOTICE_UNKNOWN_USER);
      break;
    case mailbox::Delivered::kDiverged:
      ++counters_.diverged;
      node_.log.Error("pair_diverged: {} to {}, pair sequence {}: this pair stops", message.peer,
                      receiver, message.pair_seq);
      Notice(from_cell, message.peer, receiver, wire::NOTICE_DIVERGED);
      break;
  }
}

void Logic::Offered(CellId from_cell, Resident* r, UserId receiver, UserId sender, Seq first,
                    Seq last) {
  switch (r->user.Offered(sender, first, last, *this)) {
    case mailbox::Delivered::kNotFriend:
      ++counters_.unknown_users;
      return Notice(from_cell, sender, receiver, wire::NOTICE_UNKNOWN_USER);
    case mailbox::Delivered::kDiverged:
      ++counters_.diverged;
      node_.log.Error("pair_diverged: {} to {}, offered {} to {}: this pair stops", sender,
                      receiver, first, last);
      return Notice(from_cell, sender, receiver, wire::NOTICE_DIVERGED);
    default:
      return;
  }
}

void Logic::ReplyFromPeer(CellId from, std::string_view bytes) {
  Path& p = PathTo(from);
  if (!p.up) return;  // a session that is over; the next one asks again
  wire::PeerBatch& batch = in_;
  if (!batch.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    node_.log.Error("cell {} answered with a batch that cannot be read", from);
    return;
  }
  // Of another session: what is true of it will be said again in this one.
  if (batch.session() != p.session) return;
  HearOf(from, p, batch);
  if (open_since_ == 0) open_since_ = node_.clock.Monotonic();
  for (const wire::PairAck& a : batch.acks()) {
    if (Resident* r = Ready(a.sender())) {
      OnAck(*r, a.receiver(), a.upto());
    } else {
      ++p.compare.parked;
      WithUser(a.sender(), 0, [this, a, &p, session = p.session](Resident* loaded, wire::Reason) {
        --p.compare.parked;
        if (loaded != nullptr && p.session == session) OnAck(*loaded, a.receiver(), a.upto());
      });
    }
  }
  for (const wire::PairGap& g : batch.gaps()) FromGap(from, g, p.session, false);
  if (!batch.returned().empty()) OnReturned(batch);
  for (const wire::PairNotice& n : batch.notices()) {
    WithUser(n.sender(), 0, [this, n, &p, session = p.session](Resident* r, wire::Reason) {
      if (r != nullptr && p.session == session) OnNotice(*r, n);
    });
  }
  Compared(from, p, batch.compared());
  if (batch.consumed() > p.consumed && !Planted("credit-lost")) {
    p.consumed = std::min(batch.consumed(), p.sent);
    p.full = false;
  }
  const bool large = bytes.size() > wire::kReusedBatch || !batch.returned().empty();
  if (large) wire::ClearReused(&batch, true);
}

void Logic::FromGap(CellId from, const wire::PairGap& g, std::uint64_t session, bool decided) {
  Path& p = PathTo(from);
  Resident* there = residents_.Find(g.sender());
  if (there != nullptr && there->rewound && there->user.last_batch() == open_->number()) {
    // Goes back with what it does already, instead of being loaded once for each friend.
    return OnGap(*there, g.receiver(), g.next(), p.may_rewind);
  }
  ++p.compare.parked;
  WithUser(g.sender(), 0, [this, from, g, &p, session, decided](Resident* r, wire::Reason) {
    if (r != nullptr && p.session == session) {
      if (p.may_rewind && !decided && InBatch(*r)) {
        // It may hold an acknowledgement by what that store was before: first that, then this.
        undecided_gaps_.push_back({from, g, session, r->user.last_batch()});
        return;
      }
      OnGap(*r, g.receiver(), g.next(), p.may_rewind);
    }
    --p.compare.parked;
  });
}

void Logic::OnAck(Resident& r, UserId from, Seq upto) {
  if (r.user.Ack(from, upto, *open_) == mailbox::Acked::kAhead) return OnAhead(r, from, upto);
  if (!r.refilling && r.user.Ready(from)) WantRefill(r, table_.CellOf(from));
}

void Logic::OnGap(Resident& r, UserId from, Seq next, bool may_rewind) {
  switch (r.user.Gap(from, next, may_rewind, *open_)) {
    case mailbox::Acked::kRewound:
      node_.log.Warn("{}'s store has gone back to {} of {}: sending again from there", from,
                     next - 1, r.user.id());
      Rewind(r);
      return;
    case mailbox::Acked::kAhead:
      return OnAhead(r, from, 0);  // how far that is durable, an acknowledgement says
    case mailbox::Acked::kDiverged:
      ++counters_.diverged;
      node_.log.Error("pair_diverged: {} wants {} of {}: this pair stops", from, next, r.user.id());
      return;
    default:
      if (!r.refilling && r.user.Ready(from)) WantRefill(r, table_.CellOf(from));
  }
}

void Logic::OnNotice(Resident& r, const wire::PairNotice& notice) {
  switch (notice.code()) {
    case wire::NOTICE_UNKNOWN_USER:
      ++counters_.unknown_users;
      break;
    case wire::NOTICE_DIVERGED:
      if (!r.user.diverged(notice.receiver())) {
        ++counters_.diverged;
        node_.log.Error("pair_diverged: {} to {}, says the receiver: this pair stops",
                        notice.sender(), notice.receiver());
      }
      r.user.Diverge(notice.receiver());
      break;
    case wire::NOTICE_LOST:
      GiveUp(notice.sender(), notice.receiver());
      break;
    default:
      break;  // the audit offers again
  }
}

void Logic::AnswerLocally() {
  while (!local_.empty()) {
    const LocalAnswer a = local_.front();
    local_.pop_front();
    if (Resident* r = Ready(a.to)) {
      OnLocalAnswer(*r, a);
      continue;
    }
    WithUser(a.to, 0, [this, a](Resident* r, wire::Reason) {
      if (r != nullptr) OnLocalAnswer(*r, a);
    });
  }
}

void Logic::OnLocalAnswer(Resident& r, const LocalAnswer& a) {
  switch (a.kind) {
    case LocalAnswer::Kind::kAck:
      return OnAck(r, a.from, a.a);
    case LocalAnswer::Kind::kGap:
      return OnGap(r, a.from, a.a, true);
    case LocalAnswer::Kind::kOffer:
      return Offered(options_.cell, &r, a.to, a.from, a.a, a.b);
  }
}

// ---------------------------------------------------------------- paths

void Logic::PathUp(CellId to, Incarnation peer) {
  Path& p = PathTo(to);
  p.up = true;
  p.may_rewind = p.peer != peer;
  p.peer = peer;
  // Not of the incarnation: a store that was put back counts its openings on like the one before.
  p.session = Mix(opening_, next_session_++);
  p.sent = p.consumed = 0;
  p.full = false;
  p.out.Clear();
  p.out_bytes = 0;
  ClearQueues(to);
  CompareInSession(p);
  AskAgain();
  ListOut(to, p, 1);  // who we are, whether or not there is something to offer
  if (Planted("nothing-offered")) return;
  for (Resident& r : residents_.by_pending) WantOffer(r, to);
}

void Logic::PathDown(CellId to) { PathTo(to).up = false; }

// Offers what is pending to all cells that can be reached; if not `also_waiting`, but for those
// where this user stands in a queue already.
void Logic::StartSessions(Resident& r, bool also_waiting) {
  CellId last = kMaxCells;  // none
  r.user.EachPending([&](UserId f) {
    const CellId cell = table_.CellOf(f);
    if (cell == std::exchange(last, cell) || !Reaches(cell)) return;
    for (const Place& place : r.places) {
      if (place.cell == cell && !also_waiting) return;
    }
    WantOffer(r, cell);
  });
}

void Logic::Audit() {
  AskAgain();
  for (Resident& r : residents_.by_pending) {
    const Seq acked = r.user.counters().send_ack_id;
    if (std::exchange(r.audit_ack, acked) == acked && !r.refilling) StartSessions(r, false);
  }
  // What a busy hour has left in the batches of each path goes back.
  for (auto& path : paths_) {
    if (path == nullptr) continue;
    if (path->out_bytes == 0) wire::ClearReused(&path->out, true);
    if (path->reply_bytes == 0) wire::ClearReused(&path->reply, true);
  }
  const auto jitter = static_cast<Nanos>(
      node_.rng.Below(static_cast<std::uint64_t>(options_.audit_interval / 4) + 1));
  audit_timer_ = node_.loop.After(options_.audit_interval + jitter, [this] { Audit(); });
}

}  // namespace baiwan::cell
