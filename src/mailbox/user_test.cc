// The rules for what comes from a user's clients: numbers, windows, repeats, voids, refusals.
#include "mailbox/user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/checksum.h"
#include "mailbox/testing/one_user.h"

namespace baiwan::mailbox {

// For readable failures.
bool operator==(const SubmitResult& a, const SubmitResult& b) {
  return a.what == b.what && a.why == b.why;
}
void PrintTo(const SubmitResult& r, std::ostream* out) {
  *out << static_cast<int>(r.what) << " (" << Message(r.why) << ")";
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OneUser;

constexpr SubmitResult kTaken{};
constexpr SubmitResult kRepeat{Submitted::kRepeat, Refused::kNo};
constexpr SubmitResult kAskLater{Submitted::kAskLater, Refused::kNo};
constexpr SubmitResult kAskOutbox{Submitted::kAskOutbox, Refused::kNo};
constexpr SubmitResult Refusal(Refused why) { return {Submitted::kRefused, why}; }
constexpr Seq kMax = ~Seq{0};

TEST(UserTest, NothingIsShownOrSentBeforeTheCommitIsDurable) {
  OneUser u;
  EXPECT_EQ(u.Submit(1, 2, "hello"), kTaken);
  u.Deliver(3, 1, "hi");
  u.Seal();
  EXPECT_THAT(u.Said(), IsEmpty());
  EXPECT_EQ(u.user->counters(), Counters{});
  const Released released = u.Finish();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#1 hello", "ack 3#1"));
  EXPECT_EQ(u.user->counters(), (Counters{1, 0, 1, 0}));
  EXPECT_TRUE(released.stored);
  EXPECT_TRUE(released.received);
  EXPECT_FALSE(released.delivered);
}

// A snapshot that rides with the last acknowledgement may be the last one ever written of this
// user: its counters are what an audit of the stopped store finds.
TEST(UserTest, ASnapshotCountsTheAcknowledgementsThatItRidesWith) {
  OneUser u;
  u.Submit(1, 2, "a");
  u.Submit(2, 3, "b");
  u.Commit();
  u.Ack(3, 1);
  EXPECT_EQ(u.user->ToRecord(*u.open).send_ack_id, 0U);
  u.Ack(2, 1);
  EXPECT_EQ(u.user->ToRecord(*u.open).send_ack_id, 2U);
  EXPECT_EQ(u.user->counters().send_ack_id, 0U);
}

TEST(UserTest, EachCommitShowsItsOwnPartWhenSeveralAreUnderWay) {
  OneUser u;
  u.Submit(1, 2, "a");
  u.Seal();
  u.Submit(2, 2, "b");
  u.Deliver(2, 1, "x");
  u.Seal();
  u.Submit(3, 3, "c");
  u.Finish();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#1 a"));
  EXPECT_EQ(u.user->counters(), (Counters{1, 0, 0, 0}));
  u.Finish();
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#2 b", "ack 2#1"));
  EXPECT_EQ(u.user->counters(), (Counters{2, 0, 1, 0}));
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 c"));
}

TEST(UserTest, WhatComesOutOfOrderIsStoredInOrder) {
  OneUser u;
  EXPECT_EQ(u.Submit(3, 3, "three"), kTaken);
  EXPECT_EQ(u.Submit(2, 2, "two"), kTaken);
  EXPECT_EQ(u.user->reorder_bytes(), 8u);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_id, 0u);
  EXPECT_EQ(u.Submit(5, 2, "five"), kTaken);
  EXPECT_EQ(u.Submit(1, 2, "one"), kTaken);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_id, 3u);
  EXPECT_THAT(u.Said(), ElementsAre("forward 2#1 one", "forward 2#2 two", "forward 3#1 three"));
  EXPECT_EQ(u.user->reorder_bytes(), 4u);
  u.Submit(4, 3, "four");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#2 four", "forward 2#3 five"));
  EXPECT_EQ(u.user->reorder_bytes(), 0u);
}

TEST(UserTest, WhatWaitsForItsTurnDiesWithTheProcess) {
  OneUser u;
  u.Submit(2, 2, "two");
  u.Crash();
  EXPECT_EQ(u.user->reorder_bytes(), 0u);
  EXPECT_EQ(u.Submit(2, 3, "another two"), kTaken);
}

TEST(UserTest, RefusalsLeaveTheNumberFree) {
  OneUser u;
  EXPECT_EQ(u.Submit(1, 9, "stranger"), Refusal(Refused::kNotFriend));
  EXPECT_EQ(u.Submit(1, OneUser::kId, "myself"), Refusal(Refused::kNotFriend));
  EXPECT_EQ(u.Submit(1, 0, "nobody"), Refusal(Refused::kNotFriend));
  EXPECT_EQ(u.Submit(1, 2, std::string(u.limits.max_body + 1, 'x')),
            Refusal(Refused::kBodyTooLarge));
  EXPECT_EQ(u.Submit(3, 9, "stranger"), Refusal(Refused::kNotFriend));
  EXPECT_EQ(u.Submit(1, 2, std::string(u.limits.max_body, 'x')), kTaken);
  EXPECT_EQ(u.Submit(3, 2, "three"), kTaken);
  EXPECT_EQ(u.SubmitVoid(2), kTaken);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_id, 3u);
}

TEST(UserTest, HostileNumbersAreRefused) {
  OneUser u;
  EXPECT_EQ(u.Submit(0, 2, "zero"), Refusal(Refused::kBadSendId));
  EXPECT_EQ(u.SubmitVoid(0), Refusal(Refused::kBadSendId));
  EXPECT_EQ(u.Submit(kMax, 2, "far"), Refusal(Refused::kWindow));
  EXPECT_EQ(u.SubmitVoid(kMax), Refusal(Refused::kWindow));
  EXPECT_EQ(u.Submit(1, kMax, "nobody"), Refusal(Refused::kNotFriend));
  u.ReadUpTo(kMax);
  u.Commit();
  EXPECT_EQ(u.user->counters(), Counters{});
}

TEST(UserTest, ARepeatIsKnownAndOtherContentIsAConflict) {
  OneUser u;
  u.Submit(1, 2, "one");
  u.Submit(3, 3, "three");  // waits for 2
  for (const char* when : {"applied", "under way", "durable"}) {
    SCOPED_TRACE(when);
    EXPECT_EQ(u.Submit(1, 2, "one"), when[0] == 'd' ? kAskOutbox : kAskLater);
    EXPECT_EQ(u.Submit(1, 2, "won"), Refusal(Refused::kConflict));
    EXPECT_EQ(u.Submit(1, 3, "one"), Refusal(Refused::kConflict));
    EXPECT_EQ(u.SubmitVoid(1), Refusal(Refused::kConflict));
    EXPECT_EQ(u.Submit(3, 3, "three"), kRepeat);
    EXPECT_EQ(u.Submit(3, 3, "trees"), Refusal(Refused::kConflict));
    EXPECT_EQ(u.SubmitVoid(3), Refusal(Refused::kConflict));
    if (when[0] == 'a') u.Seal();
    if (when[0] == 'u') u.Finish();
  }
  u.SubmitVoid(2);
  EXPECT_EQ(u.SubmitVoid(2), kRepeat);
  EXPECT_EQ(u.Submit(2, 2, ""), Refusal(Refused::kConflict));
  EXPECT_EQ(u.Submit(2, 0, ""), Refusal(Refused::kConflict));
  u.Commit();
  EXPECT_EQ(u.disk.of(OneUser::kId).outbox[0].body, "one");
}

TEST(UserTest, AnOldRepeatIsComparedWithTheOutbox) {
  OneUser u;
  u.Submit(1, 2, "one");
  u.SubmitVoid(2);
  u.Submit(3, 3, "three");
  u.Commit();
  u.Ack(2, 1);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_ack_id, 2u);
  EXPECT_EQ(u.Submit(1, 2, "one"), kAskOutbox);
  EXPECT_EQ(u.Submit(1, 2, "won"), kAskOutbox);
  EXPECT_EQ(u.SubmitVoid(2), kAskOutbox);
  EXPECT_EQ(u.Submit(3, 3, "three"), kAskOutbox);
}

// Whoever chooses the content may choose one with the checksum of another.
TEST(UserTest, AChecksumAloneMakesNoRepeat) {
  OneUser u;
  const auto forged = [&](Seq send_id, UserId to, std::string_view body, std::string_view as) {
    return u.user->Submit({send_id, to, body, MessageChecksum(OneUser::kId, 2, send_id, as), false},
                          0, u.limits, *u.open);
  };
  u.Submit(1, 2, "one");
  u.Submit(3, 2, "three");  // waits for 2
  EXPECT_EQ(forged(3, 2, "other", "three"), Refusal(Refused::kConflict));
  EXPECT_EQ(forged(3, 3, "three", "three"), Refusal(Refused::kConflict));
  EXPECT_EQ(forged(1, 2, "other", "one"), kAskLater);
  u.Seal();
  EXPECT_EQ(forged(1, 2, "other", "one"), kAskLater);
  u.Finish();
  EXPECT_EQ(forged(1, 2, "other", "one"), kAskOutbox);
  u.Crash();
  EXPECT_EQ(forged(1, 2, "other", "one"), kAskOutbox);
}

TEST(UserTest, TheOutboxTellsRepeatsFromConflicts) {
  wire::Message stored;
  stored.peer = 2;
  stored.body = "one";
  const auto same = [&](UserId to, std::string_view body, bool is_void) {
    return User::SameAsStored(stored, {1, to, body, 0, is_void});
  };
  EXPECT_TRUE(same(2, "one", false));
  EXPECT_FALSE(same(2, "on", false));
  EXPECT_FALSE(same(3, "one", false));
  EXPECT_FALSE(same(0, "", true));
  stored = {};
  stored.kind = wire::Kind::kVoid;
  EXPECT_TRUE(same(0, "", true));
  EXPECT_FALSE(same(0, "", false));
  EXPECT_FALSE(same(2, "one", false));
}

TEST(UserTest, TheWindowMovesWithTheDurableSendId) {
  OneUser u;
  u.limits.window_messages = 3;
  EXPECT_EQ(u.user->window_end(u.limits), 3u);
  EXPECT_EQ(u.Submit(4, 2, "x"), Refusal(Refused::kWindow));
  EXPECT_EQ(u.Submit(3, 2, "x"), kTaken);
  EXPECT_EQ(u.Submit(1, 2, "x"), kTaken);
  EXPECT_EQ(u.Submit(2, 2, "x"), kTaken);
  EXPECT_EQ(u.Submit(4, 2, "x"), Refusal(Refused::kWindow));  // nothing is durable yet
  u.Seal();
  EXPECT_EQ(u.Submit(4, 2, "x"), Refusal(Refused::kWindow));
  u.Finish();
  EXPECT_EQ(u.user->window_end(u.limits), 6u);
  EXPECT_EQ(u.Submit(4, 2, "x"), kTaken);
}

TEST(UserTest, TheWindowHoldsSoManyBytes) {
  OneUser u;
  u.limits.window_bytes = 10;
  EXPECT_EQ(u.Submit(2, 2, "123456"), kTaken);
  EXPECT_EQ(u.Submit(3, 2, "12345"), Refusal(Refused::kWindow));
  EXPECT_EQ(u.Submit(3, 2, "1234"), kTaken);
  EXPECT_EQ(u.user->reorder_bytes(), 10u);
  // The next one in order is what lets the others go: it is not held up by them.
  EXPECT_EQ(u.Submit(1, 2, "123456"), kTaken);
  EXPECT_EQ(u.user->reorder_bytes(), 0u);
  EXPECT_EQ(u.Submit(4, 2, ""), Refusal(Refused::kWindow));  // 16 bytes are not durable yet
  u.Commit();
  EXPECT_EQ(u.Submit(4, 2, ""), kTaken);
  // One message always fits.
  EXPECT_EQ(u.Submit(5, 2, "longer than the window"), kTaken);
  EXPECT_EQ(u.Submit(6, 2, "1"), Refusal(Refused::kWindow));
}

TEST(UserTest, SomeManyUnacknowledgedMessagesAreTooMany) {
  OneUser u;
  u.limits.max_unacked = 3;
  for (Seq s = 1; s <= 3; ++s) EXPECT_EQ(u.Submit(s, 2 + s % 2, "x"), kTaken);
  u.Commit();
  EXPECT_EQ(u.Submit(4, 2, "x"), Refusal(Refused::kOutboxFull));
  EXPECT_EQ(u.Submit(1, 3, "x"), kAskOutbox);
  EXPECT_EQ(u.SubmitVoid(4), kTaken);  // a void waits for nobody
  u.Ack(3, 1);
  EXPECT_EQ(u.Submit(5, 2, "x"), Refusal(Refused::kOutboxFull));  // that is not durable yet
  u.Commit();
  EXPECT_EQ(u.Submit(5, 2, "x"), kTaken);
  EXPECT_EQ(u.Submit(6, 2, "x"), Refusal(Refused::kOutboxFull));
}

TEST(UserTest, AFriendThatNeverAnswersDoesNotBlockTheOthers) {
  OneUser u;
  u.limits.max_unacked = 8;
  u.Submit(1, 2, "to nobody");
  u.Commit();
  std::size_t memory = 0;
  for (Seq s = 2; s <= 2000; ++s) {
    ASSERT_EQ(u.Submit(s, 3, "x"), kTaken) << s;
    u.Commit();
    u.Ack(3, s - 1);
    u.Commit();
    memory = std::max(memory, u.user->memory());
  }
  EXPECT_EQ(u.user->counters(), (Counters{2000, 0, 0, 0}));
  EXPECT_LT(memory, 8u << 10);
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{2000, 0, 0, 0}));
  EXPECT_LT(u.user->memory(), 8u << 10);
  EXPECT_EQ(u.Submit(1, 2, "to nobody"), kAskOutbox);
  EXPECT_EQ(u.Submit(1, 2, "to somebody"), Refusal(Refused::kConflict));
  EXPECT_EQ(u.Submit(1000, 3, "x"), kAskOutbox);
  u.Ack(2, 1);
  u.Commit();
  EXPECT_EQ(u.user->counters(), (Counters{2000, 2000, 0, 0}));
  // A restart finds the same.
  u.Submit(2001, 2, "x");
  u.Submit(2002, 3, "x");
  u.Commit();
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{2002, 2000, 0, 0}));
}

TEST(UserTest, CountersStepOverVoids) {
  OneUser u;
  u.SubmitVoid(1);
  u.Submit(2, 2, "two");
  u.SubmitVoid(3);
  u.SubmitVoid(4);
  u.Submit(5, 3, "five");
  u.SubmitVoid(6);
  u.Commit();
  EXPECT_EQ(u.user->counters(), (Counters{6, 1, 0, 0}));
  u.Ack(3, 1);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_ack_id, 1u);
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{6, 1, 0, 0}));
  u.Ack(2, 1);
  const Released released = u.Commit();
  EXPECT_TRUE(released.delivered);
  EXPECT_EQ(u.user->counters(), (Counters{6, 6, 0, 0}));
  EXPECT_FALSE(u.user->pending());
  u.SubmitVoid(7);
  u.Seal();
  EXPECT_EQ(u.user->counters(), (Counters{6, 6, 0, 0}));
  u.Finish();
  EXPECT_EQ(u.user->counters(), (Counters{7, 7, 0, 0}));
  u.Crash();
  EXPECT_EQ(u.user->counters(), (Counters{7, 7, 0, 0}));
}

TEST(UserTest, ManyVoidsUnderWayAreNotForgotten) {
  OneUser u;
  u.Submit(1, 2, "x");
  u.Submit(2, 3, "y");
  u.Commit();
  u.Ack(3, 1);
  u.Seal();
  for (Seq s = 3; s <= 500; ++s) ASSERT_EQ(u.SubmitVoid(s), kTaken);
  u.Finish();  // the ack; the voids are not durable
  EXPECT_EQ(u.user->counters(), (Counters{2, 0, 0, 0}));
  EXPECT_EQ(u.SubmitVoid(300), kRepeat);
  u.Commit();
  EXPECT_EQ(u.user->counters(), (Counters{500, 0, 0, 0}));
  u.Ack(2, 1);
  u.Commit();
  EXPECT_EQ(u.user->counters(), (Counters{500, 500, 0, 0}));
}

TEST(UserTest, WhatHasBecomeIllegalByItsTurnIsStoredAsAVoid) {
  OneUser u;
  u.Submit(2, 2, "buffered");
  u.Submit(3, 3, "good");
  u.user->Diverge(2);
  u.Submit(1, 3, "first");
  u.Commit();
  EXPECT_THAT(u.Said(), ElementsAre("forward 3#1 first", "forward 3#2 good"));
  const auto& stored = u.disk.of(OneUser::kId).outbox[1];
  EXPECT_EQ(stored.head.kind, wire::Kind::kVoid);
  EXPECT_EQ(stored.head.reason, wire::VoidReason::kNotFriend);
  EXPECT_EQ(stored.body, "");
  EXPECT_EQ(u.Submit(2, 2, "buffered"), Refusal(Refused::kConflict));
  EXPECT_EQ(u.SubmitVoid(2), kRepeat);
}

TEST(UserTest, APairThatHasUsedUpItsNumbersGoesNoFurther) {
  wire::UserRecord record;
  record.user = OneUser::kId;
  record.friends = {{2, kMaxPairSeq - 1, kMaxPairSeq - 1, kMaxPairSeq - 1, 0}, {3, 0, 0, 0, 0}};
  OneUser u(record);
  for (Seq s = 2; s <= 40; ++s) EXPECT_EQ(u.Submit(s, 2, "x"), kTaken);
  EXPECT_EQ(u.Submit(1, 2, "last"), kTaken);
  EXPECT_EQ(u.Submit(41, 2, "x"), Refusal(Refused::kPairDiverged));
  EXPECT_EQ(u.Deliver(2, kMaxPairSeq, "last"), Delivered::kAccepted);
  EXPECT_EQ(u.Deliver(2, kMaxPairSeq + 1, "one more"), Delivered::kGap);
  u.Commit();
  EXPECT_EQ(u.disk.of(OneUser::kId).record.Find(2)->sent, kMaxPairSeq);
  EXPECT_EQ(u.disk.of(OneUser::kId).outbox[1].head.kind, wire::Kind::kVoid);
  EXPECT_EQ(u.Submit(41, 3, "x"), kTaken);
}

TEST(UserTest, ReadUpToMovesOnlyUpAndOnlyOverWhatIsDurable) {
  OneUser u;
  for (Seq s = 1; s <= 3; ++s) u.Deliver(2, s, "x");
  u.ReadUpTo(3);
  u.Commit();
  EXPECT_EQ(u.user->counters(), (Counters{0, 0, 3, 0}));
  u.ReadUpTo(2);
  u.ReadUpTo(1);
  EXPECT_EQ(u.user->counters().client_receive_id, 0u);
  u.Commit();
  EXPECT_EQ(u.user->counters().client_receive_id, 2u);
  u.ReadUpTo(1);
  EXPECT_TRUE(u.open->empty());
  u.ReadUpTo(kMax);
  u.Commit();
  u.Crash();
  EXPECT_EQ(u.user->counters().client_receive_id, 3u);
}

TEST(UserTest, EveryRefusalHasASentence) {
  for (int r = 0; r <= static_cast<int>(Refused::kPairDiverged); ++r) {
    EXPECT_STRNE(Message(static_cast<Refused>(r)), "unknown");
  }
}

TEST(UserTest, AUserWithThirtyFriendsTakesLessThanOneKibibyte) {
  OneUser u(30);
  EXPECT_LT(u.user->memory(), 1024u);
  // With its default workload behind it, it is not much more.
  Seq s = 0;
  for (int round = 0; round < 5; ++round) {
    for (UserId f = 2; f < 32; ++f) {
      ASSERT_EQ(u.Submit(++s, f, "hello"), kTaken);
      ASSERT_EQ(u.Deliver(f, static_cast<Seq>(round) + 1, "hello"), Delivered::kAccepted);
    }
  }
  u.Commit();
  for (UserId f = 2; f < 32; ++f) u.Ack(f, 5);
  u.Commit();
  EXPECT_EQ(u.user->counters().send_ack_id, 150u);
  EXPECT_LT(u.user->memory(), 1024u + 256u);
  u.Crash();
  EXPECT_LT(u.user->memory(), 1024u);
}

TEST(UserReorder, WhatWaitsForItsNumberGoesAtTheThirdCall) {
  OneUser u;
  u.Submit(3, 2, "three");
  EXPECT_TRUE(u.user->AgeReorder());
  u.Submit(4, 2, "four");
  EXPECT_TRUE(u.user->AgeReorder());
  EXPECT_EQ(u.user->reorder_count(), 2u);
  EXPECT_TRUE(u.user->AgeReorder());
  EXPECT_EQ(u.user->reorder_count(), 1u);
  EXPECT_EQ(u.user->reorder_bytes(), 4u);
  EXPECT_FALSE(u.user->AgeReorder());
  EXPECT_EQ(u.user->reorder_memory(), 0u);
  // Their numbers are free again, also for something else.
  EXPECT_EQ(u.Submit(3, 3, "another").what, Submitted::kTaken);
  u.Submit(1, 2, "one");
  u.Submit(2, 2, "two");
  u.Commit();
  EXPECT_EQ(u.user->counters().send_id, 3u);
}

TEST(UserReorder, AllThatWaitsForItsNumberCanBeDropped) {
  OneUser u;
  for (Seq s = 2; s <= 5; ++s) u.Submit(s, 2, "x");
  EXPECT_GT(u.user->reorder_memory(), 4u);
  u.user->DropReorder();
  EXPECT_EQ(u.user->reorder_memory(), 0u);
  EXPECT_TRUE(u.user->idle(1));
  u.Submit(1, 2, "one");
  u.Commit();
  EXPECT_EQ(u.user->counters().send_id, 1u);
}

TEST(UserReorder, WithoutMemoryOnlyTheNextInOrderIsTaken) {
  OneUser u;
  u.Submit(3, 2, "three");
  u.limits.may_wait = false;
  EXPECT_EQ(u.Submit(4, 2, "four").why, Refused::kNoMemory);
  EXPECT_EQ(u.Submit(3, 2, "three").what, Submitted::kRepeat);
  EXPECT_EQ(u.Submit(3, 2, "other").why, Refused::kConflict);
  EXPECT_EQ(u.Submit(1, 2, "one").what, Submitted::kTaken);
  EXPECT_EQ(u.Submit(2, 2, "two").what, Submitted::kTaken);
  EXPECT_EQ(u.user->applied_send_id(), 3u);
}

}  // namespace
}  // namespace baiwan::mailbox
