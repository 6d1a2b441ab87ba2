#include "monitor/host_use.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

HostFacts Facts(const char* name, double busy, double idle, double steal) {
  HostFacts f;
  f.name = name;
  f.machine = 7;
  f.cpus = 2;
  f.busy_s = busy;
  f.idle_s = idle;
  f.steal_s = steal;
  return f;
}
HostUse Use(const char* name, std::uint64_t machine, double steal, std::uint64_t memory,
            std::uint64_t disk) {
  HostUse u;
  u.name = name;
  u.machine = machine;
  u.steal = steal;
  u.memory = u.disk = 100;
  u.memory_available = memory;
  u.disk_free = disk;
  return u;
}

TEST(HostTracker, CpuIsTheShareBetweenTwoLooksAtAHost) {
  HostTracker tracker;
  EXPECT_EQ(tracker.Take(Facts("a", 100, 100, 100)).busy, 0);
  tracker.Take(Facts("b", 0, 0, 0));
  const HostUse use = tracker.Take(Facts("a", 106, 103, 101));
  EXPECT_DOUBLE_EQ(use.busy, 0.6);
  EXPECT_DOUBLE_EQ(use.steal, 0.1);
}

TEST(HostTracker, AHostThatStartedAnewHasNoShareYet) {
  HostTracker tracker;
  tracker.Take(Facts("a", 100, 100, 100));
  HostFacts anew = Facts("a", 500, 200, 200);
  anew.machine = 8;
  EXPECT_EQ(tracker.Take(anew).busy, 0);
  const HostUse backwards = tracker.Take(Facts("a", 1, 1, 1));
  EXPECT_EQ(backwards.steal, 0);
}

TEST(HostTracker, OnlyAllowancesThatRoseAreTold) {
  HostTracker tracker;
  HostFacts f = Facts("a", 1, 1, 1);
  f.exceeded = {{"bw_in", 5}, {"pps", 1}};
  EXPECT_THAT(tracker.Take(f).exceeded, IsEmpty());  // what was before it was looked at
  f.exceeded["bw_in"] = 25;
  f.exceeded["conntrack"] = 2;  // a value of 0 is left out of a series
  EXPECT_THAT(tracker.Take(f).exceeded, ElementsAre(Pair("bw_in", 20), Pair("conntrack", 2)));
}

TEST(Machines, HostsOfOneKernelAreOneWithTheWorstOfEachFact) {
  const auto machines =
      MachinesOf({Use("worker-001", 1, 0.1, 50, 30), Use("worker-000", 1, 0.2, 60, 20),
                  Use("control", 1, 0, 70, 90), Use("other", 2, 0, 99, 99)});
  ASSERT_EQ(machines.size(), 2U);
  EXPECT_EQ(machines[0].name(), "control and 2 others, one machine");
  EXPECT_EQ(machines[0].use.steal, 0.2);
  EXPECT_EQ(machines[0].use.memory_available, 50U);
  EXPECT_EQ(machines[0].use.disk_free, 20U);
  EXPECT_EQ(machines[0].disk_host, "worker-000");
  EXPECT_EQ(machines[1].name(), "other");
}

TEST(Machines, WhoDoesNotAnswerIsLeftOut) {
  HostUse silent = Use("worker-001", 1, 0.9, 1, 1);
  silent.answers = false;
  EXPECT_THAT(MachinesOf({silent}), IsEmpty());
  // Of a machine on which others do, it keeps its place.
  const auto machines = MachinesOf({silent, Use("worker-002", 1, 0.1, 50, 50)});
  ASSERT_EQ(machines.size(), 1U);
  EXPECT_EQ(machines[0].name(), "worker-001 and 1 other, one machine");
  EXPECT_EQ(machines[0].use.steal, 0.1);
  EXPECT_EQ(machines[0].use.memory_available, 50U);
}

TEST(Machines, WhatIsNotKnownIsNoTrouble) {
  HostUse u;
  EXPECT_EQ(u.memory_share(), 1);
  EXPECT_EQ(u.disk_share(), 1);
}

}  // namespace
}  // namespace baiwan::monitor
