// The stress test as its user runs it: the real program, real processes, every message verified.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "cli/testing/program.h"

namespace baiwan::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Nanos kLong = 330 * kSecond;  // sanitizers are slow

class StressTest : public ::testing::Test {
 protected:
  std::vector<std::string> Small(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"stress",
                                    "--runs",
                                    runs_,
                                    "--no-report",
                                    "--users-per-cell",
                                    "100",
                                    "--cells",
                                    "3",
                                    "--friends-in-cell",
                                    "6",
                                    "--friends-cross",
                                    "4"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  // Of the arguments of a run, those that name its workload.
  static std::vector<std::string> WorkloadOf(const std::vector<std::string>& run) {
    std::vector<std::string> workload;
    for (std::size_t i = 0; i + 1 < run.size(); ++i) {
      const bool names =
          run[i] == "--users-per-cell" || run[i] == "--cells" || run[i].rfind("--friends", 0) == 0;
      if (names) workload.insert(workload.end(), {run[i], run[i + 1]});
    }
    return workload;
  }
  json Result() const { return ReadJson(runs_ + "/latest/result.json"); }
  void ExpectVerified(Program& program, std::uint64_t messages) const {
    EXPECT_EQ(program.Wait(kLong), 0) << program.output();
    const json result = Result();
    ASSERT_FALSE(result.is_discarded()) << program.output();
    for (const char* kind : {"sent", "stored", "delivered", "acknowledged", "verified"}) {
      EXPECT_EQ(result["messages"][kind], messages) << kind;
    }
    for (const char* kind : {"lost", "duplicated", "reordered", "altered", "foreign"}) {
      EXPECT_EQ(result["messages"][kind], 0) << kind;
    }
  }

  TempFolder folder_;
  const std::string runs_ = folder_.path() + "/runs";
};

TEST_F(StressTest, EveryMessageOfADefaultRunIsVerified) {
  Program run(folder_.path(), Small());
  ExpectVerified(run, 15'000);  // 300 users, 10 friends each, 5 messages for each
  const json result = Result();
  EXPECT_EQ(result["users"], 300);
  EXPECT_EQ(result["relations"], 3000);
  EXPECT_EQ(result["cells"], 3);
  EXPECT_GT(result["rate_per_s"], 0);
  EXPECT_GT(result["cpu_us_per_message"]["total"], 0);
  EXPECT_TRUE(result["cpu_us_per_message"]["by_process"].contains("cell-2"));
  EXPECT_TRUE(result["cpu_us_per_message"]["by_role"].is_null());
  EXPECT_TRUE(result["latency_ms"]["stored"].is_null());
  EXPECT_TRUE(result.contains("steady"));
  EXPECT_GT(result["disk_bytes"], 0);
  EXPECT_GT(result["peak_rss_mib"]["total"], 0);
  EXPECT_FALSE(std::filesystem::exists(runs_ + "/latest/lock"));
}

TEST_F(StressTest, AProcessPerRoleIsVerified) {
  Program run(folder_.path(), Small({"--layout", "role"}));
  ExpectVerified(run, 15'000);
  const json by_role = Result()["cpu_us_per_message"]["by_role"];
  for (const char* role : {"gateway", "logic", "relay", "load"}) EXPECT_GT(by_role[role], 0);
}

TEST_F(StressTest, OneProcessIsVerified) {
  Program run(folder_.path(), Small({"--layout", "single"}));
  ExpectVerified(run, 15'000);
}

TEST_F(StressTest, TheSourcesInterfaceIsVerified) {
  Program run(folder_.path(), Small({"--protocol", "http"}));
  ExpectVerified(run, 15'000);
}

TEST_F(StressTest, AnOpenLoopTellsLatenciesOfEveryMessage) {
  Program run(folder_.path(), Small({"--rate", "6000"}));
  const auto code = run.Wait(kLong);
  ASSERT_TRUE(code == 0 || code == 4) << run.output();
  const json load = Result()["load"];
  EXPECT_EQ(load["planned_per_s"], 6000);
  EXPECT_EQ(load["valid"], code == 0) << "a machine that is too busy to keep to it says so";
  if (code == 4) return;
  EXPECT_GE(load["offered_per_s"], 0.95 * 6000);
  for (const char* what : {"stored", "delivered"}) {
    const json latency = Result()["latency_ms"][what];
    EXPECT_GT(latency["p50"], 0);
    EXPECT_GE(latency["p99"], latency["p50"]);
    EXPECT_GE(latency["p999"], latency["p99"]);
    EXPECT_GE(latency["max"], latency["p999"]);
  }
}

TEST_F(StressTest, ARateThatCannotBeOfferedHasNoLatencyAndACodeOfItsOwn) {
  // Bodies that fill a user's window: however fast the machine is, they cannot all leave at once.
  Program run(folder_.path(),
              Small({"--rate", "100000000", "--rounds", "5", "--body-bytes", "3000"}));
  EXPECT_EQ(run.Wait(kLong), 4) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("100,000,000 planned"));
  EXPECT_THAT(run.output(), HasSubstr("NOT VALID"));
  EXPECT_THAT(run.output(), Not(HasSubstr("p50")));
  const json result = Result();
  EXPECT_EQ(result["exit_code"], 4);
  EXPECT_EQ(result["messages"]["verified"], 75'000);
  EXPECT_EQ(result["load"]["valid"], false);
  EXPECT_LT(result["load"]["offered_per_s"], 0.95 * 100'000'000);
  EXPECT_THAT(result["load"]["reason"], HasSubstr("drive-"));
  EXPECT_EQ(result["latency_ms"]["valid"], false);
  EXPECT_TRUE(result["latency_ms"]["stored"].is_null());
}

// A network of its own with hardly any ports; where the machine allows none, there is nothing to
// try.
TEST_F(StressTest, RunningOutOfLocalPortsIsNamed) {
  if (std::system("unshare --net ip link set lo up 2>/dev/null") != 0) {
    GTEST_SKIP() << "a network of its own needs root";
  }
  Program run(folder_.path(), Small({"--concurrency", "100"}),
              "ip link set lo up && echo 40000 40060 >/proc/sys/net/ipv4/ip_local_port_range");
  const auto code = run.Wait(kLong);
  EXPECT_TRUE(code == 2 || code == 4) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("EADDRNOTAVAIL"));
  EXPECT_THAT(Result().dump(), HasSubstr("EADDRNOTAVAIL"));
}

// The one event of a timeline that is of this kind and of this step or process.
json EventOf(const json& result, const std::string& kind, const std::string& who) {
  json found;
  for (const json& event : result["timeline"]) {
    if (event["kind"] == kind && event["who"] == who) found = event;
  }
  return found;
}

// Kills what `pattern` names, once it is there, and waits until the supervisor has it back.
void KillAndAwait(const Program& run, const std::string& pattern) {
  const pid_t victim = WaitForChild(run, pattern, 60 * kSecond);
  ASSERT_NE(victim, 0);
  ::kill(victim, SIGKILL);
  EXPECT_TRUE(Eventually(
      [&] {
        const auto now = run.Children(pattern);
        return now.size() == 1 && now.front() != victim;
      },
      60 * kSecond))
      << pattern << " did not come back\n"
      << run.output();
}

void KillEverything(const std::string& layout, const std::vector<std::string>& patterns,
                    const std::string& folder, std::vector<std::string> arguments) {
  for (const char* more :
       {"--layout", layout.c_str(), "--rounds", "250", "--set", "store.checkpoint=1MiB",
        "--deadline", "300s", "--monitor-interval", "1s"}) {
    arguments.emplace_back(more);
  }
  Program run(folder, arguments);
  // The load clients start last; what is killed then is killed under load.
  WaitForChild(run, "config/drive-1.toml", 60 * kSecond);
  for (const std::string& pattern : patterns) KillAndAwait(run, pattern);
  ASSERT_FALSE(run.Children().empty()) << "the run was over before everything could be killed";
  for (const pid_t pid : run.Children()) ::kill(pid, SIGKILL);
  EXPECT_EQ(run.Wait(kLong), 0) << run.output();
}

TEST_F(StressTest, KillingEachKindOfProcessAndThenAllOfThemLosesNothing) {
  KillEverything("role",
                 {"config/gateway-0.toml", "config/logic-1.toml", "config/relay-2.toml",
                  "config/registry.toml", "--out", "config/drive-0.toml"},
                 folder_.path(), Small());
  const json result = Result();
  EXPECT_EQ(result["messages"]["verified"], 3'750'000);
  EXPECT_LT(result["resent_share"], 0.02);
  // Each by its name, until it served again.
  for (const char* name :
       {"gateway-0", "logic-1", "relay-2", "registry", "monitor", "drive-0", "logic-0"}) {
    const json killed = EventOf(result, "restart", name);
    ASSERT_FALSE(killed.is_null()) << name << result["timeline"].dump();
    EXPECT_THAT(killed["what"], HasSubstr("killed by signal 9")) << name;
    EXPECT_GT(killed["until_ms"], killed["at_ms"]) << name;
  }
}

TEST_F(StressTest, KillingProcessesOfSeveralCellsLosesNothing) {
  KillEverything("single", {"config/cells.toml", "config/drive-2.toml"}, folder_.path(), Small());
  EXPECT_EQ(Result()["messages"]["verified"], 3'750'000);
  EXPECT_LT(Result()["resent_share"], 0.02);
}

TEST_F(StressTest, AnInterruptLeavesNothingBehind) {
  Program run(folder_.path(), Small({"--rounds", "1000"}));
  WaitForChild(run, "config/drive-1.toml", 60 * kSecond);
  const std::vector<pid_t> children = run.Children();
  EXPECT_GE(children.size(), 6U);
  ::kill(run.pid(), SIGINT);
  EXPECT_EQ(run.Wait(kLong), 3) << run.output();
  for (const pid_t child : children) EXPECT_FALSE(Exists(child));
  EXPECT_FALSE(std::filesystem::exists(runs_ + "/latest/lock"));
}

TEST_F(StressTest, TwoRunsAtOnceDoNotCollide) {
  Program one(folder_.path(), Small());
  Program two(folder_.path(), Small({"--layout", "role"}));
  EXPECT_EQ(one.Wait(kLong), 0) << one.output();
  EXPECT_EQ(two.Wait(kLong), 0) << two.output();
}

TEST_F(StressTest, OnlyTheLastRunsStoresAreKept) {
  const auto stores = [&] {
    int n = 0;
    for (const auto& entry : std::filesystem::directory_iterator(runs_)) {
      if (!entry.is_symlink() && std::filesystem::exists(entry.path() / "stores")) ++n;
    }
    return n;
  };
  for (int i = 0; i < 2; ++i) {
    Program run(folder_.path(), Small());
    ASSERT_EQ(run.Wait(kLong), 0) << run.output();
    EXPECT_EQ(stores(), 1);
  }
  Program run(folder_.path(), Small({"--keep"}));
  ASSERT_EQ(run.Wait(kLong), 0) << run.output();
  EXPECT_EQ(stores(), 2);
}

// A store that has forgotten what clients were told, although all that is in it is in order.
TEST_F(StressTest, AnOlderStorePutBackIsFound) {
  Program run(folder_.path(), Small());
  ASSERT_EQ(run.Wait(kLong), 0) << run.output();
  const std::string latest = runs_ + "/latest";
  const auto verify = [&] {
    std::vector<std::string> arguments = {"verify", "--json"};
    for (const std::string& argument : WorkloadOf(Small())) arguments.push_back(argument);
    for (int cell = 0; cell < 3; ++cell) {
      arguments.insert(arguments.end(),
                       {"--store", latest + "/stores/cell-" + std::to_string(cell), "--ledger",
                        latest + "/ledgers/cell-" + std::to_string(cell)});
    }
    return arguments;
  };
  Program before(folder_.path(), verify());
  EXPECT_EQ(before.Wait(kLong), 0) << before.output();
  // As it was right after the import.
  std::filesystem::remove_all(latest + "/stores/cell-1");
  std::vector<std::string> arguments = {"import", "--config", latest + "/config/cell-1.toml"};
  for (const std::string& argument : WorkloadOf(Small())) arguments.push_back(argument);
  Program import(folder_.path(), arguments);
  ASSERT_EQ(import.Wait(kLong), 0) << import.output();
  Program after(folder_.path(), verify());
  EXPECT_EQ(after.Wait(kLong), 1) << after.output();
  EXPECT_NE(after.output().find("lost"), std::string::npos) << after.output();
}

// ---------------------------------------------------------------- what goes wrong

void ExpectRefused(const std::string& folder, const std::vector<std::string>& arguments,
                   const std::string& what) {
  Program run(folder, arguments);
  EXPECT_EQ(run.Wait(60 * kSecond), 2) << run.output();
  EXPECT_NE(run.output().find(what), std::string::npos) << run.output();
  EXPECT_TRUE(run.Children().empty());
}

TEST_F(StressTest, WrongOptionsAreRefusedWithTheFix) {
  ExpectRefused(folder_.path(), {"stres"}, "did you mean stress?");
  ExpectRefused(folder_.path(), {"stress", "--cels", "3"}, "did you mean --cells?");
  ExpectRefused(folder_.path(), Small({"--layout", "both"}), "'both' is not one of");
  ExpectRefused(folder_.path(), Small({"--friends-in-cell", "200"}), "--friends-in-cell");
  ExpectRefused(folder_.path(), Small({"--set", "logic.windw_messages=3"}),
                "did you mean logic.window_messages?");
  ExpectRefused(folder_.path(), Small({"--concurrency", "900000"}), "open files");
}

TEST_F(StressTest, ATakenPortIsNamed) {
  Program holder(folder_.path(), {"registry", "--set", "registry.listen=127.0.0.1:0"});
  const std::string said = "serves at 127.0.0.1:";
  std::string port;
  ASSERT_TRUE(Eventually(
      [&] {
        const std::string output = holder.output();
        const auto at = output.find(said);
        if (at == std::string::npos || output.find('\n', at) == std::string::npos) return false;
        port = std::to_string(std::stoi(output.substr(at + said.size())));
        return true;
      },
      60 * kSecond))
      << holder.output();
  ExpectRefused(folder_.path(), Small({"--registry-port", port}), "127.0.0.1:" + port);
}

TEST_F(StressTest, AFolderThatCannotBeWrittenIsNamed) {
  ExpectRefused(folder_.path(), {"stress", "--runs", "/proc/runs"}, "--runs");
}

// A small disk of memory; where the machine allows none, there is nothing to try.
TEST_F(StressTest, ADiskThatIsTooSmallIsFoundOutBefore) {
  const std::string disk = folder_.path() + "/disk";
  std::filesystem::create_directory(disk);
  if (::mount("baiwan-test", disk.c_str(), "tmpfs", 0, "size=8m") != 0) {
    GTEST_SKIP() << "mounting needs root";
  }
  ExpectRefused(folder_.path(), {"stress", "--runs", disk + "/runs"}, "MiB are free");
  ::umount(disk.c_str());
}

TEST_F(StressTest, ARunThatTakesTooLongEndsWithItsOwnExitCodeAndAReport) {
  std::vector<std::string> arguments = Small({"--rounds", "1000", "--deadline", "1s"});
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--no-report"));
  Program run(folder_.path(), arguments);
  EXPECT_EQ(run.Wait(kLong), 3) << run.output();
  const json result = Result();
  EXPECT_EQ(result["exit_code"], 3);
  EXPECT_EQ(result["load"]["valid"], false);
  EXPECT_FALSE(result["problems"].empty());
  EXPECT_EQ(result["messages"]["sent"], 15'000'000);
  EXPECT_EQ(result["messages"]["verified"], 0);
  for (const char* step : {"prepare", "import", "start"}) {
    EXPECT_EQ(EventOf(result, "step", step)["bad"], false) << step;
  }
  EXPECT_EQ(EventOf(result, "step", "run")["bad"], true);
  EXPECT_THAT(EventOf(result, "end", "")["what"], HasSubstr("not done after 1s"));
  const auto page = ReadFile(runs_ + "/latest/report.html");
  ASSERT_TRUE(page.ok()) << page.error();
  EXPECT_THAT(*page, HasSubstr("OUT OF TIME"));
  EXPECT_THAT(*page, HasSubstr("What happened"));
  EXPECT_THAT(run.output(), HasSubstr("report.html"));
}

TEST_F(StressTest, AProcessThatCannotStartLeavesAReportToo) {
  std::vector<std::string> arguments = Small({"--set", "gateway.http=192.0.2.1:9500"});
  arguments.erase(std::find(arguments.begin(), arguments.end(), "--no-report"));
  Program run(folder_.path(), arguments);
  EXPECT_EQ(run.Wait(kLong), 2) << run.output();
  const json result = Result();
  ASSERT_FALSE(result.is_discarded()) << run.output();
  EXPECT_EQ(EventOf(result, "step", "start")["bad"], true) << result.dump();
  EXPECT_TRUE(EventOf(result, "step", "run").is_null());
  EXPECT_THAT(result["problems"].dump(), HasSubstr("192.0.2.1"));
  EXPECT_TRUE(std::filesystem::exists(runs_ + "/latest/report.html"));
}

}  // namespace
}  // namespace baiwan::cli
