// Who the simulated users are, who is friends with whom, and what everybody sends: pure functions
// of the seed, so that whoever looks at a box can say what must be in it.
//
// Threads: pure after construction. Failure: none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "placement/placement.h"
#include "wire/user_record.h"

namespace baiwan::sim {

struct WorkloadOptions {
  std::uint32_t cells = 3;
  std::uint32_t users_per_cell = 3;
  std::uint32_t partitions = 8;
  std::uint32_t messages = 40;        // of each user
  std::uint32_t max_body = 64 << 10;  // bytes, as the cells take them
  std::uint32_t friends = 0;          // of a user, about; 0: half of all others
};

class Workload {
 public:
  Workload(std::uint64_t seed, const WorkloadOptions& options);

  struct Item {
    UserId to = 0;
    bool is_void = false;
    std::string body;
  };
  // What `sender` says under the send id `n`, 1 … messages().
  Item At(UserId sender, Seq n) const;
  Seq messages() const { return options_.messages; }

  const placement::PlacementTable& table() const { return table_; }
  const WorkloadOptions& options() const { return options_; }
  const std::vector<UserId>& users() const { return users_; }  // rising
  std::vector<UserId> UsersOf(CellId cell) const;
  const std::vector<UserId>& FriendsOf(UserId user) const { return friends_.at(user); }
  bool AreFriends(UserId a, UserId b) const;
  // Everything that will ever be in the user's inbox, counted.
  Seq Inbound(UserId user) const { return inbound_.at(user); }
  // The user as imported.
  wire::UserRecord NewRecord(UserId user) const;

 private:
  const std::uint64_t seed_;
  const WorkloadOptions options_;
  const placement::PlacementTable table_;
  std::vector<UserId> users_;
  std::map<UserId, std::vector<UserId>> friends_;
  std::map<UserId, Seq> inbound_;
};

}  // namespace baiwan::sim
