// Comparing all pairs with a cell whose store is not what it was; see comparison.h.
#include "cell/logic/comparison.h"

#include <algorithm>

#include "base/planted.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kScan = 64;          // users read in one step
constexpr std::uint32_t kScanUsers = 1024;   // … and in one turn
constexpr std::uint64_t kWindow = 16 << 10;  // pairs offered and not dealt with

}  // namespace

KnownStore::Word KnownStore::Told(std::uint64_t life, std::uint64_t opening, Lsn opened_at,
                                  Lsn position) {
  if (opening == opening_) {
    position_ = std::max(position_, position);
    return Word::kNothingNew;
  }
  if (opening == 0 || std::find(former_.begin(), former_.end(), opening) != former_.end()) {
    return Word::kNothingNew;
  }
  if (opening_ != 0) former_[oldest_++ % former_.size()] = opening_;
  const bool back = met_ && (life != life_ || opened_at < position_);
  const Word word = !met_ ? Word::kFirst : back ? Word::kGoneBack : Word::kNewOpening;
  met_ = true;
  life_ = life;
  opening_ = opening;
  position_ = position;
  return word;
}

void Logic::Introduce(const Path& p, wire::PeerBatch& batch) const {
  batch.set_incarnation(store_.incarnation());
  batch.set_life(store_.life());
  batch.set_opening(opening_);
  // By now this log may be longer than what those know who have not heard of the copy.
  batch.set_opened_at(mending_ != nullptr ? 0 : opened_at_);
  batch.set_position(durable_lsn_);
  batch.set_put_back(p.put_back);
}

void Logic::HearOf(CellId cell, Path& p, const wire::PeerBatch& batch) {
  switch (p.store.Told(batch.life(), batch.opening(), batch.opened_at(), batch.position())) {
    case KnownStore::Word::kNothingNew:
      break;
    case KnownStore::Word::kFirst:
    case KnownStore::Word::kNewOpening:
      // It may not have been told before it ended.
      p.put_back = p.put_back != 0 && p.compare.active ? batch.opening() : 0;
      break;
    case KnownStore::Word::kGoneBack:
      if (Planted("never-compared")) break;
      node_.log.Warn(
          "cell {}: the store of cell {} is not what it was: comparing all pairs with it",
          options_.cell, cell);
      p.put_back = batch.opening();
      p.may_rewind = true;
      if (mending_ != nullptr) mending_->GoneBack(cell);
      Compare(cell, p, mending_ != nullptr);
  }
  if (batch.put_back() != opening_) return;
  if (std::exchange(p.told_back, batch.opening()) != batch.opening()) ToldPutBack(cell, p);
}

void Logic::Compare(CellId cell, Path& p, bool all) {
  node_.log.Info("cell {}: comparing {} pairs with cell {}", options_.cell, all ? "all" : "our",
                 cell);
  ++counters_.comparisons;
  if (!p.compare.active) ++comparing_;
  // What was offered in this session before is still counted by the other side.
  Comparing& c = p.compare;
  c.active = true;
  c.all = all;
  c.all_offered = false;
  c.place = c.answered_to = {};
  c.window = c.offered;
}

// With the commit that holds what was heard from there. Not before all is compared: if this process
// ends before, the next one has to find it out again.
void Logic::RememberPeers() {
  bool news = false;
  for (CellId cell = 0; cell < paths_.size(); ++cell) {
    Path* p = paths_[cell].get();
    if (p == nullptr || p->store.opening() == 0 || p->compare.active) continue;
    const wire::PeerStore now{cell, p->store.life(), p->store.opening(), p->store.position()};
    news |= std::exchange(p->remembered, now) != now;
  }
  if (!news) return;
  std::vector<wire::PeerStore> peers;
  for (const auto& path : paths_) {
    if (path != nullptr && path->remembered != wire::PeerStore{}) peers.push_back(path->remembered);
  }
  open_->RememberPeers(std::move(peers));
}

// What was offered in the session before and not answered is offered again.
void Logic::CompareInSession(Path& p) {
  Comparing& c = p.compare;
  p.may_rewind |= c.active;
  c.place = c.answered_to;
  c.all_offered = false;
  c.offered = c.answered = c.window = 0;
}

void Logic::Compared(CellId cell, Path& p, std::uint64_t answered) {
  Comparing& c = p.compare;
  c.answered = std::max(c.answered, answered);
  if (!c.active) return;
  if (c.answered < c.offered || c.parked > 0) return;
  c.answered_to = c.place;
  c.window = c.offered;
  if (!c.all_offered) return;
  c.active = false;
  --comparing_;
  node_.log.Info("cell {}: all pairs with cell {} are compared", options_.cell, cell);
  if (!c.all || mending_ == nullptr) return;
  mending_->Hear(cell);
  AskAgain();
  MendMore();
}

void Logic::CompareDurable(std::uint64_t batch) {
  for (const Undecided& u : std::exchange(undecided_, {})) {
    if (PathTo(u.from).in_session == u.session) FromOffer(u.from, u.offer, u.session);
  }
  for (const UndecidedGap& u : std::exchange(undecided_gaps_, {})) {
    if (u.batch > batch) {
      undecided_gaps_.push_back(u);
      continue;
    }
    Path& p = PathTo(u.from);
    --p.compare.parked;
    if (p.session == u.session) FromGap(u.from, u.gap, u.session, true);
  }
}

bool Logic::ComparisonsHaveWork() const {
  if (comparing_ == 0) return false;
  for (CellId cell = 0; cell < paths_.size(); ++cell) {
    if (paths_[cell] != nullptr && MayCompareMore(cell, *paths_[cell])) return true;
  }
  return false;
}

bool Logic::MayCompareMore(CellId cell, const Path& p) const {
  const Comparing& c = p.compare;
  return c.active && !c.all_offered && c.offered < c.window + kWindow && Room(cell, p) > 0;
}

void Logic::WorkComparisons() {
  if (comparing_ == 0) return;
  std::uint32_t users = 0;
  for (CellId cell = 0; cell < paths_.size(); ++cell) {
    if (paths_[cell] == nullptr) continue;
    Path& p = *paths_[cell];
    for (; users < kScanUsers && MayCompareMore(cell, p); users += kScan) ComparePage(cell, p);
    Compared(cell, p, 0);
  }
}

void Logic::ComparePage(CellId cell, Path& p) {
  Comparing& c = p.compare;
  const auto partitions = table_.PartitionsOf(options_.cell);
  if (c.place.partition >= partitions.size()) {
    c.all_offered = true;
    return;
  }
  const auto offer = [&](UserId user, UserId to, Seq acked, Seq sent) {
    if (table_.CellOf(to) != cell) return;
    if (!c.all && sent == 0) return;
    ++c.offered;
    wire::PairOffer o;
    o.set_sender(user);
    o.set_receiver(to);
    o.set_first(acked + 1);
    o.set_last(sent);
    o.set_compare(true);
    AddOffer(cell, p, o);
  };
  const UserId last = store_.ScanUsers(
      partitions[c.place.partition], c.place.after, kScan, [&](const wire::UserRecord& record) {
        if (const Resident* r = residents_.Find(record.user)) {
          r->user.EachPair(
              [&](UserId to, Seq acked, Seq sent) { offer(record.user, to, acked, sent); });
          return;
        }
        for (const wire::FriendRecord& f : record.friends)
          offer(record.user, f.id, f.acked, f.sent);
      });
  c.place = last != 0 ? Comparing::Place{c.place.partition, last}
                      : Comparing::Place{c.place.partition + 1, 0};
}

}  // namespace baiwan::cell
