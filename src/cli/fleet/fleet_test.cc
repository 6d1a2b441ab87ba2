// `baiwan fleet` as a person uses it, and that the files it makes for hosts are ones that this very
// program takes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/fleet/known_runs.h"
#include "cli/testing/program.h"
#include "fleet/check.h"
#include "fleet/host_files.h"
#include "fleet/host_ready.h"
#include "fleet/journey.h"
#include "fleet/plan.h"

namespace baiwan::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class FleetCommandTest : public ::testing::Test {
 protected:
  FleetCommandTest() { ::setenv("XDG_STATE_HOME", (folder.path() + "/state").c_str(), 1); }
  ~FleetCommandTest() override { ::unsetenv("XDG_STATE_HOME"); }

  int Run(std::vector<std::string> args) {
    args.insert(args.begin(), {"baiwan", "fleet"});
    std::vector<char*> argv;
    argv.reserve(args.size());
    for (std::string& arg : args) argv.push_back(arg.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code =
        RunCommands("baiwan", "", {FleetCommand()}, static_cast<int>(argv.size()), argv.data());
    std::fflush(stdout);
    out = ::testing::internal::GetCapturedStdout();
    err = ::testing::internal::GetCapturedStderr();
    return code;
  }

  TempFolder folder;
  const std::string file = folder.path() + "/plan.toml";
  std::string out;
  std::string err;
};

TEST_F(FleetCommandTest, AHostTellsHowItIsAsALineOfJson) {
  ASSERT_EQ(Run({"facts", "--host", "worker-007", "--folder", folder.path(), "--open-files", "4096",
                 "--over", "50ms"}),
            kDone)
      << err;
  const auto host = fleet::HostReadyFromJson(out);
  ASSERT_TRUE(host.ok()) << host.error() << out;
  EXPECT_EQ(host->use.name, "worker-007");
  EXPECT_GT(host->use.cpus, 0U);
  EXPECT_GT(host->use.memory, host->use.memory_available);
  EXPECT_GT(host->use.disk, 0U);
  EXPECT_EQ(host->open_files, 4096U);
  EXPECT_EQ(Run({"facts", "--host", "a b"}), kUsage);
  EXPECT_THAT(err, HasSubstr("--host: a host's name"));
  EXPECT_EQ(Run({"facts", "--host", "a", "--over", "2m"}), kUsage);
}

TEST_F(FleetCommandTest, APlanThatIsWrittenIsRightAndIsNeverOverwritten) {
  ASSERT_EQ(Run({"plan", "--hosts", "40", "--users-per-host", "25000", "--provider", "aws",
                 "--architecture", "x86_64", "--run", "full", "--out", file}),
            kDone)
      << err;
  const std::vector<std::string> check = {"check",       file,    "--host-memory", "4GiB",
                                          "--host-disk", "20GiB", "--package",     "x86_64"};
  EXPECT_EQ(Run(check), kDone) << err;
  EXPECT_THAT(out, StartsWith("full: 40 hosts and the control host, 40 cells of 25000 users, "
                              "150000000 messages\n"));
  const auto before = ReadFile(file);
  EXPECT_EQ(Run({"plan", "--out", file}), kUsage);
  EXPECT_THAT(err, HasSubstr("is there already"));
  EXPECT_EQ(*ReadFile(file), *before);
}

TEST_F(FleetCommandTest, APlanForThisMachineKeepsToItsLimits) {
  ASSERT_EQ(Run({"plan", "--hosts", "2", "--users-per-host", "100", "--out", file}), kDone) << err;
  const std::vector<std::string> room = {"--host-memory", "8GiB", "--host-disk", "64GiB"};
  EXPECT_EQ(Run({"check", file, room[0], room[1], room[2], room[3]}), kDone) << err;
  EXPECT_THAT(out, HasSubstr("what it costs was not asked"));
  // Also one that takes long.
  const std::string large = folder.path() + "/large.toml";
  ASSERT_EQ(Run({"plan", "--hosts", "4", "--users-per-host", "25000", "--out", large}), kDone);
  EXPECT_EQ(Run({"check", large, room[0], room[1], room[2], room[3]}), kDone) << err;
}

TEST_F(FleetCommandTest, CheckNamesAProviderThatIsNotThere) {
  ASSERT_EQ(ReplaceFile(file, "run = \"a\"\nprovider = \"moon\"\n"), std::nullopt);
  EXPECT_EQ(Run({"check", file}), kUsage);
  EXPECT_THAT(err, HasSubstr("there is no provider 'moon'"));
  EXPECT_THAT(err, HasSubstr("give what a host has: --host-memory, --host-disk"));
}

TEST_F(FleetCommandTest, CheckTellsEveryMistakeWithTheFile) {
  ASSERT_EQ(ReplaceFile(file,
                        "run = \"a\"\nprovider = \"aws\"\n[ports]\nrelay = 9500\n"
                        "[network]\ncontrol = \"10.0.2.21\"\n"),
            std::nullopt);
  EXPECT_EQ(Run({"check", file, "--host-memory", "4GiB"}), kUsage);
  EXPECT_THAT(err, HasSubstr("give both, --host-memory and --host-disk"));
  EXPECT_EQ(Run({"check", file, "--host-memory", "4GiB", "--host-disk", "20GiB"}), kUsage);
  EXPECT_THAT(err, HasSubstr(file + ": ports.relay: port 9500 on worker-000 is taken by"));
  EXPECT_THAT(err, HasSubstr(file + ": network.control: 10.0.2.21 is also the address"));
  ASSERT_EQ(ReplaceFile(file, "[hosts]\ncuont = 4\n"), std::nullopt);
  EXPECT_EQ(Run({"check", file}), kUsage);
  EXPECT_THAT(err, HasSubstr("plan.toml:2:1: hosts.cuont: unknown key; did you mean hosts.count?"));
}

TEST_F(FleetCommandTest, StatusShowsTheJourneyAndExitsWithItsOutcome) {
  EXPECT_EQ(Run({"status", file}), kUsage);
  fleet::Journey journey = fleet::NewJourney("a", {"worker-000"}, 1);
  ASSERT_EQ(fleet::SaveJourney(file, journey), std::nullopt);
  EXPECT_EQ(Run({"status", file}), kDone);
  EXPECT_THAT(out, HasSubstr("deploy    not begun     0 of 2\n"));
  ASSERT_TRUE(fleet::Begin(&journey, fleet::Step::kPlan, "control", 1));
  ASSERT_TRUE(fleet::Fail(&journey, fleet::Step::kPlan, "control", {"no", "", "", true}, 2));
  fleet::Next(&journey, 3);
  ASSERT_EQ(fleet::SaveJourney(file, journey), std::nullopt);
  EXPECT_EQ(Run({"status", file}), kMismatch);
  EXPECT_THAT(out, StartsWith("control: plan failed (attempt 1 of 3): no\n"));
  // By its name, also from where a folder is called the same.
  const auto before = std::filesystem::current_path();
  std::filesystem::create_directory(folder.path() + "/a");
  std::filesystem::copy_file(file, folder.path() + "/a/journey.json");
  std::filesystem::current_path(folder.path());
  EXPECT_EQ(Run({"status", "a", "--runs", "."}), kMismatch) << err;
  std::filesystem::current_path(before);
  EXPECT_EQ(Run({"status", file, "--json"}), kMismatch);
  EXPECT_EQ(nlohmann::json::parse(out)["gave_up"], "plan failed on control after 1 attempt: no");
}

// What holds the lock and writes its number in turn.
TEST_F(FleetCommandTest, WhoFollowsIsToldOfControllersThatEndOneAfterTheOther) {
  const fleet::Journey journey = fleet::NewJourney("a", {"worker-000"}, 1);
  ASSERT_EQ(fleet::SaveJourney(folder.path() + "/handed-over.json", journey), std::nullopt);
  ASSERT_EQ(ReplaceFile(folder.path() + "/control.log", "first\nthe disk is full\n"), std::nullopt);
  const std::string lock = folder.path() + "/lock";
  const UniqueFd held(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
  std::atomic<bool> over = false;
  std::thread controllers([&] {
    for (int life = 1; life < 100 && !over; ++life) {
      const std::string number = std::to_string(life) + "\n";
      EXPECT_EQ(::pwrite(held.get(), number.data(), number.size(), 0), ssize_t(number.size()));
      std::this_thread::sleep_for(std::chrono::milliseconds(250));
    }
    // Without it the test would not end.
    if (!over) {
      EXPECT_EQ(::unlink((folder.path() + "/handed-over.json").c_str()), 0);
    }
  });
  EXPECT_EQ(Run({"follow", "--home", folder.path()}), kUsage);
  over = true;
  controllers.join();
  EXPECT_THAT(err, HasSubstr("5 controllers, one after the other, have ended without coming any "
                             "further; its log ends with:\nfirst\nthe disk is full\n"));
}

TEST_F(FleetCommandTest, AControllerLeavesItsNumberForWhoFollows) {
  EXPECT_EQ(Run({"control", "--home", folder.path()}), kUsage);
  EXPECT_THAT(err, HasSubstr("plan.toml"));
  EXPECT_EQ(*ReadFile(folder.path() + "/lock"), std::to_string(::getpid()) + "\n");
}

TEST_F(FleetCommandTest, AMistypedCommandOrArgumentIsGuessed) {
  EXPECT_EQ(Run({"chekc"}), kUsage);
  EXPECT_THAT(err, HasSubstr("did you mean check?"));
  EXPECT_EQ(Run({"plan", "--host", "3", "--out", "-"}), kUsage);
  EXPECT_THAT(err, HasSubstr("did you mean --hosts?"));
}

TEST_F(FleetCommandTest, ListShowsTheRunsWhereverTheyAreAndWhatIsLeftOfThem) {
  const std::string runs = folder.path() + "/runs";
  EXPECT_EQ(Run({"list", "--runs", runs}), kDone);
  EXPECT_EQ(out, "no runs are known\n");
  // One that is refused by its plan leaves nothing; it was begun elsewhere than it is looked for.
  ASSERT_EQ(ReplaceFile(file, "run = \"a\"\nprovider = \"moon\"\n[hosts]\ncount = 2\n"),
            std::nullopt);
  EXPECT_EQ(Run({"test", "--plan", file, "--runs", runs}), kUsage);
  EXPECT_EQ(Run({"list"}), kDone);
  EXPECT_THAT(out, HasSubstr(runs + "/a\n"));
  EXPECT_THAT(out, HasSubstr("failed"));
  // One whose hosts are up, and its folder gone.
  const std::string gone = folder.path() + "/gone";
  ASSERT_EQ(
      Remember(KnownRunsFolder(), {"b", gone + "/b", *ReadFile(runs + "/a/plan.toml"), false}),
      std::nullopt);
  EXPECT_EQ(Run({"list", "--json"}), kDone);
  const auto all = nlohmann::json::parse(out);
  ASSERT_EQ(all.size(), 2u) << out;
  EXPECT_EQ(all[0]["run"], "a");
  EXPECT_TRUE(all[0]["hosts_left"].empty());
  EXPECT_EQ(all[1]["hosts_left"].size(), 3u);
  EXPECT_EQ(all[1]["state"], "its folder is gone");
  EXPECT_EQ(Run({"status", "a"}), kMismatch) << err;
  // What is over and gone is forgotten.
  std::filesystem::remove_all(runs);
  EXPECT_EQ(Run({"list", "--json"}), kDone);
  EXPECT_EQ(nlohmann::json::parse(out).size(), 1u) << out;
}

TEST_F(FleetCommandTest, APlanAndWhatItWouldSayAreNotGivenTogether) {
  ASSERT_EQ(ReplaceFile(file, "run = \"a\"\nprovider = \"moon\"\n"), std::nullopt);
  const std::string runs = folder.path() + "/runs";
  for (const auto& [flag, value] : {std::pair<std::string, std::string>{"--hosts", "40"},
                                    {"--users-per-host", "7"},
                                    {"--provider", "aws"},
                                    {"--rounds", "2"},
                                    {"--type", "c7g.large"},
                                    {"--architecture", "aarch64"},
                                    {"--memory", "1GiB"},
                                    {"--deadline", "1h"},
                                    {"--budget", "1 USD"}}) {
    EXPECT_EQ(Run({"test", "--plan", file, "--runs", runs, flag, value}), kUsage) << flag;
    EXPECT_THAT(err, HasSubstr("--plan")) << flag;
    EXPECT_THAT(err, HasSubstr(flag));
    EXPECT_THAT(err, HasSubstr("give one of them"));
    EXPECT_FALSE(std::filesystem::exists(runs)) << flag;
  }
  EXPECT_EQ(Run({"test", "--plan", file, "--runs", runs, "--run", "b"}), kUsage);
  EXPECT_THAT(err, HasSubstr("there is no provider 'moon'")) << "its name may be another";
}

// Every configuration file of a plan loads, and together they fit on their hosts.
void ExpectFilesLoad(const fleet::FleetPlan& plan) {
  std::deque<Config> configs;
  std::vector<DeployedProcess> processes;
  for (const fleet::HostFiles& host : fleet::FilesOf(plan, {})) {
    for (const auto& [path, content] : host.files) {
      if (path.rfind("config/", 0) != 0) continue;
      auto config = ParseConfig(Schema(), content, path);
      ASSERT_TRUE(config.ok()) << host.name << "\n" << ToText(config.error()) << content;
      configs.push_back(std::move(*config));
      const bool load = path.rfind("config/drive-", 0) == 0;
      std::vector<std::string> sections = {"process"};
      if (load) sections.emplace_back("ops");
      if (path == "config/registry.toml") sections.emplace_back("registry");
      if (!load && path != "config/registry.toml") {
        for (const std::string& role : configs.back().list("cell.roles")) sections.push_back(role);
      }
      for (const std::string& section : sections) {
        for (const ConfigKey& key : configs.back().keys()) {
          if (key.use != ConfigUse::kListens || key.name.rfind(section + ".", 0) != 0) continue;
          EXPECT_EQ(configs.back().endpoint(key.name).host, host.address) << path << key.name;
        }
      }
      processes.push_back({path, host.name, &configs.back(), sections});
    }
  }
  EXPECT_EQ(ToText(CheckDeployment(processes, plan.limits.memory)), "");
}

TEST(FleetFiles, EveryProcessOfAHostTakesItsConfiguration) {
  fleet::FleetPlan plan;
  ExpectFilesLoad(plan);
  plan.hosts.count = 40;
  plan.limits.memory = 128ULL << 20;
  ExpectFilesLoad(plan);
}

TEST(FleetFiles, AlsoWithAHostForEachRole) {
  fleet::FleetPlan plan;
  plan.hosts.count = 9;
  plan.roles = {"role", 2, 5, 2};
  ExpectFilesLoad(plan);
}

}  // namespace
}  // namespace baiwan::cli
