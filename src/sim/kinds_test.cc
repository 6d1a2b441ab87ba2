// Kinds of worlds: see sim/kinds.h, and sim/cluster_test.cc for how a failure is seen again.
#include "sim/kinds.h"

#include <gtest/gtest.h>

#include <functional>

#include "sim/seeds.h"

namespace baiwan::sim {
namespace {

#ifdef NDEBUG
constexpr std::uint64_t kCrowds = 2;
constexpr std::uint64_t kSeeds = 500;
#else
constexpr std::uint64_t kCrowds = 1;
constexpr std::uint64_t kSeeds = 60;
#endif

constexpr std::uint64_t kRare = 500;  // seeds that reach what happens in one of a hundred

// Runs so many seeds of a kind of world; what they reached.
Coverage RunSeeds(std::uint64_t seeds, const std::function<ClusterOptions(std::uint64_t)>& kind) {
  Coverage all;
  for (const std::uint64_t seed : Seeds(seeds)) {
    ClusterOptions options = kind(seed);
    options.world.trace_keep =
        NumberFromEnvironment("BAIWAN_SIM_TRACE").value_or(options.world.trace_keep);
    Cluster cluster(seed, options);
    const std::string wrong = cluster.Run();
    if (!wrong.empty()) {
      ADD_FAILURE() << wrong;
      break;
    }
    cluster.PowerOff();
    all.Add(cluster.coverage());
  }
  return all;
}

TEST(SimCrowd, ABacklogOfThousandsOfUsersDrains) {
  const Coverage all = RunSeeds(kCrowds, Crowd);
  EXPECT_GT(all.backlog, 20'000u);
}

class SimMemory : public ::testing::TestWithParam<ClusterLayout> {};

TEST_P(SimMemory, AtItsLimitRefusesAndLosesNothing) {
  const Coverage all = RunSeeds(kSeeds, [](std::uint64_t seed) {
    ClusterOptions options = ShortOfMemory(seed);
    options.layout = GetParam();
    return options;
  });
  if (kSeeds >= kRare) {
    EXPECT_GT(all.full, 0u);
  }
  EXPECT_GT(all.logic.evictions, 0u);
  EXPECT_GT(all.logic.refused[wire::REASON_OVERLOADED], 0u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, SimMemory,
                         ::testing::Values(ClusterLayout::kCell, ClusterLayout::kRole));

TEST(SimOlderDisks, NobodyIsShownAnythingWrongAndAllStoresAgreeInTheEnd) {
  const Coverage all = RunSeeds(kSeeds, OlderDisks);
  EXPECT_GT(all.mishaps.put_backs, 0u);
  EXPECT_GT(all.logic.rewinds, 0u);
  EXPECT_GT(all.logic.returned, 0u);
  EXPECT_EQ(all.logic.diverged, 0u);
}

// Its log is longer by then than what that cell knew of it.
TEST(SimOlderDisks, ACellThatHearsOfItAfterOneMoreRestartComparesToo) {
  EXPECT_EQ(Cluster(665, OlderDisks(665)).Run(), "");
}

TEST(SimDamage, IsNamedAndNeverShown) {
  const Coverage all = RunSeeds(kSeeds, DamagedDisks);
  EXPECT_GT(all.mishaps.flips, 0u);
  EXPECT_GT(all.mishaps.refused, 0u);
  EXPECT_GT(all.mishaps.losses, 0u);
  EXPECT_GT(all.mishaps.quarantined, 0u);
}

}  // namespace
}  // namespace baiwan::sim
