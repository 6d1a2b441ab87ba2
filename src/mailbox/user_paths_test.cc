// Held and flowing pairs: new sessions, credit, and reading back from the outbox.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mailbox/testing/one_user.h"
#include "mailbox/user.h"

namespace baiwan::mailbox {
namespace {

using testing::OneUser;
using Sent = Outbound::Sent;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A user that has sent 1 … n to friend 2, none of it acknowledged, all lost with its session.
void SendAndLose(OneUser& u, Seq n) {
  for (Seq s = 1; s <= n; ++s) u.Submit(s, 2, "m" + std::to_string(s));
  u.Commit();
  u.Said();
}

TEST(UserPathsTest, WithoutAPathAPairWaitsForItsSession) {
  OneUser u;
  u.forwards = Sent::kNoPath;
  u.forwards_for = 2;
  u.Submit(1, 2, "a");
  u.Submit(2, 3, "b");
  u.Submit(3, 2, "c");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 b"));
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.forwards = Sent::kSent;
  u.Submit(4, 2, "d");
  u.Commit();
  EXPECT_THAT(u.Said(), IsEmpty());  // not before what is older
  u.StartSession(2);
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-3"));
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.Ack(2, 0);
  u.Gap(2, 1);
  EXPECT_EQ(u.user->RefillFrom(), 1u);
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#1 a", "forward 2#2 c", "forward 2#3 d"));
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.Submit(5, 2, "e");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#4 e"));
}

TEST(UserPathsTest, ANewSessionOffersOnlyWhatIsDurableAndUnacknowledged) {
  OneUser u;
  SendAndLose(u, 3);
  u.Ack(2, 1);
  u.Commit();
  u.Submit(4, 2, "under way");
  u.StartSession();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#2-3"));
  u.Commit();
  EXPECT_THAT(u.Said(), IsEmpty());  // held until the answer
  u.Ack(2, 3);
  EXPECT_EQ(u.user->RefillFrom(), 4u);
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#4 under way"));
}

TEST(UserPathsTest, BodiesFollowOnlyForWhatIsMissing) {
  OneUser u;
  SendAndLose(u, 5);
  u.StartSession();
  u.Ack(2, 2);
  EXPECT_EQ(u.user->RefillFrom(), 0u);  // the answer is not complete
  u.Gap(2, 4);                          // it has 3, which is not durable yet
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-5", "forward 2#4 m4", "forward 2#5 m5"));
}

TEST(UserPathsTest, NothingMissingMeansNothingSent) {
  OneUser u;
  SendAndLose(u, 3);
  u.StartSession();
  u.Ack(2, 2);  // 3 is on its way to the friend's disk
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.Submit(4, 2, "m4");
  u.Commit();
  u.Ack(2, 3);
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-3", "forward 2#4 m4"));
}

TEST(UserPathsTest, WhatIsUnderWayWhenAPairIsFreeAgainGoesByItself) {
  OneUser u;
  SendAndLose(u, 3);
  u.Submit(4, 2, "m4");
  u.Submit(5, 3, "n1");
  u.StartSession();
  u.Ack(2, 3);
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-3", "forward 2#4 m4", "forward 3#1 n1"));
}

TEST(UserPathsTest, ASessionConcernsOnlyWhomItReaches) {
  OneUser u;
  u.forwards = Sent::kNoPath;
  u.Submit(1, 2, "a");
  u.Submit(2, 3, "b");
  u.Commit();
  u.forwards = Sent::kSent;
  u.StartSession(3);
  u.Gap(3, 1);
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("offer 3#1-1", "forward 3#1 b"));
  u.StartSession(2);
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-1"));
}

TEST(UserPathsTest, WithoutCreditWhatFollowsIsReadBackInOrder) {
  OneUser u;
  u.credit = 2;
  for (Seq s = 1; s <= 4; ++s) u.Submit(s, 2, "m" + std::to_string(s));
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#1 m1", "forward 2#2 m2"));
  EXPECT_EQ(u.user->RefillFrom(), 3u);
  u.credit = 1;
  u.Submit(5, 2, "m5");
  u.Commit();
  EXPECT_THAT(u.Said(), IsEmpty());
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#3 m3"));
  EXPECT_EQ(u.user->RefillFrom(), 4u);
  u.credit = 9;
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#4 m4", "forward 2#5 m5"));
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  EXPECT_EQ(u.user->TakeResent(), 0u);
}

TEST(UserPathsTest, OnePairWithoutCreditDoesNotHoldUpTheOthers) {
  OneUser u;
  u.forwards = Sent::kNoCredit;
  u.forwards_for = 2;
  u.Submit(1, 2, "a");
  u.Submit(2, 3, "b");
  u.Commit();
  u.Submit(3, 3, "c");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 b", "forward 3#2 c"));
}

TEST(UserPathsTest, APathThatIsGoneWhileReadingBackMakesThePairWait) {
  OneUser u;
  u.credit = 0;
  u.Submit(1, 2, "a");
  u.Commit();
  u.credit = 9;
  u.forwards = Sent::kNoPath;
  u.Refill();
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.forwards = Sent::kSent;
  u.StartSession();
  u.Gap(2, 1);
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-1", "forward 2#1 a"));
}

TEST(UserPathsTest, WhatWasReadForAnOlderSessionIsNotForwarded) {
  OneUser u;
  u.credit = 0;
  SendAndLose(u, 2);
  u.credit = 9;
  EXPECT_EQ(u.user->RefillFrom(), 1u);
  u.StartSession();
  u.Said();
  // As if a read of the outbox had been under way.
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  const auto& outbox = u.disk.of(OneUser::kId).outbox;
  class Count final : public Outbound {
   public:
    Sent Forward(User&, const wire::Message& m) override {
      last = m.pair_seq;
      ++count;
      return Sent::kSent;
    }
    void Offer(User&, UserId, Seq, Seq) override {}
    void Ack(User&, UserId, Seq) override {}
    void Gap(User&, UserId, Seq) override {}
    int count = 0;
    Seq last = 0;
  } out;
  for (const auto& m : outbox) EXPECT_TRUE(u.user->Refill(m.View(), out));
  EXPECT_EQ(out.count, 0);
  u.Gap(2, 2);
  EXPECT_EQ(u.user->RefillFrom(), 2u);
  for (const auto& m : outbox) EXPECT_TRUE(u.user->Refill(m.View(), out));
  EXPECT_EQ(out.count, 1);
  EXPECT_EQ(out.last, 2u);
}

TEST(UserPathsTest, AGapGoesBackAndWhatIsNewWaits) {
  OneUser u;
  SendAndLose(u, 4);
  EXPECT_EQ(u.Gap(2, 2), Acked::kOld);
  u.Submit(5, 2, "m5");
  u.Commit();
  EXPECT_THAT(u.Said(), IsEmpty());
  u.Refill();
  EXPECT_THAT(u.Said(),
              ElementsAre("forward 2#2 m2", "forward 2#3 m3", "forward 2#4 m4", "forward 2#5 m5"));
  EXPECT_EQ(u.user->TakeResent(), 3u);  // 5 went for the first time
  EXPECT_EQ(u.user->TakeResent(), 0u);
}

TEST(UserPathsTest, AGapThatComesBesideItsAckDoesNotHoldThePairForEver) {
  OneUser u;
  SendAndLose(u, 4);
  u.Ack(2, 4);
  u.Gap(2, 2);  // was said before that ack
  u.Commit();
  u.Refill();
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.Submit(5, 2, "m5");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#5 m5"));
}

TEST(UserPathsTest, ALateGapSkipsNothingThatIsDue) {
  OneUser u;
  SendAndLose(u, 9);
  u.StartSession();
  u.Ack(2, 3);
  u.Gap(2, 4);
  u.Said();
  for (const Seq late : {Seq{9}, Seq{10}}) {
    u.Gap(2, late);  // of a receiver that had more, and crashed
    EXPECT_EQ(u.user->RefillFrom(), 4u);
  }
  u.Refill();
  EXPECT_THAT(u.Said(), Contains("forward 2#4 m4"));
}

TEST(UserPathsTest, AGapOfASessionThatIsOverWaitsForTheNext) {
  OneUser u;
  u.forwards = Sent::kNoPath;
  SendAndLose(u, 3);
  u.Gap(2, 3);
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.forwards = Sent::kSent;
  u.StartSession();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-3"));
}

TEST(UserPathsTest, WhatALateAckCoversIsNotSentAgain) {
  OneUser u;
  SendAndLose(u, 3);
  u.Gap(2, 1);
  u.Ack(2, 2);
  EXPECT_EQ(u.user->RefillFrom(), 3u);
  u.Ack(2, 3);
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.Submit(4, 2, "m4");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#4 m4"));
}

TEST(UserPathsTest, ADivergedPairIsNotReadBack) {
  OneUser u;
  u.forwards = Sent::kNoCredit;
  u.Submit(1, 2, "a");
  u.Submit(2, 3, "b");
  u.Commit();
  EXPECT_EQ(u.user->RefillFrom(), 1u);
  u.user->Diverge(2);
  EXPECT_EQ(u.user->RefillFrom(), 2u);
  u.forwards = Sent::kSent;
  u.Refill();
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 b"));
}

TEST(UserPathsTest, AfterARestartWhatIsPendingIsOfferedAndNothingElse) {
  OneUser u;
  u.Submit(1, 2, "a");
  u.SubmitVoid(2);
  u.Submit(3, 3, "c");
  u.Submit(4, 2, "d");
  u.Commit();
  u.Ack(3, 1);
  u.Commit();
  u.Submit(5, 2, "never durable");
  u.Crash();
  u.Said();
  EXPECT_EQ(u.user->counters(), (Counters{4, 0, 0, 0}));
  EXPECT_EQ(u.user->RefillFrom(), 0u);
  u.Submit(5, 3, "e");
  u.Submit(6, 2, "f");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#2 e"));
  u.StartSession();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#1-3", "offer 3#2-2"));
  u.Gap(2, 1);
  u.Gap(3, 2);
  u.Refill();
  EXPECT_THAT(u.Said(),
              ElementsAre("forward 2#1 a", "forward 2#2 d", "forward 3#2 e", "forward 2#3 f"));
  EXPECT_EQ(u.user->TakeResent(), 1u);  // by this process only 3#2 went before
}

TEST(UserPathsTest, ARepeatAfterARestartIsStillKnown) {
  OneUser u;
  SendAndLose(u, 2);
  u.Crash();
  EXPECT_EQ(u.Submit(2, 2, "m2").what, Submitted::kAskOutbox);
  EXPECT_EQ(u.Submit(2, 2, "m3").why, Refused::kConflict);
}

TEST(UserPathsTest, ASnapshotHoldsTheBatchThatItRidesWith) {
  OneUser u;
  u.Submit(1, 2, "a");
  u.Deliver(3, 1, "x");
  u.Commit();
  u.Submit(2, 3, "b");
  u.Deliver(3, 2, "y");
  u.Ack(2, 1);
  u.ReadUpTo(1);
  EXPECT_FALSE(u.user->idle(1));
  u.open->AddSnapshot(0, u.user->ToRecord(*u.open), u.user->heads());
  u.Said();
  u.Commit();  // the disk compares it with what it has folded
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 b", "ack 3#2"));
  EXPECT_TRUE(u.user->idle(2));
  EXPECT_EQ(u.user->durable_heads(), u.disk.of(OneUser::kId).record.heads);
  u.Submit(4, 2, "early");
  EXPECT_FALSE(u.user->idle(2));  // something waits for its turn
}

}  // namespace
}  // namespace baiwan::mailbox
