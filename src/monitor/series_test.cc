#include "monitor/series.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>

#include "base/testing/temp_folder.h"
#include "monitor/testing/record.h"

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing::Record;

class SeriesTest : public ::testing::Test {
 protected:
  void Write(const std::string& text, std::uint64_t max_bytes = 1 << 20) {
    auto file = SeriesFile::Open(path_, max_bytes);
    ASSERT_TRUE(file.ok()) << file.error();
    const auto wrong = (*file)->Append(text);
    ASSERT_FALSE(wrong) << *wrong;
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  const std::string path_ = folder_ + "/series.jsonl";
};

TEST_F(SeriesTest, WhatIsWrittenIsReadBack) {
  Sample sample{2000, "cell-3", 3, {"gateway", "relay"}, "127.0.0.1:9500", 77, "", {}};
  sample.values = {{"stored_total", 123456789},
                   {"refused_total{reason=\"window\"}", 2},
                   {"commit_seconds_total", 1.25},
                   {"gaps_total", 0}};
  Sample failed{2000, "cell-4", 4, {"gateway"}, "127.0.0.1:9501", 78, "it \"says\"\n\x80 nothing",
                {}};
  Write(ToLine(SeriesHeader{kSeriesVersion, 1000, 10'000}) + ToLine(sample) + ToLine(failed) +
        ToLine(Beat{2000, 8, 9, 5000, 500.25, 0.5, 0.0125}));
  Record record;
  const auto unreadable = VisitSeries(path_, record);
  ASSERT_TRUE(unreadable.ok()) << unreadable.error();
  EXPECT_EQ(*unreadable, 0U);
  ASSERT_EQ(record.headers.size(), 1U);
  EXPECT_EQ(record.headers[0].interval_ms, 10'000U);
  ASSERT_EQ(record.samples.size(), 2U);
  const Sample& back = record.samples[0];
  EXPECT_EQ(back.ms, 2000U);
  EXPECT_EQ(back.name, "cell-3");
  EXPECT_EQ(back.cell, 3U);
  EXPECT_THAT(back.roles, ElementsAre("gateway", "relay"));
  EXPECT_EQ(back.ops, "127.0.0.1:9500");
  EXPECT_EQ(back.incarnation, 77U);
  EXPECT_THAT(back.values, ElementsAre(Pair("commit_seconds_total", 1.25),
                                       Pair("refused_total{reason=\"window\"}", 2),
                                       Pair("stored_total", 123456789)));
  EXPECT_THAT(record.samples[1].error, HasSubstr("\"says\""));
  ASSERT_EQ(record.beats.size(), 1U);
  EXPECT_EQ(record.beats[0].alive, 8U);
  EXPECT_EQ(record.beats[0].expected, 9U);
  EXPECT_EQ(record.beats[0].steal, 0.0125);
}

TEST_F(SeriesTest, ATornLineCostsOnlyItself) {
  const std::string beat = ToLine(Beat{1, 1, 1});
  Write(beat + beat.substr(0, beat.size() / 2));
  Write(beat + beat);  // another start of the monitor
  Record record;
  const auto unreadable = VisitSeries(path_, record);
  ASSERT_TRUE(unreadable.ok());
  EXPECT_EQ(*unreadable, 1U);
  EXPECT_EQ(record.beats.size(), 3U);
}

TEST_F(SeriesTest, NonsenseAnotherVersionAndHugeLinesArePassedOver) {
  Write("nonsense\n[1,2]\n{}\n{\"baiwan_series\":2,\"ms\":1}\n" +
            std::string(kMaxSeriesLine + 100'000, 'x') + "\n" +
            "{\"process\":5,\"cell\":\"x\",\"roles\":7,\"values\":[1]}\n" + ToLine(Beat{1, 1, 1}),
        64 << 20);
  Record record;
  const auto unreadable = VisitSeries(path_, record);
  ASSERT_TRUE(unreadable.ok());
  EXPECT_EQ(*unreadable, 5U);
  EXPECT_EQ(record.headers.size(), 0U);
  EXPECT_EQ(record.samples.size(), 1U);
  EXPECT_EQ(record.beats.size(), 1U);
}

TEST_F(SeriesTest, AFullFileTakesNoMoreAndSaysSo) {
  auto file = SeriesFile::Open(path_, 100);
  ASSERT_TRUE(file.ok());
  EXPECT_FALSE((*file)->Append(std::string(59, 'x') + "\n"));
  const auto wrong = (*file)->Append(std::string(59, 'x') + "\n");
  ASSERT_TRUE(wrong);
  EXPECT_THAT(*wrong, HasSubstr("limit of 100 bytes"));
  EXPECT_TRUE((*file)->full());
  EXPECT_TRUE((*file)->Append("y\n"));  // also what would fit: no holes in the middle
  EXPECT_EQ(std::filesystem::file_size(path_), 60U);
}

TEST_F(SeriesTest, WhatCannotBeOpenedIsNamed) {
  const auto file = SeriesFile::Open(folder_ + "/no/such/file", 100);
  ASSERT_FALSE(file.ok());
  EXPECT_THAT(file.error(), HasSubstr("/no/such/file: No such file"));
  Record record;
  EXPECT_FALSE(VisitSeries(path_ + "x", record).ok());
}

}  // namespace
}  // namespace baiwan::monitor
