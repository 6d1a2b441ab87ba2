#include "stress/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/rng.h"

namespace baiwan::stress {
namespace {

// Counts of all messages together are shown as JSON numbers, which are exact up to 2^53.
constexpr std::uint64_t kMaxTotalMessages = 1ULL << 53;
constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15ULL;

constexpr std::array<char, 256> MakeAlphabet() {
  std::array<char, 256> table{};
  constexpr std::string_view kLetters =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = kLetters[i * kLetters.size() / 256];
  return table;
}
constexpr std::array<char, 256> kAlphabet = MakeAlphabet();

// The words of a body: SplitMix64 from a state that depends on all three.
class BodyWords {
 public:
  BodyWords(const WorkloadSpec& spec, UserId sender, Seq send_id)
      : state_(Mix(Mix(spec.seed * kGamma + sender) ^ send_id * kGamma)), text_(spec.text) {}

  std::uint64_t Next() {
    std::uint64_t word = Mix(state_ += kGamma);
    if (!text_) return word;
    std::array<std::uint8_t, 8> bytes;
    std::memcpy(bytes.data(), &word, 8);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(kAlphabet[byte]);
    std::memcpy(&word, bytes.data(), 8);
    return word;
  }

 private:
  std::uint64_t state_;
  const bool text_;
};

std::optional<std::string> CheckSizes(const WorkloadSpec& s) {
  if (s.partitions == 0 || s.partitions > kMaxPartitions) {
    return fmt::format("--partitions is {}: choose 1 to {}", s.partitions, kMaxPartitions);
  }
  if (s.cells == 0 || s.cells > kMaxCells) {
    return fmt::format("--cells is {}: choose 1 to {}", s.cells, kMaxCells);
  }
  if (s.cells > s.partitions) {
    return fmt::format("{} cells need at least {} partitions, there are {}: raise --partitions",
                       s.cells, s.cells, s.partitions);
  }
  if (s.users_per_cell == 0 || s.users_per_cell > kMaxUsersPerCell) {
    return fmt::format("--users-per-cell is {}: choose 1 to {}", s.users_per_cell,
                       kMaxUsersPerCell);
  }
  if (s.body_bytes == 0 || s.body_bytes > kMaxBodyBytes) {
    return fmt::format("--body-bytes is {}: choose 1 to {}", s.body_bytes, kMaxBodyBytes);
  }
  if (s.messages_per_friend == 0) return "--messages-per-friend is 0: choose at least 1";
  if (s.rounds == 0) return "--rounds is 0: choose at least 1";
  return std::nullopt;
}

std::optional<std::string> CheckGraph(const WorkloadSpec& s) {
  const std::uint64_t n = s.users_per_cell;
  const std::uint64_t degree = std::uint64_t{s.friends_in_cell} + s.friends_cross;
  if (degree == 0) return "nobody has a friend: raise --friends-in-cell or --friends-cross";
  if (degree > kMaxFriends) {
    return fmt::format("{} friends in the cell and {} across are more than a user may have: {}",
                       s.friends_in_cell, s.friends_cross, kMaxFriends);
  }
  if (s.friends_in_cell >= n) {
    return fmt::format(
        "{} friends in a cell need at least {} users in it, there are {}: raise --users-per-cell "
        "or lower --friends-in-cell",
        s.friends_in_cell, s.friends_in_cell + 1, n);
  }
  if (n * s.friends_in_cell % 2 != 0) {
    return fmt::format(
        "{} users with {} friends each in their cell cannot all be paired (the product is odd): "
        "make --users-per-cell or --friends-in-cell even",
        n, s.friends_in_cell);
  }
  if (s.cells == 1 && s.friends_cross > 0) {
    return fmt::format(
        "there is no other cell to have {} friends in: set --friends-cross to 0, or --cells to 2 "
        "or more",
        s.friends_cross);
  }
  if (s.friends_cross > (s.cells - 1) * n) {
    return fmt::format(
        "{} friends in other cells are more than the {} users there: raise --users-per-cell or "
        "lower --friends-cross",
        s.friends_cross, (s.cells - 1) * n);
  }
  if (s.cells * n * s.friends_cross % 2 != 0) {
    return fmt::format(
        "{} cells of {} users with {} friends each across cannot all be paired (the product is "
        "odd): make one of --cells, --users-per-cell and --friends-cross even",
        s.cells, n, s.friends_cross);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> Validate(const WorkloadSpec& s) {
  if (auto wrong = CheckSizes(s)) return wrong;
  if (auto wrong = CheckGraph(s)) return wrong;
  const std::uint64_t degree = std::uint64_t{s.friends_in_cell} + s.friends_cross;
  if (s.messages_per_friend > kMaxMessagesPerFriend ||
      degree * s.messages_per_friend > kMaxRoundMessages) {
    return fmt::format(
        "{} friends with {} messages each are more than {} messages a round, or {} for one friend: "
        "lower --messages-per-friend and raise --rounds",
        degree, s.messages_per_friend, kMaxRoundMessages, kMaxMessagesPerFriend);
  }
  const std::uint64_t per_pair = std::uint64_t{s.messages_per_friend} * s.rounds;
  if (per_pair > kMaxPairSeq) {
    return fmt::format(
        "{} messages to one friend are more than a pair can count ({}): lower "
        "--rounds or --messages-per-friend",
        per_pair, kMaxPairSeq);
  }
  // Users, friends and messages of a pair have been bounded: below 2^34 * 2^13 * 2^32.
  if (static_cast<Wide>(TotalUsers(s)) * degree * per_pair > kMaxTotalMessages) {
    return fmt::format(
        "{} users with {} friends and {} messages to each are more messages than "
        "can be counted exactly (2^53): lower --rounds",
        TotalUsers(s), degree, per_pair);
  }
  return std::nullopt;
}

void Body(const WorkloadSpec& spec, UserId sender, Seq send_id, std::string* out) {
  BodyWords words(spec, sender, send_id);
  const std::size_t size = spec.body_bytes;
  out->resize(size);
  char* at = out->data();
  std::size_t left = size;
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint64_t word = words.Next();
    std::memcpy(at, &word, 8);
  }
  if (left > 0) {
    const std::uint64_t word = words.Next();
    std::memcpy(at, &word, left);
  }
}

bool BodyMatches(const WorkloadSpec& spec, UserId sender, Seq send_id, std::string_view body) {
  if (body.size() != spec.body_bytes) return false;
  BodyWords words(spec, sender, send_id);
  const char* at = body.data();
  std::size_t left = body.size();
  for (; left >= 8; left -= 8, at += 8) {
    const std::uint64_t word = words.Next();
    if (std::memcmp(at, &word, 8) != 0) return false;
  }
  if (left == 0) return true;
  const std::uint64_t word = words.Next();
  return std::memcmp(at, &word, left) == 0;
}

void FillRound(std::uint64_t seed, std::uint32_t messages_per_friend, UserId user,
               std::uint64_t round, std::span<std::uint16_t> order) {
  std::size_t filled = 0;
  for (std::uint16_t f = 0; filled < order.size(); ++f) {
    for (std::uint32_t i = 0; i < messages_per_friend; ++i) order[filled++] = f;
  }
  Rng rng(Mix(seed, user, round));
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
}

MessagePlan::MessagePlan(std::uint64_t seed, std::uint32_t messages_per_friend,
                         std::uint32_t rounds, UserId user, std::span<const UserId> friends)
    : seed_(seed),
      messages_per_friend_(messages_per_friend),
      user_(user),
      friends_(friends),
      total_(friends.size() * std::uint64_t{messages_per_friend} * rounds),
      per_round_(friends.size() * std::uint64_t{messages_per_friend}),
      round_begin_(total_) {}  // no send id lies there: the first one asked for makes its round

void MessagePlan::MakeRound(Seq at) {
  const std::uint64_t round = at / per_round_;
  round_begin_ = round * per_round_;
  order_.resize(per_round_);
  FillRound(seed_, messages_per_friend_, user_, round, order_);
}

Seq MessagePlan::pair_seq(Seq send_id) {
  const std::uint32_t to = friend_index(send_id);
  const auto here = order_.begin() + static_cast<std::ptrdiff_t>(send_id - round_begin_);
  const auto so_far = static_cast<Seq>(std::count(order_.begin(), here, to));
  return round_begin_ / per_round_ * messages_per_friend_ + so_far;
}

Seq MessagePlan::send_id_of(std::uint32_t to, Seq pair_seq) {
  const Seq round = (pair_seq - 1) / messages_per_friend_;
  Seq left = (pair_seq - 1) % messages_per_friend_ + 1;
  Seq send_id = round * per_round_ + 1;
  while (friend_index(send_id) != to || --left > 0) ++send_id;
  return send_id;
}

}  // namespace baiwan::stress
