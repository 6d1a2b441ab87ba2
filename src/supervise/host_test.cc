#include "supervise/host.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/testing/temp_folder.h"
#include "supervise/usage_file.h"

namespace baiwan::supervise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ErrorOf(const std::string& toml) {
  const auto plan = ParseHostPlan(toml, "host.toml");
  return plan ? "no error" : ToText(plan.error());
}

TEST(HostPlan, EveryKeyIsReadAndTheRestHasItsDefault) {
  const auto plan = ParseHostPlan(R"(stop_within = "5s"
[[child]]
name = "a"
command = ["sleep", "1"]
[[child]]
name = "b"
command = ["x"]
env = { A = "1" }
log = "b.log"
log_max = "1MiB"
restart = "on-failure"
final = [2, 4]
backoff_first = "1ms"
backoff_max = "2ms"
max_restarts = 3
restart_window = "4s"
stop_signal = "INT"
stop_deadline = "5ms"
stage = -6
ready = true
)",
                                  "host.toml");
  ASSERT_TRUE(plan.ok()) << ToText(plan.error());
  EXPECT_EQ(plan->stop_within, 5 * kSecond);
  ASSERT_EQ(plan->children.size(), 2u);
  const ChildSpec& a = plan->children[0];
  EXPECT_THAT(a.argv, ElementsAre("sleep", "1"));
  EXPECT_EQ(a.restart, Restart::kAlways);
  EXPECT_EQ(a.stop_deadline, ChildSpec().stop_deadline);
  const ChildSpec& b = plan->children[1];
  EXPECT_THAT(b.env, ElementsAre(std::pair<std::string, std::string>("A", "1")));
  EXPECT_EQ(b.log_file, "b.log");
  EXPECT_EQ(b.log_max_bytes, 1u << 20);
  EXPECT_EQ(b.restart, Restart::kOnFailure);
  EXPECT_EQ(b.final_codes, (std::vector<int>{2, 4}));
  EXPECT_EQ(b.backoff_first, kMillisecond);
  EXPECT_EQ(b.backoff_max, 2 * kMillisecond);
  EXPECT_EQ(b.max_restarts, 3u);
  EXPECT_EQ(b.restart_window, 4 * kSecond);
  EXPECT_EQ(b.stop_signal, SIGINT);
  EXPECT_EQ(b.stop_deadline, 5 * kMillisecond);
  EXPECT_EQ(b.stage, -6);
  EXPECT_TRUE(b.notifies_ready);
}

TEST(HostPlan, MistakesAreToldWithTheirPlaceAndTheFix) {
  EXPECT_EQ(ErrorOf("[[child]]\nname = \"a\"\ncommand = [\"x\"]\nrestrat = \"never\"\n"),
            "host.toml:4:1: child.restrat: unknown key; did you mean restart?\n");
  EXPECT_EQ(ErrorOf("[[child]]\nname = \"a\"\ncommand = [\"x\"]\nstop_signal = \"STOP\"\n"),
            "host.toml:4:15: child.stop_signal: 'STOP' is not one of TERM, INT, HUP, QUIT, KILL, "
            "USR1, USR2\n");
  const std::string child = "[[child]]\nname = 'a'\ncommand = ['x']\n";
  EXPECT_THAT(ErrorOf(child + child), HasSubstr("two children named 'a'"));
  EXPECT_THAT(ErrorOf(child + "stage = 1.5"), HasSubstr("whole number"));
  EXPECT_THAT(ErrorOf(child + "stop_deadline = 10"), HasSubstr("a duration like"));
  EXPECT_THAT(ErrorOf(child + "log_max = \"1MB\""), HasSubstr("KiB"));
  EXPECT_THAT(ErrorOf(child + "ready = 1"), HasSubstr("true or false"));
  EXPECT_THAT(ErrorOf(child + "env = { A = 1 }"), HasSubstr("table of texts"));
  EXPECT_THAT(ErrorOf(child + "max_restarts = -1"), HasSubstr("from 0"));
  EXPECT_THAT(ErrorOf("[[child]]\n"), HasSubstr("needs a name"));
  EXPECT_THAT(ErrorOf("[[child]]\nname = 'a'\ncommand = 'x y'\n"), HasSubstr("list of texts"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no [[child]]"));
  EXPECT_THAT(ErrorOf("child = 1"), HasSubstr("[[child]]"));
  EXPECT_THAT(ErrorOf("= x"), HasSubstr("host.toml:1:1"));
  EXPECT_THAT(ToText(LoadHostPlan("/no/host.toml").error()), HasSubstr("/no/host.toml"));
}

// The whole of `baiwan supervise`, in a process of its own.
class RunHostTest : public ::testing::Test {
 protected:
  pid_t Fork(const HostPlan& plan) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    StopSignals signals;
    ::_exit(RunHost(plan, signals, NoLog()));
  }
  static int ExitCode(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  bool WaitFor(const std::string& file) {
    for (int i = 0; i < 2000 && !std::filesystem::exists(dir_ + file); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return std::filesystem::exists(dir_ + file);
  }
  ChildSpec Shell(const std::string& name, const std::string& script) {
    ChildSpec spec;
    spec.name = name;
    spec.argv = {"sh", "-c", script};
    spec.backoff_first = spec.backoff_max = kMillisecond;
    return spec;
  }
  const TempFolder temp_;
  const std::string dir_ = temp_.path();
};

TEST_F(RunHostTest, ASignalStopsEverythingInOrderAndIsNoFailure) {
  HostPlan plan;
  plan.children = {Shell("a", "trap 'touch " + dir_ + "/stopped; exit 0' TERM; touch " + dir_ +
                                  "/up; while :; do sleep 0.02; done")};
  const pid_t pid = Fork(plan);
  ASSERT_TRUE(WaitFor("/up"));
  ::kill(pid, SIGTERM);
  EXPECT_EQ(ExitCode(pid), 0);
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/stopped"));
}

TEST_F(RunHostTest, ASecondSignalKillsWhoDoesNotListen) {
  HostPlan plan;
  plan.children = {Shell("a", "trap 'touch " + dir_ + "/asked' TERM; touch " + dir_ +
                                  "/up; while :; do sleep 0.02; done")};
  plan.children[0].stop_deadline = 60 * kSecond;
  plan.stop_within = 60 * kSecond;
  const pid_t pid = Fork(plan);
  ASSERT_TRUE(WaitFor("/up"));
  ::kill(pid, SIGINT);
  ASSERT_TRUE(WaitFor("/asked"));
  ::kill(pid, SIGINT);
  EXPECT_EQ(ExitCode(pid), 2);
}

TEST_F(RunHostTest, ItEndsWhenAllHaveEndedAndSaysWhetherThatWasWell) {
  auto fine = Shell("fine", "exit 0");
  fine.restart = Restart::kOnFailure;
  auto bad = Shell("bad", "exit 1");
  bad.max_restarts = 2;
  HostPlan plan;
  plan.children = {fine};
  EXPECT_EQ(ExitCode(Fork(plan)), 0);
  plan.children = {fine, bad};
  EXPECT_EQ(ExitCode(Fork(plan)), 2);
  auto missing = Shell("missing", "");
  missing.argv = {"/no/such/program"};
  plan.children = {Shell("sleeps", "exec sleep 1000"), missing};
  EXPECT_EQ(ExitCode(Fork(plan)), 2);
}

TEST_F(RunHostTest, AFinalCodeIsNotTriedAgainAndIsPassedOn) {
  auto once = Shell("once", "echo x >> " + dir_ + "/tries; exit 4");
  once.restart = Restart::kOnFailure;
  once.final_codes = {2, 4};
  HostPlan plan;
  plan.children = {once};
  EXPECT_EQ(ExitCode(Fork(plan)), 4);
  EXPECT_EQ(*ReadFile(dir_ + "/tries"), "x\n");
  auto worse = Shell("worse", "exit 2");
  worse.final_codes = {2};
  plan.children = {once, worse};
  EXPECT_EQ(ExitCode(Fork(plan)), 2);
  auto other = Shell("other", "exit 4");
  other.restart = Restart::kNever;
  plan.children = {other};
  EXPECT_EQ(ExitCode(Fork(plan)), 0) << "not one of its final codes";
}

TEST_F(RunHostTest, WhatChildrenCostIsKeptAndAddedToByTheNextLife) {
  HostPlan plan;
  plan.usage = dir_ + "/usage.json";
  plan.children = {Shell("busy", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")};
  plan.children[0].restart = Restart::kNever;
  EXPECT_EQ(ExitCode(Fork(plan)), 0);
  const auto once = ReadUsage(plan.usage);
  ASSERT_TRUE(once.ok()) << once.error();
  const KeptUsage first = once->at("busy");
  EXPECT_GT(first.usage.cpu_us(), 0u);
  EXPECT_GT(first.usage.max_rss_kib, 0u);
  EXPECT_EQ(first.runs, 1u);
  EXPECT_EQ(ExitCode(Fork(plan)), 0);
  const auto twice = ReadUsage(plan.usage);
  ASSERT_TRUE(twice.ok());
  EXPECT_GT(twice->at("busy").usage.cpu_us(), first.usage.cpu_us());
  EXPECT_EQ(twice->at("busy").runs, 2u);
  std::ofstream(plan.usage) << "torn";
  EXPECT_FALSE(ReadUsage(plan.usage).ok());
  EXPECT_EQ(ExitCode(Fork(plan)), 0);  // counts anew
  EXPECT_EQ(ReadUsage(plan.usage)->at("busy").runs, 1u);
}

}  // namespace
}  // namespace baiwan::supervise
