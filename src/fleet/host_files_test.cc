#include "fleet/host_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "supervise/host.h"

namespace baiwan::fleet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const HostPaths kPaths = {"/opt/b/baiwan", "/var/lib/baiwan/night-7"};

FleetPlan Spread() {
  FleetPlan plan;
  plan.hosts.count = 7;
  plan.roles = {"role", 2, 3, 2};
  return plan;
}

supervise::HostPlan Parsed(const HostFiles& host, const std::string& file) {
  const auto parsed = supervise::ParseHostPlan(host.files.at(file), file);
  EXPECT_TRUE(parsed.ok()) << host.name << " " << ToText(parsed.error());
  return parsed.ok() ? *parsed : supervise::HostPlan{};
}

// What follows an argument.
std::string After(const Argv& argv, const std::string& flag) {
  const auto at = std::find(argv.begin(), argv.end(), flag);
  return at == argv.end() || at + 1 == argv.end() ? "" : *(at + 1);
}

TEST(HostFiles, TheControlHostWatchesAndTheWorkersServe) {
  const auto hosts = FilesOf(FleetPlan{}, kPaths);
  ASSERT_EQ(hosts.size(), 5u);
  EXPECT_EQ(hosts[0].name, "control");
  EXPECT_EQ(hosts[0].address, "10.0.1.11");
  const auto control = Parsed(hosts[0], "host.toml");
  ASSERT_EQ(control.children.size(), 2u);
  EXPECT_EQ(control.children[0].name, "registry");
  EXPECT_EQ(After(control.children[1].argv, "--expect"), "10");
  EXPECT_EQ(After(control.children[1].argv, "--listen"), "10.0.1.11:8000");
  EXPECT_THAT(hosts[0].load, IsEmpty());
  EXPECT_THAT(hosts[0].imports, IsEmpty());
  EXPECT_THAT(hosts[0].verify, IsEmpty());
  EXPECT_THAT(hosts[0].collect, Contains("series.jsonl"));

  EXPECT_EQ(hosts[4].name, "worker-003");
  EXPECT_EQ(hosts[4].address, "10.0.2.23");
  const auto worker = Parsed(hosts[4], "host.toml");
  ASSERT_EQ(worker.children.size(), 1u);
  EXPECT_THAT(worker.children[0].argv,
              ElementsAre("/opt/b/baiwan", "serve", "--config",
                          "/var/lib/baiwan/night-7/config/cell-3.toml", "--insecure-no-auth"));
  EXPECT_TRUE(worker.children[0].notifies_ready);
  const std::string& settings = hosts[4].files.at("config/cell-3.toml");
  EXPECT_THAT(settings, HasSubstr("gateway.http = \"10.0.2.23:9500\"\n"));
  EXPECT_THAT(settings, HasSubstr("registry.endpoint = \"10.0.1.11:8089\"\n"));
  // One process of each host speaks for it.
  EXPECT_THAT(settings, HasSubstr("process.host = \"worker-003\"\n"));
  EXPECT_THAT(hosts[4].files.at("config/drive-3.toml"), Not(HasSubstr("process.host")));
  EXPECT_EQ(After(control.children[1].argv, "--host"), "control");
  EXPECT_EQ(After(hosts[4].verify, "--own"), "3-3");
  EXPECT_EQ(After(hosts[4].verify, "--cells"), "4");
  EXPECT_EQ(After(hosts[4].verify, "--store"), "/var/lib/baiwan/night-7/stores/cell-3");
  EXPECT_EQ(After(hosts[4].verify, "--ledger"), "/var/lib/baiwan/night-7/ledgers/cell-3");
  EXPECT_EQ(After(hosts[4].verify, "--share-out"), "/var/lib/baiwan/night-7/verify.share");
  const Argv join = JoinOf(FleetPlan{}, kPaths, {"a.share", "b.share"});
  EXPECT_EQ(After(join, "--join"), "a.share");
  EXPECT_EQ(After(join, "--users-per-cell"), "1000");
  EXPECT_THAT(hosts[4].serve, ElementsAre("/opt/b/baiwan", "supervise", "--config",
                                          "/var/lib/baiwan/night-7/host.toml"));
}

TEST(HostFiles, EachWorkerLoadsItsOwnShareAndPlaysItsOwnUsers) {
  FleetPlan plan;
  plan.hosts.users_per_host = 77;
  plan.workload.seed = 5;
  plan.load.rate = 1000;
  plan.load.protocol = "http";
  const auto hosts = FilesOf(plan, kPaths);
  const HostFiles& worker = hosts[2];
  ASSERT_EQ(worker.imports.size(), 1u);
  EXPECT_EQ(worker.imports[0][1], "import");
  EXPECT_EQ(After(worker.imports[0], "--users-per-cell"), "77");
  EXPECT_EQ(After(worker.imports[0], "--seed"), "5");
  const auto load = Parsed(worker, "load.toml");
  ASSERT_EQ(load.children.size(), 1u);
  const Argv& argv = load.children[0].argv;
  EXPECT_EQ(argv[1], "drive");
  EXPECT_EQ(After(argv, "--cell"), "1");
  EXPECT_EQ(After(argv, "--protocol"), "http");
  EXPECT_EQ(After(argv, "--rate"), "250");
  EXPECT_EQ(After(argv, "--ledger"), "/var/lib/baiwan/night-7/ledgers/cell-1");
  EXPECT_EQ(load.children[0].restart, supervise::Restart::kOnFailure);
  EXPECT_THAT(worker.files.at("config/drive-1.toml"), HasSubstr("10.0.2.21:9100"));
  EXPECT_THAT(worker.folders, Contains("ledgers"));
  EXPECT_THAT(worker.folders, Contains("stores"));
  EXPECT_THAT(worker.stores, ElementsAre("stores/cell-1"));
}

TEST(HostFiles, RolesOnHostsOfTheirOwnServeTheirCells) {
  const auto hosts = FilesOf(Spread(), kPaths);
  ASSERT_EQ(hosts.size(), 8u);
  EXPECT_THAT(hosts[1].files.at("config/gateway-0.toml"), HasSubstr("cell.count = 1\n"));
  const std::string& two = hosts[2].files.at("config/gateway-1.toml");
  EXPECT_THAT(two, HasSubstr("cell.first = 1\ncell.count = 2\n"));
  EXPECT_THAT(two, HasSubstr("cell.roles = [\"gateway\"]"));
  EXPECT_THAT(two, Not(HasSubstr("store.path")));
  // Users play where their store is.
  EXPECT_EQ(hosts[2].files.count("load.toml"), 0u);
  EXPECT_EQ(hosts[4].imports.size(), 1u);
  const auto load = Parsed(hosts[4], "load.toml");
  ASSERT_EQ(load.children.size(), 1u);
  EXPECT_THAT(hosts[4].files.at("config/drive-1.toml"), HasSubstr("10.0.2.23:9100"));
  EXPECT_EQ(After(hosts[4].verify, "--own"), "1-1");
  EXPECT_THAT(hosts[7].files.at("config/relay-1.toml"), HasSubstr("relay.listen"));
  EXPECT_THAT(hosts[7].imports, IsEmpty());
  EXPECT_THAT(hosts[7].verify, IsEmpty());
}

TEST(HostFiles, AnotherServiceHasItsOwnCommandsWithTheirPlacesFilledIn) {
  FleetPlan plan;
  plan.hosts.count = 2;
  plan.service.serve = {"served", "--listen={address}", "--peer={next}", "{folder}/service/x"};
  plan.service.ready = {"asked", "{address}:80"};
  plan.service.load = {"load", "{next}", "{name}", "{control}{control}"};
  plan.service.verify = {"grep", "ok", "{folder}/logs/load.log"};
  const auto hosts = FilesOf(plan, kPaths);
  ASSERT_EQ(hosts.size(), 3u);
  const HostFiles& last = hosts[2];
  const auto served = Parsed(last, "host.toml");
  ASSERT_EQ(served.children.size(), 1u);
  EXPECT_THAT(served.children[0].argv,
              ElementsAre("served", "--listen=10.0.2.21", "--peer=10.0.2.20",
                          "/var/lib/baiwan/night-7/service/x"));
  EXPECT_FALSE(served.children[0].notifies_ready);
  EXPECT_THAT(last.ready, ElementsAre("asked", "10.0.2.21:80"));
  const auto load = Parsed(last, "load.toml");
  EXPECT_THAT(load.children[0].argv,
              ElementsAre("load", "10.0.2.20", "worker-001", "10.0.1.1110.0.1.11"));
  EXPECT_EQ(load.children[0].restart, supervise::Restart::kOnFailure);
  EXPECT_EQ(last.verify.back(), "/var/lib/baiwan/night-7/logs/load.log");
  EXPECT_THAT(last.imports, IsEmpty());
  EXPECT_THAT(last.share, IsEmpty());
  ASSERT_EQ(Parsed(hosts[0], "host.toml").children.size(), 1u);  // the registry
}

TEST(HostFiles, AsManyProcessesAreExpectedAsAreRun) {
  for (const FleetPlan& plan : {FleetPlan{}, Spread()}) {
    std::size_t processes = 0;
    for (const HostFiles& host : FilesOf(plan, kPaths)) {
      for (const auto& [path, content] : host.files) {
        if (path.find('/') == std::string::npos) processes += Parsed(host, path).children.size();
      }
    }
    EXPECT_EQ(processes, ProcessesOf(plan));
  }
}

TEST(HostFiles, WhoAsksStopsBeforeWhoIsAsked) {
  for (const HostFiles& host : FilesOf(Spread(), kPaths)) {
    for (const auto& child : Parsed(host, "host.toml").children) {
      const std::string role = child.name.substr(0, child.name.find('-'));
      const int stage = role == "gateway"   ? 3
                        : role == "logic"   ? 2
                        : role == "relay"   ? 1
                        : role == "monitor" ? 4
                                            : 0;
      EXPECT_EQ(child.stage, stage) << child.name;
    }
  }
}

}  // namespace
}  // namespace baiwan::fleet
