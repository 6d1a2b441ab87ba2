// The real roles under chaos: at rest the promises hold, for every seed. See sim/cluster.h.
//
// A failure prints its seed and the last events. BAIWAN_SIM_SEED=<seed> runs that one again, event
// for event; BAIWAN_SIM_TRACE=<n> shows more of its events, BAIWAN_SIM_SEEDS=<n> runs more seeds.
#include "sim/cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/seeds.h"

namespace baiwan::sim {
namespace {

#ifdef NDEBUG
constexpr std::uint64_t kSeeds = 3000;
#else
constexpr std::uint64_t kSeeds = 200;
#endif
constexpr std::uint64_t kShards = 4;   // so that two cores are used
constexpr std::uint64_t kReach = 300;  // seeds: one in a hundred evicts somebody

class SimCluster : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(SimCluster, KeepsItsPromisesUnderChaos) {
  std::uint64_t faults = 0;
  for (const std::uint64_t seed : Seeds(kSeeds)) {
    if (seed % kShards != GetParam()) continue;
    ClusterOptions options = ClusterOptions::FromSeed(seed);
    options.world.trace_keep =
        NumberFromEnvironment("BAIWAN_SIM_TRACE").value_or(options.world.trace_keep);
    Cluster cluster(seed, options);
    const std::string wrong = cluster.Run();
    ASSERT_TRUE(wrong.empty()) << wrong;
    faults += cluster.faults();
  }
  RecordProperty("faults", std::to_string(faults));
}

INSTANTIATE_TEST_SUITE_P(Shard, SimCluster, ::testing::Range<std::uint64_t>(0, kShards));

// A simulation that never comes to a rule proves nothing about it. (Forwards that come twice or
// before their turn take a path that repeats and loses them: cell/logic/peers_test.cc.)
TEST(SimClusterOnce, TheSeedsReachWhatTheyAreThereFor) {
  Coverage all;
  for (std::uint64_t seed = 1; seed <= kReach; ++seed) {
    Cluster cluster(seed, ClusterOptions::FromSeed(seed));
    const std::string wrong = cluster.Run();
    ASSERT_TRUE(wrong.empty()) << wrong;
    cluster.PowerOff();
    all.Add(cluster.coverage());
  }
  const cell::LogicCounters& c = all.logic;
  EXPECT_GT(all.lives, kReach * 2);  // logic servers have died and come back
  for (const auto& [what, count] : {std::pair{"repeats", c.repeats},
                                    {"resent", c.resent},
                                    {"offers", c.offers},
                                    {"pushed", c.pushed},
                                    {"loads", c.loads},
                                    {"evictions", c.evictions},
                                    {"snapshots", c.snapshots}}) {
    EXPECT_GT(count, 0u) << what;
  }
  for (const wire::Reason reason :
       {wire::REASON_BAD_SEND_ID, wire::REASON_NOT_FRIEND, wire::REASON_SEND_ID_CONFLICT,
        wire::REASON_BODY_TOO_LARGE, wire::REASON_WINDOW, wire::REASON_OUTBOX_FULL,
        wire::REASON_OVERLOADED}) {
    EXPECT_GT(c.refused[static_cast<std::size_t>(reason)], 0u) << wire::Reason_Name(reason);
  }
  EXPECT_EQ(c.diverged, 0u);  // nobody's store was put back
}

// On all compilers, too: what two builds record here (--gtest_output=xml) can be compared.
TEST(SimClusterOnce, TheSameSeedIsTheSameRun) {
  std::uint64_t all = 0;
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    std::uint64_t hashes[2];
    for (std::uint64_t& hash : hashes) {
      Cluster cluster(seed, ClusterOptions::FromSeed(seed));
      cluster.Run();
      hash = cluster.world().trace().hash();
    }
    EXPECT_EQ(hashes[0], hashes[1]) << "seed " << seed;
    all = Mix(all, hashes[0]);
  }
  RecordProperty("trace", fmt::format("{:016x}", all));
}

TEST(SimClusterOnce, WithoutFaultsEverybodyFinishesSoon) {
  for (const ClusterLayout layout : {ClusterLayout::kCell, ClusterLayout::kRole}) {
    ClusterOptions options;
    options.layout = layout;
    options.trouble = 0;
    options.patience = 10 * kSecond;
    Cluster cluster(1, options);
    EXPECT_EQ(cluster.Run(), "");
    EXPECT_LT(cluster.world().now(), 10 * kSecond);
  }
}

TEST(SimClusterOnce, AnOlderDiskPutBackIsFound) {
  const auto found = FirstFailure(20, [](std::uint64_t seed) {
    ClusterOptions options = ClusterOptions::FromSeed(seed);
    options.trouble = 3 * kSecond;
    Cluster cluster(seed, options);
    SimDisk::Contents older;
    cluster.world().At(700 * kMillisecond, [&] { older = cluster.DiskOf(1); });
    cluster.world().At(2 * kSecond, [&] { cluster.LoseData(1, older); });
    return cluster.Run();
  });
  EXPECT_TRUE(found.has_value());
}

TEST(SimClusterOnce, ADiskThatLiesIsFound) {
  const auto found = FirstFailure(20, [](std::uint64_t seed) {
    ClusterOptions options = ClusterOptions::FromSeed(seed);
    options.world.node.disk.lies = true;
    options.chaos[Fault::kCrash] = 5;
    return Cluster(seed, options).Run();
  });
  EXPECT_TRUE(found.has_value());
}

}  // namespace
}  // namespace baiwan::sim
