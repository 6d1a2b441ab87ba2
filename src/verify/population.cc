#include "verify/population.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "base/rng.h"

namespace baiwan::verify {

Population Population::Generate(const stress::WorkloadSpec& spec, CellRange own, unsigned threads) {
  Population all;
  all.layout_ = stress::LayoutOf(spec);
  all.cells_ = spec.cells;
  all.first_cell_ = own.first;
  all.part_users_ = spec.users_per_cell;
  all.outer_degree_ = std::size_t{spec.friends_in_cell} + spec.friends_cross;
  all.parts_.resize(own.count());
  all.neighbours_.resize(spec.cells - own.count());
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < std::min(std::max(threads, 1u), spec.cells); ++t) {
    workers.emplace_back([&] {
      for (std::size_t part = next++; part < spec.cells; part = next++) {
        stress::CellGraph graph = stress::BuildCellGraph(spec, all.CellOf(part));
        if (part < all.parts_.size()) {
          all.parts_[part] = std::move(graph);
        } else {
          all.neighbours_[part - all.parts_.size()] = all.NeighboursIn(graph, own);
        }
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  all.Count();
  return all;
}

Population::Population(stress::CellGraph everybody) {
  part_users_ = std::max<std::size_t>(everybody.users(), 1);
  parts_.push_back(std::move(everybody));
  Count();
}

Population::Neighbours Population::NeighboursIn(const stress::CellGraph& graph,
                                                CellRange own) const {
  Neighbours found;
  for (std::size_t i = 0; i < graph.users(); ++i) {
    const auto friends = graph.friends(i);
    for (std::size_t k = 0; k < friends.size(); ++k) {
      if (!own.Holds(layout_->CellOf(friends[k]))) continue;
      found.friend_indexes.push_back(static_cast<std::uint16_t>(k));
      found.friends.push_back(Find(friends[k]));
    }
    if (found.friends.size() == found.begins.back()) continue;
    found.users.push_back(static_cast<std::uint32_t>(i));
    found.begins.push_back(found.friends.size());
  }
  found.users.shrink_to_fit();
  found.begins.shrink_to_fit();
  found.friend_indexes.shrink_to_fit();
  found.friends.shrink_to_fit();
  return found;
}

void Population::Count() {
  for (const stress::CellGraph& part : parts_) {
    relation_base_.push_back(own_relations_);
    own_users_ += part.users();
    own_relations_ += part.relations();
    for (std::size_t i = 0; i < part.users(); ++i) {
      most_friends_ = std::max(most_friends_, part.friends(i).size());
    }
  }
  users_ = own_users_ + neighbours_.size() * part_users_;
  relations_ = own_relations_;
  for (Neighbours& part : neighbours_) {
    part.relation_base = relations_;
    relations_ += part.friends.size();
  }
  most_friends_ = std::max(most_friends_, outer_degree_);
}

Population::Number Population::Find(UserId user) const {
  if (user == 0 || user > kMaxUserId || (!layout_ && parts_.empty())) return kNobody;
  if (!layout_) {
    const std::size_t index = parts_.front().Find(user);
    return index == stress::CellGraph::kNotHere ? kNobody : index;
  }
  const std::uint64_t index = layout_->IndexOf(user);
  if (index >= part_users_) return kNobody;
  return PartOf(layout_->CellOf(user)) * part_users_ + index;
}

UserId Population::user(Number n) const {
  if (IsOwn(n)) return parts_[Part(n)].user(n % part_users_);
  return layout_->UserAt(CellOf(Part(n)), n % part_users_);
}

Population::Span Population::Neighbour(const Neighbours& part, Number n) const {
  const auto user = std::lower_bound(part.users.begin(), part.users.end(), n % part_users_);
  if (user == part.users.end() || *user != n % part_users_) return {};
  const auto at = static_cast<std::size_t>(user - part.users.begin());
  return {part.begins[at], part.begins[at + 1]};
}

Population::Friend Population::FriendAt(Number n, std::size_t friend_index) const {
  if (IsOwn(n)) return {friends(n)[friend_index], relation(n) + friend_index};
  const Neighbours& part = neighbours_[Part(n) - parts_.size()];
  const Span span = Neighbour(part, n);
  const auto begin = part.friend_indexes.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(span.end);
  const auto found =
      std::lower_bound(begin + static_cast<std::ptrdiff_t>(span.begin), end, friend_index);
  if (found == end || *found != friend_index) return {};
  const auto at = static_cast<std::size_t>(found - begin);
  return {user(part.friends[at]), part.relation_base + at};
}

std::uint64_t Population::RelationTo(Number n, UserId other) const {
  if (IsOwn(n)) {
    const auto own = friends(n);
    const auto at = std::lower_bound(own.begin(), own.end(), other);
    if (at == own.end() || *at != other) return kNoRelation;
    return relation(n) + static_cast<std::uint64_t>(at - own.begin());
  }
  const Neighbours& part = neighbours_[Part(n) - parts_.size()];
  const Span span = Neighbour(part, n);
  const auto begin = part.friends.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(span.end);
  const auto found =
      std::lower_bound(begin + static_cast<std::ptrdiff_t>(span.begin), end, other,
                       [this](Number one, UserId wanted) { return user(one) < wanted; });
  if (found == end || user(*found) != other) return kNoRelation;
  return part.relation_base + static_cast<std::uint64_t>(found - begin);
}

Population::Whose Population::At(std::uint64_t wanted) const {
  if (wanted < own_relations_) {
    Number low = 0;
    Number high = own_users_;  // the last user whose relations begin at `wanted` or before
    while (high - low > 1) {
      const Number middle = low + (high - low) / 2;
      (relation(middle) <= wanted ? low : high) = middle;
    }
    return {low, static_cast<std::uint32_t>(wanted - relation(low))};
  }
  const auto behind = std::upper_bound(
      neighbours_.begin(), neighbours_.end(), wanted,
      [](std::uint64_t w, const Neighbours& part) { return w < part.relation_base; });
  const auto part = static_cast<std::size_t>(behind - neighbours_.begin()) - 1;
  const Neighbours& found = neighbours_[part];
  const std::size_t at = wanted - found.relation_base;
  const auto user = std::upper_bound(found.begins.begin(), found.begins.end(), at);
  const auto index = static_cast<std::size_t>(user - found.begins.begin()) - 1;
  return {(parts_.size() + part) * part_users_ + found.users[index], found.friend_indexes[at]};
}

PlanCache::PlanCache(const stress::WorkloadSpec& spec, const Population& population,
                     std::size_t max_bytes)
    : spec_(spec),
      population_(population),
      most_(population.most_friends() * spec.messages_per_friend) {
  const std::size_t slot_bytes = std::max<std::size_t>(4 * most_, 1);
  std::size_t slots = 4;
  while (slots < 2 * population.users() && 2 * slots * slot_bytes <= max_bytes) slots *= 2;
  slots_.resize(slots);
  places_.resize(slots * most_);
}

PlanCache::Place PlanCache::At(Population::Number sender, Seq send_id) {
  const std::size_t per_round = population_.degree(sender) * std::size_t{spec_.messages_per_friend};
  const std::uint64_t round = (send_id - 1) / per_round;
  const std::size_t at = (send_id - 1) % per_round;
  const std::size_t slot = Mix(sender) & (slots_.size() - 1);
  const std::uint32_t* places = places_.data() + slot * most_;
  if (slots_[slot].sender != sender || slots_[slot].round != round) {
    places = Fill(slot, sender, round);
  }
  return {places[at] & 0xFFFF, round * spec_.messages_per_friend + (places[at] >> 16)};
}

std::uint32_t* PlanCache::Fill(std::size_t slot, Population::Number sender, std::uint64_t round) {
  static_assert(stress::kMaxFriends <= 0xFFFF && stress::kMaxMessagesPerFriend <= 0xFFFF);
  slots_[slot] = {sender, round};
  std::uint32_t* places = places_.data() + slot * most_;
  const std::size_t friends = population_.degree(sender);
  order_.resize(friends * spec_.messages_per_friend);
  stress::FillRound(spec_.seed, spec_.messages_per_friend, population_.user(sender), round, order_);
  seen_.assign(friends, 0);
  for (std::size_t i = 0; i < order_.size(); ++i) {
    places[i] = order_[i] | std::uint32_t{++seen_[order_[i]]} << 16;
  }
  return places;
}

Seq PlanCache::SendIdOf(Population::Number sender, std::uint32_t friend_index, Seq pair_seq) {
  const std::uint64_t round = (pair_seq - 1) / spec_.messages_per_friend;
  const std::size_t per_round = population_.degree(sender) * std::size_t{spec_.messages_per_friend};
  Seq send_id = round * per_round + 1;
  for (std::size_t i = 0; i < per_round; ++i, ++send_id) {
    const Place place = At(sender, send_id);
    if (place.friend_index == friend_index && place.pair_seq == pair_seq) break;
  }
  return send_id;
}

}  // namespace baiwan::verify
