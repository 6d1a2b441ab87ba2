#include "stress/cell_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "base/rng.h"

namespace baiwan::stress {
namespace {

std::vector<CellGraph> BuildAll(const WorkloadSpec& spec) {
  std::vector<CellGraph> cells;
  for (CellId cell = 0; cell < spec.cells; ++cell) cells.push_back(BuildCellGraph(spec, cell));
  return cells;
}

// Exact degrees, no self, no repeats, mutual, and only users of the deployment.
void ExpectSound(const WorkloadSpec& spec) {
  const auto cells = BuildAll(spec);
  const auto layout = LayoutOf(spec);
  for (CellId cell = 0; cell < spec.cells; ++cell) {
    const CellGraph& graph = cells[cell];
    ASSERT_EQ(graph.users(), spec.users_per_cell);
    for (std::size_t i = 0; i < graph.users(); ++i) {
      const UserId user = graph.user(i);
      ASSERT_EQ(user, layout.UserAt(cell, i));
      ASSERT_EQ(graph.Find(user), i);
      const auto friends = graph.friends(i);
      std::uint32_t in_cell = 0;
      for (std::size_t k = 0; k < friends.size(); ++k) {
        ASSERT_NE(friends[k], user);
        if (k > 0) {
          ASSERT_LT(friends[k - 1], friends[k]);
        }
        const CellId other = layout.CellOf(friends[k]);
        ASSERT_LT(layout.IndexOf(friends[k]), spec.users_per_cell);
        in_cell += other == cell;
        const auto back = cells[other].friends(layout.IndexOf(friends[k]));
        ASSERT_TRUE(std::binary_search(back.begin(), back.end(), user))
            << friends[k] << " does not know " << user;
      }
      ASSERT_EQ(in_cell, spec.friends_in_cell) << user;
      ASSERT_EQ(friends.size(), spec.friends_in_cell + spec.friends_cross) << user;
    }
  }
}

TEST(CellGraph, OfTheSourcesTestIsSound) { ExpectSound(WorkloadSpec{}); }

TEST(CellGraph, OfAnyValidSpecIsSound) {
  Rng rng(11);
  int built = 0;
  for (int i = 0; i < 4000 && built < 300; ++i) {
    WorkloadSpec spec;
    spec.seed = rng.Next();
    spec.cells = static_cast<std::uint32_t>(1 + rng.Below(12));
    spec.users_per_cell = static_cast<std::uint32_t>(1 + rng.Below(40));
    spec.friends_in_cell = static_cast<std::uint32_t>(rng.Below(spec.users_per_cell));
    spec.friends_cross = static_cast<std::uint32_t>(
        rng.Below((spec.cells - std::uint64_t{1}) * spec.users_per_cell + 1));
    spec.partitions = static_cast<std::uint32_t>(12 + rng.Below(300));
    if (Validate(spec).has_value()) continue;
    ++built;
    SCOPED_TRACE(testing::Message() << spec.cells << " cells of " << spec.users_per_cell << ": "
                                    << spec.friends_in_cell << " + " << spec.friends_cross);
    ExpectSound(spec);
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(built, 300);
}

TEST(CellGraph, CompleteGraphsAndOddOnesAreSound) {
  WorkloadSpec everybody;
  everybody.cells = 3;
  everybody.users_per_cell = 8;
  everybody.friends_in_cell = 7;
  everybody.friends_cross = 16;
  ExpectSound(everybody);
  WorkloadSpec odd;  // 3 cells and 9 across: half of everybody's last friend is on either side
  odd.cells = 3;
  odd.users_per_cell = 50;
  odd.friends_in_cell = 3;
  odd.friends_cross = 9;
  ExpectSound(odd);
  WorkloadSpec only_across;
  only_across.friends_in_cell = 0;
  only_across.users_per_cell = 33;
  ExpectSound(only_across);
}

TEST(CellGraph, TheSameSeedGivesTheSameOnAnyNumberOfThreads) {
  WorkloadSpec spec;
  spec.users_per_cell = 300;
  const auto alone = BuildAll(spec);
  std::vector<CellGraph> together(spec.cells);
  std::vector<std::thread> threads;
  for (CellId cell = 0; cell < spec.cells; ++cell) {
    threads.emplace_back([&, cell] { together[cell] = BuildCellGraph(spec, cell); });
  }
  for (auto& thread : threads) thread.join();
  WorkloadSpec other = spec;
  other.seed = 2;
  for (CellId cell = 0; cell < spec.cells; ++cell) {
    const CellGraph different = BuildCellGraph(other, cell);
    std::size_t same = 0;
    for (std::size_t i = 0; i < alone[cell].users(); ++i) {
      const auto a = alone[cell].friends(i);
      const auto b = together[cell].friends(i);
      const auto c = different.friends(i);
      ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
      same += std::equal(a.begin(), a.end(), c.begin(), c.end());
    }
    EXPECT_EQ(same, 0u);
  }
}

// In a random graph two friends of a user know each other as seldom as any two users do; in a ring
// joined to its neighbours they nearly always do. And friends are spread over all other cells.
TEST(CellGraph, IsRandom) {
  WorkloadSpec spec;
  const auto layout = LayoutOf(spec);
  const auto cells = BuildAll(spec);
  std::uint64_t pairs = 0;
  std::uint64_t closed = 0;
  std::map<std::pair<CellId, CellId>, std::uint64_t> between;
  for (const CellGraph& graph : cells) {
    for (std::size_t i = 0; i < graph.users(); ++i) {
      const auto friends = graph.friends(i);
      for (const UserId a : friends) {
        ++between[{layout.CellOf(graph.user(i)), layout.CellOf(a)}];
        const auto of_a = cells[layout.CellOf(a)].friends(layout.IndexOf(a));
        for (const UserId b : friends) {
          if (a == b || layout.CellOf(b) != layout.CellOf(a)) continue;
          ++pairs;
          closed += std::binary_search(of_a.begin(), of_a.end(), b);
        }
      }
    }
  }
  // About 20 of 1,000 users of a cell are friends of one of them.
  EXPECT_LT(static_cast<double>(closed) / static_cast<double>(pairs), 0.03);
  EXPECT_GT(static_cast<double>(closed) / static_cast<double>(pairs), 0.01);
  for (const auto& [pair, count] : between) {
    if (pair.first == pair.second) continue;
    EXPECT_NEAR(static_cast<double>(count), 10'000 / 3.0, 1);
  }
}

TEST(CellGraph, FewFriendsAcrossAreStillSpreadOverAllCells) {
  WorkloadSpec spec;
  spec.cells = 20;
  spec.users_per_cell = 100;
  spec.friends_cross = 3;
  ExpectSound(spec);
  const auto layout = LayoutOf(spec);
  const CellGraph graph = BuildCellGraph(spec, 7);
  std::map<CellId, int> in;
  for (std::size_t i = 0; i < graph.users(); ++i) {
    for (const UserId f : graph.friends(i)) ++in[layout.CellOf(f)];
  }
  EXPECT_EQ(in.size(), 20u);
  for (const auto& [cell, count] : in) {
    if (cell == 7) continue;
    EXPECT_NEAR(count, 300 / 19.0, 1);
  }
}

TEST(CellGraph, FindsUsersWhateverTheirNumbersAre) {
  const std::vector<UserId> users = {1, 2, 3, 1000, 1'000'000, kMaxUserId - 1, kMaxUserId};
  const CellGraph graph(users, std::vector<std::uint64_t>(users.size() + 1, 0), {});
  for (std::size_t i = 0; i < users.size(); ++i) EXPECT_EQ(graph.Find(users[i]), i);
  for (const UserId nobody : {UserId{0}, UserId{4}, UserId{999}, kMaxUserId - 2}) {
    EXPECT_EQ(graph.Find(nobody), CellGraph::kNotHere);
  }
  EXPECT_EQ(CellGraph().Find(1), CellGraph::kNotHere);
}

}  // namespace
}  // namespace baiwan::stress
