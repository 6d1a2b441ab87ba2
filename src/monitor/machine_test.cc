#include "monitor/machine.h"

#include <gtest/gtest.h>

namespace baiwan::monitor {
namespace {

constexpr const char* kStat =
    "cpu  100 20 30 400 50 6 7 80 9 10\n"
    "cpu0 50 10 15 200 25 3 3 40 4 5\n"
    "cpu1 50 10 15 200 25 3 4 40 5 5\n"
    "intr 12345 1 2 3\n"
    "ctxt 99\n";

TEST(Machine, ProcStatGivesTotalsIdleAndSteal) {
  const CpuTimes times = ParseProcStat(kStat);
  EXPECT_EQ(times.total, 693U);  // without the guest times, which are in user and nice
  EXPECT_EQ(times.idle, 450U);
  EXPECT_EQ(times.steal, 80U);
  EXPECT_EQ(times.cpus, 2U);
}

TEST(Machine, OldKernelsWithoutStealAndNonsenseAreRead) {
  EXPECT_EQ(ParseProcStat("cpu 1 2 3 4\n").total, 10U);
  EXPECT_EQ(ParseProcStat("cpu 1 2 3 4\n").steal, 0U);
  EXPECT_EQ(ParseProcStat("").cpus, 0U);
  EXPECT_EQ(ParseProcStat("cpu x y\ncpu").total, 0U);
}

TEST(Machine, UseIsTheShareBetweenTwoLooks) {
  const CpuUse use = Between({1000, 600, 10, 2}, {1200, 650, 40, 2});
  EXPECT_DOUBLE_EQ(use.steal, 0.15);
  EXPECT_DOUBLE_EQ(use.busy, 0.60);
  EXPECT_EQ(Between({1000, 0, 0, 2}, {1000, 0, 0, 2}).busy, 0);
  EXPECT_EQ(Between({1000, 0, 0, 2}, {900, 0, 0, 2}).busy, 0);
}

TEST(Machine, ThisOneHasCpusAndMemory) {
  EXPECT_GT(ReadCpuTimes().total, 0U);
  const MachineInfo info = ReadMachine();
  EXPECT_GT(info.cpus, 0U);
  EXPECT_GT(info.memory_mib, 0U);
  EXPECT_EQ(info.system.substr(0, 5), "Linux");
}

}  // namespace
}  // namespace baiwan::monitor
