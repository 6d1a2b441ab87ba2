#include "fleet/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/layout.h"

namespace baiwan::fleet {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kGiB = 1ULL << 30;

FleetPlan Good() {
  FleetPlan plan;
  plan.run = "night-7";
  return plan;
}

ProviderFacts Facts() {
  ProviderFacts facts;
  facts.cores = 2;
  facts.memory_bytes = 4 * kGiB;
  facts.disk_bytes = 20 * kGiB;
  return facts;
}

std::string ErrorsOf(const FleetPlan& plan, const ProviderFacts& facts = Facts()) {
  return ToText(CheckPlan(plan, facts));
}

TEST(FleetCheck, TheStandardPlanAndTheFullOneAreFine) {
  EXPECT_EQ(ErrorsOf(Good()), "");
  FleetPlan full = Good();
  full.hosts.count = 40;
  full.hosts.users_per_host = 25'000;
  EXPECT_EQ(ErrorsOf(full), "");
  FleetPlan spread = Good();
  spread.hosts.count = 8;
  spread.roles = {"role", 2, 4, 2};
  EXPECT_EQ(ErrorsOf(spread), "");
}

TEST(FleetCheck, ARunWithoutAProperNameIsRefused) {
  FleetPlan plan = Good();
  plan.run = "Night 7";
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("run: 'Night 7' is no name for a run"));
}

TEST(FleetCheck, ControlAndWorkersHaveAddressesOfTheirOwn) {
  FleetPlan plan = Good();
  plan.network.control = "10.0.2.23";
  EXPECT_EQ(ErrorsOf(plan),
            "network.control: 10.0.2.23 is also the address of worker-003: move one of them\n");
  plan.network.control = "10.0.2.24";
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.network.control = "10.0.2.19";
  EXPECT_EQ(ErrorsOf(plan), "");
}

TEST(FleetCheck, AddressesOutsideTheirSubnetOrReservedAreRefused) {
  FleetPlan plan = Good();
  plan.network.control = "10.0.9.11";
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("network.control: 10.0.9.11 is in none of the subnets"));
  plan.network.control = "10.0.1.255";
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("for broadcast"));
  plan = Good();
  plan.network.workers_from = "10.0.2.3";
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("network.workers_from: 10.0.2.3 in 10.0.2.0/24"));
}

TEST(FleetCheck, SubnetsLieInTheVpcAndDoNotOverlap) {
  FleetPlan plan = Good();
  plan.network.subnets = {"10.0.1.0/24", "10.0.2.0/23", "10.0.3.0/24"};
  EXPECT_EQ(ErrorsOf(plan),
            "network.subnets: 10.0.2.0/23 and 10.0.3.0/24 overlap: give each "
            "addresses of its own\n");
  plan.network.subnets = {"10.0.1.0/24", "10.0.2.0/24", "10.1.0.0/24"};
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("10.1.0.0/24 is not in 10.0.0.0/16"));
}

TEST(FleetCheck, MoreWorkersThanAddressesAreRefusedAtTheVeryFirst) {
  FleetPlan plan = Good();
  plan.network.workers_from = "10.0.2.250";  // … 254 are five
  plan.hosts.count = 5;
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.hosts.count = 6;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("hosts.count: 6 workers from 10.0.2.250 on, and "
                                        "10.0.2.0/24 has room for 5"));
}

TEST(FleetCheck, PortsOfAHostDoNotClash) {
  FleetPlan plan = Good();
  plan.ports.relay = plan.ports.gateway;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("ports.relay: port 9500 on worker-000 is taken by "
                                        "ports.gateway: give one of them another"));
  // The same ports on different hosts are fine.
  plan.hosts.count = 3;
  plan.roles = {"role", 1, 1, 1};
  plan.workload.friends_cross = 0;
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.ports.monitor = plan.ports.registry;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("on the control host is taken by ports.registry"));
  plan = Good();
  plan.ports.load = 22;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("taken by ssh"));
}

TEST(FleetCheck, FurtherCellsOfAHostCountWithTheirPorts) {
  FleetPlan plan = Good();
  plan.hosts.count = 6;
  plan.roles = {"role", 1, 4, 1};
  plan.ports.relay = 9003;  // relays are at 9003 … 9006
  plan.ports.ops = 9006;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("port 9006 on worker-005"));
  plan.ports.ops = 9007;
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.ports.gateway = 65'533;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("beyond 65535"));
}

TEST(FleetCheck, RolesFillTheHosts) {
  FleetPlan plan = Good();
  plan.roles = {"role", 1, 2, 2};
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("take 5 hosts together, and hosts.count is 4"));
  plan.roles = {"role", 0, 2, 2};
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("at least one host"));
  plan.roles = {"role", 2, 1, 1};
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("nothing to do"));
}

TEST(FleetCheck, TooManyUsersForTheMemoryAreRefusedWithTheWayOut) {
  FleetPlan plan = Good();
  plan.hosts.users_per_host = 500'000;
  plan.limits.memory = 1 * kGiB;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("limits.memory: 500000 users of a host need about"));
  plan = Good();
  plan.limits.memory = 3 * kGiB;
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.limits.memory = 4 * kGiB;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("that a host has for it"));
  // Hosts that are parts of one machine share it: five with the control host.
  ProviderFacts shared = Facts();
  shared.shared = true;
  plan.limits.memory = kGiB / 2;
  EXPECT_EQ(ErrorsOf(plan, shared), "");
  plan.limits.memory = kGiB;
  EXPECT_THAT(ErrorsOf(plan, shared), HasSubstr("5 × 1024 MiB is more than the 3276 MiB"));
}

TEST(FleetCheck, TooLittleDiskIsRefused) {
  ProviderFacts facts = Facts();
  facts.disk_bytes = NeedsOf(Good()).disk_bytes;
  EXPECT_EQ(ErrorsOf(Good(), facts), "");
  facts.disk_bytes -= 1;
  EXPECT_THAT(ErrorsOf(Good(), facts), HasSubstr("MiB of disk"));
  facts.shared = true;
  facts.memory_bytes = 64 * kGiB;
  facts.disk_bytes = 4 * NeedsOf(Good()).disk_bytes;
  EXPECT_EQ(ErrorsOf(Good(), facts), "");
  facts.disk_bytes -= 1;
  EXPECT_THAT(ErrorsOf(Good(), facts), HasSubstr("4 hosts with 1000 users each"));
}

TEST(FleetCheck, UsersAtATimeNeedOpenFiles) {
  FleetPlan plan = Good();
  plan.limits.open_files = 1424;
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.limits.open_files = 1423;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("load.concurrency: 200 users at a time need 1424 open"));
  plan = Good();
  ProviderFacts facts = Facts();
  facts.open_files = 4096;
  EXPECT_THAT(ErrorsOf(plan, facts), HasSubstr("limits.open_files: 65536 is more than the 4096"));
}

TEST(FleetCheck, WorkloadsThatCannotBeAreRefused) {
  FleetPlan plan = Good();
  plan.workload.partitions = 3;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("workload.partitions: 3 partitions cannot be shared by 4"));
  plan = Good();
  plan.workload.friends_in_cell = 0;
  plan.workload.friends_cross = 0;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("nobody has a friend"));
  plan = Good();
  plan.load.rate = 3;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("load.rate"));
  plan = Good();
  plan.workload.friends_in_cell = 2000;  // of 1,000 users
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("workload: "));
}

TEST(FleetCheck, ThePackageFitsTheHosts) {
  FleetPlan plan = Good();
  plan.hosts.architecture = "aarch64";
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("the plan says aarch64"));
  ProviderFacts facts = Facts();
  facts.architecture = "aarch64";
  EXPECT_THAT(ErrorsOf(plan, facts), HasSubstr("no package for aarch64, only for x86_64"));
  facts.packages.push_back("aarch64");
  EXPECT_EQ(ErrorsOf(plan, facts), "");
}

TEST(FleetCheck, MissingToolsAreToldAsTheProviderTellsThem) {
  ProviderFacts facts = Facts();
  facts.missing = {"nft is missing: apt install nftables"};
  EXPECT_EQ(ErrorsOf(Good(), facts), "nft is missing: apt install nftables\n");
}

TEST(FleetCheck, ADeadlineBeforeTheEndIsRefused) {
  FleetPlan plan = Good();
  const Nanos needed = TimeNeeded(plan, Facts());
  plan.deadline = needed;
  EXPECT_EQ(ErrorsOf(plan), "");
  plan.deadline = needed - kSecond;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("deadline: the run is given about 17 minutes"));
}

TEST(FleetCheck, ASilenceThatEndsHostsBeforeAnybodyCouldSpeakIsRefused) {
  FleetPlan plan = Good();
  for (const Nanos good : {Nanos{0}, 15 * kSecond, 600 * kSecond}) {
    plan.limits.silence = good;
    EXPECT_EQ(ErrorsOf(plan), "");
  }
  plan.limits.silence = 5 * kSecond;
  EXPECT_THAT(ErrorsOf(plan), HasSubstr("limits.silence: 5s is less than"));
}

TEST(FleetCheck, AllMistakesAreToldAtOnce) {
  FleetPlan plan = Good();
  plan.run = "";
  plan.network.control = "10.0.2.20";
  plan.ports.relay = 9500;
  plan.limits.memory = 100 * kGiB;
  EXPECT_EQ(CheckPlan(plan, Facts()).size(), 4u) << ErrorsOf(plan);
}

TEST(FleetCheck, WhatFollowsFromAnotherMistakeIsNotTold) {
  ProviderFacts facts;  // of a provider that could not look: memory and disk are not known
  facts.missing = {"boto3 is missing: not installed; apt-get install python3-boto3"};
  EXPECT_EQ(ErrorsOf(Good(), facts), facts.missing[0] + "\n");
  FleetPlan plan = Good();
  plan.workload.partitions = 3;
  EXPECT_EQ(CheckPlan(plan, Facts()).size(), 1u) << ErrorsOf(plan);
  plan = Good();
  plan.hosts.count = 3;
  plan.hosts.users_per_host = 1001;
  plan.workload.friends_in_cell = 5000;
  plan.workload.friends_cross = 0;
  EXPECT_EQ(CheckPlan(plan, Facts()).size(), 1u) << ErrorsOf(plan);
}

TEST(FleetCheck, OneMistakeDoesNotHideTheOthers) {
  FleetPlan plan = Good();
  plan.roles = {"role", 1, 1, 1};  // of four hosts
  plan.ports.monitor = plan.ports.registry;
  plan.limits.open_files = 1024;
  plan.limits.memory = 100 * kGiB;
  EXPECT_EQ(CheckPlan(plan, Facts()).size(), 4u) << ErrorsOf(plan);
  plan = Good();
  plan.workload.partitions = 3;
  plan.load.rate = 3;
  plan.hosts.users_per_host = 1001;
  plan.workload.friends_in_cell = 3;
  plan.workload.friends_cross = 5000;
  const std::string all = ErrorsOf(plan);
  EXPECT_THAT(all, HasSubstr("3 partitions cannot be shared by 4"));
  EXPECT_THAT(all, HasSubstr("load.rate: 3 is less"));
  EXPECT_THAT(all, HasSubstr("1001 users with 3 friends each in their cell cannot all be paired"));
  EXPECT_THAT(all, HasSubstr("5000 across are more than a user may have"));
}

TEST(FleetLayout, EveryCellHasEachRoleOnce) {
  FleetPlan plan;
  plan.hosts.count = 12;
  plan.roles = {"role", 3, 7, 2};
  ASSERT_EQ(WrongRoles(plan), "");
  for (const char* role : {"gateway", "logic", "relay"}) {
    std::vector<int> served(7);
    for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
      const Job job = JobOf(plan, i);
      if (job.role != role) continue;
      EXPECT_GE(job.count, 1u);
      for (CellId cell = job.first; cell < job.first + job.count; ++cell) ++served.at(cell);
    }
    EXPECT_EQ(served, std::vector<int>(7, 1)) << role;
  }
  EXPECT_EQ(JobOf(FleetPlan{}, 3), (Job{"cell", 3, 1}));
}

}  // namespace
}  // namespace baiwan::fleet
