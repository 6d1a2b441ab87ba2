// What gathers for a commit, and what is being committed, is charged until it is durable.
#include <gtest/gtest.h>

#include <string>

#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

TEST(CommitsTest, AreChargedUntilTheyAreDurable) {
  constexpr std::uint32_t kUsers = 10;
  constexpr std::size_t kBody = 60'000;
  LoneLogic::Options options;
  options.users = kUsers;
  LoneLogic cell(options);
  const Budget& budget = cell.node().budget;
  const auto submit_all = [&](Seq s) {
    for (std::uint32_t i = 0; i < kUsers; ++i) {
      cell.Submit(cell.UserOf(0, i), s, cell.UserOf(1, 0), std::string(kBody, 'x'));
    }
  };
  submit_all(1);  // so that all are in memory
  ASSERT_TRUE(cell.RunUntil([&] { return cell.logic->counters().stored == kUsers; }));
  ASSERT_TRUE(cell.RunUntil([&] { return budget.used(Account::kCommits) == 0; }));
  for (Seq s = 2; s <= 4; ++s) submit_all(s);
  cell.Turns(1);
  EXPECT_GE(budget.used(Account::kCommits), 3 * kUsers * kBody / 10 * 9);
  EXPECT_TRUE(cell.RunUntil([&] { return cell.logic->counters().stored == 4 * kUsers; }));
  EXPECT_TRUE(cell.RunUntil([&] { return budget.used(Account::kCommits) == 0; }));
}

}  // namespace
}  // namespace baiwan::cell
