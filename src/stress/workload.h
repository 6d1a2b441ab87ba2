// What a stress test sends: the size of the friend graph, and each user's messages, as pure
// functions of a seed, so that load client and verifier agree about every byte without talking.
//
// A user with F friends sends T = F * messages_per_friend * rounds messages, with send ids 1 … T.
// Send id n belongs to round (n-1) / (F * messages_per_friend); in a round every friend gets
// messages_per_friend messages, in an order shuffled from (seed, user, round). The body of a
// message is a function of (seed, sender, send id).
//
// Threads: pure; a MessagePlan belongs to one thread. Failure: Validate says what is wrong and what
// would be right; everything else requires a valid spec.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "placement/placement.h"

namespace baiwan::stress {

inline constexpr std::uint32_t kMaxFriends = 5000;
inline constexpr std::uint32_t kMaxUsersPerCell = 10'000'000;
inline constexpr std::uint32_t kMaxBodyBytes = 64 << 10;
inline constexpr std::uint32_t kMaxRoundMessages = 1 << 20;  // of one user: 2 bytes of memory each
inline constexpr std::uint32_t kMaxMessagesPerFriend = 0xFFFF;  // a round

struct WorkloadSpec {
  std::uint64_t seed = 1;
  std::uint32_t cells = 4;
  std::uint32_t users_per_cell = 1000;
  std::uint32_t friends_in_cell = 20;
  std::uint32_t friends_cross = 10;  // in all other cells together
  std::uint32_t messages_per_friend = 5;
  std::uint32_t rounds = 1;
  std::uint32_t body_bytes = 16;
  std::uint32_t partitions = placement::kDefaultPartitions;
  bool text = false;  // bodies of letters and digits instead of arbitrary bytes

  bool operator==(const WorkloadSpec&) const = default;
};

// A sentence with the way out if there is no such workload; else nothing.
std::optional<std::string> Validate(const WorkloadSpec& spec);
// Each of them, what only follows from another one left out.
std::vector<std::string> AllMistakes(const WorkloadSpec& spec);

inline placement::UserLayout LayoutOf(const WorkloadSpec& spec) {
  return {spec.cells, spec.partitions};
}
// Messages that a user with so many friends sends; also T above.
inline std::uint64_t MessagesOf(const WorkloadSpec& spec, std::uint64_t friends) {
  return friends * spec.messages_per_friend * spec.rounds;
}
inline std::uint64_t TotalUsers(const WorkloadSpec& spec) {
  return std::uint64_t{spec.cells} * spec.users_per_cell;
}
// Directed: both ends of a friendship count.
inline std::uint64_t TotalRelations(const WorkloadSpec& spec) {
  return TotalUsers(spec) * (std::uint64_t{spec.friends_in_cell} + spec.friends_cross);
}
inline std::uint64_t TotalMessages(const WorkloadSpec& spec) {
  return TotalUsers(spec) * MessagesOf(spec, spec.friends_in_cell + spec.friends_cross);
}

// Exactly spec.body_bytes bytes. `out` keeps its capacity, so a reused one does not allocate.
void Body(const WorkloadSpec& spec, UserId sender, Seq send_id, std::string* out);
bool BodyMatches(const WorkloadSpec& spec, UserId sender, Seq send_id, std::string_view body);

// Whom the messages of one round are for: fills `order`, of friends * messages_per_friend places,
// with positions in the list of friends.
void FillRound(std::uint64_t seed, std::uint32_t messages_per_friend, UserId user,
               std::uint64_t round, std::span<std::uint16_t> order);

// The order of one user's messages. Holds one round, 2 bytes a message, made when a send id of it
// is asked for: walk through send ids in about their order.
class MessagePlan {
 public:
  // `friends` rises and outlives the plan.
  MessagePlan(const WorkloadSpec& spec, UserId user, std::span<const UserId> friends)
      : MessagePlan(spec.seed, spec.messages_per_friend, spec.rounds, user, friends) {}
  MessagePlan(std::uint64_t seed, std::uint32_t messages_per_friend, std::uint32_t rounds,
              UserId user, std::span<const UserId> friends);

  UserId user() const { return user_; }
  Seq total() const { return total_; }
  // Whom message `send_id` (1 … total()) is for, as a position in `friends`, and by name.
  std::uint32_t friend_index(Seq send_id) {
    const Seq at = send_id - 1;
    if (at - round_begin_ >= per_round_) MakeRound(at);
    return order_[at - round_begin_];
  }
  UserId friend_of(Seq send_id) { return friends_[friend_index(send_id)]; }
  // How many messages to the same friend this one is, counted from 1. Looks through the round.
  Seq pair_seq(Seq send_id);
  // The send id of the pair_seq-th message to a friend. Looks through the round.
  Seq send_id_of(std::uint32_t friend_index, Seq pair_seq);

 private:
  void MakeRound(Seq at);

  std::uint64_t seed_;
  std::uint32_t messages_per_friend_;
  UserId user_;
  std::span<const UserId> friends_;
  Seq total_;
  std::uint64_t per_round_;
  Seq round_begin_;                   // send id - 1 of the round's first message
  std::vector<std::uint16_t> order_;  // friend positions of that round
};

}  // namespace baiwan::stress
