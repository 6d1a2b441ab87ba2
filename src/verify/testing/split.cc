#include "verify/testing/split.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <regex>

namespace baiwan::verify::testing {
namespace {

// A share says of errors and notes whose they are; and it does not know for whom a message is that
// concerns none of its users.
std::vector<std::string> WithoutWhose(const std::vector<std::string>& texts) {
  static const std::regex whose("^cells? [0-9]+( to [0-9]+)?: ");
  std::vector<std::string> plain;
  plain.reserve(texts.size());
  for (const std::string& text : texts) plain.push_back(std::regex_replace(text, whose, ""));
  return plain;
}

std::vector<std::string> Listed(const VerifyReport& report) {
  std::vector<std::string> listed;
  for (const Mismatch& m : report.listed) {
    const std::string what = m.what.substr(0, m.what.find(", which is for "));
    listed.push_back(fmt::format("{} {}: {}", Name(m.kind), m.count, what));
  }
  return listed;
}

bool AllAreListed(const VerifyReport& report) {
  return std::accumulate(report.listed.begin(), report.listed.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Mismatch& m) { return sum + m.count; }) ==
         report.mismatches();
}

void ExpectSame(const VerifyReport& joined, const VerifyReport& whole) {
  EXPECT_EQ(CountsOf(joined), CountsOf(whole));
  EXPECT_EQ(joined.users, whole.users);
  EXPECT_EQ(joined.relations, whole.relations);
  EXPECT_EQ(joined.expected_messages, whole.expected_messages);
  EXPECT_EQ(joined.sent, whole.sent);
  EXPECT_EQ(joined.stored, whole.stored);
  EXPECT_EQ(joined.delivered, whole.delivered);
  EXPECT_EQ(joined.acknowledged, whole.acknowledged);
  EXPECT_EQ(joined.distinct, whole.distinct);
  EXPECT_EQ(joined.voids, whole.voids);
  EXPECT_EQ(joined.disk_bytes, whole.disk_bytes);
  EXPECT_EQ(joined.verified(), whole.verified());
  EXPECT_EQ(joined.complete, whole.complete);
  EXPECT_EQ(joined.ExitCode(), whole.ExitCode());
  EXPECT_THAT(WithoutWhose(joined.errors), ::testing::UnorderedElementsAreArray(whole.errors));
  EXPECT_THAT(WithoutWhose(joined.notes), ::testing::UnorderedElementsAreArray(whole.notes));
  EXPECT_EQ(joined.listed.size(), whole.listed.size());
  if (AllAreListed(whole)) {
    EXPECT_THAT(Listed(joined), ::testing::UnorderedElementsAreArray(Listed(whole)));
  }
}

}  // namespace

std::vector<Split> Splits(std::uint32_t cells) {
  Split each;
  for (CellId cell = 0; cell < cells; ++cell) each.push_back({cell, cell});
  return {
      {{0, cells / 2 - 1}, {cells / 2, cells - 1}}, {{0, cells - 2}, {cells - 1, cells - 1}}, each};
}

Shared MakeShares(const StressStores& all, const VerifyOptions& options, const Split& split) {
  Shared made;
  for (const CellRange own : split) {
    ShareOptions share{options, own, fmt::format("{}/share.{}", all.folder(), own.first)};
    share.verify.stores.clear();
    for (CellId cell = own.first; cell <= own.last; ++cell) {
      share.verify.stores.push_back(options.stores[cell]);
    }
    if (!own.Holds(0)) share.verify.ledgers.clear();
    made.reports.push_back(MakeShare(share));
    made.paths.push_back(share.path);
  }
  return made;
}

VerifyReport Join(const VerifyOptions& options, const std::vector<std::string>& shares) {
  return JoinShares({options.spec, shares, options.expect_complete, options.threads});
}

VerifyReport VerifyBothWays(const StressStores& all, const VerifyOptions& options) {
  VerifyReport whole = VerifyStores(options);
  for (const Split& split : Splits(options.spec.cells)) {
    SCOPED_TRACE(
        fmt::format("in {} shares, the first of {}", split.size(), split.front().ToString()));
    const Shared made = MakeShares(all, options, split);
    const VerifyReport joined = Join(options, made.paths);
    ExpectSame(joined, whole);
    if (::testing::Test::HasNonfatalFailure()) {
      ADD_FAILURE() << "joined:\n" << joined.ToText() << "whole:\n" << whole.ToText();
    }
  }
  return whole;
}

}  // namespace baiwan::verify::testing
