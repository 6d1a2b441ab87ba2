#include "stress/cell_graph.h"

#include <algorithm>
#include <numeric>

#include "base/rng.h"

namespace baiwan::stress {
namespace {

using Index = std::uint32_t;  // of a user in its cell

// What a random stream is for: streams of different purposes never meet.
enum class Purpose : std::uint64_t { kInCell = 1, kDeal, kCross };
std::uint64_t Stream(const WorkloadSpec& spec, Purpose purpose, CellId a, CellId b) {
  return Mix(spec.seed, static_cast<std::uint64_t>(purpose), (std::uint64_t{a} << 32) | b);
}

void Shuffle(std::span<Index> items, Rng& rng) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.Below(i)]);
}

std::vector<Index> RandomOrder(std::size_t n, Rng& rng) {
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), Index{0});
  Shuffle(order, rng);
  return order;
}

// `count` different numbers of [0, below), in random order.
std::vector<Index> RandomChoice(std::size_t count, std::size_t below, Rng& rng) {
  std::vector<Index> all(below);
  std::iota(all.begin(), all.end(), Index{0});
  for (std::size_t i = 0; i < count; ++i) std::swap(all[i], all[i + rng.Below(below - i)]);
  all.resize(count);
  return all;
}

// Relations from tails to heads, by tail. In a cell either end may be the tail; across cells the
// tails are the users of the lower cell.
class Relations {
 public:
  Relations(std::size_t tails, std::size_t most_of_one)
      : stride_(most_of_one), counts_(tails, 0), heads_(tails * most_of_one) {}

  std::size_t tails() const { return counts_.size(); }
  std::span<const Index> of(Index tail) const {
    return {heads_.data() + tail * stride_, counts_[tail]};
  }
  void Add(Index tail, Index head) { heads_[tail * stride_ + counts_[tail]++] = head; }

  // Fisher-Yates over the heads of all relations. Degrees stay as they are.
  void ShuffleHeads(bool within_one_cell, Rng& rng) {
    constexpr int kTries = 4;
    for (std::size_t slot = 0; slot < heads_.size(); ++slot) {
      const auto tail = static_cast<Index>(slot / stride_);
      if (slot % stride_ >= counts_[tail]) continue;
      for (int i = 0; i < kTries; ++i) {
        const std::size_t other_slot = slot + rng.Below(heads_.size() - slot);
        const auto other = static_cast<Index>(other_slot / stride_);
        if (other_slot % stride_ >= counts_[other]) continue;
        const Index head = heads_[slot];
        const Index other_head = heads_[other_slot];
        if (!Free(tail, other_head, within_one_cell) || !Free(other, head, within_one_cell)) {
          continue;
        }
        heads_[slot] = other_head;
        heads_[other_slot] = head;
        break;
      }
    }
  }

 private:
  bool Has(Index tail, Index head) const {
    bool found = false;
    for (const Index h : of(tail)) found |= h == head;
    return found;
  }
  bool Free(Index tail, Index head, bool within_one_cell) const {
    if (Has(tail, head)) return false;
    return !within_one_cell || (tail != head && !Has(head, tail));
  }

  const std::size_t stride_;
  std::vector<std::uint16_t> counts_;
  std::vector<Index> heads_;
};

Relations InCell(const WorkloadSpec& spec, CellId cell) {
  const std::size_t n = spec.users_per_cell;
  const std::size_t degree = spec.friends_in_cell;
  Relations relations(n, (degree + 1) / 2);
  if (degree == 0) return relations;
  Rng rng(Stream(spec, Purpose::kInCell, cell, cell));
  const std::vector<Index> ring = RandomOrder(n, rng);
  // Distances below half of the ring: at each, everybody has two others.
  for (const Index less_one : RandomChoice(degree / 2, (n - 1) / 2, rng)) {
    for (std::size_t i = 0; i < n; ++i) relations.Add(ring[i], ring[(i + less_one + 1) % n]);
  }
  if (degree % 2 != 0) {  // n is even, then: the user opposite
    for (std::size_t i = 0; i < n / 2; ++i) relations.Add(ring[i], ring[i + n / 2]);
  }
  relations.ShuffleHeads(true, rng);
  return relations;
}

// The division of everybody's friends_cross among the other cells.
class CrossDegrees {
 public:
  explicit CrossDegrees(const WorkloadSpec& spec) : spec_(spec) {
    if (spec.cells < 2) return;
    const std::uint64_t others = spec.cells - 1;
    each_ = spec.friends_cross / others;
    const std::uint64_t extra = spec.friends_cross % others * spec.users_per_cell;
    extra_each_ = extra / others;
    extra_rest_ = extra % others;
  }

  // Friends that everybody has in every other cell.
  std::size_t each() const { return each_; }
  // How many users of `a` have one more in `b`; as many of `b` have one more in `a`. Cells on a
  // ring: the rest goes to the nearest ones, as many on both sides, and to the opposite cell if
  // one is left. (If the number of cells is odd, the rest is even; else the total would be odd.)
  std::size_t Extra(CellId a, CellId b) const {
    const std::uint32_t way = a < b ? b - a : a - b;
    const std::uint32_t distance = std::min(way, spec_.cells - way);
    const bool near = distance <= extra_rest_ / 2;
    const bool opposite = extra_rest_ % 2 != 0 && distance * 2 == spec_.cells;
    return extra_each_ + (near || opposite ? 1 : 0);
  }
  // The users of `a` that have one more in `b`: dealt out in turn over the other cells.
  std::vector<Index> ExtraUsers(CellId a, CellId b) const {
    std::vector<Index> chosen(Extra(a, b));
    if (chosen.empty()) return chosen;
    const std::size_t n = spec_.users_per_cell;
    Rng rng(Stream(spec_, Purpose::kDeal, a, a));
    const std::vector<Index> order = RandomOrder(n, rng);
    std::uint64_t dealt = 0;
    for (CellId cell = 0; cell < b; ++cell) {
      if (cell != a) dealt += Extra(a, cell);
    }
    for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = order[(dealt + i) % n];
    return chosen;
  }

 private:
  const WorkloadSpec& spec_;
  std::size_t each_ = 0;
  std::size_t extra_each_ = 0;
  std::size_t extra_rest_ = 0;
};

// All users in random order, those of `first` before the others.
std::vector<Index> OrderWithFirst(std::span<const Index> first, std::size_t n, Rng& rng) {
  std::vector<Index> order(first.begin(), first.end());
  std::vector<bool> in_first(n, false);
  for (const Index i : first) in_first[i] = true;
  for (Index i = 0; i < n; ++i) {
    if (!in_first[i]) order.push_back(i);
  }
  Shuffle(std::span(order).first(first.size()), rng);
  Shuffle(std::span(order).subspan(first.size()), rng);
  return order;
}

// From users of `low` to users of `high`; low < high.
Relations Across(const WorkloadSpec& spec, const CrossDegrees& degrees, CellId low, CellId high) {
  const std::size_t n = spec.users_per_cell;
  const auto extra_low = degrees.ExtraUsers(low, high);
  const auto extra_high = degrees.ExtraUsers(high, low);
  Relations relations(n, degrees.each() + (extra_low.empty() ? 0 : 1));
  Rng rng(Stream(spec, Purpose::kCross, low, high));
  const std::vector<Index> tails = OrderWithFirst(extra_low, n, rng);
  const std::vector<Index> heads = OrderWithFirst(extra_high, n, rng);
  // Position i is joined to position i + distance, at `each` distances other than 0; at distance 0
  // only the first ones are, which are those that have one more.
  for (std::size_t i = 0; i < extra_low.size(); ++i) relations.Add(tails[i], heads[i]);
  if (degrees.each() > 0) {
    const std::size_t from = extra_low.empty() ? 0 : 1;
    for (const Index d : RandomChoice(degrees.each(), n - from, rng)) {
      for (std::size_t i = 0; i < n; ++i) relations.Add(tails[i], heads[(i + d + from) % n]);
    }
    relations.ShuffleHeads(false, rng);
  }
  return relations;
}

// The friends of every user of one cell, while they are being collected.
class Rows {
 public:
  Rows(const WorkloadSpec& spec, CellId cell)
      : degree_(spec.friends_in_cell + spec.friends_cross),
        users_(UsersOf(spec, cell)),
        filled_(spec.users_per_cell, 0),
        friends_(spec.users_per_cell * degree_) {}

  static std::vector<UserId> UsersOf(const WorkloadSpec& spec, CellId cell) {
    const auto layout = LayoutOf(spec);
    std::vector<UserId> users(spec.users_per_cell);
    for (std::size_t i = 0; i < users.size(); ++i) users[i] = layout.UserAt(cell, i);
    return users;
  }

  const std::vector<UserId>& users() const { return users_; }
  void Add(Index of, UserId id) { friends_[of * degree_ + filled_[of]++] = id; }

  CellGraph Finish() && {
    std::vector<std::uint64_t> offsets(users_.size() + 1);
    for (std::size_t i = 0; i < users_.size(); ++i) {
      const auto begin = friends_.begin() + static_cast<std::ptrdiff_t>(i * degree_);
      std::sort(begin, begin + static_cast<std::ptrdiff_t>(degree_));
      offsets[i + 1] = (i + 1) * degree_;
    }
    return {std::move(users_), std::move(offsets), std::move(friends_)};
  }

 private:
  const std::size_t degree_;
  std::vector<UserId> users_;
  std::vector<std::uint16_t> filled_;
  std::vector<UserId> friends_;
};

}  // namespace

std::size_t CellGraph::Find(UserId user) const {
  // Generated users are spread evenly, so a straight line from first to last comes close.
  if (users_.empty() || user < users_.front() || user > users_.back()) return kNotHere;
  const auto span = static_cast<Wide>(users_.back() - users_.front()) + 1;
  const auto guess =
      static_cast<std::size_t>(static_cast<Wide>(user - users_.front()) * users_.size() / span);
  constexpr std::size_t kNear = 64;
  std::size_t low = guess > kNear ? guess - kNear : 0;
  std::size_t high = std::min(users_.size(), guess + kNear);
  if (users_[low] > user) low = 0;
  if (high < users_.size() && users_[high] <= user) high = users_.size();
  const auto end = users_.begin() + static_cast<std::ptrdiff_t>(high);
  const auto at = std::lower_bound(users_.begin() + static_cast<std::ptrdiff_t>(low), end, user);
  return at != end && *at == user ? static_cast<std::size_t>(at - users_.begin()) : kNotHere;
}

CellGraph BuildCellGraph(const WorkloadSpec& spec, CellId cell) {
  Rows rows(spec, cell);
  {
    const Relations own = InCell(spec, cell);
    for (Index tail = 0; tail < own.tails(); ++tail) {
      for (const Index head : own.of(tail)) {
        rows.Add(tail, rows.users()[head]);
        rows.Add(head, rows.users()[tail]);
      }
    }
  }
  const CrossDegrees degrees(spec);
  for (CellId other = 0; other < spec.cells && spec.friends_cross > 0; ++other) {
    if (other == cell) continue;
    const bool low = cell < other;
    const Relations across = Across(spec, degrees, std::min(cell, other), std::max(cell, other));
    const std::vector<UserId> others = Rows::UsersOf(spec, other);
    for (Index tail = 0; tail < across.tails(); ++tail) {
      for (const Index head : across.of(tail)) {
        if (low) {
          rows.Add(tail, others[head]);
        } else {
          rows.Add(head, others[tail]);
        }
      }
    }
  }
  return std::move(rows).Finish();
}

}  // namespace baiwan::stress
