#include "stress/estimate.h"

#include <gtest/gtest.h>

namespace baiwan::stress {
namespace {

TEST(Estimate, DiskGrowsWithStoresMessagesAndBodies) {
  WorkloadSpec spec;
  const std::uint64_t base = DiskOf(spec, 4);
  EXPECT_EQ(DiskOf(spec, 5) - base, 400u << 20);
  spec.body_bytes += 10;
  EXPECT_EQ(DiskOf(spec, 4) - base, TotalMessages(spec) * 20);
  spec.rounds = 2;
  EXPECT_GT(DiskOf(spec, 4), base + TotalMessages(spec) / 2 * 96);
}

TEST(Estimate, TimeFollowsTheRateOrTheMachines) {
  WorkloadSpec spec;  // 600,000 messages
  EXPECT_EQ(TimeFor(spec, 0), 900 * kSecond);
  EXPECT_EQ(TimeFor(spec, 0, 4), 675 * kSecond);
  EXPECT_EQ(TimeFor(spec, 10'000 / 0.9, 4) / kSecond, 660);
}

}  // namespace
}  // namespace baiwan::stress
