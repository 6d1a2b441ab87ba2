#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "stress/testing/driver_fixture.h"

namespace baiwan::stress {
namespace {

using testing::DriverTest;
using testing::FakeTarget;
using testing::SpecOf;

// ---------------------------------------------------------------- order, window, concurrency

TEST_F(DriverTest, EveryMessageIsSubmittedOnceInAShuffledOrder) {
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, driver_->counters().messages);
  EXPECT_EQ(driver_->counters().repeated, 0u);
  std::size_t shuffled = 0;
  for (const auto& [user, state] : target_->users) {
    ASSERT_EQ(state.submitted.size(), 30u);
    shuffled += std::is_sorted(state.submitted.begin(), state.submitted.end()) ? 0 : 1;
    // Shuffled in blocks of half of what may be under way.
    for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ((state.submitted[i] - 1) / 16, i / 16);
    EXPECT_LE(state.most_waiting, 32u);
    EXPECT_EQ(state.connects.size(), 1u);
  }
  EXPECT_GT(shuffled, 35u);
  EXPECT_EQ(driver_->stored_latency().count(), 0u) << "a closed loop plans no times";
}

struct Sizes {
  std::uint32_t in_flight;
  std::uint32_t per_frame;
  std::uint32_t body;
};

class DriverSizes : public DriverTest, public ::testing::WithParamInterface<Sizes> {};

// The fake target fails the test if its window, in messages or bytes, is exceeded.
TEST_P(DriverSizes, NeverGoBeyondWhatMayBeUnderWay) {
  WorkloadSpec spec = SpecOf(12, 4, 500);
  spec.body_bytes = GetParam().body;
  if (spec.body_bytes > 1000) spec.messages_per_friend = 30;
  Use(spec);
  options_.in_flight = GetParam().in_flight;
  options_.messages_per_frame = GetParam().per_frame;
  Start();
  ASSERT_TRUE(RunUntil([this] { return StoredByServer() > driver_->counters().messages / 3; }));
  target_->hold_stores = true;  // so that as much as possible is under way
  world_.Advance(300 * kMillisecond);
  for (const auto& [user, state] : target_->users) {
    EXPECT_LE(state.waiting.size(), GetParam().in_flight);
  }
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, driver_->counters().messages);
  EXPECT_EQ(target_->most_in_frame, std::min(GetParam().in_flight, GetParam().per_frame));
}

INSTANTIATE_TEST_SUITE_P(, DriverSizes,
                         ::testing::Values(Sizes{1, 1, 16}, Sizes{1, 8, 16}, Sizes{2, 8, 16},
                                           Sizes{32, 8, 16}, Sizes{32, 1, 16}, Sizes{128, 64, 16},
                                           Sizes{1000, 64, 16}, Sizes{1000, 64, 0}));

TEST_F(DriverTest, LargeBodiesKeepToTheWindowInBytes) {
  WorkloadSpec spec = SpecOf(6, 2, 20);
  spec.body_bytes = 60'000;
  Use(spec);
  options_.in_flight = 1000;
  options_.messages_per_frame = 64;
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(target_->most_in_frame, 4u);
}

// Stored in small pieces, so that a stop comes in the middle of a shuffled block: the ids beyond
// the window must wait although not so many are under way.
TEST_F(DriverTest, AFullWindowOfShuffledMessagesStaysInside) {
  Use(SpecOf(12, 4, 1000));
  options_.in_flight = 1000;
  options_.messages_per_frame = 64;
  target_->store_at_most = 37;
  Start();
  for (int stop = 0; stop < 20; ++stop) {
    world_.Advance(7 * kMillisecond);
    target_->hold_stores = true;
    world_.Advance(100 * kMillisecond);
    target_->Release();
  }
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, driver_->counters().messages);
}

TEST_F(DriverTest, FramesAreFullExceptAtTheEnd) {
  Use(SpecOf(1, 0, 1));
  Use(SpecOf(11, 10, 16));  // 160 messages each
  Start();
  ASSERT_TRUE(RunToDone());
  EXPECT_EQ(target_->frames, 11u * 160 / 8);
}

TEST_F(DriverTest, SoManyPlayAtATimeAndASlotIsFreedWhenAllIsStored) {
  options_.concurrency = 7;
  target_->hold_acks = true;
  Start();
  // Everybody is through although nothing was delivered: following costs no slot.
  ASSERT_TRUE(RunUntil([this] { return driver_->counters().users_stored == 40; }));
  EXPECT_EQ(target_->most_playing, 7u);
  EXPECT_EQ(driver_->counters().users_finished, 0u);
  EXPECT_EQ(target_->connected(), 40u);
  EXPECT_EQ(done_, 0);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, NobodyBeginsBeyondTheConnectionsThatAreAllowed) {
  options_.concurrency = 7;
  options_.max_connections = 15;
  target_->hold_acks = true;
  Start();
  world_.Advance(20 * kSecond);
  EXPECT_EQ(target_->most_connected, 15u);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_LE(target_->most_connected, 15u);
}

TEST_F(DriverTest, UsersWithoutFriendsAreFinishedWithoutConnecting) {
  UseGraph(CellGraph({1, 2, 3, 4}, {0, 0, 1, 2, 2}, {3, 2}));
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(target_->users.size(), 2u);
}

TEST_F(DriverTest, ACellWithoutUsersIsDone) {
  UseGraph(CellGraph());
  Start();
  EXPECT_EQ(done_, 0) << "not inside Start";
  ASSERT_TRUE(RunToDone(kSecond));
}

TEST_F(DriverTest, IsDestroyedAtAnyMomentWithoutATrace) {
  for (int ms = 0; ms < 60; ++ms) {
    target_ = std::make_unique<FakeTarget>(world_.node, spec_, graph_);
    Start();
    world_.Advance(ms * kMillisecond / 4);
    driver_.reset();
    world_.Advance(kSecond);
    EXPECT_EQ(target_->connected(), 0u);
  }
}

// ---------------------------------------------------------------- figures

TEST_F(DriverTest, TheResultHasWallClockTimes) {
  const std::uint64_t start = world_.clock.WallMillis();
  Start();
  EXPECT_EQ(driver_->Result().first_submit_ms, 0u);
  ASSERT_TRUE(RunToDone());
  const std::uint64_t end = world_.clock.WallMillis();
  world_.Advance(kSecond);
  const DriveResult result = driver_->Result();
  EXPECT_GE(result.first_submit_ms, start);
  EXPECT_LE(result.first_submit_ms, start + 10);
  EXPECT_LE(result.last_ack_ms, end);
  EXPECT_GE(result.last_ack_ms, end - 10);
}

}  // namespace
}  // namespace baiwan::stress
