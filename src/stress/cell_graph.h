// Who is whose friend: a random mutual graph with exact degrees, made cell by cell.
//
// A cell's share needs nothing from other cells: what stands between two cells comes from (seed,
// both cells), so both make the same. The same spec gives the same graph on any number of threads
// and hosts. How it is made:
//
//   In a cell: the users in random order on a ring, each joined to those at some random distances
//   (that is regular and without repeats); then a Fisher-Yates shuffle of the relations' ends, in
//   which an exchange that would repeat a relation, or join a user to itself, is tried again and at
//   last left out.
//
//   Across: with D friends and C - 1 other cells, every user has floor(D / (C-1)) friends in each,
//   and one more in some of them. How many users of a cell have one more in another cell is a
//   symmetric matrix whose rows differ by at most one; which users that is, the cell deals out in
//   turn, in an order of its own, so that everybody gets the same number. Each pair of cells is
//   then joined by a bipartite graph with these degrees, and shuffled as above.
//
// Threads: building is pure, a graph is constant afterwards. Failure: requires a valid spec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "placement/placement.h"
#include "stress/workload.h"

namespace baiwan::stress {

// The users of one cell (or of any set) and their friends, everywhere. 8 bytes a relation.
class CellGraph {
 public:
  static constexpr std::size_t kNotHere = ~std::size_t{0};

  CellGraph() = default;
  // `users` rises; user i has friends [offsets[i], offsets[i+1]) of `friends`, rising.
  CellGraph(std::vector<UserId> users, std::vector<std::uint64_t> offsets,
            std::vector<UserId> friends)
      : users_(std::move(users)), offsets_(std::move(offsets)), friends_(std::move(friends)) {}

  std::size_t users() const { return users_.size(); }
  std::uint64_t relations() const { return friends_.size(); }  // directed
  UserId user(std::size_t index) const { return users_[index]; }
  std::span<const UserId> friends(std::size_t index) const {
    return {friends_.data() + offsets_[index], friends_.data() + offsets_[index + 1]};
  }
  // Where the relations of a user begin, among all relations of this graph.
  std::uint64_t offset(std::size_t index) const { return offsets_[index]; }
  // The index of a user; kNotHere if it is none of these.
  std::size_t Find(UserId user) const;

 private:
  std::vector<UserId> users_;
  std::vector<std::uint64_t> offsets_ = {0};
  std::vector<UserId> friends_;
};

// The share of `cell` (0 … spec.cells - 1), users in the order of LayoutOf(spec).UserAt(cell, …).
// About 60 ns a relation.
CellGraph BuildCellGraph(const WorkloadSpec& spec, CellId cell);

}  // namespace baiwan::stress
