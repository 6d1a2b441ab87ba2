// What the control host makes of the step engine's words, which a script says here.
#include "fleet/control_crew.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "base/testing/temp_folder.h"
#include "fleet/health.h"

namespace baiwan::fleet {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kGiB = 1ULL << 30;

HostReady Ready(const std::string& name, std::uint64_t disk_free) {
  HostReady host;
  host.use.name = name;
  host.use.machine = 7;
  host.use.cpus = 2;
  host.use.steal = 0.25;
  host.use.memory = host.use.memory_available = 8 * kGiB;
  host.use.disk = 100 * kGiB;
  host.use.disk_free = disk_free;
  host.open_files = 1'048'576;
  return host;
}

class ControlCrewTest : public ::testing::Test {
 protected:
  // An engine that says this of whatever it is asked to do.
  std::map<std::string, HostReport> Deploy(const std::string& words,
                                           const std::vector<std::string>& hosts) {
    const std::string engine = temp_.path() + "/step";
    std::ofstream(engine) << "#!/bin/sh\ncat <<'END'\n" << words << "END\n";
    ::chmod(engine.c_str(), 0755);
    ControlCrewOptions options;
    options.home = temp_.path();
    options.engine = engine;
    options.ready = [this](const HostReady& host) { return health_.Ready(host); };
    ::mkdir((temp_.path() + "/tools").c_str(), 0700);
    ControlCrew crew(plan_, options);
    const auto activity = crew.Begin(Step::kDeploy, hosts, std::nullopt);
    std::map<std::string, HostReport> reports;
    for (int look = 0; look < 500 && reports.size() < hosts.size(); ++look) {
      for (HostReport& report : activity->Poll()) reports.emplace(report.host, report);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return reports;
  }
  static std::string Facts(const std::string& host, const std::string& text) {
    std::string quoted;
    for (const char c : text) quoted += c == '"' ? "\\\"" : std::string(1, c);
    return R"({"host":")" + host + R"(","event":"facts","text":")" + quoted + "\"}\n";
  }
  static std::string Done(const std::string& host) {
    return R"({"host":")" + host + R"(","event":"done","text":""})" + "\n";
  }

  const TempFolder temp_;
  FleetPlan plan_;
  Health health_{plan_, temp_.path() + "/series.jsonl", {}};
};

TEST_F(ControlCrewTest, AHostThatCannotBeEnoughIsRefusedForGoodAndTheOthersAreNot) {
  const auto reports = Deploy(Facts("worker-000", ToJson(Ready("worker-000", 80 * kGiB))) +
                                  Facts("worker-001", ToJson(Ready("worker-001", kGiB))) +
                                  Done("worker-000") + Done("worker-001"),
                              {"worker-000", "worker-001"});
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_FALSE(reports.at("worker-000").failure);
  const auto& failure = reports.at("worker-001").failure;
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->final);
  EXPECT_THAT(failure->why, HasSubstr("1.0 GiB of disk are free and its part of the run needs"));
}

TEST_F(ControlCrewTest, AHostThatTellsNothingOrNonsenseOfItselfIsTaken) {
  const auto reports = Deploy(Facts("worker-001", "{}") + Facts("worker-009", "{}") +
                                  Done("worker-000") + Done("worker-001"),
                              {"worker-000", "worker-001"});
  ASSERT_EQ(reports.size(), 2U);
  EXPECT_FALSE(reports.at("worker-000").failure);
  EXPECT_FALSE(reports.at("worker-001").failure);
}

TEST(StepLimits, OnlyTheDeadlineLimitsWhatAnotherServiceDoesItself) {
  FleetPlan plan;
  plan.deadline = 5400 * kSecond;
  plan.hosts.users_per_host = 10;
  EXPECT_LT(LimitOf(plan, Step::kRun), 1200 * kSecond);
  const Nanos collect = LimitOf(plan, Step::kCollect);
  plan.service.serve = {"nginx"};
  EXPECT_EQ(LimitOf(plan, Step::kRun), plan.deadline);
  EXPECT_EQ(LimitOf(plan, Step::kVerify), plan.deadline);
  EXPECT_EQ(LimitOf(plan, Step::kCollect), collect);
}

TEST(StepLimits, AProviderThatHangsIsGivenUpBeforeHostsEndInSilence) {
  FleetPlan plan;
  EXPECT_EQ(DescribeWithin(plan), 30 * kSecond);
  plan.limits.silence = 0;
  EXPECT_EQ(DescribeWithin(plan), 30 * kSecond);
  plan.limits.silence = 15 * kSecond;
  EXPECT_EQ(DescribeWithin(plan), 5 * kSecond);
  // The controller begins with it, and looks for hosts that are lost.
  plan.limits.silence = 900 * kMillisecond;
  const TempFolder temp;
  ControlCrewOptions options;
  const std::string hangs = temp.path() + "/provider";
  options.provider = {hangs, temp.path(), temp.path()};
  std::ofstream(hangs) << "#!/bin/sh\nexec sleep 20\n";
  ::chmod(hangs.c_str(), 0755);
  const Nanos began = SystemClock().Monotonic();
  EXPECT_TRUE(ControlCrew(plan, options).LookForLost().empty());
  EXPECT_LT(SystemClock().Monotonic() - began, 10 * kSecond);
}

TEST(HostReadyJson, ReadsBackTheSame) {
  const HostReady host = Ready("worker-000", 5);
  const auto again = HostReadyFromJson(ToJson(host));
  ASSERT_TRUE(again.ok()) << again.error();
  EXPECT_EQ(again->use.steal, host.use.steal);
  EXPECT_EQ(again->use.machine, host.use.machine);
  EXPECT_EQ(ToJson(*again), ToJson(host));
  for (const char* bad : {"", "[]", "{}", R"({"host":3})"}) {
    EXPECT_FALSE(HostReadyFromJson(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace baiwan::fleet
