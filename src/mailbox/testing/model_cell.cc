#include "mailbox/testing/model_cell.h"

#include <algorithm>
#include <string>
#include <utility>

#include "mailbox/testing/world.h"

namespace baiwan::mailbox::testing {
namespace {

constexpr std::size_t kPage = 3;  // messages read back at once

std::string Name(UserId sender, UserId receiver) {
  return std::to_string(sender) + " to " + std::to_string(receiver);
}

}  // namespace

ModelCell::ModelCell(World& world, CellId id) : world_(world), plan_(world.plan()), id_(id) {
  Open();
}

void ModelCell::Open() {
  open_ = spare_ != nullptr ? std::move(spare_) : std::make_unique<wire::CommitBatch>();
  open_->set_number(next_batch_++);
}

// ---------------------------------------------------------------- commits

bool ModelCell::IsUnderWay(UserId user) const {
  for (const UnderWay& u : under_way_) {
    for (const auto& part : u.batch->users()) {
      if (part.user == user) return true;
    }
  }
  return false;
}

void ModelCell::TakeSnapshots() {
  for (const auto& part : open().users()) {
    Resident& r = *residents_.at(part.user);
    if (IsUnderWay(part.user) || !(r.rewound || world_.rng().Chance(0.2))) continue;
    open().AddSnapshot(id_, r.user.ToRecord(open()), r.user.heads());
  }
}

bool ModelCell::Seal() {
  if (!up_ || open().users().empty() || under_way_.size() >= plan_.commits) return false;
  TakeSnapshots();
  // As the store does when it encodes a batch.
  const Lsn lsn = disk_.commits() + under_way_.size() + 1;
  for (auto& part : open().users()) {
    if (part.out.count > 0) part.heads->out = lsn;
    if (part.in.count > 0) part.heads->in = lsn;
    part.heads_after = *part.heads;
  }
  for (auto& snapshot : open().snapshots()) {
    snapshot.record.heads = *snapshot.heads;
    snapshot.record.as_of = lsn;
  }
  world_.Note("cell ", id_, " seals batch ", open().number());
  ModelDisk::Commit commit = ModelDisk::Copy(open());
  if (plan_.mistake == Mistake::kAckNotJournalled) {
    for (auto& s : commit.sections) s.acks.clear();
    commit.snapshots.clear();
  }
  under_way_.push_back({std::move(open_), std::move(commit)});
  Open();
  if (plan_.mistake == Mistake::kEarlyRelease) Release(*under_way_.back().batch);
  return true;
}

bool ModelCell::Complete() {
  if (!up_ || under_way_.empty()) return false;
  UnderWay done = std::move(under_way_.front());
  under_way_.pop_front();
  world_.Note("cell ", id_, " completes batch ", done.batch->number());
  const std::string wrong = disk_.Append(done.commit);
  world_.Require(wrong.empty(), "I1", wrong);
  world_.CheckStored(done.commit);
  last_released_ = done.batch->number();
  if (plan_.mistake != Mistake::kEarlyRelease) Release(*done.batch);
  done.batch->Clear();
  spare_ = std::move(done.batch);
  LoadRewoundAgain();
  return true;
}

// As a logic server does: what comes for such a user waits from the moment on when it turned out
// that the friend's store has gone back, so it is in no batch once its snapshot is durable.
void ModelCell::LoadRewoundAgain() {
  std::vector<UserId> reload;
  for (auto& [user, r] : residents_) {
    const bool released = r->user.last_batch() <= last_released_;
    if (r->rewound && (released || plan_.mistake == Mistake::kReloadedInABatch)) {
      if (!world_.Require(released, "I1", "a user is replaced while a batch holds it")) return;
      reload.push_back(user);
    }
  }
  for (const UserId user : reload) {
    world_.Note("cell ", id_, " loads ", user, " again: a friend's store has gone back");
    const std::unique_ptr<Resident> before = std::move(residents_[user]);
    residents_.erase(user);
    Load(user, before.get());
  }
}

void ModelCell::Release(const wire::CommitBatch& batch) {
  for (const auto& part : batch.users()) {
    User& user = *static_cast<User*>(part.owner);
    const Counters before = user.counters();
    const Released released = user.Release(batch, part, *this);
    const Counters now = user.counters();
    world_.Require(released.stored == (now.send_id != before.send_id) &&
                       released.delivered == (now.send_ack_id != before.send_ack_id) &&
                       released.received == (now.receive_id != before.receive_id),
                   "I1", "Release does not say what it has moved");
    Check(*residents_.at(part.user));
    if (world_.rng().Chance(0.5)) world_.Show(part.user, now);
  }
}

bool ModelCell::Fail() {
  if (!up_ || under_way_.empty()) return false;
  world_.Note("cell ", id_, ": batch ", under_way_.front().batch->number(), " fails");
  if (plan_.fail_crashes) return Crash();
  // This commit, all later ones, and what was applied on top of them.
  std::vector<UserId> users;
  for (const auto& part : open().users()) users.push_back(part.user);
  for (const UnderWay& u : under_way_) {
    for (const auto& part : u.batch->users()) users.push_back(part.user);
  }
  last_released_ = open().number();
  under_way_.clear();
  Open();
  for (const UserId user : users) residents_.erase(user);
  LoadPending();
  return true;
}

// ---------------------------------------------------------------- users

ModelCell::Resident& ModelCell::Load(UserId user, Resident* before) {
  auto& slot = residents_[user];
  if (slot != nullptr) return *slot;
  const ModelDisk::Mailbox& mailbox = disk_.of(user);
  wire::UserRecord record = mailbox.record;
  wire::FinishFold(record);
  if (plan_.mistake == Mistake::kPendingNotRestored) {
    for (auto& f : record.friends) f.acked = f.sent;
  }
  slot = std::make_unique<Resident>(record, id_);
  if (before != nullptr) slot->user.TakeMemory(before->user);
  world_.Note("cell ", id_, " loads ", user);
  while (!slot->user.restored()) {
    slot->user.RestorePending(mailbox.outbox.at(slot->user.restore_from() - 1).View());
  }
  if (plan_.mistake != Mistake::kPendingNotRestored) Check(*slot);
  if (slot->user.pending() && plan_.mistake != Mistake::kForgottenReforward) StartSession(*slot);
  return *slot;
}

void ModelCell::StartSession(Resident& resident) {
  resident.user.StartSession(
      [this](UserId f) { return world_.network().up(id_, world_.CellOf(f)); }, *this);
}

void ModelCell::LoadPending() {
  if (plan_.mistake == Mistake::kForgottenReforward) return;
  for (const auto& [user, mailbox] : disk_.mailboxes()) {
    if (mailbox.record.pending()) Load(user);
  }
}

bool ModelCell::BringBack() {
  if (!up_ || plan_.mistake == Mistake::kForgottenReforward) return false;
  for (const auto& [user, mailbox] : disk_.mailboxes()) {
    if (!mailbox.record.pending() || residents_.count(user) > 0) continue;
    Load(user);
    return true;
  }
  return false;
}

bool ModelCell::Evict() {
  if (!up_ || residents_.empty()) return false;
  auto it = residents_.begin();
  std::advance(it, world_.rng().Below(residents_.size()));
  Resident& r = *it->second;
  // What waits for its number may go at any time: its client still has it.
  if (r.user.reorder_count() > 0) r.user.AgeReorder();
  if (!r.user.idle(last_released_) || r.rewound) return false;
  if (plan_.mistake == Mistake::kNone) {
    wire::UserRecord snapshot = r.user.ToRecord(open());
    wire::UserRecord log = disk_.of(it->first).record;
    world_.Require(snapshot.send_ack_id == disk_.of(it->first).send_ack_id, "I4",
                   "the snapshot of an idle user does not know its SendAckId");
    snapshot.send_ack_id = log.send_ack_id = 0;
    world_.Require(snapshot == log, "I1", "the snapshot of an idle user is not what the log says");
  }
  world_.Note("cell ", id_, " evicts ", it->first);
  residents_.erase(it);
  return true;
}

bool ModelCell::Crash() {
  if (!up_) return false;
  ++world_.outcome().crashes;
  // What was handed over may be on the disk or not, but nothing without all before it.
  std::size_t kept = world_.rng().Below(under_way_.size() + 1);
  world_.Note("cell ", id_, " crashes; ", kept, " of ", under_way_.size(), " commits stay");
  for (; kept > 0; --kept) {
    const std::string wrong = disk_.Append(under_way_.front().commit);
    world_.Require(wrong.empty(), "I1", wrong);
    world_.CheckStored(under_way_.front().commit);
    under_way_.pop_front();
  }
  residents_.clear();
  under_way_.clear();
  last_released_ = open().number();
  Open();
  up_ = false;
  world_.PathsDown(id_);
  if (plan_.mistake == Mistake::kLostLogTail) disk_.Truncate(disk_.commits() * 3 / 4);
  world_.CheckNothingIsGone(id_);
  return true;
}

bool ModelCell::Start() {
  if (up_) return false;
  world_.Note("cell ", id_, " starts");
  up_ = true;
  world_.ConnectToSelf(id_);
  LoadPending();
  return true;
}

void ModelCell::GoBack() {
  const std::size_t commits = world_.rng().Below(disk_.commits() + 1);
  world_.Note("the disk of cell ", id_, " goes back to ", commits, " of ", disk_.commits());
  disk_.Truncate(commits);
}

// What a user shows is what the disk says, no more and no less, and within the limits.
void ModelCell::Check(const Resident& resident) {
  const User& user = resident.user;
  const ModelDisk::Mailbox& mailbox = disk_.of(user.id());
  const Counters c = user.counters();
  const wire::UserRecord& r = mailbox.record;
  const std::string who = "user " + std::to_string(user.id());
  world_.Require(c.send_id == r.send_id, "I1", who + ": SendId is not what is durable");
  world_.Require(c.receive_id == r.receive_id, "I1", who + ": ReceiveId is not what is durable");
  world_.Require(c.client_receive_id == r.client_receive_id, "I1",
                 who + ": ClientReceiveId is not what is durable");
  world_.Require(c.send_ack_id == mailbox.send_ack_id || resident.rewound, "I1",
                 who + ": SendAckId " + std::to_string(c.send_ack_id) + " is not what is durable");
  world_.Require(user.durable_heads() == r.heads, "I1", who + ": heads are not what is durable");

  const Limits& l = plan_.limits;
  world_.Require(user.reorder_bytes() <= l.window_bytes, "I5", who + ": reorder buffer too large");
  world_.Require(user.applied_send_id() <= user.window_end(l), "I5", who + ": beyond the window");
  world_.Require(user.applied_send_id() <= c.send_id + l.window_messages, "I5",
                 who + ": more under way than the window holds");
}

// ---------------------------------------------------------------- what leaves

Outbound::Sent ModelCell::Forward(User& from, const wire::Message& m) {
  const ModelDisk::Mailbox& mailbox = disk_.of(from.id());
  world_.Require(m.seq >= 1 && m.seq <= mailbox.outbox.size() &&
                     mailbox.outbox[m.seq - 1].body == m.body &&
                     mailbox.outbox[m.seq - 1].head.pair_seq == m.pair_seq,
                 "I1", "forwarded before it is durable: " + Name(from.id(), m.peer));
  const CellId to = world_.CellOf(m.peer);
  if (!world_.network().up(id_, to)) return Sent::kNoPath;
  if (world_.network().forwards_under_way(id_, to) >= plan_.credit ||
      (!world_.calm() && world_.rng().Chance(plan_.no_credit))) {
    return Sent::kNoCredit;
  }
  world_.Note("  forward ", Name(from.id(), m.peer), " #", m.pair_seq);
  Frame frame{Frame::Kind::kForward, from.id(), m.peer, 0, 0, StoredMessage(m)};
  frame.message.head.peer = from.id();
  if (plan_.mistake == Mistake::kPairOffByOne) --frame.message.head.pair_seq;
  ++world_.outcome().forwarded;
  world_.Told(frame);
  world_.network().Send(id_, to, std::move(frame));
  return Sent::kSent;
}

void ModelCell::Offer(User& from, UserId receiver, Seq first, Seq last) {
  const wire::FriendRecord* f = disk_.of(from.id()).record.Find(receiver);
  world_.Require(f != nullptr && first >= 1 && first <= last && last <= f->sent, "I1",
                 "offered before it is durable: " + Name(from.id(), receiver));
  world_.Note("  offer ", Name(from.id(), receiver), " #", first, "-", last);
  world_.network().Send(id_, world_.CellOf(receiver),
                        {Frame::Kind::kOffer, from.id(), receiver, first, last});
}

void ModelCell::Ack(User& receiver, UserId sender, Seq upto) {
  const wire::FriendRecord* f = disk_.of(receiver.id()).record.Find(sender);
  world_.Require(f != nullptr && upto <= f->received, "I1",
                 "acknowledged before it is durable: " + Name(sender, receiver.id()));
  world_.Note("  ack ", Name(sender, receiver.id()), " up to ", upto);
  const Frame frame{Frame::Kind::kAck, sender, receiver.id(), upto};
  world_.Told(frame);
  world_.network().Answer(world_.CellOf(sender), id_, frame);
}

void ModelCell::Gap(User& receiver, UserId sender, Seq next) {
  world_.Note("  gap ", Name(sender, receiver.id()), " next ", next);
  world_.network().Answer(world_.CellOf(sender), id_,
                          {Frame::Kind::kGap, sender, receiver.id(), next});
}

// ---------------------------------------------------------------- what comes

void ModelCell::PathUp(CellId to) {
  const auto reaches = [&](UserId f) { return world_.CellOf(f) == to; };
  LoadPending();
  for (auto& [user, r] : residents_) {
    if (r->user.pending() && !r->rewound) r->user.StartSession(reaches, *this);
  }
}

bool ModelCell::Busy(UserId user) const {
  const auto it = residents_.find(user);
  return !up_ || (it != residents_.end() && it->second->rewound);
}

void ModelCell::OnFrame(const Frame& frame, bool late) {
  switch (frame.kind) {
    case Frame::Kind::kForward:
      return Deliver(Load(frame.receiver), frame);
    case Frame::Kind::kOffer:
      world_.Note("cell ", id_, " is offered ", Name(frame.sender, frame.receiver), " #", frame.a,
                  "-", frame.b, late ? " late" : "");
      world_.Require(Load(frame.receiver).user.Offered(frame.sender, frame.a, frame.b, *this) !=
                         Delivered::kDiverged,
                     "I2", "diverged on an offer: " + Name(frame.sender, frame.receiver));
      return;
    case Frame::Kind::kAck: {
      world_.Note("cell ", id_, " gets ack ", Name(frame.sender, frame.receiver), " up to ",
                  frame.a, late ? " late" : "");
      const Acked acked = Load(frame.sender).user.Ack(frame.receiver, frame.a, open());
      world_.Require(acked == Acked::kJournalled || acked == Acked::kOld, "I2",
                     "diverged on an ack: " + Name(frame.sender, frame.receiver));
      return;
    }
    case Frame::Kind::kGap:
      return OnGap(Load(frame.sender), frame, late);
  }
}

void ModelCell::Deliver(Resident& to, const Frame& frame) {
  wire::Message m = frame.message.View();
  if (plan_.mistake == Mistake::kForgottenDedup) {
    const Seq received = to.user.ToRecord(open()).Find(frame.sender)->received;
    if (m.pair_seq <= received) m.pair_seq = received + 1;
  }
  const Delivered delivered = to.user.Deliver(m, open(), *this);
  world_.Note("cell ", id_, " gets ", Name(frame.sender, frame.receiver), " #", m.pair_seq, ": ",
              static_cast<int>(delivered));
  world_.Require(delivered != Delivered::kDiverged && delivered != Delivered::kNotFriend, "I2",
                 "diverged on a forward: " + Name(frame.sender, frame.receiver));
  if (plan_.mistake == Mistake::kEarlyAck && delivered == Delivered::kAccepted) {
    Ack(to.user, frame.sender, m.pair_seq);
  }
  Check(to);
}

void ModelCell::OnGap(Resident& sender, const Frame& frame, bool late) {
  if (plan_.mistake == Mistake::kGapIgnored) return;
  world_.Note("cell ", id_, " gets gap ", Name(frame.sender, frame.receiver), " next ", frame.a,
              late ? " late" : "");
  const Acked acked = sender.user.Gap(frame.receiver, frame.a, plan_.may_rewind, open());
  world_.Require(acked == Acked::kOld || acked == Acked::kRewound, "I2",
                 "diverged on a gap: " + Name(frame.sender, frame.receiver));
  if (acked != Acked::kRewound) return;
  sender.rewound = true;
  ++world_.outcome().rewinds;
}

SubmitResult ModelCell::Submit(UserId user, const Submission& submission) {
  Resident& r = Load(user);
  const SubmitResult result = r.user.Submit(submission, 0, plan_.limits, open());
  Check(r);
  return result;
}

void ModelCell::ReadUpTo(UserId user, Seq seq) { Load(user).user.ReadUpTo(seq, open()); }

Counters ModelCell::CountersOf(UserId user) { return Load(user).user.counters(); }

// ---------------------------------------------------------------- reading back

bool ModelCell::ReadBack() {
  if (!up_) return false;
  for (auto& [user, r] : residents_) {
    const Seq from = r->user.RefillFrom();
    if (r->read.has_value()) {
      bool credit = true;
      const std::uint64_t forwarded = world_.outcome().forwarded;
      for (const StoredMessage& m : *r->read) {
        if (!(credit = r->user.Refill(m.View(), *this))) break;
      }
      r->read.reset();
      const bool helped = forwarded != world_.outcome().forwarded;
      // When nothing else happens between reading and using what was read, it must help.
      world_.Require(!r->read_in_calm || !credit || helped || r->user.RefillFrom() != from, "I4",
                     "reading back goes round in circles for " + std::to_string(user));
      return credit || helped;
    }
    if (from == 0 || (!world_.calm() && world_.rng().Chance(0.3))) continue;
    const auto& outbox = disk_.of(user).outbox;
    world_.Require(from <= outbox.size(), "I1", "wants to read what is not durable");
    world_.Note("cell ", id_, " reads the outbox of ", user, " from ", from);
    r->read.emplace();
    r->read_in_calm = world_.calm();
    for (Seq s = from; s <= outbox.size() && s < from + kPage; ++s) {
      r->read->push_back(outbox[s - 1]);
    }
    return true;
  }
  return false;
}

std::string ModelCell::AtRest() {
  for (const auto& [user, mailbox] : disk_.mailboxes()) {
    const std::string who = "user " + std::to_string(user) + ": ";
    if (mailbox.record.pending()) return who + "something is pending on disk";
    if (mailbox.send_ack_id != mailbox.record.send_id) return who + "SendAckId is not SendId";
    Resident& r = Load(user);
    Check(r);
    if (r.user.pending()) return who + "something is pending in memory";
    if (r.user.RefillFrom() != 0) return who + "something waits to be read back";
    if (!r.user.idle(last_released_)) return who + "is not idle";
  }
  return {};
}

}  // namespace baiwan::mailbox::testing
