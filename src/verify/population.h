// Everybody who should be there, by a number without gaps: what the verifier's arrays are indexed
// by. And what each of them should have sent.
//
// The users of the cells that are looked at are *own*: they are numbered first, and all of their
// friends are known. Of all others it is known that they exist, and what joins them to own users,
// which is all that own stores can be compared with; so what is kept grows with the own cells.
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
#include "verify/cell_range.h"

namespace baiwan::verify {

class Population {
 public:
  using Number = std::size_t;  // of a user: 0 … users() - 1
  static constexpr Number kNobody = ~Number{0};
  static constexpr std::uint64_t kNoRelation = ~std::uint64_t{0};

  Population() = default;
  // A generated workload, of which the cells `own` are looked at; `threads` at least 1. The graph
  // of every cell is made once, and those of other cells are not kept.
  static Population Generate(const stress::WorkloadSpec& spec, CellRange own, unsigned threads);
  // The users of one graph that holds everybody; all are own.
  explicit Population(stress::CellGraph everybody);

  std::size_t users() const { return users_; }  // everybody
  std::size_t own_users() const { return own_users_; }
  bool IsOwn(Number n) const { return n < own_users_; }
  // Relations have numbers too: first those of own users to all of their friends, then those of
  // all others to own users.
  std::uint64_t relations() const { return relations_; }
  std::uint64_t own_relations() const { return own_relations_; }
  std::size_t most_friends() const { return most_friends_; }

  Number Find(UserId user) const;
  UserId user(Number n) const;
  std::size_t degree(Number n) const { return IsOwn(n) ? friends(n).size() : outer_degree_; }
  // Of an own user; rising.
  std::span<const UserId> friends(Number n) const {
    return parts_[Part(n)].friends(n % part_users_);
  }
  // Where the relations of an own user begin.
  std::uint64_t relation(Number n) const {
    return relation_base_[Part(n)] + parts_[Part(n)].offset(n % part_users_);
  }
  // Anybody's friend, by the place among all of his friends.
  struct Friend {
    UserId user = 0;  // 0: not known, since neither of both is own
    std::uint64_t relation = kNoRelation;
  };
  Friend FriendAt(Number n, std::size_t friend_index) const;
  // The relation of a user to a friend; kNoRelation if they are not friends, or neither is own.
  std::uint64_t RelationTo(Number n, UserId other) const;
  // Whose relation it is, and to which of the friends.
  struct Whose {
    Number user = 0;
    std::uint32_t friend_index = 0;
  };
  Whose At(std::uint64_t relation) const;

  // The users of a cell that is not own who have own friends, by their index in that cell.
  struct Neighbours {
    std::vector<std::uint32_t> users;
    std::vector<std::size_t> begins = {0};      // of each in the next two; one more than users
    std::vector<std::uint16_t> friend_indexes;  // places in their lists
    std::vector<Number> friends;                // who stands there
    std::uint64_t relation_base = 0;            // the relation of the first of these
  };
  // Requires a generated workload and a cell that is not own.
  const Neighbours& neighbours(CellId cell) const {
    return neighbours_[PartOf(cell) - parts_.size()];
  }

 private:
  std::size_t Part(Number n) const { return n / part_users_; }
  // Generated users: cells in the order of their numbers, the own ones first.
  std::size_t PartOf(CellId cell) const { return (cell + cells_ - first_cell_) % cells_; }
  CellId CellOf(std::size_t part) const {
    return static_cast<CellId>((part + first_cell_) % cells_);
  }
  struct Span {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  // What `part`, its cell, has of user number n.
  Span Neighbour(const Neighbours& part, Number n) const;
  Neighbours NeighboursIn(const stress::CellGraph& graph, CellRange own) const;
  void Count();

  std::optional<placement::UserLayout> layout_;  // of generated users
  std::size_t cells_ = 1;
  CellId first_cell_ = 0;
  std::vector<stress::CellGraph> parts_;  // own cells, all of the same size
  std::vector<Neighbours> neighbours_;    // the cells behind these
  std::vector<std::uint64_t> relation_base_;
  std::size_t part_users_ = 1;
  std::size_t users_ = 0;
  std::size_t own_users_ = 0;
  std::uint64_t relations_ = 0;
  std::uint64_t own_relations_ = 0;
  std::size_t outer_degree_ = 0;  // friends of everybody who is not own
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
    return stress::MessagesOf(spec_, population_.degree(sender));
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
