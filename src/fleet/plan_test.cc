#include "fleet/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace baiwan::fleet {
namespace {

using ::testing::HasSubstr;

std::string ErrorsOf(const std::string& toml) {
  const auto plan = ParsePlan(toml, "plan.toml");
  return plan ? "no error" : ToText(plan.error());
}

FleetPlan Unusual() {
  FleetPlan p;
  p.run = "night-7";
  p.provider = "a \"cloud\" \\ of\tours";
  p.deadline = 90 * kSecond;
  p.budget = 1205;
  p.hosts = {41, 25'000, "c7i.large", "aarch64"};
  p.network = {"10.8.0.0/16", {"10.8.1.0/24", "10.8.2.0/23"}, "10.8.1.11", "10.8.2.20"};
  p.roles = {"role", 1, 38, 2};
  p.ports = {1, 2, 3, 4, 5, 6, 7};
  p.workload.seed = 99;
  p.workload.friends_in_cell = 3;
  p.workload.friends_cross = 4;
  p.workload.messages_per_friend = 6;
  p.workload.rounds = 7;
  p.workload.body_bytes = 8;
  p.workload.partitions = 512;
  p.load = {"http", 11, 12, 13, 14};
  p.limits = {768ULL << 20, 2048, 1500 * kMillisecond, 5};
  return p;
}

TEST(FleetPlan, WhatIsWrittenReadsBackToTheSame) {
  for (const FleetPlan& plan : {FleetPlan{}, Unusual()}) {
    const auto read = ParsePlan(WritePlan(plan), "plan.toml");
    ASSERT_TRUE(read.ok()) << ToText(read.error());
    EXPECT_TRUE(*read == plan) << WritePlan(*read);
  }
  const auto read = ParsePlan(WritePlan(Unusual()), "plan.toml");
  EXPECT_EQ(read->provider, Unusual().provider);
  EXPECT_EQ(read->budget, 1205u);
  EXPECT_EQ(read->workload, Unusual().workload);
  EXPECT_EQ(read->ports.load, 7u);
  EXPECT_EQ(read->network.subnets.back(), "10.8.2.0/23");
  EXPECT_EQ(read->limits.monitor_interval, 1500 * kMillisecond);
  EXPECT_FALSE(*read == FleetPlan{});
}

TEST(FleetPlan, EveryValueHasACommentForPeople) {
  const std::string text = WritePlan(FleetPlan{});
  std::size_t values = 0;
  std::string before;
  for (std::size_t at = 0; at < text.size();) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    if (!line.empty() && line[0] != '#' && line[0] != '[') {
      ++values;
      EXPECT_EQ(before.substr(0, 2), "# ") << line;
    }
    before = line;
    at += line.size() + 1;
  }
  EXPECT_GT(values, 35u);
  EXPECT_THAT(text, HasSubstr("control = \"10.0.1.11\""));
}

TEST(FleetPlan, AnEmptyFileIsTheStandardPlan) {
  const auto plan = ParsePlan("", "plan.toml");
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(*plan == FleetPlan{});
  EXPECT_EQ(plan->hosts.count, 4u);
  EXPECT_EQ(plan->hosts.users_per_host, 1000u);
}

TEST(FleetPlan, AllMistakesAreToldAtOnceWithLineAndFix) {
  const std::string errors = ErrorsOf(
      "run = 7\n"
      "bugdet = \"1.00 USD\"\n"
      "budget = \"12\"\n"
      "[hosts]\n"
      "cuont = 4\n"
      "count = 0\n"
      "[network]\n"
      "control = \"10.0.1\"\n"
      "subnets = [\"10.0.1.0/24\", \"10.0.1.7/24\"]\n"
      "[roles]\n"
      "layout = \"cells\"\n"
      "[limits]\n"
      "memory = \"1GB\"\n");
  EXPECT_THAT(errors, HasSubstr("plan.toml:1:7: run: expected a text, got a whole number"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:2:1: bugdet: unknown key; did you mean budget?"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:3:10: budget: '12' is not an amount like"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:5:1: hosts.cuont: unknown key; did you mean"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:6:9: hosts.count: 0 is out of range: give a whole"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:8:11: network.control: '10.0.1' is not an IPv4"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:9:11: network.subnets: '10.0.1.7/24' does not begin at "
                                "the first address of a range: write 10.0.1.0/24"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:11:10: roles.layout: 'cells' is not one of cell, role"));
  EXPECT_THAT(errors, HasSubstr("plan.toml:13:10: limits.memory"));
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 9);
  EXPECT_THAT(ErrorsOf("run = "), HasSubstr("plan.toml:1:"));
}

TEST(FleetPlan, CellsAreTheHostsOrThoseWithLogic) {
  FleetPlan plan;
  plan.hosts.count = 7;
  plan.hosts.users_per_host = 30;
  EXPECT_EQ(WorkloadOf(plan).cells, 7u);
  EXPECT_EQ(WorkloadOf(plan).users_per_cell, 30u);
  plan.roles = {"role", 2, 4, 1};
  EXPECT_EQ(WorkloadOf(plan).cells, 4u);
}

TEST(FleetPlan, AWorkersAddressFollowsItsNumber) {
  const FleetPlan plan;
  EXPECT_EQ(FormatAddress(WorkerAddress(plan, 0)), "10.0.2.20");
  EXPECT_EQ(FormatAddress(WorkerAddress(plan, 39)), "10.0.2.59");
  EXPECT_EQ(FormatAddress(ControlAddress(plan)), "10.0.1.11");
}

TEST(FleetPlan, ARunsNameFitsIntoHostNamesTagsAndPaths) {
  for (const char* good : {"a", "night-7", "a2345678901234567890"}) {
    EXPECT_EQ(WrongRunName(good), "") << good;
  }
  for (const char* bad : {"", "7", "-a", "a-", "A", "a b", "a/b", "..", "a23456789012345678901"}) {
    EXPECT_NE(WrongRunName(bad), "") << bad;
  }
}

TEST(Address, ReadsAndWritesAndRefusesTheRest) {
  EXPECT_EQ(*ParseAddress("10.0.1.11"), 0x0A00010Bu);
  EXPECT_EQ(FormatAddress(0xFFFFFFFF), "255.255.255.255");
  for (const char* bad : {"", "10", "10.0.1", "10.0.1.256", "10.0.1.11.", "10.0.1.1.1", "10.0.01.1",
                          " 10.0.1.1", "10.0.1.-1", "a.b.c.d", "10..1.1"}) {
    EXPECT_FALSE(ParseAddress(bad).ok()) << bad;
  }
}

TEST(Address, ARangeKnowsItsFirstItsLastAndItsNeighbours) {
  const Range range = *ParseRange("10.0.2.0/23");
  EXPECT_EQ(FormatAddress(range.last()), "10.0.3.255");
  EXPECT_TRUE(range.Holds(*ParseAddress("10.0.3.0")));
  EXPECT_FALSE(range.Holds(*ParseAddress("10.0.4.0")));
  EXPECT_TRUE(range.Overlaps(*ParseRange("10.0.0.0/16")));
  EXPECT_FALSE(range.Overlaps(*ParseRange("10.0.4.0/24")));
  EXPECT_EQ(ParseRange("0.0.0.0/0")->size(), 1ULL << 32);
  EXPECT_EQ(ParseRange("10.0.1.7/32")->last(), *ParseAddress("10.0.1.7"));
  for (const char* bad : {"10.0.1.0", "10.0.1.0/", "10.0.1.0/33", "/24", "10.0.1.0/24 "}) {
    EXPECT_FALSE(ParseRange(bad).ok()) << bad;
  }
}

TEST(Address, TheFirstFourAndTheLastOfASubnetAreReserved) {
  const Range range = *ParseRange("10.0.2.0/24");
  for (const char* kept : {"10.0.2.0", "10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.255"}) {
    EXPECT_NE(Reserved(range, *ParseAddress(kept)), "") << kept;
  }
  for (const char* open : {"10.0.2.4", "10.0.2.254", "10.0.3.0"}) {
    EXPECT_EQ(Reserved(range, *ParseAddress(open)), "") << open;
  }
}

TEST(Money, ReadsWhatItWrites) {
  for (const Cents cents : {0ULL, 5ULL, 1205ULL, 99'999'999ULL}) {
    EXPECT_EQ(*ParseMoney(FormatMoney(cents)), cents);
  }
  EXPECT_EQ(*ParseMoney("25 USD"), 2500u);
  for (const char* bad : {"", "25", "USD", " USD", "25.5 USD", "25.505 USD", "-1 USD", "1e3 USD",
                          "25 EUR", "12345678 USD"}) {
    EXPECT_FALSE(ParseMoney(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace baiwan::fleet
