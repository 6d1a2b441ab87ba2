// A friend's store goes back to an older one while the sender's clients go on: the sender is loaded
// again to find what has to be sent again, and nobody may be left with what it was before.
#include <gtest/gtest.h>

#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

constexpr Seq kDelivered = 5;  // before the friend's store went back
constexpr Seq kLeft = 2;       // of these, what it still has

class RewindTest : public ::testing::Test {
 protected:
  static LoneLogic::Options Slow(Nanos commit_delay, Nanos read_delay = 0) {
    LoneLogic::Options options;
    options.kv.commit_delay = commit_delay;
    options.kv.read_delay = read_delay;
    options.store.recent_bytes = 0;  // what is read comes from the disk
    return options;
  }

  void Begin(const LoneLogic::Options& options) {
    cell.emplace(options);
    cell->Up(1);
    for (Seq s = 1; s <= kDelivered; ++s) cell->Submit(sender(), s, receiver());
    ASSERT_TRUE(cell->AnswerUntil([&] { return counters().acknowledged == kDelivered; }));
  }

  // The friend's cell comes back with less, and says so once message 6 is offered or forwarded.
  void GoBack() {
    cell->Down(1);
    ++cell->far[1].incarnation;
    cell->far[1].received[{sender(), receiver()}] = kLeft;
    cell->Up(1);
    cell->Submit(sender(), kDelivered + 1, receiver());
    ASSERT_TRUE(cell->RunUntil([&] { return !cell->far[1].batches.empty(); }));
    cell->Take(1);
  }

  void ExpectAllThere(Seq last) {
    EXPECT_TRUE(cell->AnswerUntil([&] {
      return cell->far[1].received[{sender(), receiver()}] == last && cell->logic->AtRest();
    })) << cell->far[1].received[{sender(), receiver()}]
        << " of " << last;
    EXPECT_EQ(counters().stored, last);
    EXPECT_EQ(counters().diverged, 0U);
    EXPECT_EQ(cell->logic->pending_users(), 0U);
  }

  UserId sender() const { return cell->UserOf(0, 0); }
  UserId receiver() const { return cell->UserOf(1, 0); }
  const LogicCounters& counters() const { return cell->logic->counters(); }

  std::optional<LoneLogic> cell;
};

TEST_F(RewindTest, AClientThatGoesOnMeanwhileIsServedAfterIt) {
  for (int turns = 0; turns < 12; ++turns) {
    ASSERT_NO_FATAL_FAILURE(Begin(Slow(2 * kMillisecond)));
    ASSERT_NO_FATAL_FAILURE(GoBack());
    // A message in each stage: the batch gathers, is under way, the outbox is read back.
    Seq last = kDelivered + 1;
    for (int i = 0; i < 4; ++i) {
      for (int t = 0; t < turns; ++t) cell->Turns(1);
      cell->Submit(sender(), ++last, receiver());
    }
    ExpectAllThere(last);
    EXPECT_EQ(counters().rewinds, 1U);
  }
}

TEST_F(RewindTest, WhatWasBufferedOutOfOrderIsStillThere) {
  ASSERT_NO_FATAL_FAILURE(Begin(Slow(2 * kMillisecond)));
  cell->Submit(sender(), kDelivered + 3, receiver());  // answered, and waits for the two before it
  ASSERT_NO_FATAL_FAILURE(GoBack());
  ASSERT_TRUE(cell->RunUntil([&] { return counters().rewinds == 1; }));
  cell->Submit(sender(), kDelivered + 2, receiver());
  ExpectAllThere(kDelivered + 3);
}

TEST_F(RewindTest, ASnapshotThatIsUnderWayAlreadyIsNotTakenForThatOfTheRewind) {
  LoneLogic::Options options = Slow(2 * kMillisecond);
  options.store.checkpoint_bytes = 1;  // one is always due, so every commit has snapshots
  ASSERT_NO_FATAL_FAILURE(Begin(options));
  cell->Down(1);
  ++cell->far[1].incarnation;
  cell->far[1].received[{sender(), receiver()}] = kLeft;
  cell->Up(1);
  cell->Submit(sender(), 6, receiver());
  ASSERT_TRUE(cell->RunUntil([&] { return !cell->far[1].batches.empty(); }));
  cell->Submit(sender(), 7, receiver());
  cell->Turns(1);  // is sealed, with a snapshot
  cell->Take(1);
  cell->Submit(sender(), 8, receiver());
  ExpectAllThere(8);
}

TEST_F(RewindTest, AReadOfTheOutboxThatEndsMeanwhileHoldsNothingUp) {
  LoneLogic::Options options = Slow(0, 5 * kMillisecond);
  ASSERT_NO_FATAL_FAILURE(Begin(options));
  cell->Down(1);
  ++cell->far[1].incarnation;
  // Two messages wait on disk; the friend has them still to get, so they are read back, slowly.
  for (const Seq s : {6, 7}) cell->Submit(sender(), s, receiver());
  ASSERT_TRUE(cell->RunUntil([&] { return counters().stored == 7; }));
  cell->Up(1);
  ASSERT_TRUE(cell->RunUntil([&] { return !cell->far[1].batches.empty(); }));
  const std::uint64_t reads = cell->store().reads;
  cell->Take(1);
  ASSERT_TRUE(cell->RunUntil([&] { return cell->store().reads > reads; }));
  // While they are, it turns out that the friend has less than it had acknowledged.
  cell->far[1].received[{sender(), receiver()}] = kLeft;
  wire::PeerBatch word;
  wire::PairGap* gap = word.add_gaps();
  gap->set_sender(sender());
  gap->set_receiver(receiver());
  gap->set_next(kLeft + 1);
  cell->Answer(1, word);
  ExpectAllThere(7);
  EXPECT_EQ(counters().rewinds, 1U);
}

}  // namespace
}  // namespace baiwan::cell
