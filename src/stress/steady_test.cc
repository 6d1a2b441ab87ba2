#include "stress/steady.h"

#include <gtest/gtest.h>

namespace baiwan::stress {
namespace {

constexpr std::uint64_t kT = 1'700'000'000'000;

// Plays from `begin` to `end`, in seconds, at an even rate.
DriveResult Client(double begin, double end, std::uint64_t messages) {
  DriveResult r;
  r.messages = messages;
  r.first_submit_ms = kT + static_cast<std::uint64_t>(begin * 1000);
  r.last_ack_ms = kT + static_cast<std::uint64_t>(end * 1000);
  for (int i = 0; i <= 100; ++i) {
    const auto part = static_cast<std::uint64_t>(i);
    r.progress.Add({r.first_submit_ms + (r.last_ack_ms - r.first_submit_ms) * part / 100,
                    messages * part / 100});
  }
  return r;
}

TEST(Steady, TheRateIsThatOfTheTimeInWhichAllPlay) {
  // Three of 1,000/s each, which begin and end apart: over all, 30 s, it looks like 2,000/s.
  const auto steady = SteadyOf(
      {{"a", Client(0, 20, 20'000)}, {"b", Client(5, 25, 20'000)}, {"c", Client(10, 30, 20'000)}});
  ASSERT_TRUE(steady);
  EXPECT_NEAR(steady->seconds, 10, 0.001);
  EXPECT_NEAR(steady->rate_per_s, 3000, 5);
  EXPECT_NEAR(steady->begins_apart_s, 10, 0.001);
  EXPECT_NEAR(steady->ends_apart_s, 10, 0.001);
  EXPECT_EQ(steady->first_to_finish, "a");
  EXPECT_EQ(steady->last_to_finish, "c");
}

TEST(Steady, ThereIsNoneIfOneHadFinishedBeforeAnotherBegan) {
  EXPECT_FALSE(SteadyOf({{"a", Client(0, 5, 100)}, {"b", Client(6, 9, 100)}}));
  EXPECT_FALSE(SteadyOf({}));
  DriveResult never;
  never.messages = 100;
  EXPECT_FALSE(SteadyOf({{"a", Client(0, 5, 100)}, {"b", never}}));
}

TEST(Steady, WhoHasNothingToSendIsNotWaitedFor) {
  EXPECT_TRUE(SteadyOf({{"a", Client(0, 5, 100)}, {"b", DriveResult()}}));
}

TEST(Progress, StaysSmallAndExact) {
  Progress progress;
  for (std::uint64_t i = 0; i <= 100'000; ++i) progress.Add({kT + i * 50, i * 7});
  EXPECT_LE(progress.samples().size(), Progress::kMost);
  EXPECT_GT(progress.every(), 50 * kMillisecond);
  for (const std::uint64_t i : {0u, 1u, 777u, 50'000u, 99'990u}) {
    EXPECT_NEAR(progress.At(kT + i * 50), static_cast<double>(i * 7), 1) << i;
  }
  EXPECT_EQ(progress.At(kT - 5), 0);
  EXPECT_EQ(progress.At(kT + 900'000'000), 700'000);
  EXPECT_EQ(Progress().At(kT), 0);
}

TEST(Progress, TimeThatDoesNotPassAddsNoSample) {
  Progress progress;
  progress.Add({kT, 1});
  progress.Add({kT, 5});
  progress.Add({kT - 10, 6});
  EXPECT_EQ(progress.samples(), (std::vector<Progress::Sample>{{kT, 6}}));
}

}  // namespace
}  // namespace baiwan::stress
