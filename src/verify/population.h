// Everybody who should be there, by a number without gaps: what the verifier's arrays are indexed
// by. And what each of them should have sent.
//
// Threads: a Population is constant once made and shared; a PlanCache belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "stress/cell_graph.h"
#include "stress/workload.h"

namespace baiwan::verify {

class Population {
 public:
  using Number = std::size_t;  // of a user: 0 … users() - 1
  static constexpr Number kNobody = ~Number{0};
  static constexpr std::uint64_t kNoRelation = ~std::uint64_t{0};

  Population() = default;
  // All users of all cells of a generated workload; `threads` at least 1.
  static Population Generate(const stress::WorkloadSpec& spec, unsigned threads);
  // The users of one graph that holds everybody.
  explicit Population(stress::CellGraph everybody);

  std::size_t users() const { return users_; }
  std::uint64_t relations() const { return relations_; }
  std::size_t most_friends() const { return most_friends_; }
  Number Find(UserId user) const;
  UserId user(Number n) const { return parts_[Part(n)].user(n % part_users_); }
  std::span<const UserId> friends(Number n) const {
    return parts_[Part(n)].friends(n % part_users_);
  }
  // Where the relations of a user begin, among all relations.
  std::uint64_t relation(Number n) const {
    return relation_base_[Part(n)] + parts_[Part(n)].offset(n % part_users_);
  }
  // The relation of a user to a friend; kNoRelation if they are not friends.
  std::uint64_t RelationTo(Number n, UserId other) const;
  // Whose relation it is, and to which of the friends.
  struct Whose {
    Number user = 0;
    std::uint32_t friend_index = 0;
  };
  Whose At(std::uint64_t relation) const;

 private:
  std::size_t Part(Number n) const { return n / part_users_; }
  void Count();

  std::optional<placement::UserLayout> layout_;  // of generated users; their part is their cell
  std::vector<stress::CellGraph> parts_;         // all of the same size
  std::vector<std::uint64_t> relation_base_;
  std::size_t part_users_ = 1;
  std::size_t users_ = 0;
  std::uint64_t relations_ = 0;
  std::size_t most_friends_ = 0;
};

// What the plan says of send ids, fast: rounds of recently asked senders are kept. In a log the
// messages of a sender stand close to each other, so few rounds are made twice.
class PlanCache {
 public:
  static constexpr std::size_t kDefaultBytes = 64 << 20;

  PlanCache(const stress::WorkloadSpec& spec, const Population& population,
            std::size_t max_bytes = kDefaultBytes);

  struct Place {
    std::uint32_t friend_index = 0;  // in the sender's list
    Seq pair_seq = 0;
  };
  Seq total(Population::Number sender) const {
    return stress::MessagesOf(spec_, population_.friends(sender).size());
  }
  // `send_id` is 1 … total(sender).
  Place At(Population::Number sender, Seq send_id);
  // The send id of the pair_seq-th message to a friend; 1 <= pair_seq <= messages of a pair. Looks
  // through a round.
  Seq SendIdOf(Population::Number sender, std::uint32_t friend_index, Seq pair_seq);

 private:
  struct Slot {
    Population::Number sender = Population::kNobody;
    std::uint64_t round = 0;
  };
  std::uint32_t* Fill(std::size_t slot, Population::Number sender, std::uint64_t round);

  const stress::WorkloadSpec& spec_;
  const Population& population_;
  std::size_t most_;                   // messages of a round, of whoever has most friends
  std::vector<Slot> slots_;            // a power of two
  std::vector<std::uint16_t> order_;   // while a round is made: whom its messages are for
  std::vector<std::uint16_t> seen_;    // … and how many each friend has had
  std::vector<std::uint32_t> places_;  // by slot, of `most_` messages: friend, number << 16
};

}  // namespace baiwan::verify
