#include "sim/workload.h"

#include <algorithm>

#include "base/rng.h"

namespace baiwan::sim {

namespace {

constexpr std::uint64_t kFriendsPurpose = 0x6672'6965'6E64'7300;
constexpr double kFriendship = 0.5;  // chance for any two users
constexpr double kVoid = 0.03;       // of a send id that is given up

void Befriend(std::map<UserId, std::vector<UserId>>& friends, UserId a, UserId b) {
  if (a == b || std::count(friends[a].begin(), friends[a].end(), b) > 0) return;
  friends[a].push_back(b);
  friends[b].push_back(a);
}

}  // namespace

Workload::Workload(std::uint64_t seed, const WorkloadOptions& options)
    : seed_(seed), options_(options), table_(options.cells, options.partitions) {
  const placement::UserLayout layout(options.cells, options.partitions);
  for (CellId cell = 0; cell < options.cells; ++cell) {
    for (std::uint32_t i = 0; i < options.users_per_cell; ++i) {
      users_.push_back(layout.UserAt(cell, i));
    }
  }
  std::sort(users_.begin(), users_.end());
  Rng rng(Mix(seed, kFriendsPurpose));
  for (std::size_t i = 0; i < users_.size(); ++i) {
    Befriend(friends_, users_[i], users_[(i + 1) % users_.size()]);  // nobody is alone
    if (options.friends > 0) {
      // Each friendship has two ends, and the ring gives everybody two friends.
      for (std::uint32_t n = 2; n + 1 < options.friends; n += 2) {
        Befriend(friends_, users_[i], users_[rng.Below(users_.size())]);
      }
      continue;
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (rng.Chance(kFriendship)) Befriend(friends_, users_[i], users_[j]);
    }
  }
  for (auto& [user, friends] : friends_) std::sort(friends.begin(), friends.end());
  for (const UserId user : users_) inbound_[user] = 0;
  for (const UserId user : users_) {
    for (Seq n = 1; n <= messages(); ++n) {
      const Item item = At(user, n);
      if (!item.is_void) ++inbound_[item.to];
    }
  }
}

Workload::Item Workload::At(UserId sender, Seq n) const {
  Rng rng(Mix(seed_, sender, n));
  Item item;
  item.is_void = rng.Chance(kVoid);
  if (item.is_void) return item;
  const auto& friends = friends_.at(sender);
  item.to = friends[rng.Below(friends.size())];
  // Bytes of any kind, mostly few.
  const std::uint64_t size = rng.Below(1 + rng.Below(1 + options_.max_body));
  for (std::uint64_t i = 0; i < size; ++i) item.body.push_back(static_cast<char>(rng.Next()));
  return item;
}

std::vector<UserId> Workload::UsersOf(CellId cell) const {
  std::vector<UserId> of_cell;
  for (const UserId user : users_) {
    if (table_.CellOf(user) == cell) of_cell.push_back(user);
  }
  return of_cell;
}

bool Workload::AreFriends(UserId a, UserId b) const {
  const auto at = friends_.find(a);
  return at != friends_.end() && std::binary_search(at->second.begin(), at->second.end(), b);
}

wire::UserRecord Workload::NewRecord(UserId user) const {
  wire::UserRecord record;
  record.user = user;
  for (const UserId id : FriendsOf(user)) {
    record.friends.emplace_back();
    record.friends.back().id = id;
  }
  return record;
}

}  // namespace baiwan::sim
