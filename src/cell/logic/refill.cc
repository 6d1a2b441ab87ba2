// What waits for a path: pairs to be offered in its session, and messages to be read back from
// outboxes. Both in the order in which they came to wait, within the path's credit, and no more of
// it in one turn than leaves the turn short.
//
// A user stands at most once in each queue of each path. What is read for one path is forwarded to
// all that have credit; one that has none keeps its users at the front, and holds up no other.
#include <algorithm>
#include <utility>

#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kRefillPage = 512;       // messages in one read of an outbox
constexpr std::size_t kRefillBytes = 128 << 10;  // bodies, likewise
constexpr std::uint32_t kMaxRefills = 64;        // reads under way
constexpr std::size_t kOfferWork = 64 << 10;     // pending messages looked at in one turn

}  // namespace

// ---------------------------------------------------------------- queues

Place& Logic::PlaceOf(Resident& r, CellId cell) {
  for (Place& place : r.places) {
    if (place.cell == cell) return place;
  }
  return r.places.emplace_back(Place{cell});
}

void Logic::Leave(Resident& r, CellId cell, bool Place::*queue) {
  Place& place = PlaceOf(r, cell);
  place.*queue = false;
  if (place.offers || place.refill) return;
  place = r.places.back();
  r.places.pop_back();
}

void Logic::WantOffer(Resident& r, CellId cell) {
  if (std::exchange(PlaceOf(r, cell).offers, true)) return;
  PathTo(cell).offers.push_back(r.user.id());
  ++queued_;
}

void Logic::WantRefill(Resident& r, CellId cell, bool first) {
  Place& place = PlaceOf(r, cell);
  if (std::exchange(place.refill, true)) return;
  first |= std::exchange(place.first, false);
  auto& queue = PathTo(cell).refill;
  first ? queue.push_front(r.user.id()) : queue.push_back(r.user.id());
  ++queued_;
}

// The user at the front of a queue, who leaves it; null if he cannot be served now. Who is being
// restored comes again when he is.
Resident* Logic::TakeFirst(CellId cell, std::deque<UserId>& queue, bool Place::*mark) {
  Resident* r = residents_.Find(queue.front());
  queue.pop_front();
  --queued_;
  if (r == nullptr) return nullptr;
  Leave(*r, cell, mark);
  return r->rewound ? nullptr : r;
}

void Logic::ClearQueues(CellId cell) {
  Path& p = PathTo(cell);
  while (!p.offers.empty()) TakeFirst(cell, p.offers, &Place::offers);
  while (!p.refill.empty()) TakeFirst(cell, p.refill, &Place::refill);
}

// ---------------------------------------------------------------- room

// A quarter of the credit is left for what is new, so that it does not wait behind a backlog; and
// little words of credit are saved up, or each would be a read of its own.
std::size_t Logic::Room(CellId cell, const Path& p) const {
  if (!Reaches(cell) || p.full || refuse_all_) return 0;
  const std::size_t most = options_.path_credit - options_.path_credit / 4;
  if (cell == options_.cell) {
    const bool room = open_->messages() < options_.max_batch_messages / 2 &&
                      open_->bytes() < options_.max_batch_bytes / 2;
    return room ? most : 0;
  }
  const std::uint64_t under_way = p.sent - p.consumed + p.reserved;
  if (under_way == 0) return most;
  return under_way + options_.path_credit / 8 <= most ? most - under_way : 0;
}

bool Logic::PathsHaveWork() const {
  if (queued_ == 0) return false;
  for (CellId cell = 0; cell < paths_.size(); ++cell) {
    if (paths_[cell] == nullptr) continue;
    const Path& p = *paths_[cell];
    const bool waits = !p.offers.empty() || (!p.refill.empty() && refills_ < kMaxRefills);
    if (waits && Room(cell, p) > 0) return true;
  }
  return false;
}

void Logic::WorkPaths() {
  std::size_t work = 0;
  for (CellId cell = 0; queued_ > 0 && cell < paths_.size(); ++cell) {
    if (paths_[cell] == nullptr) continue;
    Path& p = *paths_[cell];
    if (p.offers.empty() && p.refill.empty()) continue;
    while (!p.offers.empty() && work < kOfferWork && Room(cell, p) > 0) {
      Resident* r = TakeFirst(cell, p.offers, &Place::offers);
      if (r == nullptr) continue;
      work += 8 + r->user.pending_messages();
      r->user.StartSession([&](UserId f) { return table_.CellOf(f) == cell; }, *this);
    }
    while (!p.refill.empty() && refills_ < kMaxRefills && Room(cell, p) > 0) {
      Resident* r = TakeFirst(cell, p.refill, &Place::refill);
      if (r == nullptr) continue;
      if (r->refilling) {
        PlaceOf(*r, cell).first = true;
        continue;
      }
      const Seq from = r->user.RefillFrom([&](UserId f) { return table_.CellOf(f) == cell; });
      if (from != 0) ReadBack(*r, cell, from);
    }
  }
}

// ---------------------------------------------------------------- reading back

void Logic::ReadBack(Resident& r, CellId cell, Seq from) {
  Path& p = PathTo(cell);
  const auto limit = static_cast<std::uint32_t>(
      std::clamp<std::size_t>(Room(cell, p) / p.mean_bytes, 1, kRefillPage));
  const std::size_t reserved = limit * p.mean_bytes;
  p.reserved += reserved;
  r.refilling = true;
  ++refills_;
  store_.ReadBox(r.user.id(), wire::Box::kOut, r.user.durable_heads().out, from, limit,
                 kRefillBytes,
                 [this, user = r.user.id(), cell, from, reserved,
                  alive = alive_](const Result<store::BoxPage, store::StoreError>& page) {
                   if (!*alive) return;
                   --refills_;
                   PathTo(cell).reserved -= reserved;
                   if (Resident* now = residents_.Find(user)) Refilled(*now, cell, from, page);
                 });
}

void Logic::Refilled(Resident& r, CellId cell, Seq from,
                     const Result<store::BoxPage, store::StoreError>& page) {
  const auto out = [](const Place& place) { return !place.offers && !place.refill; };
  r.refilling = false;
  if (!page || r.rewound) {
    std::erase_if(r.places, out);
    if (page) return;  // offered again once it is restored
    node_.log.Error("user {}: the outbox cannot be read from {} on: {}", r.user.id(), from,
                    Message(page.error()));
    return;
  }
  Path& p = PathTo(cell);
  r.refilling = true;  // or it would come to wait for credit behind all others, see Forward
  const std::uint64_t forwarded = counters_.forwarded;
  std::size_t bytes = 0;
  for (const wire::Message& m : page->messages) {
    bytes += CreditBytes(m.body.size());
    r.user.Refill(m, *this);
  }
  counters_.resent += r.user.TakeResent();
  r.refilling = false;
  if (!page->messages.empty()) {
    p.mean_bytes = (3 * p.mean_bytes + bytes / page->messages.size()) / 4;
  }
  // With room, and a page read, something has left or is due no more: else the audit asks.
  const bool in_circles =
      counters_.forwarded == forwarded && Room(cell, p) > 0 &&
      r.user.RefillFrom([&](UserId f) { return table_.CellOf(f) == cell; }) == from;
  // Who has had as much as is read at a time makes room for the next one.
  const bool had_turn = page->messages.size() >= kRefillPage || bytes >= kRefillBytes;
  r.user.EachReady([&](UserId f) {
    const CellId to = table_.CellOf(f);
    if (to == cell && in_circles) return;
    WantRefill(r, to, to == cell && !had_turn);
  });
  std::erase_if(r.places, out);
}

}  // namespace baiwan::cell
