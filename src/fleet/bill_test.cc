#include "fleet/bill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baiwan::fleet {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPrices =
    R"({"currency":"USD","as_of":"2026-01-31","region":"us-east-1","items":
[{"item":"c7i.large on demand","quantity":10,"unit":"hour","each":0.1,"cost":1.0},
 {"item":"storage gp3","quantity":1,"unit":"GB-month","each":0.2,"cost":0.2},
 {"item":"traffic out","quantity":2,"unit":"GB","each":0.15,"cost":0.3}],"total":1.5})";
constexpr Nanos kTwoHours = 7200 * kSecond;

TEST(FleetBill, WhatIsPaidByTimeIsForTheTimeThatHostsWereThere) {
  const auto estimate = ParseEstimate(kPrices, kTwoHours);
  ASSERT_TRUE(estimate.ok()) << estimate.error();
  EXPECT_DOUBLE_EQ(estimate->total, 1.5);
  EXPECT_EQ(estimate->prices, "us-east-1, 2026-01-31");
  Journey journey = NewJourney("r", {"w"}, 0);
  EXPECT_FALSE(ActualCost(*estimate, journey));
  for (Task& task : journey.of(Step::kUp)) task.began_ms = 1'000'000;
  for (Task& task : journey.of(Step::kDown)) task.ended_ms = 1'000'000 + 1'800'000;
  const auto actual = ActualCost(*estimate, journey);
  ASSERT_TRUE(actual);
  EXPECT_DOUBLE_EQ(actual->hours, 0.5);
  EXPECT_DOUBLE_EQ(actual->items[0].cost, 0.25);
  EXPECT_DOUBLE_EQ(actual->items[0].quantity, 2.5);
  EXPECT_DOUBLE_EQ(actual->items[2].cost, 0.3);
  EXPECT_DOUBLE_EQ(actual->total, 0.25 + 0.05 + 0.3);
  EXPECT_THAT(CostText(*actual, "the bill"), HasSubstr("0.60 USD\n"));
}

TEST(FleetBill, ABudgetThatTheDeadlineMayExceedIsRefusedWithTheWayOut) {
  const auto estimate = ParseEstimate(kPrices, kTwoHours);
  EXPECT_EQ(OverBudget(*estimate, 0, kTwoHours), "");
  EXPECT_EQ(OverBudget(*estimate, 150, kTwoHours), "");
  // 0.30 are paid in any case; of 1.20 for two hours, 0.60 are for one.
  EXPECT_THAT(OverBudget(*estimate, 90, kTwoHours),
              ::testing::AllOf(HasSubstr("up to 1.50 USD, and 0.90 USD are allowed"),
                               HasSubstr("lower deadline to \"60m\"")));
  EXPECT_THAT(OverBudget(*estimate, 20, kTwoHours), ::testing::Not(HasSubstr("deadline to")));
}

TEST(FleetBill, AnEstimateReadsBackAndNonsenseIsRefused) {
  const auto estimate = ParseEstimate(kPrices, kTwoHours);
  const auto read = CostFromJson(ToJson(*estimate));
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_TRUE(*read == *estimate);
  for (const char* bad : {"", "[]", "{}", R"({"currency":1,"total":2,"items":[]})"}) {
    EXPECT_FALSE(ParseEstimate(bad, kTwoHours).ok()) << bad;
    EXPECT_FALSE(CostFromJson(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace baiwan::fleet
