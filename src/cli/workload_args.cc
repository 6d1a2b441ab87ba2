#include "cli/workload_args.h"

namespace baiwan::cli {

void WorkloadArgs(Args& args, stress::WorkloadSpec* spec) {
  args.Number("--cells", &spec->cells, "cells", 1, kMaxCells);
  args.Number("--users-per-cell", &spec->users_per_cell, "users of each cell", 1,
              stress::kMaxUsersPerCell);
  args.Number("--friends-in-cell", &spec->friends_in_cell, "friends in a user's own cell", 0,
              stress::kMaxFriends);
  args.Number("--friends-cross", &spec->friends_cross, "friends in all other cells together", 0,
              stress::kMaxFriends);
  args.Number("--messages-per-friend", &spec->messages_per_friend, "messages to each, a round", 1,
              stress::kMaxMessagesPerFriend);
  args.Number("--rounds", &spec->rounds, "how often all of it", 1, 1'000'000);
  args.Number("--body-bytes", &spec->body_bytes, "bytes of a message", 0, stress::kMaxBodyBytes);
  args.Number("--seed", &spec->seed, "of the friend graph and of every message", 0, ~0ULL);
}

}  // namespace baiwan::cli
