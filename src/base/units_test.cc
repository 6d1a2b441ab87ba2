#include "base/units.h"

#include <gtest/gtest.h>

namespace baiwan {
namespace {

TEST(Units, SizesAreReadAsPeopleWriteThem) {
  EXPECT_EQ(*ParseBytes("0"), 0u);
  EXPECT_EQ(*ParseBytes("4096"), 4096u);
  EXPECT_EQ(*ParseBytes("256KiB"), 256u << 10);
  EXPECT_EQ(*ParseBytes("3GiB"), 3ull << 30);
  for (const char* bad : {"", "KiB", "-1", "1KB", "1.5MiB", "1 KiB", "1kib", "9999999999TiB",
                          "99999999999999999999"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

TEST(Units, DurationsAreReadAsPeopleWriteThem) {
  EXPECT_EQ(*ParseDuration("0"), 0);
  EXPECT_EQ(*ParseDuration("10s"), 10 * kSecond);
  EXPECT_EQ(*ParseDuration("250ms"), 250 * kMillisecond);
  EXPECT_EQ(*ParseDuration("1.5s"), 1500 * kMillisecond);
  EXPECT_EQ(*ParseDuration("1m30s"), 90 * kSecond);
  for (const char* bad :
       {"", "10", "s", "-1s", "1 s", "1x", "1e9s", "nans", "infs", "9999999h", "1s1", ".5s"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(Units, WhatIsWrittenReadsBackAsTheSame) {
  for (const std::uint64_t bytes : {0ull, 1ull, 1000ull, 1024ull, 1ull << 20, (5ull << 30) + 1}) {
    EXPECT_EQ(*ParseBytes(FormatBytes(bytes)), bytes);
  }
  for (const Nanos t : {Nanos{0}, Nanos{1}, 1500 * kMicrosecond, 90 * kSecond, 7200 * kSecond}) {
    EXPECT_EQ(*ParseDuration(FormatDuration(t)), t);
  }
  EXPECT_EQ(FormatBytes(256 << 10), "256KiB");
  EXPECT_EQ(FormatDuration(90 * kSecond), "90s");
  EXPECT_EQ(FormatDuration(7200 * kSecond), "2h");
}

}  // namespace
}  // namespace baiwan
