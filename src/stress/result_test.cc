#include "stress/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace baiwan::stress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RunResult Full() {
  RunResult r;
  r.users = 4000;
  r.relations = 120'000;
  r.cells = 4;
  r.messages = {600'000, 600'000, 600'000, 600'000, 600'000, 0, 0, 0, 0, 0, 0};
  r.phase_seconds = {0.12, 0.5, 0.8, 5.91, 2.2};
  r.rate_per_s = 101'522.8;
  r.cpu_us_per_message = 8.125;
  r.cpu_us_by_process = {{"cell-0", 1.25}, {"drive-0", 0.5}};
  r.cpu_us_by_role = {{"gateway", 1.0}, {"logic", 2.5}};
  r.steady = RunSteady{5.5, 102'000.5, 0.01, 0.4, "drive-2", "drive-0"};
  r.offer = {50'000, 49'990.5, 1.25, 8, true, ""};
  r.latency_stored = RunLatency{1.5, 7.25, 12, 40};
  r.latency_delivered = RunLatency{2.5, 9, 15, 50};
  r.peak_rss_mib = 212.4;
  r.peak_rss_mib_by_process = {{"cell-0", 60.5}};
  r.disk_bytes = 92'411'904;
  r.resent_share = 0.0004;
  r.options.spec.seed = 7;
  r.options.spec.text = true;
  r.options.protocol = "http";
  r.options.layout = "role";
  r.options.rate = 50'000;
  r.revision = "abc1234";
  r.date = "2026-01-31T12:00:00Z";
  r.machine = {2, "Some CPU", 24'000, "Linux 6.1", 0.003};
  r.hosts = {
      {"worker-000", 1, 2, 0.93, 0.121, 8000, 640, 16'000, 12'000, "worker-000", {{"pps", 7}}},
      {"control", 1, 4, 0.2, 0, 16'000, 15'000, 16'000, 800, "control", {}}};
  r.warnings = {"12:00:01 steal over 10 %: worker-000 12 %"};
  r.name = "forty";
  r.cost = RunCost{"USD",
                   "us-east-1, 2026-01-31",
                   0.5,
                   1.25,
                   {{"c7g.large", 20.5, "hour", 0.05, 1.0}, {"traffic", 2, "GB", 0.125, 0.25}}};
  return r;
}

TEST(RunResult, SurvivesItsJson) {
  RunResult r = Full();
  r.exit_code = 1;
  r.problems = {"user 5: message 3 is \"altered\"", "second"};
  r.began_ms = 1'769'860'800'000;
  r.timeline = {{1'769'860'801'000, 1'769'860'802'000, kStepEvent, "import", "", false},
                {1'769'860'801'500, 0, kRestartEvent, "cell-1", "killed by \"9\"", true}};
  const auto back = ResultFromJson(ToJson(r));
  ASSERT_TRUE(back.ok()) << back.error();
  EXPECT_EQ(*back, r);
  const auto empty = ResultFromJson(ToJson(RunResult{}));
  ASSERT_TRUE(empty.ok()) << empty.error();
  EXPECT_EQ(*empty, RunResult{});
}

DriveResult LoadClient(double planned, std::uint64_t offered, std::uint64_t ms) {
  DriveResult r;
  r.planned_rate = planned;
  r.scheduled = r.offered = offered;
  r.first_due_ms = r.first_submit_ms = 1'700'000'000'000;
  r.last_offer_ms = r.first_due_ms + ms;
  r.last_ack_ms = r.last_offer_ms + 20;
  r.stored_latency.Add(3 * kMillisecond, offered);
  r.delivered_latency.Add(5 * kMillisecond, offered);
  return r;
}

TEST(RunResult, AnOpenLoopThatKeptToItsPlanHasLatency) {
  RunResult r;
  r.messages.acknowledged = 20'000;
  TakeLoad(
      {{"drive-0", LoadClient(1000, 10'000, 9990)}, {"drive-1", LoadClient(1000, 10'000, 9990)}},
      &r);
  EXPECT_TRUE(r.offer.valid) << r.offer.reason;
  EXPECT_EQ(r.exit_code, 0);
  ASSERT_TRUE(r.latency_stored);
  EXPECT_NEAR(r.rate_per_s, 1998, 1);
  EXPECT_THAT(SummaryTable(r),
              HasSubstr(" messages/s  2,000 planned   2,000 offered   1,998 reached\n"));
  EXPECT_THAT(SummaryTable(r), HasSubstr("p50"));
}

TEST(RunResult, LatencyOfALoadThatWasNotOfferedIsDisowned) {
  RunResult r;
  r.messages.acknowledged = 20'000;
  TakeLoad(
      {{"drive-0", LoadClient(1000, 10'000, 9990)}, {"drive-7", LoadClient(1000, 10'000, 40'000)}},
      &r);
  EXPECT_FALSE(r.offer.valid);
  EXPECT_THAT(r.offer.reason, HasSubstr("drive-7 (25 %)"));
  EXPECT_THAT(r.offer.reason, Not(HasSubstr("drive-0")));
  EXPECT_EQ(r.exit_code, 4);
  EXPECT_FALSE(r.latency_stored);
  EXPECT_FALSE(r.latency_delivered);
  const std::string text = SummaryTable(r);
  EXPECT_THAT(text, HasSubstr("NOT VALID"));
  EXPECT_THAT(text, HasSubstr("2,000 planned   1,250 offered"));
  EXPECT_THAT(text, HasSubstr("not as planned"));
  EXPECT_THAT(text, Not(HasSubstr("p50")));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 79u) << line;
  EXPECT_THAT(ToJson(r), HasSubstr("\"valid\": false"));
  // A mismatch is worse.
  r.exit_code = 1;
  TakeLoad({{"drive-7", LoadClient(1000, 10'000, 40'000)}}, &r);
  EXPECT_EQ(r.exit_code, 1);
}

TEST(RunResult, TheSummaryNamesTheWorstHosts) {
  const std::string text = SummaryTable(Full());
  EXPECT_THAT(
      text,
      HasSubstr(" 2 hosts     CPU 93 % at most worker-000  steal     12.1 % at most "
                "worker-000\n"
                " the worst   8 % memory left worker-000   disk      5 % left control\n"
                " WARNING     some hosts were in trouble: the report lists when, and which\n"));
  RunResult one = Full();
  one.hosts = {
      {"control and 1 other, one machine", 2, 2, 0.9, 0, 100, 50, 100, 70, "worker-000", {}}};
  one.warnings.clear();
  EXPECT_THAT(
      SummaryTable(one),
      HasSubstr(" 2 hosts     CPU 90 % at most             steal     0.0 % at most\n"
                " one machine 50 % memory left             disk      70 % left worker-000\n"));
  one.hosts.clear();
  EXPECT_THAT(SummaryTable(one), Not(HasSubstr("memory left")));
}

TEST(RunResult, JsonHasTheNamesThatAreDocumented) {
  RunResult r = Full();
  r.cpu_us_by_role.reset();
  r.latency_stored.reset();
  const std::string json = ToJson(r);
  EXPECT_THAT(json, HasSubstr("\"messages\": {\n    \"sent\": 600000,"));
  EXPECT_THAT(json, HasSubstr("\"phase_seconds\": {\n    \"generate\": 0.12,"));
  EXPECT_THAT(json, HasSubstr("\"cpu_us_per_message\": {\n    \"total\": 8.125,"));
  EXPECT_THAT(json, HasSubstr("\"by_role\": null"));
  EXPECT_THAT(json, HasSubstr("\"stored\": null,\n    \"delivered\": {\n      \"p50\": 2.5"));
  EXPECT_THAT(json, HasSubstr("\"peak_rss_mib\": {\n    \"total\": 212.4"));
}

TEST(RunResult, WhatIsNoResultIsRefusedWithTheField) {
  EXPECT_FALSE(ResultFromJson("").ok());
  EXPECT_FALSE(ResultFromJson("[]").ok());
  EXPECT_THAT(ResultFromJson("{\"version\":2}").error(), HasSubstr("version 2"));
  EXPECT_THAT(ResultFromJson("{\"users\":-1}").error(), HasSubstr("\"users\""));
  EXPECT_THAT(ResultFromJson("{\"cells\":5000000000}").error(), HasSubstr("\"cells\""));
  EXPECT_THAT(ResultFromJson("{\"messages\":7}").error(), HasSubstr("\"messages\""));
  EXPECT_THAT(ResultFromJson("{\"peak_rss_mib\":{\"by_process\":{\"a\":\"b\"}}}").error(),
              HasSubstr("\"by_process\""));
  EXPECT_THAT(ResultFromJson("{\"hosts\":[{\"steal\":\"much\"}]}").error(), HasSubstr("\"steal\""));
  EXPECT_THAT(ResultFromJson("{\"hosts\":{}}").error(), HasSubstr("\"hosts\""));
  EXPECT_THAT(ResultFromJson("{\"cost\":{\"total\":\"much\"}}").error(), HasSubstr("\"total\""));
  EXPECT_FALSE(ResultFromJson("{\"cost\":{\"items\":[7]}}").ok());
  EXPECT_TRUE(ResultFromJson("{\"users\":5,\"something\":\"new\"}").ok());
}

TEST(Summary, IsATable) {
  RunResult r = Full();
  r.latency_stored.reset();
  r.latency_delivered.reset();
  r.options.rate = 0;
  r.offer = {};
  EXPECT_EQ(SummaryTable(r),
            "------------------------------------------------------------------------------\n"
            " workload    4,000 users in 4 cells, 120,000 relations, bodies of 16 bytes, seed 7\n"
            " played      http, 8 a frame, 32 in flight, 200 users at a time, layout role\n"
            "------------------------------------------------------------------------------\n"
            " messages                       mistakes                  seconds\n"
            "   sent                600,000    lost                 0    generate       0.12\n"
            "   stored              600,000    duplicated           0    import         0.50\n"
            "   delivered           600,000    reordered            0    start          0.80\n"
            "   acknowledged        600,000    altered              0    run            5.91\n"
            "   verified            600,000    foreign              0    verify         2.20\n"
            "                                  counter              0\n"
            "------------------------------------------------------------------------------\n"
            " rate        101,523 messages/s           CPU       8.12 us a message\n"
            " memory      212.4 MiB at the peak        disk      88.1 MiB\n"
            " re-sent     0.04 % of deliveries         steal     0.3 %\n"
            " 2 hosts     CPU 93 % at most worker-000  steal     12.1 % at most worker-000\n"
            " the worst   8 % memory left worker-000   disk      5 % left control\n"
            " WARNING     some hosts were in trouble: the report lists when, and which\n"
            " all play    102,001 messages/s           begin     within 0.01 s\n"
            "             for 5.50 s                   end       within 0.40 s\n"
            "------------------------------------------------------------------------------\n"
            " VERIFIED: every message arrived once, in order, unaltered\n");
}

TEST(Summary, TheLargestRunOfTheSourceKeepsTheColumns) {
  RunResult r = Full();
  r.messages.sent = r.messages.stored = 148'705'680;
  r.phase_seconds.run = 7444.01;
  EXPECT_THAT(SummaryTable(r),
              HasSubstr("   stored          148,705,680    duplicated           0    import"));
  EXPECT_THAT(SummaryTable(r), HasSubstr(" stored      p50 1.50   p99 7.25"));
}

TEST(Summary, MistakesAreNamedWithTheirProblems) {
  RunResult r = Full();
  r.exit_code = 1;
  r.messages.lost = 3;
  r.messages.altered = 1;
  r.problems = {"user 5: message 3 is lost"};
  r.machine.steal_share = 0.2;
  EXPECT_EQ(Verdict(r), "MISMATCH: 3 lost, 1 altered");
  EXPECT_THAT(SummaryTable(r),
              HasSubstr("MISMATCH: 3 lost, 1 altered\n   user 5: message 3 is lost"));
  EXPECT_THAT(SummaryTable(r), HasSubstr("WARNING"));
  r.exit_code = 2;
  r.problems = {"the disk is full"};
  EXPECT_EQ(Verdict(r), "FAILED: the disk is full");
  EXPECT_THAT(SummaryTable(r), Not(HasSubstr("VERIFIED")));
  r.exit_code = 3;
  EXPECT_THAT(Verdict(r), HasSubstr("deadline"));
}

TEST(Summary, WhatHappenedThatShouldNotHasARowOfEachKind) {
  RunResult r = Full();
  EXPECT_THAT(SummaryTable(r), Not(HasSubstr("restarts")));
  r.timeline = {{1000, 1400, kRestartEvent, "logic-0", "killed", true},
                {2000, 4500, kRestartEvent, "cell-1", "killed", true},
                {3000, 3100, kRestartEvent, "cell-1", "killed", true},
                {4000, 44'000, kStallEvent, "", "0 messages/s for 40 s", true},
                {4000, 44'000, kStepEvent, "run", "", false}};
  EXPECT_THAT(SummaryTable(r), HasSubstr(" restarts    3: cell-1 2, logic-0; 2.5 s at most\n"));
  EXPECT_THAT(SummaryTable(r), HasSubstr(" stalls      1: all; 40 s at most\n"));
  r.exit_code = 3;
  r.problems = {kInterrupted};
  EXPECT_THAT(Verdict(r), HasSubstr("INTERRUPTED"));
}

TEST(RunResult, LatencyComesFromAHistogram) {
  Histogram h;
  h.Add(kMillisecond, 99);
  h.Add(100 * kMillisecond);
  const RunLatency l = LatencyOf(h);
  EXPECT_NEAR(l.p50, 1, 0.02);
  EXPECT_EQ(l.max, 100);
}

}  // namespace
}  // namespace baiwan::stress
