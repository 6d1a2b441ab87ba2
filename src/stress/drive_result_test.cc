#include "stress/drive_result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace baiwan::stress {
namespace {

using ::testing::HasSubstr;

DriveResult Some(std::uint64_t salt) {
  DriveResult r;
  std::uint64_t n = salt;
  for (std::uint64_t* field : {&r.users, &r.users_started, &r.users_stored, &r.users_finished,
                               &r.users_failed, &r.messages, &r.stored, &r.delivered, &r.submitted,
                               &r.repeated, &r.presumed_lost, &r.connects, &r.disconnects, &r.polls,
                               &r.behind_ledger, &r.scheduled, &r.scheduled_late, &r.offered}) {
    *field = ++n;
  }
  r.refused = {{"window", 3 + salt}, {"overloaded", 1}};
  r.failures = {{"not_friend", salt}};
  r.downs = {{"close code 1012: \"restarting\"\xFF", 2}};
  r.first_failure = "user 3: message 7 was refused with 403 (not_friend)";
  r.first_submit_ms = 1'700'000'000'000 + salt;
  r.last_ack_ms = 1'700'000'009'000 + salt;
  r.first_due_ms = 1'700'000'000'500 + salt;
  r.last_offer_ms = 1'700'000'008'000 + salt;
  r.planned_rate = 2500.5;
  r.exhausted = {{"EMFILE", 2 + salt}};
  r.broken = "out of everything";
  r.loop_lag.Add(7 * kMillisecond, 3);
  for (std::uint64_t i = 1; i < 100; ++i)
    r.stored_latency.Add(static_cast<Nanos>(i * i * 71'003), i);
  r.delivered_latency.Add(3 * kSecond + 1);
  return r;
}

void ExpectSame(const Histogram& a, const Histogram& b) {
  EXPECT_EQ(a.count(), b.count());
  EXPECT_EQ(a.max(), b.max());
  for (std::size_t i = 0; i < Histogram::kBuckets; ++i) ASSERT_EQ(a.bucket(i), b.bucket(i)) << i;
}

TEST(DriveResult, ComesBackFromJsonAsItWas) {
  const DriveResult r = Some(100);
  const auto back = DriveResult::FromJson(r.ToJson());
  ASSERT_TRUE(back.ok()) << back.error();
  EXPECT_EQ(back->ToJson(), r.ToJson());
  EXPECT_EQ(back->users, r.users);
  EXPECT_EQ(back->behind_ledger, r.behind_ledger);
  EXPECT_EQ(back->refused, r.refused);
  EXPECT_EQ(back->failures, r.failures);
  EXPECT_EQ(back->first_failure, r.first_failure);
  EXPECT_EQ(back->first_submit_ms, r.first_submit_ms);
  EXPECT_EQ(back->last_ack_ms, r.last_ack_ms);
  ExpectSame(back->stored_latency, r.stored_latency);
  ExpectSame(back->delivered_latency, r.delivered_latency);
  ExpectSame(back->loop_lag, r.loop_lag);
  EXPECT_EQ(back->planned_rate, 2500.5);
  EXPECT_EQ(back->broken, r.broken);
  ASSERT_TRUE(DriveResult::FromJson(DriveResult().ToJson()).ok());
}

TEST(DriveResult, WhatIsDamagedIsRefusedByName) {
  const std::string good = Some(1).ToJson();
  for (std::size_t cut = 0; cut + 2 < good.size(); cut += 13) {
    EXPECT_FALSE(DriveResult::FromJson(good.substr(0, cut)).ok()) << cut;
  }
  const auto spoiled = [&good](const char* from, const char* to) {
    std::string text = good;
    const auto at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    text.replace(at, std::strlen(from), to);
    const auto result = DriveResult::FromJson(text);
    return result ? std::string("taken") : result.error();
  };
  EXPECT_THAT(spoiled("\"version\": 3", "\"version\": 2"), HasSubstr("version"));
  EXPECT_THAT(spoiled("\"connects\": 13", "\"connects\": -13"), HasSubstr("connects"));
  EXPECT_THAT(spoiled("\"connects\": 13", "\"connects\": \"13\""), HasSubstr("connects"));
  EXPECT_THAT(spoiled("\"stored\"", "\"stoned\""), HasSubstr("stored"));
  EXPECT_THAT(spoiled("\"refused\": {", "\"refused\": {\"x\": [],"), HasSubstr("refused"));
  EXPECT_THAT(spoiled("\"buckets\": [", "\"buckets\": [[99999,1],"), HasSubstr("latency"));
  EXPECT_THAT(spoiled("\"buckets\": [", "\"buckets\": [[1],"), HasSubstr("latency"));
  EXPECT_THAT(DriveResult::FromJson("[]").error(), HasSubstr("not the result"));
}

TEST(DriveResult, SeveralLoadClientsAddUp) {
  DriveResult sum = Some(100);
  sum.Merge(Some(500));
  EXPECT_EQ(sum.users, 602u);
  EXPECT_EQ(sum.stored, 107u + 507);
  EXPECT_EQ(sum.submitted, 109u + 509);
  EXPECT_EQ(sum.refused.at("window"), 606u);
  EXPECT_EQ(sum.failures.at("not_friend"), 600u);
  EXPECT_EQ(sum.first_submit_ms, 1'700'000'000'100u);
  EXPECT_EQ(sum.last_ack_ms, 1'700'000'009'500u);
  EXPECT_EQ(sum.last_offer_ms, 1'700'000'008'500u);
  EXPECT_EQ(sum.planned_rate, 5001);
  EXPECT_EQ(sum.stored_latency.count(), 2 * Some(0).stored_latency.count());
  DriveResult nothing;
  nothing.Merge(Some(5));
  EXPECT_EQ(nothing.ToJson(), Some(5).ToJson());
  DriveResult same = Some(5);
  same.Merge(DriveResult());
  EXPECT_EQ(same.ToJson(), Some(5).ToJson());
}

TEST(DriveResult, AnEarlierLifeAddsWhatItDidAndDoublesNothing) {
  DriveResult now = Some(200);
  now.Continue(Some(100));
  EXPECT_EQ(now.users, 201u);
  EXPECT_EQ(now.users_finished, 204u);
  EXPECT_EQ(now.messages, 206u);
  EXPECT_EQ(now.stored, 207u);
  EXPECT_EQ(now.delivered, 208u);
  EXPECT_EQ(now.submitted, 209u + 109);
  EXPECT_EQ(now.connects, 212u + 112);
  EXPECT_EQ(now.refused.at("window"), 306u);
  EXPECT_EQ(now.first_submit_ms, 1'700'000'000'100u);
  EXPECT_EQ(now.last_ack_ms, 1'700'000'009'200u);
  // A life that has only begun takes over what was known.
  DriveResult begun;
  begun.Continue(Some(100));
  EXPECT_EQ(begun.ToJson(), Some(100).ToJson());
}

TEST(DriveResult, HowFarItWasIsKeptOverLives) {
  DriveResult first;
  first.progress.Add({1000, 5});
  first.progress.Add({1050, 9});
  DriveResult now;
  now.progress.Add({2000, 12});
  now.Continue(*DriveResult::FromJson(first.ToJson()));
  EXPECT_EQ(now.progress.samples(),
            (std::vector<Progress::Sample>{{1000, 5}, {1050, 9}, {2000, 12}}));
}

}  // namespace
}  // namespace baiwan::stress
