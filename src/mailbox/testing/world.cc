#include "mailbox/testing/world.h"

#include <algorithm>
#include <utility>

namespace baiwan::mailbox::testing {
namespace {

constexpr std::uint32_t kCalmRounds = 3000;

}  // namespace

World::World(const Plan& plan, std::string* trace)
    : plan_(plan), trace_(trace), rng_(Mix(plan.seed, 2)), network_(plan.cells) {
  for (CellId c = 0; c < plan_.cells; ++c) cells_.push_back(std::make_unique<ModelCell>(*this, c));
  MakeUsers();
}

void World::MakeUsers() {
  std::vector<wire::UserRecord> records(plan_.users);
  for (UserId a = 1; a <= plan_.users; ++a) {
    records[a - 1].user = a;
    for (UserId b = 1; b < a; ++b) {
      const bool first_pair = a == 2;  // somebody has a friend
      if (!first_pair && !rng_.Chance(plan_.friendship)) continue;
      records[a - 1].friends.push_back({b, 0, 0, 0, 0});
      records[b - 1].friends.push_back({a, 0, 0, 0, 0});
    }
  }
  for (const wire::UserRecord& r : records) {
    cells_[CellOf(r.user)]->disk().Import(r);
    std::vector<UserId> friends;
    for (const auto& f : r.friends) friends.push_back(f.id);
    const bool receives_only = plan_.store_goes_back() && CellOf(r.user) == plan_.cells - 1;
    const Seq total = receives_only ? 0 : plan_.messages + friends.size();
    clients_.push_back(std::make_unique<ModelClient>(plan_.seed, r.user, std::move(friends), total,
                                                     plan_.voids, plan_.limits.max_body));
  }
}

Outcome World::Run() {
  for (auto& cell : cells_) cell->Start();
  Chaos();
  if (!outcome_.violation) CalmDown();
  if (!outcome_.violation) CheckAtRest();
  for (auto& cell : cells_) {
    for (const auto& [user, mailbox] : cell->disk().mailboxes()) {
      outcome_.delivered += mailbox.inbox.size();
    }
  }
  return outcome_;
}

void World::Violated(const char* invariant, const std::string& what) {
  if (outcome_.violation) return;
  Note("VIOLATION of ", invariant, ": ", what);
  outcome_.violation = Violation{invariant, what};
}

const ModelDisk::Mailbox& World::MailboxOf(UserId user) const {
  return cells_[CellOf(user)]->disk().of(user);
}

void World::PathsDown(CellId cell) {
  for (CellId other = 0; other < plan_.cells; ++other) {
    network_.Disconnect(cell, other);
    network_.Disconnect(other, cell);
  }
}

void World::ConnectToSelf(CellId cell) { network_.Connect(cell, cell); }

void World::CheckStored(const ModelDisk::Commit& commit) {
  for (const ModelDisk::Section& s : commit.sections) {
    for (const StoredMessage& m : s.out) {
      Require(clients_[s.user - 1]->ContentOf(m.head.seq).Is(m.View()), "I3",
              "user " + std::to_string(s.user) + " did not send what stands in its outbox");
    }
    if (s.in.empty()) continue;
    const ModelDisk::Mailbox& to = MailboxOf(s.user);
    for (const auto& [sender, places] : to.received) {
      const ModelDisk::Mailbox& from = MailboxOf(sender);
      const auto sent = from.sent.find(s.user);
      const std::size_t count = sent == from.sent.end() ? 0 : sent->second.size();
      const std::string pair = std::to_string(sender) + " to " + std::to_string(s.user);
      if (!Require(places.size() <= count, "I2", "more received than sent: " + pair)) return;
      for (std::size_t i = 0; i < places.size(); ++i) {
        const StoredMessage& in = to.inbox[places[i]];
        const StoredMessage& out = from.outbox[sent->second[i]];
        if (!Require(in.body == out.body && in.head.send_id == out.head.seq &&
                         in.head.pair_seq == i + 1 && in.head.checksum == out.head.checksum,
                     "I2", "not the messages sent, in their order: " + pair)) {
          return;
        }
      }
    }
  }
}

void World::Show(UserId user, const Counters& c) {
  Note("  user ", user, " is shown ", c.send_id, " ", c.send_ack_id, " ", c.receive_id, " ",
       c.client_receive_id);
  const ModelDisk::Mailbox& m = MailboxOf(user);
  Require(c.send_id <= m.record.send_id && c.receive_id <= m.record.receive_id &&
              c.client_receive_id <= m.record.client_receive_id &&
              (c.send_ack_id <= m.send_ack_id || plan_.may_rewind),
          "I1", "user " + std::to_string(user) + " is shown what is not durable");
  if (plan_.store_goes_back() && CellOf(user) == plan_.cells - 1) return;
  const std::string wrong = clients_[user - 1]->Shown(c, plan_.may_rewind);
  Require(wrong.empty(), "I1", wrong);
}

void World::Told(const Frame& frame) {
  Pair& pair = told_[{frame.sender, frame.receiver}];
  if (frame.kind == Frame::Kind::kAck) pair.acknowledged = std::max(pair.acknowledged, frame.a);
  if (frame.kind == Frame::Kind::kForward) {
    pair.forwarded = std::max(pair.forwarded, frame.message.head.pair_seq);
  }
}

void World::CheckNothingIsGone(CellId cell) {
  for (const auto& [user, mailbox] : cells_[cell]->disk().mailboxes()) {
    const Counters& shown = clients_[user - 1]->shown();
    Require(shown.send_id <= mailbox.record.send_id &&
                (shown.send_ack_id <= mailbox.send_ack_id || plan_.may_rewind) &&
                shown.receive_id <= mailbox.record.receive_id,
            "I1", "what was shown to user " + std::to_string(user) + " is gone");
  }
  for (const auto& [pair, told] : told_) {
    const auto [sender, receiver] = pair;
    if (CellOf(sender) == cell) {
      Require(told.forwarded <= MailboxOf(sender).record.Find(receiver)->sent, "I1",
              "what was forwarded is gone");
    }
    if (CellOf(receiver) == cell) {
      Require(told.acknowledged <= MailboxOf(receiver).record.Find(sender)->received, "I1",
              "what was acknowledged is gone");
    }
  }
}

// ---------------------------------------------------------------- chaos

void World::Chaos() {
  const Plan::Weights& w = plan_.weights;
  const std::uint32_t weights[] = {w.client,  w.deliver,    w.seal,  w.complete, w.read_back,
                                   w.connect, w.disconnect, w.late,  w.swap,     w.crash,
                                   w.start,   w.fail,       w.evict, w.audit,    w.go_back};
  std::uint32_t sum = 0;
  for (const std::uint32_t weight : weights) sum += weight;
  for (std::uint32_t step = 0; step < plan_.steps && !outcome_.violation; ++step) {
    auto at = static_cast<std::uint32_t>(rng_.Below(sum));
    std::uint32_t event = 0;
    while (at >= weights[event]) at -= weights[event++];
    Event(event);
  }
}

// From a random one on, the first that has something to do.
template <class Act>
void World::InSomeCell(const Act& act) {
  const CellId first = AnyCell();
  for (CellId i = 0; i < plan_.cells; ++i) {
    if (act((first + i) % plan_.cells)) return;
  }
}

template <class Act>
void World::OnSomePath(const Act& act) {
  const auto paths = plan_.cells * plan_.cells;
  const auto first = static_cast<std::uint32_t>(rng_.Below(paths));
  for (std::uint32_t i = 0; i < paths; ++i) {
    const std::uint32_t path = (first + i) % paths;
    if (act(path / plan_.cells, path % plan_.cells)) return;
  }
}

void World::Event(std::uint32_t event) {
  const CellId c = AnyCell();
  const CellId to = AnyCell();
  ModelCell& cell = *cells_[c];
  switch (event) {
    case 0:
      return ClientActs(*clients_[rng_.Below(clients_.size())]);
    case 1:
      return OnSomePath([&](CellId from, CellId at) {
        const bool answers = rng_.Chance(0.5);
        return DeliverOne(from, at, answers) || DeliverOne(from, at, !answers);
      });
    case 2:
      return InSomeCell([&](CellId at) { return cells_[at]->Seal(); });
    case 3:
      return InSomeCell([&](CellId at) { return cells_[at]->Complete(); });
    case 4:
      return InSomeCell(
          [&](CellId at) { return cells_[at]->ReadBack() || cells_[at]->BringBack(); });
    case 5:
      return OnSomePath([&](CellId from, CellId at) { return Connect(from, at); });
    case 6:
      if (c != to) network_.Disconnect(c, to);
      return;
    case 7:
      return DeliverLate();
    case 8:
      return network_.SwapAnswers(c, to, rng_);
    case 9:
      cell.Crash();
      return;
    case 10:
      return InSomeCell([&](CellId at) { return cells_[at]->Start(); });
    case 11:
      cell.Fail();
      return;
    case 12:
      cell.Evict();
      return;
    case 13:
      if (network_.up(c, to)) cell.Audit(to);
      return;
    default:
      cells_.back()->Crash();
      cells_.back()->GoBack();
      // Nobody can be held to what it said before.
      for (auto& [pair, told] : told_) {
        if (CellOf(pair.second) == plan_.cells - 1) told.acknowledged = 0;
      }
  }
}

bool World::Connect(CellId from, CellId to) {
  if (network_.up(from, to) || !cells_[from]->up() || !cells_[to]->up()) return false;
  Note("path ", from, " to ", to, " comes up");
  network_.Connect(from, to);
  cells_[from]->PathUp(to);
  return true;
}

bool World::DeliverOne(CellId from, CellId to, bool answers) {
  const Frame* next = network_.Next(from, to, answers);
  if (next == nullptr) return false;
  ModelCell& cell = *cells_[answers ? from : to];
  if (cell.Busy(answers ? next->sender : next->receiver)) return false;
  cell.OnFrame(network_.Take(from, to, answers), false);
  return true;
}

void World::DeliverLate() {
  const Frame* past = network_.Past(rng_);
  if (past == nullptr) return;
  const UserId to = past->answer() ? past->sender : past->receiver;
  ModelCell& cell = *cells_[CellOf(to)];
  if (cell.Busy(to)) return;
  ++outcome_.late;
  cell.OnFrame(Frame(*past), true);
}

// ---------------------------------------------------------------- clients

// Where a store goes back, every pair needs a message after it, to be found behind: nothing that is
// settled is ever offered again.
Seq World::LastToSend(const ModelClient& client) const {
  if (!plan_.store_goes_back() || calm_) return client.total();
  return client.total() - std::min<Seq>(client.total(), plan_.users);
}

void World::ClientActs(ModelClient& client) {
  ModelCell& cell = *cells_[CellOf(client.user())];
  if (cell.Busy(client.user()) || client.total() == 0) return;
  const Seq known = client.shown().send_id;
  const std::uint64_t what = rng_.Below(20);
  if (what < 13) {
    const Seq ahead = plan_.limits.window_messages + 2;
    SubmitWhatIsDue(client, known + 1 + rng_.Below(rng_.Chance(0.5) ? 2 : ahead));
  } else if (what < 15) {
    if (known > 0) SubmitWhatIsDue(client, 1 + rng_.Below(known));
  } else if (what < 16) {
    TryOtherContent(client);
  } else if (what < 17) {
    TryToBeRefused(client);
  } else if (what < 18) {
    cell.ReadUpTo(client.user(), rng_.Below(client.shown().receive_id + 2));
  } else {
    Show(client.user(), cell.CountersOf(client.user()));
  }
}

bool World::SubmitWhatIsDue(ModelClient& client, Seq send_id) {
  if (send_id > LastToSend(client)) return false;
  const Content content = client.ContentOf(send_id);
  const Submission s = content.As(client.user(), send_id);
  const SubmitResult r = cells_[CellOf(client.user())]->Submit(client.user(), s);
  Note("user ", client.user(), " submits ", send_id, ": ", static_cast<int>(r.what), " ",
       Message(r.why));
  const std::string who =
      "user " + std::to_string(client.user()) + ", send id " + std::to_string(send_id) + ": ";
  switch (r.what) {
    case Submitted::kTaken:
      return Require(send_id > client.shown().send_id, "I3",
                     who + "what is stored was taken again");
    case Submitted::kRepeat:
      return false;
    case Submitted::kAskLater:
      Require(send_id > MailboxOf(client.user()).outbox.size(), "I1",
              who + "what is durable is to be compared later");
      return false;
    case Submitted::kAskOutbox: {
      const auto& outbox = MailboxOf(client.user()).outbox;
      if (!Require(send_id <= outbox.size(), "I1", who + "asks for what is not durable")) {
        return false;
      }
      Require(User::SameAsStored(outbox[send_id - 1].View(), s), "I3", who + "a repeat is refused");
      return false;
    }
    case Submitted::kRefused:
      Require(r.why == Refused::kWindow || r.why == Refused::kOutboxFull, "I3",
              who + "refused: " + Message(r.why));
      Require(send_id > client.shown().send_id, "I3", who + "a repeat is refused");
      return false;
  }
  return false;
}

void World::TryOtherContent(ModelClient& client) {
  const Seq known = client.shown().send_id;
  if (known == 0) return;
  const Seq send_id = 1 + rng_.Below(known);
  const Content content = client.OtherContent(send_id, rng_);
  const Submission s = content.As(client.user(), send_id);
  const SubmitResult r = cells_[CellOf(client.user())]->Submit(client.user(), s);
  Note("user ", client.user(), " submits other content as ", send_id);
  bool refused = r.what == Submitted::kRefused && r.why == Refused::kConflict;
  if (r.what == Submitted::kAskOutbox && plan_.mistake != Mistake::kConflictNotCompared) {
    refused = !User::SameAsStored(MailboxOf(client.user()).outbox.at(send_id - 1).View(), s);
  }
  Require(refused, "I3", "other content under a known number was taken for a repeat");
}

void World::TryToBeRefused(ModelClient& client) {
  ModelCell& cell = *cells_[CellOf(client.user())];
  const Seq next = client.shown().send_id + 1 + rng_.Below(3);
  Content content;
  content.receiver = plan_.users + 1;  // nobody's friend
  SubmitResult r = cell.Submit(client.user(), content.As(client.user(), next));
  Require(r.what != Submitted::kTaken && r.what != Submitted::kRepeat, "I3",
          "a message to a stranger was taken");
  content.body.assign(plan_.limits.max_body + 1, 'x');
  r = cell.Submit(client.user(), content.As(client.user(), next));
  Require(r.why == Refused::kBodyTooLarge, "I3", "a body over the limit was taken");
  r = cell.Submit(client.user(), client.ContentOf(1).As(client.user(), 0));
  Require(r.why == Refused::kBadSendId, "I3", "send id 0 was taken");
  r = cell.Submit(client.user(), Content{0, "", true}.As(client.user(), ~Seq{0}));
  Require(r.why == Refused::kWindow, "I5", "a send id far beyond the window was taken");
}

// ---------------------------------------------------------------- calm

void World::CalmDown() {
  Note("calm");
  calm_ = true;
  for (const auto& client : clients_) {
    outcome_.delivered_in_chaos += MailboxOf(client->user()).inbox.size();
  }
  std::uint32_t rounds = 0;
  while (!outcome_.violation && CalmRound()) {
    if (++rounds < kCalmRounds) continue;
    return Violated("I4", "the world does not come to rest");
  }
  for (const auto& cell : cells_) {
    const std::string wrong = cell->AtRest();
    if (wrong.empty()) continue;
    // Only friends of users that were dropped without their sessions may have to wait so long.
    const bool excused = plan_.weights.fail > 0 && !plan_.fail_crashes;
    if (!excused) return Violated("I4", "without an audit: " + wrong);
    outcome_.needed_audit = true;
  }
  if (!outcome_.needed_audit) return;
  Note("audit");
  for (CellId from = 0; from < plan_.cells; ++from) {
    for (CellId to = 0; to < plan_.cells; ++to) cells_[from]->Audit(to);
  }
  for (rounds = 0; !outcome_.violation && CalmRound(); ++rounds) {
    if (rounds > kCalmRounds) return Violated("I4", "the world does not come to rest");
  }
}

// Everything works, and everybody does what is due; false: nothing was.
bool World::CalmRound() {
  bool busy = false;
  for (CellId c = 0; c < plan_.cells; ++c) busy |= cells_[c]->Start();
  for (CellId from = 0; from < plan_.cells; ++from) {
    for (CellId to = 0; to < plan_.cells; ++to) {
      busy |= Connect(from, to);
      while (DeliverOne(from, to, false)) busy = true;
      while (DeliverOne(from, to, true)) busy = true;
    }
  }
  busy |= SubmitTheRest();
  for (auto& cell : cells_) {
    while (cell->BringBack()) busy = true;
    while (!outcome_.violation && cell->ReadBack()) busy = true;
    busy |= cell->Seal();
    while (cell->Complete()) busy = true;
  }
  return busy;
}

bool World::SubmitTheRest() {
  bool busy = false;
  for (auto& client : clients_) {
    ModelCell& cell = *cells_[CellOf(client->user())];
    if (cell.Busy(client->user())) continue;
    Show(client->user(), cell.CountersOf(client->user()));
    const Seq from = client->shown().send_id + 1;
    const Seq end = std::min<Seq>(client->total() + 1, from + plan_.limits.window_messages);
    for (Seq s = from; s < end && !outcome_.violation; ++s) {
      busy |= SubmitWhatIsDue(*client, s);
    }
  }
  return busy;
}

void World::CheckAtRest() {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  for (const auto& client : clients_) {
    const ModelDisk::Mailbox& m = MailboxOf(client->user());
    const std::string who = "user " + std::to_string(client->user()) + ": ";
    Require(m.record.send_id == client->total(), "I4", who + "not everything is stored");
    Require(m.inbox.size() == m.record.receive_id, "I4", who + "ReceiveId is not what is there");
    for (const StoredMessage& out : m.outbox) sent += out.head.kind == wire::Kind::kText ? 1 : 0;
    received += m.record.receive_id;
    for (const auto& [receiver, places] : m.sent) {
      const auto& in = MailboxOf(receiver).received;
      const auto got = in.find(client->user());
      Require(got != in.end() && got->second.size() == places.size(), "I4",
              who + "not everything has reached " + std::to_string(receiver));
    }
  }
  Require(sent == received, "I4", "the sums of SendId, without voids, and ReceiveId differ");
  for (const auto& cell : cells_) {
    const std::string wrong = cell->AtRest();
    Require(wrong.empty(), "I4", wrong);
  }
}

}  // namespace baiwan::mailbox::testing
