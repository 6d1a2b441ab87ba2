#include "monitor/host_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

// A machine of files that a test made up.
struct FakeWorld final : HostWorld {
  std::map<std::string, std::string> files;
  Space space{1000, 400};
  std::map<std::string, std::uint64_t> counters;
  std::string asked;

  std::string Read(const std::string& path) override { return files[path]; }
  Space SpaceAt(const std::string& folder) override {
    asked = folder;
    return space;
  }
  std::map<std::string, std::uint64_t> NetworkCounters() override { return counters; }
};

FakeWorld Worker() {
  FakeWorld world;
  world.files = {{"/proc/sys/kernel/random/boot_id", "88cac18b-cff1\n"},
                 {"/proc/stat", "cpu 100 0 100 700 0 0 0 100\ncpu0 1 1\ncpu1 1 1\n"},
                 {"/proc/loadavg", "3.25 2.00 1.00 4/200 1234\n"},
                 {"/proc/meminfo", "MemTotal:  8192 kB\nMemFree: 1 kB\nMemAvailable:\t 2048 kB\n"}};
  world.counters = {{"bw_in", 7}, {"pps", 0}};
  return world;
}

// What the sink is told, as /metrics would be read.
struct ValuesSink final : MetricsSink {
  Values values;
  void Counter(std::string_view name, std::string_view, double value,
               std::string_view label) override {
    values[label.empty() ? std::string(name) : std::string(name) + "{" + std::string(label) + "}"] =
        value;
  }
  void Gauge(std::string_view name, std::string_view help, double value,
             std::string_view label) override {
    Counter(name, help, value, label);
  }
};

TEST(HostFacts, AreReadFromTheKernelsFiles) {
  FakeWorld world = Worker();
  const HostFacts f = ReadHostFacts(world, "worker-007", "/var/lib/baiwan");
  const auto tick = static_cast<double>(sysconf(_SC_CLK_TCK));
  EXPECT_EQ(f.name, "worker-007");
  EXPECT_EQ(f.cpus, 2U);
  EXPECT_DOUBLE_EQ(f.busy_s, 200 / tick);
  EXPECT_DOUBLE_EQ(f.idle_s, 700 / tick);
  EXPECT_DOUBLE_EQ(f.steal_s, 100 / tick);
  EXPECT_EQ(f.load, 3.25);
  EXPECT_EQ(f.memory, 8192U << 10);
  EXPECT_EQ(f.memory_available, 2048U << 10);
  EXPECT_EQ(f.disk, 1000U);
  EXPECT_EQ(f.disk_free, 400U);
  EXPECT_EQ(world.asked, "/var/lib/baiwan");
  EXPECT_THAT(f.exceeded, ElementsAre(Pair("bw_in", 7), Pair("pps", 0)));
}

TEST(HostFacts, HostsOfOneKernelAreOneMachineAndOthersAreNot) {
  FakeWorld world = Worker();
  const auto machine = [&](const char* host) { return ReadHostFacts(world, host, "/").machine; };
  const std::uint64_t first = machine("a");
  EXPECT_EQ(machine("b"), first);
  world.files["/proc/sys/kernel/random/boot_id"] = "00000000-0000\n";
  EXPECT_NE(machine("a"), first);
  world.files.erase("/proc/sys/kernel/random/boot_id");  // not told: each is its own
  EXPECT_NE(machine("a"), machine("b"));
}

TEST(HostFacts, WhatIsToldAtMetricsReadsBackTheSame) {
  FakeWorld world = Worker();
  ValuesSink sink;
  HostMetrics("worker-007", "/", world).WriteMetrics(sink);
  EXPECT_EQ(HostFactsOf(sink.values), ReadHostFacts(world, "worker-007", "/"));
  sink.values.erase("host_machine{host=\"worker-007\"}");  // of a process that is not the host's
  EXPECT_EQ(HostFactsOf(sink.values), std::nullopt);
}

TEST(HostFacts, NonsenseOfAnotherProcessIsHarmless) {
  const Values values = {{"host_machine{host=\"w\"}", -5},
                         {"host_cpus", 1e300},
                         {"host_memory_bytes{state=\"total\"}", -1},
                         {"host_disk_bytes{state=\"free\"}", 1e300}};
  const auto facts = HostFactsOf(values);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->machine, 0U);
  EXPECT_EQ(facts->memory, 0U);
  EXPECT_GT(facts->disk_free, 0U);
}

TEST(HostFacts, AMachineThatTellsNothingHasNoFacts) {
  FakeWorld world;
  world.space = {};
  const HostFacts f = ReadHostFacts(world, "w", "/");
  EXPECT_EQ(f.cpus, 0U);
  EXPECT_EQ(f.memory, 0U);
  EXPECT_EQ(f.busy_s, 0);
}

TEST(HostFacts, ThisMachineHasThem) {
  const HostFacts f = ReadHostFacts(ThisHost(), "here", "/");
  EXPECT_GT(f.cpus, 0U);
  EXPECT_GT(f.busy_s, 0);
  EXPECT_GT(f.memory, f.memory_available);
  EXPECT_GT(f.memory_available, 0U);
  EXPECT_GT(f.disk, f.disk_free);
}

TEST(HostFacts, NamesAreLabels) {
  EXPECT_EQ(WrongHostName("worker-007"), "");
  EXPECT_EQ(WrongHostName(""), "");
  EXPECT_NE(WrongHostName("a\"b"), "");
  EXPECT_NE(WrongHostName(std::string(65, 'a')), "");
}

}  // namespace
}  // namespace baiwan::monitor
