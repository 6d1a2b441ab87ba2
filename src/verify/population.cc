#include "verify/population.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "base/rng.h"

namespace baiwan::verify {

Population Population::Generate(const stress::WorkloadSpec& spec, unsigned threads) {
  Population all;
  all.layout_ = stress::LayoutOf(spec);
  all.parts_.resize(spec.cells);
  std::atomic<CellId> next{0};
  std::vector<std::thread> workers;
  for (unsigned t = 0; t < std::min(std::max(threads, 1u), spec.cells); ++t) {
    workers.emplace_back([&] {
      for (CellId cell = next++; cell < spec.cells; cell = next++) {
        all.parts_[cell] = stress::BuildCellGraph(spec, cell);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  all.Count();
  return all;
}

Population::Population(stress::CellGraph everybody) {
  parts_.push_back(std::move(everybody));
  Count();
}

void Population::Count() {
  part_users_ = std::max<std::size_t>(parts_.front().users(), 1);
  for (const stress::CellGraph& part : parts_) {
    relation_base_.push_back(relations_);
    users_ += part.users();
    relations_ += part.relations();
    for (std::size_t i = 0; i < part.users(); ++i) {
      most_friends_ = std::max(most_friends_, part.friends(i).size());
    }
  }
}

Population::Number Population::Find(UserId user) const {
  if (user == 0 || user > kMaxUserId || users_ == 0) return kNobody;
  if (!layout_) {
    const std::size_t index = parts_.front().Find(user);
    return index == stress::CellGraph::kNotHere ? kNobody : index;
  }
  const std::uint64_t index = layout_->IndexOf(user);
  if (index >= part_users_) return kNobody;
  return layout_->CellOf(user) * part_users_ + index;
}

std::uint64_t Population::RelationTo(Number n, UserId other) const {
  const auto own = friends(n);
  const auto at = std::lower_bound(own.begin(), own.end(), other);
  if (at == own.end() || *at != other) return kNoRelation;
  return relation(n) + static_cast<std::uint64_t>(at - own.begin());
}

Population::Whose Population::At(std::uint64_t wanted) const {
  Number low = 0;
  Number high = users_;  // the last user whose relations begin at `wanted` or before
  while (high - low > 1) {
    const Number middle = low + (high - low) / 2;
    (relation(middle) <= wanted ? low : high) = middle;
  }
  return {low, static_cast<std::uint32_t>(wanted - relation(low))};
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
  const std::size_t per_round =
      population_.friends(sender).size() * std::size_t{spec_.messages_per_friend};
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
  const std::size_t friends = population_.friends(sender).size();
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
  const std::size_t per_round =
      population_.friends(sender).size() * std::size_t{spec_.messages_per_friend};
  Seq send_id = round * per_round + 1;
  for (std::size_t i = 0; i < per_round; ++i, ++send_id) {
    const Place place = At(sender, send_id);
    if (place.friend_index == friend_index && place.pair_seq == pair_seq) break;
  }
  return send_id;
}

}  // namespace baiwan::verify
