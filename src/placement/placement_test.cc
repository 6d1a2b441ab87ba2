#include "placement/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/rng.h"

namespace baiwan::placement {
namespace {

TEST(UserLayout, EveryCellHasExactlyTheUsersWantedAndNobodyIsInTwo) {
  Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    const auto partitions = static_cast<std::uint32_t>(1 + rng.Below(round < 10 ? 65536 : 300));
    const auto cells = static_cast<std::uint32_t>(1 + rng.Below(std::min(partitions, 40U)));
    const std::uint64_t users = 1 + rng.Below(200);
    const UserLayout layout(cells, partitions);
    const PlacementTable table(cells, partitions);
    std::set<UserId> seen;
    for (CellId cell = 0; cell < cells; ++cell) {
      UserId previous = 0;
      for (std::uint64_t index = 0; index < users; ++index) {
        const UserId user = layout.UserAt(cell, index);
        ASSERT_GT(user, previous);
        previous = user;
        ASSERT_TRUE(seen.insert(user).second) << user;
        ASSERT_EQ(table.CellOf(user), cell);
        ASSERT_EQ(layout.CellOf(user), cell) << partitions << " " << cells << " " << user;
        ASSERT_EQ(layout.IndexOf(user), index);
      }
    }
  }
}

TEST(UserLayout, TheUsersOfACellAreTheFirstNumbersOfItsPartitions) {
  const UserLayout layout(3, 10);  // ranges of 3, 3 and 4 partitions
  std::set<UserId> all;
  for (CellId cell = 0; cell < 3; ++cell) {
    for (std::uint64_t k = 0; k < (cell == 2 ? 8 : 6); ++k) all.insert(layout.UserAt(cell, k));
  }
  EXPECT_EQ(all.size(), 20u);
  EXPECT_EQ(*all.begin(), 1u);
  EXPECT_EQ(*all.rbegin(), 20u);
}

TEST(PlacementTable, GivesEveryCellARangeAndLeavesNoPartitionOut) {
  for (const std::uint32_t partitions : {1U, 2U, 7U, 255U, 256U, 1000U, 65536U}) {
    for (std::uint32_t cells = 1; cells <= std::min(partitions, 50U); ++cells) {
      const PlacementTable table(cells, partitions);
      std::size_t total = 0;
      for (CellId cell = 0; cell < cells; ++cell) {
        const auto own = table.PartitionsOf(cell);
        ASSERT_FALSE(own.empty());
        EXPECT_EQ(own.front(), std::uint64_t{cell} * partitions / cells);
        EXPECT_EQ(own.back() + 1, (cell + std::uint64_t{1}) * partitions / cells);
        EXPECT_EQ(own.back() - own.front() + 1, own.size());
        total += own.size();
        if (partitions > 1000) break;
      }
      if (partitions > 1000) continue;
      EXPECT_EQ(total, partitions);
      EXPECT_LT(table.PartitionOf(kMaxUserId), partitions);
    }
  }
}

TEST(PlacementTable, OnlyWhatCanBeDividedIs) {
  EXPECT_FALSE(CanDivide(0, 256));
  EXPECT_FALSE(CanDivide(1, 0));
  EXPECT_FALSE(CanDivide(5, 4));
  EXPECT_FALSE(CanDivide(1, kMaxPartitions + 1));
  EXPECT_FALSE(CanDivide(kMaxCells + 1, kMaxPartitions));
  EXPECT_TRUE(CanDivide(kMaxCells, kMaxPartitions));
  EXPECT_TRUE(CanDivide(1, 1));
}

PlacementTable Shuffled(std::uint64_t seed) {
  Rng rng(seed);
  const auto partitions = static_cast<std::uint32_t>(1 + rng.Below(300));
  const auto cells = static_cast<std::uint32_t>(1 + rng.Below(std::min(partitions, 20U)));
  PlacementTable table(cells, partitions);
  for (std::uint64_t i = rng.Below(50); i > 0; --i) {
    const auto partition = static_cast<PartitionId>(rng.Below(partitions));
    table.Move(partition, static_cast<CellId>(rng.Below(cells)));
  }
  return table;
}

TEST(PlacementTable, ComesBackFromBytes) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const PlacementTable table = Shuffled(seed);
    const auto back = PlacementTable::Decode(table.Encode());
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, table);
  }
  EXPECT_LT(PlacementTable(40, 65536).Encode().size(), 400u);
}

TEST(PlacementTable, EveryDamageToItsBytesIsRefused) {
  const std::string good = Shuffled(3).Encode();
  for (std::size_t at = 0; at < good.size(); ++at) {
    EXPECT_FALSE(PlacementTable::Decode(good.substr(0, at)).ok()) << at;
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      EXPECT_FALSE(PlacementTable::Decode(bad).ok()) << at;
    }
  }
  std::string newer = good;
  newer[0] = 2;
  EXPECT_EQ(PlacementTable::Decode(newer).error(), TableError::kVersion);
  EXPECT_FALSE(PlacementTable::Decode(good + "x").ok());
}

TEST(PlacementTable, MovingRaisesTheEpochOfThatPartitionOnly) {
  PlacementTable table(4, 16);
  const PlacementTable before = table;
  table.Move(5, 3);
  EXPECT_EQ(table.version(), before.version() + 1);
  EXPECT_EQ(table.OwnerOf(5), 3u);
  for (PartitionId p = 0; p < 16; ++p) {
    EXPECT_EQ(table.EpochOf(p), p == 5 ? 2u : 1u);
    if (p != 5) {
      EXPECT_EQ(table.OwnerOf(p), before.OwnerOf(p));
    }
  }
}

TEST(PlacementTable, TheNewestWinsInWhateverOrderTheyArrive) {
  const PlacementTable oldest(4, 16);
  PlacementTable middle = oldest;
  middle.Move(1, 2);
  PlacementTable newest = middle;
  newest.Move(1, 3);
  const std::vector<PlacementTable> tables = {oldest, middle, newest};
  std::vector<std::size_t> order = {0, 1, 2};
  do {
    PlacementTable mine = oldest;
    for (const std::size_t i : order) {
      const bool newer = tables[i].version() > mine.version();
      EXPECT_EQ(mine.Merge(tables[i]), newer) << i;
      EXPECT_FALSE(mine.Merge(tables[i]));
    }
    EXPECT_EQ(mine, newest);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(PlacementTable, OneThatContradictsOrIsOfAnotherDeploymentIsNotTaken) {
  PlacementTable mine(4, 16);
  mine.Move(1, 2);
  const PlacementTable before = mine;

  PlacementTable epoch_back(4, 16);
  epoch_back.Move(2, 3);
  epoch_back.Move(3, 3);  // newer, but partition 1 has epoch 1 again
  EXPECT_FALSE(mine.Merge(epoch_back));

  PlacementTable other_owner(4, 16);
  other_owner.Move(1, 3);  // epoch 2 of partition 1 has two owners
  other_owner.Move(2, 3);
  EXPECT_FALSE(mine.Merge(other_owner));

  PlacementTable larger(4, 32);
  larger.Move(1, 2);
  larger.Move(1, 1);
  EXPECT_FALSE(mine.Merge(larger));
  EXPECT_EQ(mine, before);
}

}  // namespace
}  // namespace baiwan::placement
