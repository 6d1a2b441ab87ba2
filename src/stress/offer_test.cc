#include "stress/offer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stress/testing/driver_fixture.h"

namespace baiwan::stress {
namespace {

using testing::DriverTest;
using testing::FakeTarget;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SpecOf;

class OfferTest : public DriverTest {
 protected:
  OfferTest() {
    Use(SpecOf(40, 6, 50));  // 12,000 messages
    options_.rate = 1000;
  }
  RunOffer Offer() const { return OfferOf({{"drive-0", driver_->Result()}}); }
};

TEST_F(OfferTest, WhatGoesOutWhenItIsPlannedIsOffered) {
  Start();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  const RunOffer offer = Offer();
  EXPECT_TRUE(offer.valid) << offer.reason;
  EXPECT_NEAR(offer.planned_per_s, 1000, 0.1);
  EXPECT_NEAR(offer.offered_per_s, 1000, 1);
  EXPECT_EQ(driver_->counters().scheduled, 12'000u);
  EXPECT_EQ(driver_->counters().offered, 12'000u);
  EXPECT_EQ(driver_->counters().scheduled_late, 0u);
  EXPECT_LE(offer.loop_lag_max_ms, 1);
}

TEST_F(OfferTest, ALoadClientThatIsLateItselfSaysSoThoughItCatchesUp) {
  Start();
  for (int i = 0; i < 8; ++i) {
    world_.Advance(kSecond);
    world_.clock.now += 400 * kMillisecond;  // its process did not run
  }
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  const RunOffer offer = Offer();
  // Of 400 messages that were due meanwhile the last 100 are close enough to their time.
  EXPECT_NEAR(static_cast<double>(driver_->counters().scheduled_late), 8 * 300, 40);
  EXPECT_FALSE(offer.valid);
  EXPECT_NEAR(offer.offered_per_s, 800, 10);
  EXPECT_THAT(offer.reason, HasSubstr("late by their own doing: drive-0 (80 %)"));
  EXPECT_NEAR(offer.loop_lag_max_ms, 400, 2);
}

TEST_F(OfferTest, TooFewUsersForTheRateAreTheLoadClientsDoing) {
  options_.rate = 2'000'000;
  options_.concurrency = 5;  // the next ones take a while to connect
  target_->latency = 50 * kMillisecond;
  Start();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  const RunOffer offer = Offer();
  EXPECT_FALSE(offer.valid);
  EXPECT_LT(offer.offered_per_s, 0.2 * offer.planned_per_s);
  EXPECT_THAT(offer.reason, HasSubstr("drive-0"));
}

TEST_F(OfferTest, AnswersDoNotDecideWhoPlays) {
  options_.concurrency = 5;
  target_->hold_stores = true;
  Start();
  world_.Advance(12'500 * kMillisecond);
  EXPECT_EQ(driver_->counters().offered, 12'000u) << "nothing was stored, and all went out";
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_TRUE(Offer().valid) << Offer().reason;
}

TEST_F(OfferTest, ABackendThatPausesIsMeasuredAndOneThatTakesLessIsNamed) {
  options_.open_in_flight = 2;
  Start();
  world_.Advance(3 * kSecond);
  target_->hold_stores = true;
  world_.Advance(kSecond);
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_TRUE(Offer().valid) << Offer().reason;

  options_.open_in_flight = 100;
  driver_.reset();
  Use(SpecOf(40, 6, 50));
  target_->latency = 300 * kMillisecond;  // 40 users with 100 each in 300 ms: fewer than 20,000/s
  options_.rate = 20'000;
  done_ = 0;
  Start();
  ASSERT_TRUE(RunToDone(120 * kSecond));
  const RunOffer offer = Offer();
  EXPECT_FALSE(offer.valid);
  EXPECT_THAT(offer.reason, HasSubstr("the backend did not take more from: drive-0"));
  EXPECT_THAT(offer.reason, Not(HasSubstr("own doing")));
}

TEST_F(OfferTest, AClosedLoopHasNoPlanToKeep) {
  options_.rate = 0;
  Start();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_TRUE(Offer().valid);
  EXPECT_EQ(Offer().planned_per_s, 0);
}

// ---------------------------------------------------------------- ports and descriptors

TEST_F(OfferTest, WithoutPortsItEndsAndNamesThemAndTheWayOut) {
  for (const auto& [error, name, way_out] :
       {std::tuple{NetError::kNoLocalPort, "EADDRNOTAVAIL", "more source addresses"},
        std::tuple{NetError::kTooManyFiles, "EMFILE", "ulimit -n"}}) {
    driver_.reset();  // its clients are the former target's
    Use(SpecOf(40, 6, 50));
    options_.rate = 0;
    target_->away = true;
    target_->why_away = error;
    done_ = 0;
    Start();
    ASSERT_TRUE(RunToDone(20 * kSecond)) << "it must not try for ever";
    EXPECT_THAT(driver_->broken(), HasSubstr(name));
    EXPECT_THAT(driver_->broken(), HasSubstr(way_out));
    EXPECT_THAT(driver_->Result().broken, HasSubstr(name));
    EXPECT_GT(driver_->counters().exhausted.at(name), 0u);
    EXPECT_THAT(world_.log.lines.back(), HasSubstr(name));
  }
}

TEST_F(OfferTest, PortsThatComeBackLetItGoOnButTheRunIsNotValid) {
  options_.rate = 0;
  target_->away = true;
  target_->why_away = NetError::kNoLocalPort;
  Start();
  world_.Advance(5 * kSecond);
  target_->away = false;
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_EQ(driver_->broken(), "");
  EXPECT_FALSE(Offer().valid);
  EXPECT_THAT(Offer().reason, HasSubstr("EADDRNOTAVAIL"));
}

TEST_F(OfferTest, AnyOtherReasonIsTriedAgainForEver) {
  options_.rate = 0;
  target_->away = true;
  target_->why_away = NetError::kRefused;
  Start();
  world_.Advance(60 * kSecond);
  EXPECT_EQ(done_, 0);
  target_->away = false;
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_TRUE(Offer().valid);
}

// ---------------------------------------------------------------- several load clients

DriveResult Client(double planned, std::uint64_t offered, std::uint64_t ms) {
  DriveResult r;
  r.planned_rate = planned;
  r.scheduled = r.offered = offered;
  r.first_due_ms = 1'000'000;
  r.last_offer_ms = 1'000'000 + ms;
  return r;
}

TEST(Offer, OneOfManyThatCannotKeepUpIsNamed) {
  DriveResults forty;
  for (int i = 0; i < 40; ++i) {
    forty.emplace_back("drive-" + std::to_string(i), Client(100, 1000, i == 17 ? 20'100 : 10'050));
  }
  const RunOffer offer = OfferOf(forty);
  EXPECT_NEAR(offer.planned_per_s, 4000, 0.1);
  EXPECT_NEAR(offer.offered_per_s, 3938, 1);
  EXPECT_FALSE(offer.valid);
  EXPECT_THAT(offer.reason, HasSubstr("drive-17 (50 %)"));
  EXPECT_THAT(offer.reason, Not(HasSubstr("drive-16")));
}

TEST(Offer, OneThatNeverBeganOfferedNothing) {
  const RunOffer offer =
      OfferOf({{"drive-0", Client(100, 1000, 10'000)}, {"drive-1", Client(100, 0, 0)}});
  EXPECT_NEAR(offer.offered_per_s, 100, 0.1);
  EXPECT_THAT(offer.reason, HasSubstr("drive-1 (0 %)"));
}

TEST(Offer, AShortLoadIsNotCondemnedForItsLastMilliseconds) {
  EXPECT_TRUE(OfferOf({{"drive-0", Client(1000, 100, 115)}}).valid) << "100 ms of plan, 15 late";
  EXPECT_FALSE(OfferOf({{"drive-0", Client(1000, 100, 150)}}).valid);
}

}  // namespace
}  // namespace baiwan::stress
