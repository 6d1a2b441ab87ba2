// What a store that was put back lacks, and how it comes back; see mending.h.
#include "cell/logic/mending.h"

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kSearchPage = 512;       // messages of an inbox in one read
constexpr std::size_t kSearchBytes = 256 << 10;  // bodies, likewise
constexpr int kReturnMessages = 64;              // in one answer
constexpr std::size_t kReturnBytes = 64 << 10;   // likewise
constexpr std::uint32_t kMaxSearches = 64;       // of inboxes at a time
constexpr std::size_t kEntryBytes = 48;          // in a batch, beside a body

}  // namespace

// ---------------------------------------------------------------- who lacks what

bool Mending::AllHeard(const std::vector<CellId>& cells) const {
  return unheard_.empty() ||
         std::all_of(cells.begin(), cells.end(), [this](CellId cell) { return Heard(cell); });
}

bool Mending::MaySend(UserId user, const std::vector<CellId>& cells) const {
  return lacking_.count(user) == 0 && AllHeard(cells);
}

void Mending::GoneBack(CellId cell) {
  unheard_.insert(cell);
  for (auto& [user, u] : lacking_) {
    for (Pair& pair : u.pairs) {
      if (pair.cell != cell) continue;
      pair.last = pair.next - 1;  // what has come back already is ours again, and goes there again
      pair.known = false;
    }
  }
}

void Mending::Lacks(UserId user, const std::vector<CellId>& cells, UserId with, CellId cell,
                    Seq next, Seq last) {
  User& u = lacking_[user];
  u.cells = cells;
  for (Pair& pair : u.pairs) {
    if (pair.with != with) continue;
    pair.last = std::max(pair.last, last);
    pair.known = true;
    return;
  }
  u.pairs.push_back({with, cell, next, last, {}});
  if (!u.ready && AllHeard(cells)) Ready(user, u);
}

void Mending::Ready(UserId user, User& u) {
  u.ready = true;
  ready_.push_back(user);
}

void Mending::Hear(CellId cell) {
  unheard_.erase(cell);
  for (auto& [user, u] : lacking_) {
    if (!u.ready && AllHeard(u.cells)) Ready(user, u);
  }
}

Mending::User* Mending::Find(UserId user) {
  const auto it = lacking_.find(user);
  return it != lacking_.end() ? &it->second : nullptr;
}

UserId Mending::Begin() {
  if (ready_.empty() || begun_.size() >= kUsers) return 0;
  const UserId user = ready_.front();
  ready_.pop_front();
  begun_.insert(user);
  return user;
}

void Mending::Finish(UserId user) {
  lacking_.erase(user);
  begun_.erase(user);
}

std::vector<UserId> Mending::AskAgain() {
  for (const UserId user : begun_) lacking_[user].asked = false;
  return {begun_.begin(), begun_.end()};
}

Mending::Step Mending::Next(User& user) {
  Step step;
  for (Pair& pair : user.pairs) {
    if (pair.returned.empty()) {
      if (!pair.whole()) step.ask = &pair;
    } else if (step.take == nullptr ||
               pair.returned.front().send_id() < step.take->returned.front().send_id()) {
      step.take = &pair;
    }
  }
  if (step.ask != nullptr) step.take = nullptr;
  return step;
}

bool Mending::Take(User& user, const wire::Forward& message) {
  for (Pair& pair : user.pairs) {
    if (pair.with != message.receiver() || pair.next != message.pair_seq() || pair.whole())
      continue;
    pair.returned.push_back(message);
    ++pair.next;
    return true;
  }
  return false;
}

// ---------------------------------------------------------------- this store was put back

void Logic::StorePutBack() {
  if (mending_ != nullptr) return;
  node_.log.Error(
      "cell {}: this store was put back from a copy: asking all other cells what it lacks. Users "
      "may send again when all cells with friends of theirs have said so",
      options_.cell);
  std::set<CellId> others;
  for (CellId cell = 0; cell < table_.cells(); ++cell) {
    if (cell != options_.cell && !table_.PartitionsOf(cell).empty()) others.insert(cell);
  }
  mending_ = std::make_unique<Mending>(others);
  open_->SetPutBack(true);
  for (const CellId cell : others) Compare(cell, PathTo(cell), true);
  MendMore();
}

void Logic::ToldPutBack(CellId cell, Path& p) {
  if (mending_ == nullptr) return StorePutBack();
  mending_->HearAgain(cell);
  Compare(cell, p, true);
}

void Logic::OnAhead(Resident& r, UserId from, Seq upto) {
  if (table_.CellOf(from) == options_.cell) {  // in the same store: no copy explains that
    ++counters_.diverged;
    node_.log.Error("pair_diverged: {} acknowledges {} of {}, more than was sent: this pair stops",
                    from, upto, r.user.id());
    return r.user.Diverge(from);
  }
  StorePutBack();
  if (upto == 0) return;
  std::set<CellId> cells;
  for (const UserId f : r.user.friends()) cells.insert(table_.CellOf(f));
  cells.erase(options_.cell);
  mending_->Lacks(r.user.id(), {cells.begin(), cells.end()}, from, table_.CellOf(from),
                  r.user.PairWith(from).acked + 1, upto);
  MendMore();
}

bool Logic::MaySend(const mailbox::User& user) const {
  std::vector<CellId> cells;
  for (const UserId f : user.friends()) {
    const CellId cell = table_.CellOf(f);
    if (cell != options_.cell) cells.push_back(cell);
  }
  return mending_->MaySend(user.id(), cells);
}

void Logic::MendMore() {
  while (const UserId user = mending_ != nullptr ? mending_->Begin() : 0) {
    WithUser(user, 0, [this, user](Resident* r, wire::Reason) { Mend(user, r); });
  }
  if (mending_ == nullptr || !mending_->done()) return;
  node_.log.Info("cell {}: the store that was put back has what other cells have; {} lost",
                 options_.cell, counters_.lost);
  mending_.reset();
  open_->SetPutBack(false);
}

void Logic::Mend(UserId user, Resident* r) {
  Mending::User* of = mending_ != nullptr ? mending_->Find(user) : nullptr;
  if (of == nullptr || !mending_->MayMend(*of)) return;
  while (r != nullptr) {
    const Mending::Step step = Mending::Next(*of);
    if (step.ask != nullptr) return AskFor(user, *of, *step.ask);
    if (step.take == nullptr) break;
    if (open_->messages() >= options_.max_batch_messages ||
        open_->bytes() >= options_.max_batch_bytes) {
      node_.loop.Post([this, user, alive = alive_] {
        if (!*alive) return;
        WithUser(user, 0, [this, user](Resident* again, wire::Reason) { Mend(user, again); });
      });
      return;
    }
    TakeBack(*r, step.take->returned.front());
    step.take->returned.pop_front();
  }
  const std::vector<Mending::Pair> pairs = std::move(of->pairs);
  mending_->Finish(user);
  for (const Mending::Pair& pair : pairs) {
    if (r == nullptr || !pair.known || r->user.diverged(pair.with)) continue;
    OnAck(*r, pair.with, std::min(pair.last, r->user.PairWith(pair.with).sent));
  }
  MendMore();
}

void Logic::TakeBack(Resident& r, const wire::Forward& f) {
  wire::Message m;
  m.peer = f.receiver();
  m.pair_seq = f.pair_seq();
  m.seq = m.send_id = f.send_id();
  m.timestamp_ms = f.timestamp_ms();
  m.checksum = f.checksum();
  m.body = f.body();
  const Seq before = r.user.applied_send_id();
  switch (r.user.Restore(m, *open_)) {
    case mailbox::Restored::kThere:
      return;
    case mailbox::Restored::kDiverged:
      ++counters_.diverged;
      node_.log.Error(
          "pair_diverged: message {} of {} to {} came back as {} of the pair, and does not fit "
          "what "
          "is here now: this pair stops",
          f.send_id(), r.user.id(), m.peer, f.pair_seq());
      return;
    case mailbox::Restored::kAppended:
      ++counters_.returned;
      NoteReorder(r);
      if (m.send_id == before + 1) return;
      counters_.lost += m.send_id - 1 - before;
      node_.log.Error("user {}: messages {} to {} are lost: nobody has them any more", r.user.id(),
                      before + 1, m.send_id - 1);
  }
}

// ---------------------------------------------------------------- questions, and what comes back

void Logic::AskFor(UserId user, Mending::User& of, const Mending::Pair& pair) {
  const CellId cell = table_.CellOf(pair.with);
  Path& p = PathTo(cell);
  if (!p.up || std::exchange(of.asked, true)) return;
  wire::PairWant* want = p.out.add_wants();
  want->set_sender(user);
  want->set_receiver(pair.with);
  want->set_from(pair.next);
  p.sent += kOfferCredit;
  ListOut(cell, p, kEntryBytes);
}

void Logic::AskAgain() {
  if (mending_ == nullptr) return;
  for (const UserId user : mending_->AskAgain()) {
    WithUser(user, 0, [this, user](Resident* r, wire::Reason) { Mend(user, r); });
  }
}

void Logic::OnReturned(const wire::PeerBatch& batch) {
  std::set<UserId> users;
  for (const wire::Forward& f : batch.returned()) {
    Mending::User* of = mending_ != nullptr ? mending_->Find(f.sender()) : nullptr;
    if (of == nullptr || !Mending::Take(*of, f)) continue;
    of->asked = false;
    users.insert(f.sender());
  }
  for (const UserId user : users) {
    WithUser(user, 0, [this, user](Resident* r, wire::Reason) { Mend(user, r); });
  }
}

// The friend's store says that it has the messages, and cannot read them.
void Logic::GiveUp(UserId user, UserId with) {
  Mending::User* of = mending_ != nullptr ? mending_->Find(user) : nullptr;
  if (of == nullptr) return;
  for (Mending::Pair& pair : of->pairs) {
    if (pair.with != with || pair.whole()) continue;
    node_.log.Error(
        "pair_diverged: {} has {} to {} of {}, who has lost them, and cannot read them: this pair "
        "stops",
        with, pair.next, pair.last, user);
    ++counters_.diverged;
    pair.last = pair.next - 1;
    of->asked = false;
    WithUser(user, 0, [this, user, with](Resident* r, wire::Reason) {
      if (r != nullptr) r->user.Diverge(with);
      Mend(user, r);
    });
  }
}

// ---------------------------------------------------------------- for another cell

// Inboxes are read from the end back, a window at a time, until what is wanted has been found; from
// there on forwards.
struct Logic::Search {
  CellId to = 0;
  wire::PairWant want;
  std::uint64_t session = 0;
  Lsn head = 0;
  Seq last = 0;  // of the inbox
  Seq low = 0;   // the window
  Seq high = 0;
  Seq at = 0;
  int found = 0;
  std::size_t bytes = 0;
  void Window(Seq end) {
    high = end;
    low = at = end > kSearchPage ? end - kSearchPage + 1 : 1;
  }
};

void Logic::OnWant(CellId from, const wire::PairWant& want, std::uint64_t session) {
  WithUser(want.receiver(), 0, [this, from, want, session](Resident* r, wire::Reason failed) {
    Path& p = PathTo(from);
    if (p.in_session == session) p.in_bytes += kOfferCredit;
    if (r == nullptr || searches_ >= kMaxSearches) {
      const bool never = r == nullptr && failed != wire::REASON_NOT_READY;
      return Notice(from, want.sender(), want.receiver(),
                    never ? wire::NOTICE_LOST : wire::NOTICE_NOT_READY);
    }
    auto search = std::make_shared<Search>();
    search->to = from;
    search->want = want;
    search->session = session;
    search->head = r->user.durable_heads().in;
    search->last = r->user.counters().receive_id;
    search->Window(search->last);
    ++searches_;
    SearchInbox(search);
  });
}

void Logic::SearchInbox(const std::shared_ptr<Search>& s) {
  store_.ReadBox(s->want.receiver(), wire::Box::kIn, s->head, s->at, kSearchPage, kSearchBytes,
                 [this, s, alive = alive_](const Result<store::BoxPage, store::StoreError>& page) {
                   if (!*alive) return;
                   if (PathTo(s->to).in_session != s->session) {  // nobody waits for it
                     --searches_;
                   } else if (page && Searched(*s, *page)) {
                     SearchInbox(s);
                   } else {
                     --searches_;
                     if (s->found > 0) return;
                     Notice(s->to, s->want.sender(), s->want.receiver(), wire::NOTICE_LOST);
                   }
                 });
}

bool Logic::Searched(Search& s, const store::BoxPage& page) {
  Path& p = PathTo(s.to);
  const auto end = [&s] { return s.found > 0 ? s.last : s.high; };
  Seq at = s.at;
  for (const wire::Message& m : page.messages) {
    if (m.seq > end()) break;
    at = m.seq + 1;
    if (m.peer != s.want.sender()) continue;
    if (m.pair_seq != s.want.from() + static_cast<Seq>(s.found)) continue;
    ++s.found;
    s.bytes += m.body.size();
    wire::Forward* f = p.reply.add_returned();
    f->set_sender(m.peer);
    f->set_receiver(s.want.receiver());
    f->set_pair_seq(m.pair_seq);
    f->set_send_id(m.send_id);
    f->set_checksum(m.checksum);
    f->set_timestamp_ms(m.timestamp_ms);
    f->set_body(m.body.data(), m.body.size());
    ListReply(s.to, p, kEntryBytes + m.body.size());
    if (s.found == kReturnMessages || s.bytes >= kReturnBytes) return false;
  }
  const bool moved = std::exchange(s.at, at) != at;
  if (s.at <= end()) return moved;
  if (s.found > 0 || s.low <= 1) return false;
  s.Window(s.low - 1);
  return true;
}

// ---------------------------------------------------------------- metrics

void Logic::WriteComparisons(MetricsSink& sink) const {
  const LogicCounters& c = counters_;
  sink.Counter("comparisons_total", "times that all pairs with another cell were to be compared",
               c.comparisons);
  sink.Gauge("comparing_cells", "other cells with which all pairs are being compared", comparing_);
  sink.Gauge("put_back", "1: this store was put back from a copy, and may lack something",
             mending_ != nullptr ? 1 : 0);
  sink.Gauge("lacking_users", "users of whom other cells have messages that this store lacks",
             mending_ != nullptr ? static_cast<double>(mending_->lacking()) : 0);
  sink.Counter("returned_total", "messages that came back from friends' cells", c.returned);
  sink.Counter("lost_total", "send ids that nobody has a message of any more", c.lost);
}

}  // namespace baiwan::cell
