// Another cell's store is put back from a copy: what it had acknowledged and lacks now is found by
// comparing all pairs with it, whether or not there is something new to send.
#include "cell/logic/comparison.h"

#include <gtest/gtest.h>

#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

TEST(KnownStoreTest, IsNotWhatItWasInAnotherLifeOrBelowWhatItTold) {
  using Word = KnownStore::Word;
  KnownStore store;
  EXPECT_EQ(store.Told(1, 10, 0, 5), Word::kFirst);
  EXPECT_EQ(store.Told(1, 10, 0, 9), Word::kNothingNew);
  EXPECT_EQ(store.Told(1, 11, 9, 9), Word::kNewOpening);
  EXPECT_EQ(store.Told(1, 10, 0, 4), Word::kNothingNew);  // late
  EXPECT_EQ(store.Told(1, 12, 8, 8), Word::kGoneBack);
  EXPECT_EQ(store.Told(1, 13, 8, 20), Word::kNewOpening);
  EXPECT_EQ(store.Told(2, 14, 30, 30), Word::kGoneBack);
  EXPECT_EQ(KnownStore(2, 14, 30).Told(2, 15, 29, 29), Word::kGoneBack);
  EXPECT_EQ(KnownStore(2, 14, 30).Told(2, 15, 30, 30), Word::kNewOpening);
  EXPECT_EQ(KnownStore(2, 14, 30).Told(2, 14, 0, 31), Word::kNothingNew);  // this one restarted
}

class ComparisonTest : public ::testing::Test {
 protected:
  void Begin(std::uint32_t users, std::uint32_t friends, Seq each) {
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    LoneLogic::Options options;
    options.users = users;
    for (std::uint32_t i = 0; i < friends; ++i) options.friends.push_back(layout.UserAt(1, i));
    cell.emplace(options);
    far().opening = 1;
    cell->Up(1);
    std::uint64_t stored = 0;
    for (std::uint32_t u = 0; u < users; ++u) {
      Seq send_id = 0;
      for (Seq s = 0; s < each; ++s) {
        for (const UserId to : options.friends) cell->Submit(cell->UserOf(0, u), ++send_id, to);
      }
      stored += send_id;
    }
    all_ = stored;
    ASSERT_TRUE(cell->AnswerUntil([&] { return counters().acknowledged == stored; }));
    far().position = 100;
    cell->Answer(1, {});
    cell->Down(1);
  }
  // Every pair loses what is above `left`.
  void PutBack(Seq left) {
    for (auto& [pair, received] : far().received) received = std::min(received, left);
    ++far().opening;
    far().opened_at = far().position = 50;
  }
  std::uint64_t Received() {
    std::uint64_t sum = 0;
    for (const auto& [pair, received] : far().received) sum += received;
    return sum;
  }
  FarCell& far() { return cell->far[1]; }
  const LogicCounters& counters() const { return cell->logic->counters(); }

  std::optional<LoneLogic> cell;
  std::uint64_t all_ = 0;
};

TEST_F(ComparisonTest, WhatACopyWithAnIncarnationSeenBeforeLacksIsSentAgain) {
  ASSERT_NO_FATAL_FAILURE(Begin(20, 5, 4));
  PutBack(1);
  cell->Up(1);
  cell->Turns(2);
  cell->Answer(1, {});  // who it is
  EXPECT_TRUE(cell->AnswerUntil([&] { return Received() == all_ && cell->logic->AtRest(); }))
      << Received() << " of " << all_;
  EXPECT_EQ(counters().diverged, 0U);
  EXPECT_EQ(counters().comparisons, 1U);
  // Each user goes back once, however many friends have less.
  EXPECT_EQ(counters().rewinds, 20U);
}

TEST_F(ComparisonTest, AStoreInAnotherLifeIsComparedAfterARestartToo) {
  ASSERT_NO_FATAL_FAILURE(Begin(20, 5, 4));
  cell->Restart();
  PutBack(1);
  far().life = 2;
  far().opened_at = far().position = 500;
  cell->Up(1);
  cell->Turns(2);
  cell->Answer(1, {});
  EXPECT_TRUE(cell->AnswerUntil([&] { return Received() == all_ && cell->logic->AtRest(); }))
      << Received() << " of " << all_;
}

TEST_F(ComparisonTest, GoesOnInTheNextSession) {
  ASSERT_NO_FATAL_FAILURE(Begin(20, 5, 4));
  PutBack(1);
  for (int i = 0; i < 3; ++i) {
    cell->Up(1);
    cell->Turns(2);
    cell->Answer(1, {});
    cell->Turns(i);
    cell->Down(1);
  }
  cell->Up(1);
  EXPECT_TRUE(cell->AnswerUntil([&] { return Received() == all_ && cell->logic->AtRest(); }))
      << Received() << " of " << all_;
}

TEST_F(ComparisonTest, LoadsNobodyOfWhomNothingIsMissing) {
  ASSERT_NO_FATAL_FAILURE(Begin(300, 3, 1));
  cell->Restart();
  PutBack(1);
  far().life = 2;
  cell->Up(1);
  cell->Turns(2);
  cell->Answer(1, {});
  EXPECT_TRUE(cell->AnswerUntil([&] { return far().compared == all_; })) << far().compared;
  EXPECT_EQ(counters().comparisons, 1U);
  EXPECT_EQ(counters().loads, 0U);
  EXPECT_EQ(Received(), all_);
}

TEST_F(ComparisonTest, AnOrdinaryRestartOfTheOtherCellComparesNothing) {
  ASSERT_NO_FATAL_FAILURE(Begin(5, 3, 1));
  ++far().opening;
  far().opened_at = far().position;
  cell->Up(1);
  cell->Turns(2);
  cell->Answer(1, {});
  cell->Submit(cell->UserOf(0, 0), 4, cell->UserOf(1, 0));
  EXPECT_TRUE(cell->AnswerUntil([&] { return Received() == all_ + 1 && cell->logic->AtRest(); }));
  EXPECT_EQ(far().compared, 0U);
  EXPECT_EQ(counters().comparisons, 0U);
}

}  // namespace
}  // namespace baiwan::cell
