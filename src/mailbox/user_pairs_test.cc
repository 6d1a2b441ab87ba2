// The rules between friends: what is accepted, what is answered, and what an answer does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/checksum.h"
#include "mailbox/testing/one_user.h"
#include "mailbox/user.h"

namespace baiwan::mailbox {
namespace {

using ::testing::ElementsAre;
using testing::ForwardFrom;
using ::testing::IsEmpty;
using testing::OneUser;

constexpr Seq kMax = ~Seq{0};

TEST(UserPairsTest, AcksAreOnePerPairAndRunOfACommit) {
  OneUser u;
  for (Seq s = 1; s <= 3; ++s) EXPECT_EQ(u.Deliver(2, s, "x"), Delivered::kAccepted);
  EXPECT_EQ(u.Deliver(3, 1, "y"), Delivered::kAccepted);
  EXPECT_EQ(u.Deliver(3, 2, "y"), Delivered::kAccepted);
  EXPECT_THAT(u.Said(), IsEmpty());
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#3", "ack 3#2"));
  EXPECT_EQ(u.user->counters().receive_id, 5u);
}

TEST(UserPairsTest, DuplicatesAreAcknowledgedAgainButOnlyFromWhatIsDurable) {
  OneUser u;
  u.Deliver(2, 1, "x");
  EXPECT_EQ(u.Deliver(2, 1, "x"), Delivered::kDuplicate);
  u.Seal();
  EXPECT_EQ(u.Deliver(2, 1, "x"), Delivered::kDuplicate);
  EXPECT_THAT(u.Said(), IsEmpty());
  u.Finish();
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#1"));
  EXPECT_EQ(u.Deliver(2, 1, "x"), Delivered::kDuplicate);
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#1"));
  u.Deliver(2, 2, "y");
  EXPECT_EQ(u.Deliver(2, 1, "x"), Delivered::kDuplicate);  // 2 is under way: its ack says it all
  EXPECT_THAT(u.Said(), IsEmpty());
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#2"));
  EXPECT_EQ(u.user->counters().receive_id, 2u);
  // So does a restart.
  u.Crash();
  EXPECT_EQ(u.Deliver(2, 2, "y"), Delivered::kDuplicate);
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#2"));
}

TEST(UserPairsTest, AGapIsToldOnceUntilItIsClosed) {
  OneUser u;
  EXPECT_EQ(u.Deliver(2, 3, "c"), Delivered::kGap);
  EXPECT_EQ(u.Deliver(2, 2, "b"), Delivered::kGap);
  EXPECT_EQ(u.Deliver(2, kMax, "z"), Delivered::kGap);
  EXPECT_EQ(u.Deliver(3, 2, "b"), Delivered::kGap);
  EXPECT_THAT(u.Said(), ElementsAre("gap 2#1", "gap 3#1"));
  EXPECT_TRUE(u.open->empty());
  EXPECT_EQ(u.Deliver(2, 1, "a"), Delivered::kAccepted);
  EXPECT_EQ(u.Deliver(2, 3, "c"), Delivered::kGap);
  EXPECT_THAT(u.Said(), ElementsAre("gap 2#2"));
  // A new session is told again.
  EXPECT_EQ(u.Deliver(2, 3, "c"), Delivered::kGap);
  EXPECT_EQ(u.Offered(2, 2, 3), Delivered::kGap);
  EXPECT_EQ(u.Deliver(2, 3, "c"), Delivered::kGap);
  EXPECT_EQ(u.Deliver(2, 4, "d"), Delivered::kGap);
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#0", "gap 2#2", "gap 2#2"));
}

TEST(UserPairsTest, StrangersAreNobody) {
  OneUser u;
  EXPECT_EQ(u.Deliver(9, 1, "x"), Delivered::kNotFriend);
  EXPECT_EQ(u.Offered(9, 1, 1), Delivered::kNotFriend);
  EXPECT_EQ(u.Ack(9, 1), Acked::kUnknown);
  EXPECT_EQ(u.Gap(9, 1), Acked::kUnknown);
  u.user->Diverge(9);
  EXPECT_FALSE(u.user->diverged(9));
  EXPECT_TRUE(u.open->empty());
  EXPECT_THAT(u.Said(), IsEmpty());
}

TEST(UserPairsTest, AWrongChecksumStopsOnlyThatPair) {
  OneUser u;
  wire::Message m = ForwardFrom(2, 1, "x");
  m.body = "y";
  EXPECT_EQ(u.Deliver(m), Delivered::kDiverged);
  EXPECT_TRUE(u.user->diverged(2));
  EXPECT_EQ(u.Deliver(2, 1, "x"), Delivered::kDiverged);
  EXPECT_EQ(u.Offered(2, 1, 1), Delivered::kDiverged);
  EXPECT_EQ(u.Submit(1, 2, "x").why, Refused::kPairDiverged);
  EXPECT_EQ(u.Deliver(3, 1, "x"), Delivered::kAccepted);
  EXPECT_EQ(u.Submit(1, 3, "x").what, Submitted::kTaken);
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 x", "ack 3#1"));
}

TEST(UserPairsTest, AKnownNumberWithAnotherChecksumStopsThePair) {
  OneUser u;
  u.Deliver(2, 1, "x");
  u.Commit();
  u.Crash();
  EXPECT_EQ(u.Deliver(2, 1, "y"), Delivered::kDiverged);
  EXPECT_TRUE(u.user->diverged(2));
  EXPECT_FALSE(u.user->diverged(3));
}

TEST(UserPairsTest, PairSequenceZeroIsOldNews) {
  OneUser u;
  EXPECT_EQ(u.Deliver(2, 0, "x"), Delivered::kDuplicate);
  EXPECT_FALSE(u.user->diverged(2));
  EXPECT_EQ(u.Deliver(2, 1, "x"), Delivered::kAccepted);
  EXPECT_EQ(u.Deliver(2, 0, "x"), Delivered::kDuplicate);
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#0", "ack 2#1"));
}

TEST(UserPairsTest, MoreUnderWayThanCanBeCountedIsAskedForAgain) {
  OneUser u;
  constexpr Seq kCounted = 0xFFFF;
  for (Seq s = 1; s <= kCounted; ++s) ASSERT_EQ(u.Deliver(2, s, "x"), Delivered::kAccepted);
  EXPECT_EQ(u.Deliver(2, kCounted + 1, "x"), Delivered::kGap);
  EXPECT_EQ(u.Deliver(2, kCounted + 2, "x"), Delivered::kGap);
  EXPECT_THAT(u.Said(), IsEmpty());
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#65535", "gap 2#65536"));
  EXPECT_EQ(u.Deliver(2, kCounted + 1, "x"), Delivered::kAccepted);
}

TEST(UserPairsTest, AnOfferIsAnsweredWithWhatIsDurableAndWhatIsMissing) {
  OneUser u;
  u.Deliver(2, 1, "a");
  u.Commit();
  u.Deliver(2, 2, "b");
  u.Said();
  EXPECT_EQ(u.Offered(2, 1, 4), Delivered::kGap);
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#1", "gap 2#3"));
  EXPECT_EQ(u.Offered(2, 1, 2), Delivered::kDuplicate);
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#1"));
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#2"));
}

TEST(UserPairsTest, ALateOfferDoesNoHarm) {
  OneUser u;
  for (Seq s = 1; s <= 5; ++s) u.Deliver(2, s, "x");
  u.Commit();
  u.Said();
  EXPECT_EQ(u.Offered(2, 1, 3), Delivered::kDuplicate);
  EXPECT_THAT(u.Said(), ElementsAre("ack 2#5"));
  EXPECT_FALSE(u.user->diverged(2));
  EXPECT_EQ(u.Offered(2, 0, 0), Delivered::kDuplicate);
  EXPECT_EQ(u.Offered(2, 5, 1), Delivered::kDuplicate);
  EXPECT_EQ(u.Offered(2, kMax, kMax), Delivered::kGap);
  EXPECT_FALSE(u.user->diverged(2));
}

TEST(UserPairsTest, AcksAreCumulativeAndCountOnceJournalled) {
  OneUser u;
  for (Seq s = 1; s <= 4; ++s) u.Submit(s, 2, "x");
  u.Commit();
  EXPECT_EQ(u.Ack(2, 3), Acked::kJournalled);
  EXPECT_EQ(u.user->counters().send_ack_id, 0u);
  const Released released = u.Commit();
  EXPECT_TRUE(released.delivered);
  EXPECT_FALSE(released.stored);
  EXPECT_EQ(u.user->counters().send_ack_id, 3u);
  EXPECT_EQ(u.Ack(2, 3), Acked::kOld);
  EXPECT_EQ(u.Ack(2, 1), Acked::kOld);
  EXPECT_EQ(u.Ack(2, 0), Acked::kOld);
  EXPECT_TRUE(u.open->empty());
  u.Crash();
  EXPECT_EQ(u.user->counters().send_ack_id, 3u);
}

TEST(UserPairsTest, AcksThatComeInAnyOrderSayTheSameAfterARestart) {
  OneUser u;
  for (Seq s = 1; s <= 4; ++s) u.Submit(s, 2, "x");
  u.Commit();
  u.Ack(2, 4);
  u.Seal();
  u.Ack(2, 2);  // late, while the other is under way
  u.Commit();
  EXPECT_EQ(u.user->counters().send_ack_id, 4u);
  u.Crash();
  EXPECT_EQ(u.user->counters().send_ack_id, 4u);
}

TEST(UserPairsTest, ADivergedPairStopsAndNoOther) {
  for (const Seq upto : {Seq{3}, kMax}) {
    OneUser u;
    u.Submit(1, 2, "a");
    u.Submit(2, 2, "b");
    u.Submit(3, 3, "c");
    u.Commit();
    EXPECT_EQ(u.Ack(2, upto), Acked::kAhead);  // changes nothing: whoever hears it decides
    EXPECT_FALSE(u.user->diverged(2));
    EXPECT_EQ(u.user->counters().send_ack_id, 0u);
    u.user->Diverge(2);
    // Its word counts no more.
    EXPECT_EQ(u.Ack(2, 1), Acked::kDiverged);
    EXPECT_EQ(u.Gap(2, 1, true), Acked::kDiverged);
    EXPECT_EQ(u.Submit(4, 2, "d").why, Refused::kPairDiverged);
    u.Said();
    u.StartSession();
    EXPECT_THAT(u.Said(), ElementsAre("offer 3#1-1"));
    EXPECT_EQ(u.Ack(3, 1), Acked::kJournalled);
    EXPECT_EQ(u.Submit(4, 3, "d").what, Submitted::kTaken);
    u.Commit();
    EXPECT_THAT(u.Said(), ElementsAre("forward 3#2 d"));
    EXPECT_EQ(u.user->counters().send_ack_id, 0u);
  }
}

wire::Message Back(Seq send_id, UserId to, Seq pair_seq, std::string_view body) {
  wire::Message m;
  m.seq = m.send_id = send_id;
  m.peer = to;
  m.pair_seq = pair_seq;
  m.body = body;
  m.checksum = MessageChecksum(OneUser::kId, to, send_id, body);
  return m;
}

TEST(UserPairsTest, WhatAFriendHasIsPutBackUnderItsNumberAndTheRestIsVoid) {
  OneUser u;
  u.Submit(1, 2, "a");
  u.Commit();
  u.Submit(9, 2, "came before its turn");
  u.Said();
  EXPECT_EQ(u.user->Restore(Back(1, 2, 1, "a"), *u.open), Restored::kThere);
  EXPECT_EQ(u.user->Restore(Back(2, 2, 2, "b"), *u.open), Restored::kAppended);
  EXPECT_EQ(u.user->Restore(Back(5, 3, 1, "c"), *u.open), Restored::kAppended);
  EXPECT_EQ(u.user->reorder_count(), 0u);
  EXPECT_EQ(u.Ack(2, 2), Acked::kJournalled);
  EXPECT_EQ(u.Ack(3, 1), Acked::kJournalled);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_id, 5u);
  EXPECT_EQ(u.user->counters().send_ack_id, 5u);
  u.Crash();
  EXPECT_EQ(u.user->counters().send_id, 5u);
  EXPECT_EQ(u.user->Restore(Back(2, 2, 2, "b"), *u.open), Restored::kThere);
  EXPECT_EQ(u.Submit(6, 2, "d").what, Submitted::kTaken);
  EXPECT_EQ(u.user->PairWith(2).sent, 3u);
}

TEST(UserPairsTest, WhatComesBackAndDoesNotFitStopsThePair) {
  for (const wire::Message& m :
       {Back(1, 2, 1, "not a"), Back(2, 2, 3, "b"), Back(2, 2, 1, "b"), Back(1, 3, 1, "a")}) {
    OneUser u;
    u.Submit(1, 2, "a");
    u.Commit();
    EXPECT_EQ(u.user->Restore(m, *u.open), Restored::kDiverged);
    EXPECT_TRUE(u.user->diverged(m.peer));
    EXPECT_EQ(u.user->applied_send_id(), 1u);
  }
  OneUser u;
  wire::Message m = Back(1, 2, 1, "a");
  m.body = "b";
  EXPECT_EQ(u.user->Restore(m, *u.open), Restored::kDiverged);
}

TEST(UserPairsTest, AGapBeyondWhatWasSentChangesNothing) {
  for (const Seq next : {Seq{3}, kMax}) {
    OneUser u;
    u.Submit(1, 2, "a");
    u.Commit();
    EXPECT_EQ(u.Gap(2, next), Acked::kAhead);
    EXPECT_FALSE(u.user->diverged(2));
  }
  OneUser u;
  EXPECT_EQ(u.Gap(2, 0), Acked::kDiverged);
  EXPECT_TRUE(u.user->diverged(2));
}

TEST(UserPairsTest, WhatIsUnderWayOfADivergedPairIsStoredButNotForwarded) {
  OneUser u;
  u.Submit(1, 2, "a");
  u.Submit(2, 3, "b");
  u.user->Diverge(2);
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 b"));
  EXPECT_EQ(u.user->counters().send_id, 2u);
}

TEST(UserPairsTest, AnOlderStoreIsFilledAgainFromTheOutbox) {
  OneUser u;
  for (Seq s = 1; s <= 6; ++s) u.Submit(s, s % 2 == 0 ? 3 : 2, "m" + std::to_string(s));
  u.Commit();
  u.Ack(2, 3);
  u.Ack(3, 3);
  u.Commit();
  u.Submit(7, 2, "m7");
  u.Commit();
  u.Said();
  // Old news as long as the same store is there.
  EXPECT_EQ(u.Gap(2, 2), Acked::kOld);
  EXPECT_TRUE(u.open->empty());
  EXPECT_EQ(u.Gap(2, 2, true), Acked::kRewound);
  EXPECT_EQ(u.Gap(2, 2, true), Acked::kOld);
  EXPECT_EQ(u.user->RefillFrom(), 0u);  // not before it is loaded again
  u.open->AddSnapshot(0, u.user->ToRecord(*u.open), u.user->heads());
  u.Commit();
  EXPECT_THAT(u.Said(), IsEmpty());  // and the snapshot is what the log says
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{7, 2, 0, 0}));
  u.StartSession();
  EXPECT_THAT(u.Said(), ElementsAre("offer 2#2-4"));
  u.Ack(2, 1);
  u.Gap(2, 2, true);
  u.Refill();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#2 m3", "forward 2#3 m5", "forward 2#4 m7"));
  u.Ack(2, 4);
  u.Commit();
  EXPECT_EQ(u.user->counters(), (Counters{7, 7, 0, 0}));
}

TEST(UserPairsTest, AStoreThatHasGoneBackToNothingIsFilledFromTheFirst) {
  OneUser u;
  for (Seq s = 1; s <= 3; ++s) u.Submit(s, 2, "x");
  u.Commit();
  u.Ack(2, 3);
  u.Seal();  // under way while the news comes
  u.Ack(2, 2);
  u.Commit();
  EXPECT_EQ(u.Gap(2, 1, true), Acked::kRewound);
  u.Commit();
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{3, 0, 0, 0}));
  EXPECT_EQ(u.disk.of(OneUser::kId).record.Find(2)->acked, 0u);
}

TEST(UserPairsTest, UntilItIsLoadedAgainAUserThatWentBackCountsRight) {
  OneUser u;
  u.limits.max_unacked = 3;
  for (Seq s = 1; s <= 3; ++s) u.Submit(s, 2, "x");
  u.Commit();
  u.Ack(2, 3);
  u.Commit();
  EXPECT_EQ(u.Gap(2, 2, true), Acked::kRewound);
  u.Commit();
  EXPECT_EQ(u.Submit(4, 3, "x").what, Submitted::kTaken);
  EXPECT_EQ(u.Submit(5, 3, "x").why, Refused::kOutboxFull);
  u.Ack(2, 3);
  u.Commit();
  EXPECT_EQ(u.Submit(5, 3, "x").what, Submitted::kTaken);
}

TEST(UserPairsTest, GoingBackDoesNotKeepTheWholeOutboxInMemory) {
  OneUser u;
  u.limits.window_messages = u.limits.max_unacked = 1 << 20;
  Seq s = 0;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 100; ++i) u.Submit(++s, i == 0 ? 2 : 3, "x");
    u.Commit();
    u.Ack(2, static_cast<Seq>(round) + 1);
    u.Ack(3, (static_cast<Seq>(round) + 1) * 99);
    u.Commit();
  }
  ASSERT_EQ(u.user->counters().send_ack_id, s);
  EXPECT_EQ(u.Gap(2, 2, true), Acked::kRewound);
  u.Commit();
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{s, 100, 0, 0}));
  EXPECT_LT(u.user->memory(), 32u << 10);  // 199 of 20,000 are pending
  u.StartSession();
  EXPECT_EQ(u.Said().back(), "offer 2#2-200");
}

}  // namespace
}  // namespace baiwan::mailbox
