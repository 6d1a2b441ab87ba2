// What the files and commands of a plan come to: every host played by a folder of its own and
// addresses of the loopback network, with the real program.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/file.h"
#include "cli/testing/program.h"
#include "fleet/host_files.h"
#include "monitor/host_facts.h"
#include "monitor/series.h"
#include "net/sockets.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kSoon = 60 * kSecond;

class FleetHostsTest : public ::testing::Test {
 protected:
  // All at ports that are free now.
  fleet::FleetPlan Plan() {
    fleet::FleetPlan plan;
    plan.network = {"127.0.0.0/8", {"127.0.1.0/24", "127.0.2.0/24"}, "127.0.1.11", "127.0.2.20"};
    for (std::uint32_t* port :
         {&plan.ports.gateway, &plan.ports.relay, &plan.ports.logic, &plan.ports.registry,
          &plan.ports.monitor, &plan.ports.ops, &plan.ports.load}) {
      *port = net::FreeLoopbackPort();
    }
    plan.hosts.users_per_host = 30;
    plan.workload.friends_in_cell = 4;
    plan.workload.friends_cross = 2;
    plan.limits.monitor_interval = 200 * kMillisecond;
    return plan;
  }

  // The files of all hosts, each in its own folder.
  void Deploy(const fleet::FleetPlan& plan) {
    const std::size_t count = plan.hosts.count + 1;
    for (std::size_t i = 0; i < count; ++i) {
      const fleet::HostPaths paths = {BAIWAN_PROGRAM,
                                      folder_.path() + "/host-" + std::to_string(i)};
      fleet::HostFiles host = fleet::FilesOf(plan, paths)[i];
      std::filesystem::create_directories(paths.folder);
      for (const std::string& in : host.folders) {
        std::filesystem::create_directories(paths.folder + "/" + in);
      }
      for (const auto& [path, content] : host.files) {
        ASSERT_EQ(ReplaceFile(paths.folder + "/" + path, content), std::nullopt);
      }
      const std::string secret = paths.folder + "/link.secret";
      std::ofstream(secret) << "a secret of this test alone";
      ::chmod(secret.c_str(), 0600);
      hosts_.push_back(std::move(host));
    }
  }
  std::unique_ptr<Program> Start(fleet::Argv argv) {
    argv.erase(argv.begin());
    return std::make_unique<Program>(folder_.path(), std::move(argv));
  }

  void RunAndVerify(const fleet::FleetPlan& plan) {
    Deploy(plan);
    for (const fleet::HostFiles& host : hosts_) {
      for (const fleet::Argv& import : host.imports) {
        const auto program = Start(import);
        ASSERT_EQ(program->Wait(kSoon), 0) << program->output();
      }
    }
    std::vector<std::unique_ptr<Program>> services;
    for (const fleet::HostFiles& host : hosts_) services.push_back(Start(host.serve));
    std::vector<std::unique_ptr<Program>> loads;
    for (const fleet::HostFiles& host : hosts_) {
      if (!host.load.empty()) loads.push_back(Start(host.load));
    }
    for (const auto& load : loads) EXPECT_EQ(load->Wait(kSoon), 0) << load->output();
    // They may be done before the monitor has looked at all of them.
    Eventually([&] { return HostsOnRecord() == Names(); }, kSoon);
    for (const auto& service : services) service->Signal(SIGTERM);
    for (const auto& service : services) EXPECT_EQ(service->Wait(kSoon), 0) << service->output();
    EXPECT_EQ(HostsOnRecord(), Names());
    std::vector<std::string> shares;
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      const std::string at = folder_.path() + "/host-" + std::to_string(i) + "/";
      for (const std::string& path : hosts_[i].collect) {
        EXPECT_TRUE(std::filesystem::exists(at + path)) << at + path;
      }
      if (hosts_[i].verify.empty()) continue;
      const auto own = Start(hosts_[i].verify);
      EXPECT_EQ(own->Wait(kSoon), 0) << own->output();
      shares.push_back(at + hosts_[i].share);
    }
    const auto join = Start(fleet::JoinOf(plan, {BAIWAN_PROGRAM, ""}, shares));
    EXPECT_EQ(join->Wait(kSoon), 0) << join->output();
    const auto found = nlohmann::json::parse(join->output(), nullptr, false);
    EXPECT_EQ(found.value("verified", 0ULL), stress::TotalMessages(fleet::WorkloadOf(plan)));
  }

  // Who told in the monitor's record how it is; each in one process.
  std::multiset<std::string> HostsOnRecord() const {
    struct : monitor::SeriesVisitor {
      void OnSample(const monitor::Sample& sample) override {
        const auto facts = monitor::HostFactsOf(sample.values);
        if (facts && facts->cpus > 0 && facts->disk > 0) by_process[sample.name] = facts->name;
      }
      std::map<std::string, std::string> by_process;
    } record;
    const std::string series = folder_.path() + "/host-0/series.jsonl";
    if (!std::filesystem::exists(series)) return {};
    EXPECT_TRUE(monitor::VisitSeries(series, record).ok());
    std::multiset<std::string> names;
    for (const auto& [process, host] : record.by_process) names.insert(host);
    return names;
  }
  std::multiset<std::string> Names() const {
    std::multiset<std::string> names;
    for (const fleet::HostFiles& host : hosts_) names.insert(host.name);
    return names;
  }

  TempFolder folder_;
  std::vector<fleet::HostFiles> hosts_;
};

TEST_F(FleetHostsTest, ACellOnEachHostPlaysItsUsersAndIsVerified) {
  fleet::FleetPlan plan = Plan();
  plan.hosts.count = 3;
  RunAndVerify(plan);
}

TEST_F(FleetHostsTest, SoDoRolesOnHostsOfTheirOwn) {
  fleet::FleetPlan plan = Plan();
  plan.hosts.count = 4;
  plan.roles = {"role", 1, 2, 1};
  RunAndVerify(plan);
}

}  // namespace
}  // namespace baiwan::cli
