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
using ::testing::HasSubstr;
using testing::SpecOf;

// ---------------------------------------------------------------- refusals

TEST_F(DriverTest, WhatIsRefusedForNowIsSubmittedAgainAfterThePause) {
  std::map<std::pair<UserId, Seq>, Nanos> refused_at;
  target_->refuse = [&](UserId user, const TargetMessage& m) -> std::optional<TargetRefusal> {
    if (m.send_id % 10 != 3) return std::nullopt;
    const Nanos now = world_.clock.now;
    const auto [it, first] = refused_at.try_emplace({user, m.send_id}, now);
    if (first) return Temporary(m.send_id, 700 * kMillisecond);
    EXPECT_GE(now - it->second, 700 * kMillisecond) << "before the pause was over";
    EXPECT_LE(now - it->second, 1500 * kMillisecond);
    return std::nullopt;
  };
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_EQ(c.refused.at("overloaded"), 120u);
  EXPECT_EQ(c.repeated, 120u);
  EXPECT_EQ(c.submitted, c.messages + 120);
}

TEST_F(DriverTest, EveryStatusOfUnknownFateIsRepeated) {
  const int statuses[] = {429, 503, 504, 408};
  for (std::size_t i = 0; i < std::size(statuses); ++i) {
    std::set<UserId> refused;
    target_ = std::make_unique<FakeTarget>(world_.node, spec_, graph_);
    target_->refuse = [&](UserId user, const TargetMessage& m) -> std::optional<TargetRefusal> {
      if (!refused.insert(user).second) return std::nullopt;
      return TargetRefusal{m.send_id, statuses[i], "busy", 0};
    };
    done_ = 0;
    Start();
    ASSERT_TRUE(RunToDone()) << statuses[i];
    ExpectAllDone();
  }
}

TEST_F(DriverTest, PausesGrowWhileNothingIsStored) {
  options_.concurrency = 1;
  Use(SpecOf(3, 2, 1));
  std::vector<Nanos> tries;
  target_->refuse = [&](UserId, const TargetMessage& m) -> std::optional<TargetRefusal> {
    if (m.send_id != 1 || tries.size() >= 8) return std::nullopt;
    tries.push_back(world_.clock.now);
    return Temporary(m.send_id, 0);
  };
  Start();
  ASSERT_TRUE(RunToDone());
  ASSERT_EQ(tries.size(), 8u);
  EXPECT_LT(tries[1] - tries[0], 150 * kMillisecond);
  EXPECT_GT(tries[7] - tries[6], 1900 * kMillisecond);
  EXPECT_LT(tries[7] - tries[6], 4200 * kMillisecond);
}

TEST_F(DriverTest, RetriesKeepToTheirBudgetAndStillGetThere) {
  options_.retries_saved = 20;
  options_.retries_per_s = 10;
  options_.retry_share = 0;
  target_->away = true;  // nobody saves up beyond the limit meanwhile
  bool refuses = true;
  target_->refuse = [&](UserId, const TargetMessage& m) -> std::optional<TargetRefusal> {
    if (!refuses) return std::nullopt;
    return Temporary(m.send_id, 10 * kMillisecond);
  };
  Start();
  world_.Advance(60 * kSecond);
  target_->away = false;
  world_.Advance(20 * kSecond);
  EXPECT_GT(driver_->counters().repeated, 100u);
  EXPECT_LE(driver_->counters().repeated, 20u + 20 * 10 + 1);
  refuses = false;
  ASSERT_TRUE(RunToDone(1000 * kSecond)) << "an exhausted budget must not end the run";
  ExpectAllDone();
}

TEST_F(DriverTest, OtherRefusalsEndTheUserAndAreNamed) {
  const std::pair<int, const char*> kinds[] = {{400, "bad_send_id"},    {403, "not_friend"},
                                               {404, "unknown_user"},   {409, "send_id_conflict"},
                                               {413, "body_too_large"}, {500, "corrupt"}};
  for (const auto& [status, code] : kinds) {
    target_ = std::make_unique<FakeTarget>(world_.node, spec_, graph_);
    const UserId victim = graph_.user(5);
    target_->refuse = [victim, status = status, code = code](
                          UserId user, const TargetMessage& m) -> std::optional<TargetRefusal> {
      if (user != victim || m.send_id != 7) return std::nullopt;
      return TargetRefusal{m.send_id, status, code, 0};
    };
    done_ = 0;
    Start();
    ASSERT_TRUE(RunToDone()) << "the others finish, and the run with them";
    const DriveCounters& c = driver_->counters();
    EXPECT_EQ(c.failures, (std::map<std::string, std::uint64_t>{{code, 1}}));
    EXPECT_THAT(c.first_failure, HasSubstr("user " + std::to_string(victim) + ": message 7"));
    EXPECT_THAT(c.first_failure, HasSubstr(code));
    EXPECT_THAT(world_.log.lines.back(), HasSubstr(code));
    EXPECT_EQ(c.users_failed, 1u);
    EXPECT_EQ(c.users_finished, 39u);
    EXPECT_EQ(target_->users[victim].stored, 6u);
    EXPECT_EQ(target_->connected(), 0u);
  }
}

TEST_F(DriverTest, AUserThatIsNotLetInIsAFailureAndFreesItsSlot) {
  options_.concurrency = 1;
  const UserId victim = graph_.user(0);
  target_->refuse_connect = [&](UserId user) -> std::optional<TargetRefusal> {
    if (user != victim) return std::nullopt;
    return TargetRefusal{0, 404, "unknown_user", 0};
  };
  Start();
  ASSERT_TRUE(RunToDone());
  EXPECT_EQ(driver_->counters().failures.at("unknown_user"), 1u);
  EXPECT_EQ(driver_->counters().users_finished, 39u);
}

// ---------------------------------------------------------------- connections

TEST_F(DriverTest, ABackendThatIsAwayIsTriedMoreRarelyAndNotBeforeItWants) {
  target_->away = true;
  Start();
  world_.Advance(60 * kSecond);
  std::set<Nanos> first_retries;
  for (const auto& [user, state] : target_->users) {
    EXPECT_GT(state.connects.size(), 15u);
    EXPECT_LT(state.connects.size(), 80u);
    first_retries.insert(state.connects[1]);
    const Nanos last = state.connects.back() - state.connects[state.connects.size() - 2];
    EXPECT_GE(last, kSecond);
    EXPECT_LE(last, 3200 * kMillisecond);
  }
  EXPECT_GT(first_retries.size(), 5u) << "all come at once";
  EXPECT_GT(driver_->counters().downs.at("away"), 500u);
  target_->retry_after = 10 * kSecond;
  world_.Advance(10 * kSecond);
  std::map<UserId, std::size_t> before;
  for (const auto& [user, state] : target_->users) before[user] = state.connects.size();
  world_.Advance(60 * kSecond);
  for (const auto& [user, state] : target_->users) {
    EXPECT_GE(state.connects.size(), before[user] + 3);
    for (std::size_t i = before[user]; i < state.connects.size(); ++i) {
      EXPECT_GE(state.connects[i] - state.connects[i - 1], 10 * kSecond) << "earlier than asked";
    }
  }
  target_->away = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, ACrashOfTheBackendCostsOnlyWhatWasUnderWay) {
  Use(SpecOf(40, 6, 50));
  target_->latency = 5 * kMillisecond;
  Start();
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t before = StoredByServer();
    ASSERT_TRUE(RunUntil([&] { return StoredByServer() > before + 2000; }));
    target_->Crash();
  }
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_GT(c.disconnects, 40u);
  EXPECT_EQ(c.connects, c.disconnects + 40);
  EXPECT_GT(c.repeated, 0u);
  EXPECT_LE(c.repeated, 3u * 40 * 32);
  EXPECT_EQ(c.submitted, c.messages + c.repeated);
}

TEST_F(DriverTest, ABackendThatFallsSilentIsConnectedToAgain) {
  Use(SpecOf(40, 6, 50));
  options_.stall_timeout = 10 * kSecond;
  Start();
  world_.Advance(5 * kMillisecond);
  target_->silent = true;
  world_.Advance(9 * kSecond);
  EXPECT_EQ(driver_->counters().disconnects, 0u);
  world_.Advance(3 * kSecond);
  EXPECT_EQ(driver_->counters().disconnects, 40u);
  EXPECT_EQ(driver_->counters().downs.at("nothing was heard"), 40u);
  target_->silent = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, WhoOnlyFollowsAsksForASignOfLifeInsteadOfConnectingAgain) {
  options_.stall_timeout = 10 * kSecond;
  target_->hold_acks = true;
  Start();
  world_.Advance(100 * kSecond);
  EXPECT_EQ(driver_->counters().users_stored, 40u);
  EXPECT_EQ(driver_->counters().connects, 40u);
  EXPECT_LE(driver_->counters().polls, 40u * 20);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, ABackendThatTakesMessagesAndStoresNoneIsConnectedToAgain) {
  options_.stall_timeout = 10 * kSecond;
  target_->lossy = true;
  Start();
  world_.Advance(25 * kSecond);
  EXPECT_GE(driver_->counters().downs.at("nothing was stored"), 40u);
  target_->lossy = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

// ---------------------------------------------------------------- without pushes

TEST_F(DriverTest, WithoutPushesTheCountersAreAskedForEveryHalfWindow) {
  Use(SpecOf(20, 10, 40));  // 400 messages each
  target_->push = false;
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_EQ(c.submitted, c.messages);
  EXPECT_EQ(target_->most_in_frame, 1u);
  EXPECT_GE(c.polls, c.messages / 16);
  EXPECT_LE(c.polls, c.messages / 16 + 4 * c.users);
}

TEST_F(DriverTest, WithoutPushesWaitingAsksEverMoreRarely) {
  target_->push = false;
  target_->hold_acks = true;
  Start();
  world_.Advance(2 * kSecond);
  EXPECT_EQ(driver_->counters().users_stored, 40u);
  const std::uint64_t polls = driver_->counters().polls;
  world_.Advance(20 * kSecond);
  EXPECT_GE(driver_->counters().polls - polls, 40u * 35);
  EXPECT_LE(driver_->counters().polls - polls, 40u * 41);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, WhatWasTakenButForgottenIsFoundByPollsAndSentAgain) {
  Use(SpecOf(40, 6, 20));
  target_->push = false;
  target_->latency = 5 * kMillisecond;
  Start();
  ASSERT_TRUE(RunUntil([this] { return StoredByServer() > 1000; }));
  target_->hold_stores = true;
  world_.Advance(kSecond);
  target_->ForgetTaken();
  target_->hold_stores = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_EQ(c.disconnects, 0u);
  EXPECT_GT(c.presumed_lost, 40u);
  EXPECT_LE(c.presumed_lost, 2u * 40 * 32);
  EXPECT_EQ(c.repeated, c.presumed_lost);
}

TEST_F(DriverTest, SendingAgainGetsRarerWhileNothingIsStored) {
  target_->push = false;
  target_->hold_stores = true;
  Start();
  world_.Advance(60 * kSecond);
  // After about 2, 4, 8, 16 and 30 s.
  EXPECT_GE(driver_->counters().presumed_lost, 3u * 40 * 30);
  EXPECT_LE(driver_->counters().presumed_lost, 4u * 40 * 30);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

}  // namespace
}  // namespace baiwan::stress
