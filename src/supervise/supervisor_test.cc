#include "supervise/supervisor.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "base/testing/temp_folder.h"
#include "supervise/ready.h"
#include "supervise/stop_signals.h"

namespace baiwan::supervise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool Eventually(const std::function<bool()>& condition, Nanos within = 30 * kSecond) {
  const Nanos until = SystemClock().Monotonic() + within;
  while (!condition()) {
    if (SystemClock().Monotonic() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// Also true for a zombie.
bool Exists(pid_t pid) { return ::kill(pid, 0) == 0; }

class SupervisorTest : public ::testing::Test {
 protected:
  void TearDown() override {
    // Whatever a test did: no child, not even a dead one, is left of it.
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  }

  Supervisor::Options Recording() {
    Supervisor::Options options;
    options.jitter_seed = 1;
    options.on_event = [this](const Event& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
    };
    return options;
  }
  std::vector<Event> Events(EventKind kind) {
    const std::lock_guard lock(mutex_);
    std::vector<Event> result;
    for (const Event& event : events_) {
      if (event.kind == kind) result.push_back(event);
    }
    return result;
  }

  ChildSpec Shell(const std::string& name, const std::string& script) {
    ChildSpec spec;
    spec.name = name;
    spec.argv = {"sh", "-c", script};
    spec.log_file = dir_ + "/" + name + ".log";
    spec.backoff_first = 5 * kMillisecond;
    spec.backoff_max = 20 * kMillisecond;
    spec.stop_deadline = 5 * kSecond;
    return spec;
  }
  ChildSpec Sleeper(const std::string& name) { return Shell(name, "exec sleep 1000"); }
  std::string Log(const std::string& name) {
    const auto content = ReadFile(dir_ + "/" + name + ".log");
    return content ? *content : "";
  }

  const TempFolder temp_;
  const std::string dir_ = temp_.path();
  std::mutex mutex_;
  std::vector<Event> events_;
};

TEST_F(SupervisorTest, AChildThatIsKilledIsRestartedAndItsExitIsTold) {
  Supervisor supervisor(Recording());
  ASSERT_EQ(supervisor.Start(Sleeper("a")), std::nullopt);
  const pid_t first = supervisor.Snapshot()[0].pid;
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(Eventually([&] {
    const auto status = supervisor.Snapshot()[0];
    return status.runs == 2 && status.pid > 0;
  }));
  EXPECT_NE(supervisor.Snapshot()[0].pid, first);
  EXPECT_EQ(supervisor.Snapshot()[0].state, State::kRunning);
  EXPECT_FALSE(Exists(first));  // no zombie
  const auto exits = Events(EventKind::kExited);
  ASSERT_EQ(exits.size(), 1u);
  EXPECT_EQ(exits[0].text, "a killed by signal 9 (Killed)");
  EXPECT_EQ(Events(EventKind::kRestarting).size(), 1u);
}

TEST_F(SupervisorTest, AfterTheLimitAChildIsGivenUpAndTheOthersLiveOn) {
  Supervisor supervisor(Recording());
  auto bad = Shell("bad", "exit 7");
  bad.max_restarts = 3;
  ASSERT_EQ(supervisor.Start(Sleeper("good")), std::nullopt);
  ASSERT_EQ(supervisor.Start(bad), std::nullopt);
  const auto end = supervisor.WaitEnd("bad", 10 * kSecond);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->state, State::kGaveUp);
  EXPECT_EQ(end->runs, 4u);
  ASSERT_TRUE(end->last_exit.has_value());
  EXPECT_EQ(end->last_exit->code, 7);
  EXPECT_EQ(supervisor.Snapshot()[0].state, State::kRunning);
  ASSERT_EQ(Events(EventKind::kGaveUp).size(), 1u);
  EXPECT_THAT(Events(EventKind::kGaveUp)[0].text, HasSubstr("bad.log"));
}

TEST_F(SupervisorTest, TheBackoffGrowsToItsMaximumAndKeepsHalfOfItRandom) {
  Supervisor supervisor(Recording());
  auto bad = Shell("bad", "exit 1");
  bad.backoff_first = 10 * kMillisecond;
  bad.backoff_max = 40 * kMillisecond;
  bad.max_restarts = 5;
  ASSERT_EQ(supervisor.Start(bad), std::nullopt);
  ASSERT_TRUE(supervisor.WaitEnd("bad", 10 * kSecond).has_value());
  const auto waits = Events(EventKind::kRestarting);
  ASSERT_EQ(waits.size(), 5u);
  const Nanos most[] = {10, 20, 40, 40, 40};
  for (std::size_t i = 0; i < waits.size(); ++i) {
    EXPECT_LE(waits[i].delay, most[i] * kMillisecond) << i;
    EXPECT_GE(waits[i].delay, most[i] * kMillisecond / 2) << i;
  }
}

TEST_F(SupervisorTest, ThePolicySaysWhetherAnEndIsTheEnd) {
  Supervisor supervisor(Recording());
  auto once = Shell("once", "exit 3");
  once.restart = Restart::kNever;
  auto fine = Shell("fine", "exit 0");
  fine.restart = Restart::kOnFailure;
  auto retry = Shell(
      "retry", "test -e " + dir_ + "/second || { touch " + dir_ + "/second; exit 1; }; exit 0");
  retry.restart = Restart::kOnFailure;
  for (const auto& spec : {once, fine, retry}) ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  EXPECT_EQ(supervisor.WaitEnd("once", 10 * kSecond)->runs, 1u);
  EXPECT_EQ(supervisor.WaitEnd("once", 10 * kSecond)->last_exit->code, 3);
  EXPECT_EQ(supervisor.WaitEnd("fine", 10 * kSecond)->runs, 1u);
  const auto end = supervisor.WaitEnd("retry", 10 * kSecond);
  EXPECT_EQ(end->runs, 2u);
  EXPECT_EQ(end->state, State::kExited);
  EXPECT_FALSE(supervisor.WaitEnd("nobody", 10 * kSecond).has_value());
}

TEST_F(SupervisorTest, WhatCannotBeStartedIsAnErrorThatSaysWhatAndWhy) {
  Supervisor supervisor(Recording());
  ChildSpec spec;
  spec.name = "x";
  const auto start = [&](std::vector<std::string> argv) {
    spec.argv = std::move(argv);
    return supervisor.Start(spec).value_or("started");
  };
  EXPECT_EQ(start({}), "'x' has no command to run");
  EXPECT_EQ(start({"/no/such/program"}), "cannot run /no/such/program: No such file or directory");
  EXPECT_EQ(start({"no-such-program"}),
            "cannot run 'no-such-program': there is no such program in PATH");
  EXPECT_EQ(start({"/etc/passwd"}), "cannot run /etc/passwd: it is not an executable file");
  std::ofstream(dir_ + "/garbage") << "\1\2\3";
  std::filesystem::permissions(dir_ + "/garbage", std::filesystem::perms::all);
  EXPECT_EQ(start({dir_ + "/garbage"}), "cannot run " + dir_ + "/garbage: Exec format error");
  spec.log_file = dir_ + "/no/folder.log";
  EXPECT_EQ(start({"true"}),
            "cannot write the log " + dir_ + "/no/folder.log: No such file or directory");
  EXPECT_THAT(supervisor.Snapshot(), IsEmpty());
  ASSERT_EQ(supervisor.Start(Sleeper("twice")), std::nullopt);
  EXPECT_EQ(supervisor.Start(Sleeper("twice")), "'twice' runs already");
}

TEST_F(SupervisorTest, OutputAndErrorsOfAllRunsAreInTheLog) {
  Supervisor supervisor(Recording());
  auto spec = Shell("talks", "echo out $GREETING; echo err >&2; exit 1");
  spec.env = {{"GREETING", "hello"}};
  spec.max_restarts = 1;
  ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  ASSERT_TRUE(supervisor.WaitEnd("talks", 10 * kSecond).has_value());
  EXPECT_EQ(Log("talks"), "out hello\nerr\nout hello\nerr\n");
}

TEST_F(SupervisorTest, ALogThatGrowsPastItsBoundIsBegunAnew) {
  Supervisor supervisor(Recording());
  auto spec = Shell("chatty", "while :; do head -c 1000 /dev/zero; sleep 0.002; done");
  spec.log_max_bytes = 20'000;
  ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(dir_ + "/chatty.log.1"); }));
  EXPECT_TRUE(Eventually([&] { return Log("chatty").rfind("--- older lines are in", 0) == 0; }));
  EXPECT_GT(std::filesystem::file_size(dir_ + "/chatty.log.1"), 20'000u);
}

TEST_F(SupervisorTest, AChildHasNoOpenFilesButItsOwnThreeAndItsOwnGroup) {
  const UniqueFd careless(::open("/etc/passwd", O_RDONLY));  // without O_CLOEXEC
  ASSERT_TRUE(careless);
  Supervisor supervisor(Recording());
  // Later, when the shell has let go of its own pipe.
  auto spec =
      Shell("fds", "(sleep 0.5; ls /proc/$$/fd) | tr '\\n' ' '; cut -d' ' -f1,5 /proc/$$/stat");
  spec.restart = Restart::kNever;
  ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  ASSERT_TRUE(supervisor.WaitEnd("fds", 10 * kSecond).has_value());
  const auto pid = std::to_string(Events(EventKind::kStarted)[0].pid);
  EXPECT_EQ(Log("fds"), "0 1 2 " + pid + " " + pid + "\n");
}

TEST_F(SupervisorTest, StagesStopFromTheHighestEachAfterTheOneAboveHasEnded) {
  Supervisor supervisor(Recording());
  for (const int stage : {1, 3, 2}) {
    const auto name = "stage" + std::to_string(stage);
    auto spec = Shell(name, "trap 'sleep 0.1; echo " + name + " >> " + dir_ +
                                "/order; exit 0' TERM; echo up; while :; do sleep 0.02; done");
    spec.stage = stage;
    ASSERT_EQ(supervisor.Start(spec), std::nullopt);
    ASSERT_TRUE(Eventually([&] { return Log(name) == "up\n"; }));
  }
  const auto report = supervisor.StopAll(10 * kSecond);
  EXPECT_THAT(report.killed, IsEmpty());
  EXPECT_THAT(report.stuck, IsEmpty());
  EXPECT_EQ(*ReadFile(dir_ + "/order"), "stage3\nstage2\nstage1\n");
  for (const auto& status : supervisor.Snapshot()) EXPECT_EQ(status.state, State::kStopped);
  EXPECT_THAT(*supervisor.Start(Sleeper("late")), HasSubstr("being stopped"));
}

TEST_F(SupervisorTest, AChildThatDoesNotListenIsKilledAtItsDeadline) {
  Supervisor supervisor(Recording());
  auto deaf = Shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.02; done");
  deaf.stop_deadline = 100 * kMillisecond;
  ASSERT_EQ(supervisor.Start(deaf), std::nullopt);
  ASSERT_EQ(supervisor.Start(Sleeper("fine")), std::nullopt);
  ASSERT_TRUE(Eventually([&] { return Log("deaf") == "up\n"; }));
  const Nanos begin = SystemClock().Monotonic();
  EXPECT_THAT(supervisor.StopAll(20 * kSecond).killed, ElementsAre("deaf"));
  EXPECT_LT(SystemClock().Monotonic() - begin, 5 * kSecond);
}

TEST_F(SupervisorTest, TheWholeStopHasOneBoundWhateverTheDeadlinesAddUpTo) {
  Supervisor supervisor(Recording());
  for (int stage = 0; stage < 4; ++stage) {
    const auto name = "deaf" + std::to_string(stage);
    auto deaf = Shell(name, "trap '' TERM; echo up; while :; do sleep 0.02; done");
    deaf.stop_deadline = 60 * kSecond;
    deaf.stage = stage;
    ASSERT_EQ(supervisor.Start(deaf), std::nullopt);
    ASSERT_TRUE(Eventually([&] { return Log(name) == "up\n"; }));
  }
  const Nanos begin = SystemClock().Monotonic();
  EXPECT_EQ(supervisor.StopAll(200 * kMillisecond).killed.size(), 4u);
  EXPECT_LT(SystemClock().Monotonic() - begin, 5 * kSecond);
}

TEST_F(SupervisorTest, TheChildrenOfAChildGoWithIt) {
  Supervisor supervisor(Recording());
  auto spec = Shell("parent", "sleep 1000 & echo $!; exit 0");
  spec.restart = Restart::kNever;
  ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  ASSERT_TRUE(supervisor.WaitEnd("parent", 10 * kSecond).has_value());
  const pid_t orphan = std::stoi(Log("parent"));
  EXPECT_TRUE(Eventually([&] { return !Exists(orphan); }));
}

TEST_F(SupervisorTest, AWaitingOrStoppedChildStaysStopped) {
  Supervisor supervisor(Recording());
  auto bad = Shell("bad", "exit 1");
  bad.backoff_first = bad.backoff_max = 2 * kSecond;  // of which at least half
  ASSERT_EQ(supervisor.Start(bad), std::nullopt);
  ASSERT_EQ(supervisor.Start(Sleeper("good")), std::nullopt);
  ASSERT_TRUE(Eventually([&] { return supervisor.Snapshot()[0].state == State::kWaiting; }));
  EXPECT_GT(supervisor.Snapshot()[0].restart_in, 0);
  EXPECT_TRUE(supervisor.Stop("bad"));
  EXPECT_TRUE(supervisor.Stop("good"));
  EXPECT_FALSE(supervisor.Stop("nobody"));
  EXPECT_EQ(supervisor.WaitEnd("bad", 10 * kSecond)->state, State::kStopped);
  EXPECT_EQ(supervisor.WaitEnd("good", 10 * kSecond)->state, State::kStopped);
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_EQ(supervisor.Snapshot()[0].runs, 1u);
  EXPECT_EQ(supervisor.Start(Sleeper("good")), std::nullopt);  // and can be started again
  EXPECT_EQ(supervisor.Snapshot()[1].runs, 2u);
}

TEST_F(SupervisorTest, CpuTimeAndMemoryAreCountedOverAllRuns) {
  Supervisor supervisor(Recording());
  const std::string burn = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; ";
  auto spec = Shell("burns", burn + "exit 1");
  spec.restart = Restart::kOnFailure;
  spec.max_restarts = 2;
  ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  const auto end = supervisor.WaitEnd("burns", 30 * kSecond);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->runs, 3u);
  std::uint64_t sum = 0;
  for (const auto& event : Events(EventKind::kExited)) {
    EXPECT_GT(event.exit->usage.cpu_us(), 1000u);
    sum += event.exit->usage.cpu_us();
  }
  EXPECT_EQ(end->usage.cpu_us(), sum);
  EXPECT_GT(end->usage.max_rss_kib, 100u);

  ASSERT_EQ(supervisor.Start(Shell("busy", "while :; do :; done")), std::nullopt);
  EXPECT_TRUE(Eventually([&] {  // while it runs
    const auto usage = supervisor.Snapshot()[1].usage;
    return usage.cpu_us() > 50'000 && usage.max_rss_kib > 100;
  }));
}

TEST_F(SupervisorTest, AChildSaysWhenItIsReadyAndWhere) {
  Supervisor supervisor(Recording());
  const std::string go = dir_ + "/go";
  auto slow = Shell("slow", "until [ -e " + go + " ]; do sleep 0.02; done; " +
                                "echo port=1234 >&3; exec sleep 1000");
  slow.notifies_ready = true;
  ASSERT_EQ(supervisor.Start(slow), std::nullopt);
  EXPECT_EQ(supervisor.Snapshot()[0].state, State::kStarting);
  EXPECT_FALSE(supervisor.WaitReady(10 * kMillisecond));
  std::ofstream(go).close();
  EXPECT_TRUE(supervisor.WaitReady(10 * kSecond));
  EXPECT_EQ(supervisor.Snapshot()[0].state, State::kRunning);
  EXPECT_EQ(supervisor.Snapshot()[0].ready_text, "port=1234");
  EXPECT_EQ(Events(EventKind::kReady).size(), 1u);

  auto never = Shell("never", "exit 1");
  never.notifies_ready = true;
  never.max_restarts = 1;
  ASSERT_EQ(supervisor.Start(never), std::nullopt);
  const Nanos begin = SystemClock().Monotonic();
  EXPECT_FALSE(supervisor.WaitReady(60 * kSecond));  // at once when it is given up
  EXPECT_LT(SystemClock().Monotonic() - begin, 10 * kSecond);
}

TEST_F(SupervisorTest, AReadinessTextHasABound) {
  Supervisor supervisor(Recording());
  auto spec = Shell("long", "head -c 100000 /dev/zero | tr '\\0' x >&3; exec sleep 1000");
  spec.notifies_ready = true;
  ASSERT_EQ(supervisor.Start(spec), std::nullopt);
  EXPECT_TRUE(supervisor.WaitReady(10 * kSecond));
  EXPECT_EQ(supervisor.Snapshot()[0].ready_text.size(), kMaxReadyText);
}

TEST_F(SupervisorTest, TheEventCallbackMayUseTheSupervisor) {
  Supervisor* self = nullptr;
  std::promise<std::size_t> seen;
  Supervisor::Options options;
  options.on_event = [&](const Event& event) {
    if (event.kind != EventKind::kExited || event.child != "first") return;
    EXPECT_EQ(self->Start(Sleeper("next")), std::nullopt);
    seen.set_value(self->Snapshot().size());
  };
  Supervisor supervisor(options);
  self = &supervisor;
  auto first = Shell("first", "exit 0");
  first.restart = Restart::kNever;
  ASSERT_EQ(supervisor.Start(first), std::nullopt);
  EXPECT_EQ(seen.get_future().get(), 2u);
}

// A process of its own with a supervisor in it; its children's numbers land in `pids`.
pid_t ForkSupervisor(const std::string& dir, const ChildSpec& a, const ChildSpec& b) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  StopSignals signals;
  {
    Supervisor supervisor({});
    if (supervisor.Start(a) || supervisor.Start(b)) ::_exit(1);
    std::string pids;
    for (const auto& status : supervisor.Snapshot()) pids += std::to_string(status.pid) + " ";
    if (ReplaceFile(dir + "/pids", pids)) ::_exit(1);
    signals.Wait(60 * kSecond);
  }
  ::_exit(0);
}

std::vector<pid_t> Pids(const std::string& dir) {
  std::vector<pid_t> pids;
  if (!Eventually([&] { return std::filesystem::exists(dir + "/pids"); })) return pids;
  std::ifstream file(dir + "/pids");
  for (pid_t pid = 0; file >> pid;) pids.push_back(pid);
  return pids;
}

TEST_F(SupervisorTest, NoChildSurvivesASupervisorThatIsKilled) {
  const pid_t supervisor = ForkSupervisor(dir_, Sleeper("a"), Sleeper("b"));
  const auto pids = Pids(dir_);
  ASSERT_EQ(pids.size(), 2u);
  for (const pid_t pid : pids) EXPECT_TRUE(Exists(pid));
  ASSERT_EQ(::kill(supervisor, SIGKILL), 0);
  ASSERT_EQ(::waitpid(supervisor, nullptr, 0), supervisor);
  for (const pid_t pid : pids) EXPECT_TRUE(Eventually([&] { return !Exists(pid); }));
}

TEST_F(SupervisorTest, CtrlCStopsTheSupervisorAndItsChildren) {
  const pid_t supervisor = ForkSupervisor(dir_, Sleeper("a"), Sleeper("b"));
  const auto pids = Pids(dir_);
  ASSERT_EQ(pids.size(), 2u);
  ASSERT_EQ(::kill(supervisor, SIGINT), 0);
  int status = 0;
  ASSERT_EQ(::waitpid(supervisor, &status, 0), supervisor);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  for (const pid_t pid : pids) EXPECT_FALSE(Exists(pid));
}

TEST(Ready, AProgramThatNobodyAskedSaysNothing) {
  ::unsetenv(kReadyVariable);
  NotifyReady("ports");
  int fds[2];
  ASSERT_EQ(::pipe(fds), 0);
  ::setenv(kReadyVariable, std::to_string(fds[1]).c_str(), 1);
  NotifyReady("ports");
  char buffer[16] = {};
  EXPECT_EQ(::read(fds[0], buffer, sizeof buffer), 6);
  EXPECT_STREQ(buffer, "ports\n");
  EXPECT_EQ(::read(fds[0], buffer, sizeof buffer), 0);  // closed
  EXPECT_EQ(::getenv(kReadyVariable), nullptr);
  ::close(fds[0]);
}

}  // namespace
}  // namespace baiwan::supervise
