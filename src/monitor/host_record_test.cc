#include "monitor/host_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_folder.h"
#include "monitor/series.h"

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;

class HostRecordTest : public ::testing::Test {
 protected:
  void Write(std::uint64_t ms, const std::string& host, double machine, double busy, double idle,
             double steal, double memory) {
    std::ofstream(path_, std::ios::app)
        << ToLine(Sample{ms,
                         "cell",
                         0,
                         {"cell"},
                         "10.0.2.20:9500",
                         1,
                         "",
                         {{"host_machine{host=\"" + host + "\"}", machine},
                          {"host_cpu_seconds_total{mode=\"busy\"}", busy},
                          {"host_cpu_seconds_total{mode=\"idle\"}", idle},
                          {"host_cpu_seconds_total{mode=\"steal\"}", steal},
                          {"host_memory_bytes{state=\"total\"}", 100},
                          {"host_memory_bytes{state=\"available\"}", memory}}});
  }

  const TempFolder temp_;
  const std::string path_ = temp_.path() + "/series.jsonl";
};

TEST_F(HostRecordTest, KeepsTheWorstOfEachMachine) {
  Write(1000, "worker-000", 1, 100, 100, 100, 90);
  Write(1000, "worker-001", 2, 10, 10, 10, 80);
  Write(2000, "worker-000", 1, 105, 103, 102, 40);  // 50 % busy, 20 % steal
  Write(2000, "worker-001", 2, 20, 10, 10, 85);
  Write(3000, "worker-000", 1, 106, 112, 102, 60);
  const auto record = ReadHostRecord(path_);
  ASSERT_TRUE(record.ok()) << record.error();
  ASSERT_EQ(record->machines.size(), 2U);
  const Machine& first = record->machines[0];
  EXPECT_EQ(first.name(), "worker-000");
  EXPECT_DOUBLE_EQ(first.use.busy, 0.5);
  EXPECT_DOUBLE_EQ(first.use.steal, 0.2);
  EXPECT_EQ(first.use.memory_available, 40U);
  EXPECT_DOUBLE_EQ(record->machines[1].use.busy, 1);
  EXPECT_DOUBLE_EQ(record->steal_share, 2.0 / 30);
}

TEST_F(HostRecordTest, HostsOfOneMachineAreOneRow) {
  Write(1000, "worker-000", 1, 100, 100, 100, 90);
  Write(1000, "control", 1, 100, 100, 100, 80);
  const auto record = ReadHostRecord(path_);
  ASSERT_TRUE(record.ok());
  ASSERT_EQ(record->machines.size(), 1U);
  EXPECT_THAT(record->machines[0].hosts, ElementsAre("control", "worker-000"));
  EXPECT_EQ(record->machines[0].use.memory_available, 80U);
}

TEST_F(HostRecordTest, ARunWhoseHostsTellNothingHasNone) {
  std::ofstream(path_) << ToLine(SeriesHeader{1, 1, 1000});
  const auto record = ReadHostRecord(path_);
  ASSERT_TRUE(record.ok());
  EXPECT_TRUE(record->machines.empty());
  EXPECT_FALSE(ReadHostRecord(path_ + ".none").ok());
}

}  // namespace
}  // namespace baiwan::monitor
