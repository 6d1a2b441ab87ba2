#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "stress/testing/driver_fixture.h"

namespace baiwan::stress {
namespace {

using testing::DriverTest;
using ::testing::HasSubstr;
using testing::SpecOf;

// ---------------------------------------------------------------- lives, ledger

TEST_F(DriverTest, KilledAndStartedAgainItGoesOnFromTheServersCounters) {
  for (const bool push : {true, false}) {
    Use(SpecOf(40, 6, 30));
    std::filesystem::remove(ledger_path_);
    ledger_.reset();
    UseLedger();
    target_->push = push;
    target_->latency = 3 * kMillisecond;
    options_.concurrency = 10;
    done_ = 0;
    Start();
    DriveResult kept;
    std::uint64_t submitted = 0;
    for (int life = 0; life < 4; ++life) {
      const std::uint64_t before = driver_->counters().stored;
      ASSERT_TRUE(RunUntil([&] { return driver_->counters().stored > before + 1300; }));
      submitted += driver_->counters().submitted;
      DriveResult result = driver_->Result();
      result.Continue(kept);
      kept = result;
      Restart();
      EXPECT_EQ(driver_->counters().stored, kept.stored) << "known from the beginning";
      EXPECT_EQ(driver_->counters().delivered, kept.delivered);
    }
    ASSERT_TRUE(RunToDone());
    ExpectAllDone();
    submitted += driver_->counters().submitted;
    DriveResult result = driver_->Result();
    result.Continue(kept);
    EXPECT_EQ(result.stored, result.messages);
    EXPECT_EQ(result.delivered, result.messages);
    EXPECT_EQ(result.users_finished, 40u);
    EXPECT_EQ(result.submitted, submitted);
    EXPECT_LE(submitted, result.messages + std::uint64_t{4} * 10 * 32)
        << "only what was under way is repeated";
    EXPECT_EQ(result.behind_ledger, 0u);
    EXPECT_EQ(result.first_submit_ms, kept.first_submit_ms);
    EXPECT_GE(result.last_ack_ms, kept.last_ack_ms);
    for (std::size_t i = 0; i < graph_.users(); ++i) {
      EXPECT_EQ(ledger_->told(i).send_id, 180u);
      EXPECT_EQ(ledger_->told(i).send_ack_id, 180u);
    }
  }
}

TEST_F(DriverTest, StartedAgainAfterTheEndItFindsEverythingDone) {
  UseLedger();
  Start();
  ASSERT_TRUE(RunToDone());
  const DriveResult first = driver_->Result();
  done_ = 0;
  world_.Advance(60 * kSecond);
  Restart();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, 0u);
  EXPECT_EQ(driver_->Result().last_ack_ms, 0u) << "nothing new was told";
  DriveResult result = driver_->Result();
  result.Continue(first);
  EXPECT_EQ(result.stored, result.messages);
  EXPECT_EQ(result.last_ack_ms, first.last_ack_ms);
}

TEST_F(DriverTest, AServerThatKnowsLessThanItToldIsCountedAndTheRunGoesOn) {
  UseLedger();
  target_->hold_acks = true;
  Start();
  ASSERT_TRUE(RunUntil([this] { return driver_->counters().users_stored == 40; }));
  // Two users are put back.
  target_->users[graph_.user(3)].stored = 11;
  target_->users[graph_.user(8)].stored = 0;
  Restart();
  ASSERT_TRUE(RunUntil([this] { return driver_->counters().users_stored == 40; }));
  EXPECT_EQ(driver_->counters().behind_ledger, 2u);
  EXPECT_THAT(world_.log.lines.front(), HasSubstr("user " + std::to_string(graph_.user(3))));
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->Result().behind_ledger, 2u);
}

TEST_F(DriverTest, AServerThatForgetsDuringTheRunIsCountedToo) {
  for (const bool push : {true, false}) {
    Use(SpecOf(40, 6, 30));
    target_->push = push;
    done_ = 0;
    Start();
    ASSERT_TRUE(RunUntil([this] { return driver_->counters().stored > 3000; }));
    target_->hold_stores = true;
    world_.Advance(kSecond);
    std::uint64_t put_back = 0;
    for (auto& [user, state] : target_->users) {
      if (user % 4 != 0 || state.stored < 20 || state.stored == 180) continue;
      state.stored -= 10;
      state.acked = state.stored;
      ++put_back;
    }
    ASSERT_GT(put_back, 3u);
    if (push) target_->Crash();
    target_->ForgetTaken();
    target_->Release();
    ASSERT_TRUE(RunToDone());
    ExpectAllDone();
    EXPECT_EQ(driver_->counters().behind_ledger, put_back);
  }
}

// ---------------------------------------------------------------- open loop

class OpenLoop : public DriverTest {
 protected:
  OpenLoop() {
    Use(SpecOf(40, 6, 50));  // 12,000 messages
    options_.rate = 1000;
  }
};

TEST_F(OpenLoop, MessagesAreSentInOrderAtTheirRate) {
  Start();
  world_.Advance(100 * kMillisecond);
  const std::uint64_t before = driver_->counters().submitted;
  world_.Advance(5 * kSecond);
  EXPECT_NEAR(static_cast<double>(driver_->counters().submitted - before), 5000, 10);
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  for (const auto& [user, state] : target_->users) {
    EXPECT_TRUE(std::is_sorted(state.submitted.begin(), state.submitted.end()));
  }
  EXPECT_EQ(driver_->stored_latency().count(), 12'000u);
  EXPECT_EQ(driver_->delivered_latency().count(), 12'000u);
  EXPECT_LE(driver_->stored_latency().Quantile(0.99), 4 * kMillisecond);
}

TEST_F(OpenLoop, ABackendThatStopsForASecondShowsInTheLatencyOfWhatWasDueMeanwhile) {
  Start();
  world_.Advance(3 * kSecond);
  target_->hold_stores = true;
  world_.Advance(kSecond);
  const std::uint64_t sent = driver_->counters().submitted;
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_NEAR(static_cast<double>(sent), 4000, 60) << "it must not wait for the backend";
  // One second of twelve was bad: its messages waited 0 to 1 s, which is a twelfth of all.
  const Histogram& h = driver_->stored_latency();
  EXPECT_LE(h.Quantile(0.90), 5 * kMillisecond);
  EXPECT_NEAR(static_cast<double>(h.Quantile(0.96)), 0.52 * kSecond, 0.05 * kSecond);
  EXPECT_NEAR(static_cast<double>(h.Quantile(0.99)), 0.88 * kSecond, 0.05 * kSecond);
  EXPECT_NEAR(static_cast<double>(h.max()), 1.0 * kSecond, 0.01 * kSecond);
}

TEST_F(OpenLoop, WhatCannotBeSentYetCountsFromWhenItWasDue) {
  // Two messages under way per user: a stall of 1 s holds nearly everything back in the client.
  options_.open_in_flight = 2;
  Start();
  world_.Advance(3 * kSecond);
  target_->hold_stores = true;
  world_.Advance(kSecond);
  EXPECT_LE(driver_->counters().submitted, 3100u);
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  const Histogram& h = driver_->stored_latency();
  EXPECT_EQ(h.count(), 12'000u);
  EXPECT_NEAR(static_cast<double>(h.Quantile(0.99)), 0.88 * kSecond, 0.06 * kSecond);
}

TEST_F(OpenLoop, StoredAndDeliveredAreMeasuredEachForItself) {
  target_->hold_acks = true;
  Start();
  world_.Advance(2 * kSecond);
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_LE(driver_->stored_latency().max(), 10 * kMillisecond);
  EXPECT_GE(driver_->delivered_latency().max(), 1900 * kMillisecond);
}

TEST_F(OpenLoop, SlotsGoToTheNextUsersAndTheRateGoesOn) {
  options_.concurrency = 5;
  Start();
  world_.Advance(100 * kMillisecond);
  const std::uint64_t before = driver_->counters().submitted;
  world_.Advance(9 * kSecond);
  EXPECT_NEAR(static_cast<double>(driver_->counters().submitted - before), 9000, 200);
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_LE(target_->most_playing, 10u) << "whose messages are all due makes room";
}

TEST_F(OpenLoop, KilledAndStartedAgainWhatIsStoredIsNotDueAgain) {
  UseLedger();
  Start();
  world_.Advance(4 * kSecond);
  const DriveResult first = driver_->Result();
  const Nanos restarted = world_.clock.now;
  Restart();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_LE(world_.clock.now - restarted, 8200 * kMillisecond) << "the rest, at the same rate";
  ExpectAllDone();
  DriveResult result = driver_->Result();
  EXPECT_LE(result.stored_latency.max(), 100 * kMillisecond);
  EXPECT_LE(driver_->counters().submitted, 12'000 - first.stored);
  result.Continue(first);
  EXPECT_EQ(result.stored, 12'000u);
  EXPECT_GE(result.stored_latency.count(), 11'900u);
  EXPECT_LE(result.stored_latency.count(), 12'000u);
}

TEST_F(OpenLoop, WithoutPushesItGoesToo) {
  target_->push = false;
  Start();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_EQ(driver_->stored_latency().count(), 12'000u);
  // As exact as polls are: the counters are asked for 5 ms after something was sent.
  EXPECT_LE(driver_->stored_latency().Quantile(0.99), 15 * kMillisecond);
  EXPECT_LE(driver_->counters().polls, 2 * driver_->counters().messages);
}

}  // namespace
}  // namespace baiwan::stress
