#include "stress/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

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

// What is wrong with a workload, sentence by sentence.
class Mistakes {
 public:
  template <class... Args>
  void Add(bool wrong, fmt::format_string<Args...> sentence, Args&&... args) {
    if (wrong) all.push_back(fmt::format(sentence, std::forward<Args>(args)...));
  }

  std::vector<std::string> all;
};

void CheckSizes(const WorkloadSpec& s, Mistakes* m) {
  m->Add(s.partitions == 0 || s.partitions > kMaxPartitions, "--partitions is {}: choose 1 to {}",
         s.partitions, kMaxPartitions);
  m->Add(s.cells == 0 || s.cells > kMaxCells, "--cells is {}: choose 1 to {}", s.cells, kMaxCells);
  m->Add(s.partitions > 0 && s.cells > s.partitions,
         "{} cells need at least {} partitions, there are {}: raise --partitions", s.cells, s.cells,
         s.partitions);
  m->Add(s.users_per_cell == 0 || s.users_per_cell > kMaxUsersPerCell,
         "--users-per-cell is {}: choose 1 to {}", s.users_per_cell, kMaxUsersPerCell);
  m->Add(s.body_bytes == 0 || s.body_bytes > kMaxBodyBytes, "--body-bytes is {}: choose 1 to {}",
         s.body_bytes, kMaxBodyBytes);
  m->Add(s.messages_per_friend == 0, "--messages-per-friend is 0: choose at least 1");
  m->Add(s.rounds == 0, "--rounds is 0: choose at least 1");
}

// Requires sizes that are right. Whether users can be paired is asked only where there are enough.
void CheckGraph(const WorkloadSpec& s, Mistakes* m) {
  const std::uint64_t n = s.users_per_cell;
  const std::uint64_t degree = std::uint64_t{s.friends_in_cell} + s.friends_cross;
  if (degree == 0) {
    return m->Add(true, "nobody has a friend: raise --friends-in-cell or --friends-cross");
  }
  m->Add(degree > kMaxFriends,
         "{} friends in the cell and {} across are more than a user may have: {}",
         s.friends_in_cell, s.friends_cross, kMaxFriends);
  const bool enough = s.friends_in_cell < n;
  m->Add(!enough,
         "{} friends in a cell need at least {} users in it, there are {}: raise --users-per-cell "
         "or lower --friends-in-cell",
         s.friends_in_cell, std::uint64_t{s.friends_in_cell} + 1, n);
  m->Add(enough && n * s.friends_in_cell % 2 != 0,
         "{} users with {} friends each in their cell cannot all be paired (the product is odd): "
         "make --users-per-cell or --friends-in-cell even",
         n, s.friends_in_cell);
  if (s.cells == 1) {
    return m->Add(s.friends_cross > 0,
                  "there is no other cell to have {} friends in: set --friends-cross to 0, or "
                  "--cells to 2 or more",
                  s.friends_cross);
  }
  const bool enough_across = s.friends_cross <= (s.cells - 1) * n;
  m->Add(!enough_across,
         "{} friends in other cells are more than the {} users there: raise --users-per-cell or "
         "lower --friends-cross",
         s.friends_cross, (s.cells - 1) * n);
  m->Add(enough_across && s.cells * n * s.friends_cross % 2 != 0,
         "{} cells of {} users with {} friends each across cannot all be paired (the product is "
         "odd): make one of --cells, --users-per-cell and --friends-cross even",
         s.cells, n, s.friends_cross);
}

// Requires the same.
void CheckCounts(const WorkloadSpec& s, Mistakes* m) {
  const std::uint64_t degree = std::uint64_t{s.friends_in_cell} + s.friends_cross;
  if (degree > kMaxFriends) return;  // which has been said
  m->Add(s.messages_per_friend > kMaxMessagesPerFriend ||
             degree * s.messages_per_friend > kMaxRoundMessages,
         "{} friends with {} messages each are more than {} messages a round, or {} for one "
         "friend: lower --messages-per-friend and raise --rounds",
         degree, s.messages_per_friend, kMaxRoundMessages, kMaxMessagesPerFriend);
  const std::uint64_t per_pair = std::uint64_t{s.messages_per_friend} * s.rounds;
  const bool countable = per_pair <= kMaxPairSeq;
  m->Add(!countable,
         "{} messages to one friend are more than a pair can count ({}): lower "
         "--rounds or --messages-per-friend",
         per_pair, kMaxPairSeq);
  // Users, friends and messages of a pair have been bounded: below 2^34 * 2^13 * 2^32.
  m->Add(countable && static_cast<Wide>(TotalUsers(s)) * degree * per_pair > kMaxTotalMessages,
         "{} users with {} friends and {} messages to each are more messages than "
         "can be counted exactly (2^53): lower --rounds",
         TotalUsers(s), degree, per_pair);
}

}  // namespace

std::vector<std::string> AllMistakes(const WorkloadSpec& s) {
  Mistakes mistakes;
  CheckSizes(s, &mistakes);
  if (!mistakes.all.empty()) return mistakes.all;
  CheckGraph(s, &mistakes);
  CheckCounts(s, &mistakes);
  return mistakes.all;
}

std::optional<std::string> Validate(const WorkloadSpec& spec) {
  std::vector<std::string> all = AllMistakes(spec);
  if (all.empty()) return std::nullopt;
  return std::move(all.front());
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
