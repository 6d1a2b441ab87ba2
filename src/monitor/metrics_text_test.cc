#include "monitor/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(MetricsText, NamesLabelsAndNumbersAreReadAndCommentsPassedOver) {
  const auto values = ParseMetrics(
      "# HELP baiwan_stored_total messages made durable\n"
      "# TYPE baiwan_stored_total counter\n"
      "baiwan_stored_total 1.25e+06\r\n"
      "\n"
      "baiwan_refused_total{reason=\"window\"} 3 1700000000000\n"
      "baiwan_odd{a=\"} \\\" b\"} +7\n"
      "go_threads 12\n"
      "baiwan_resident_users 40");
  ASSERT_TRUE(values.ok()) << values.error();
  EXPECT_THAT(*values, ElementsAre(Pair("odd{a=\"} \\\" b\"}", 7),
                                   Pair("refused_total{reason=\"window\"}", 3),
                                   Pair("resident_users", 40), Pair("stored_total", 1'250'000)));
}

TEST(MetricsText, WhatIsNoFiniteNumberIsLeftOut) {
  const auto values =
      ParseMetrics("baiwan_a NaN\nbaiwan_b +Inf\nbaiwan_c -Inf\nbaiwan_d 1e999\nbaiwan_e 1\n");
  ASSERT_TRUE(values.ok()) << values.error();
  EXPECT_THAT(*values, ElementsAre(Pair("e", 1)));
}

TEST(MetricsText, WhatIsNoMetricRefusesTheWholeTextByItsLine) {
  for (const char* bad :
       {"baiwan_a", "baiwan_a x", "baiwan_a 1 2 3", "baiwan_a 1 x", "{} 1", "9a 1", " 1",
        "baiwan_a{b=\"c\" 1", "baiwan_a{b=\"c\\\"} 1", "<html>", "baiwan_a{b=\"\x1b[2J\"} 1",
        "baiwan_a{b=\"\xff\"} 1", "baiwan_a 0x10", "baiwan_a\t"}) {
    const auto values = ParseMetrics("baiwan_x 1\n" + std::string(bad) + "\n");
    ASSERT_FALSE(values.ok()) << bad;
    EXPECT_THAT(values.error(), HasSubstr("line 2")) << bad;
  }
}

TEST(MetricsText, LimitsRefuseWhatIsBeyondThem) {
  MetricsLimits limits;
  limits.max_values = 2;
  limits.max_key = 8;
  limits.max_bytes = 64;
  EXPECT_TRUE(ParseMetrics("baiwan_a 1\nbaiwan_b 2\n", limits).ok());
  EXPECT_FALSE(ParseMetrics("baiwan_a 1\nbaiwan_b 2\nbaiwan_c 3\n", limits).ok());
  EXPECT_TRUE(ParseMetrics("baiwan_12345678 1\n", limits).ok());
  EXPECT_FALSE(ParseMetrics("baiwan_123456789 1\n", limits).ok());
  EXPECT_FALSE(ParseMetrics(std::string(65, '#'), limits).ok());
}

// Whatever it is given it must return; the sanitizers see the rest.
TEST(MetricsText, EveryCutAndEveryFlippedByteIsSurvived) {
  const std::string text = "# x\nbaiwan_refused_total{reason=\"window\"} 3 17\nbaiwan_a 1e5\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    (void)ParseMetrics(text.substr(0, i));
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = text;
      other[i] = static_cast<char>(other[i] ^ (1 << bit));
      if (const auto values = ParseMetrics(other)) {
        for (const auto& [key, value] : *values) {
          for (const char c : key) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
        }
      }
    }
  }
}

TEST(MetricsText, LabelsOfANameAreSummedAndListed) {
  const auto values = ParseMetrics(
      "baiwan_refused 100\nbaiwan_refused_total{reason=\"window\"} 3\n"
      "baiwan_refused_total{reason=\"overloaded\"} 4\nbaiwan_refused_totals 100\n");
  ASSERT_TRUE(values.ok());
  EXPECT_EQ(SumOf(*values, "refused_total"), 7);
  EXPECT_EQ(ValueOf(*values, "refused"), 100);
  EXPECT_EQ(ValueOf(*values, "nothing"), 0);
  std::map<std::string, double> labels;
  ForEachLabel(*values, "refused_total",
               [&](std::string_view label, double v) { labels[std::string(label)] = v; });
  EXPECT_THAT(labels, ElementsAre(Pair("overloaded", 4), Pair("window", 3)));
}

TEST(MetricsText, ACounterThatFellHasBegunAgain) {
  EXPECT_EQ(Increase(10, 25), 15);
  EXPECT_EQ(Increase(10, 4), 4);
}

}  // namespace
}  // namespace baiwan::monitor
