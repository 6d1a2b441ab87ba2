#include "verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "verify/testing/stress_stores.h"

namespace baiwan::verify {
namespace {

using testing::Boxes;
using ::testing::Contains;
using testing::Counts;
using testing::CountsOf;
using testing::Entry;
using ::testing::HasSubstr;
using testing::StressStores;

constexpr std::uint64_t kAll = StressStores::kSmallMessages;

void ExpectGreen(const VerifyReport& report) {
  EXPECT_EQ(report.ExitCode(), 0) << report.ToText();
  EXPECT_EQ(report.verified(), kAll);
  EXPECT_EQ(report.sent, kAll);
  EXPECT_EQ(report.stored, kAll);
  EXPECT_EQ(report.delivered, kAll);
  EXPECT_EQ(report.acknowledged, kAll);
  EXPECT_EQ(report.expected_messages, kAll);
  EXPECT_EQ(report.users, 30u);
  EXPECT_EQ(report.relations, 180u);
  EXPECT_GT(report.disk_bytes, 0u);
}

class VerifyTest : public ::testing::Test {
 protected:
  // The test's mistake is planted in `all` by now; snapshots lag, so that they show none of it.
  VerifyReport WriteAndVerify() {
    all.Write({false, 3, "", nullptr});
    return all.Verify();
  }
  // What stands in the boxes is wrong, and nothing else is said to be.
  void ExpectFound(const Counts& wanted) {
    const VerifyReport report = WriteAndVerify();
    Counts found = CountsOf(report);
    if (wanted.counter == 0) found.counter = 0;  // counters that follow from it may be named too
    EXPECT_EQ(found, wanted) << report.ToText();
    EXPECT_EQ(report.ExitCode(), 1);
    EXPECT_EQ(report.verified() < kAll, wanted.counter == 0);  // counters concern no message
    EXPECT_TRUE(report.errors.empty()) << report.ToText();
  }

  StressStores all;
  const UserId user = all.UserOf(1, 4);
};

TEST_F(VerifyTest, StoresThatAreRightAreGreen) {
  all.Write({});
  ExpectGreen(all.Verify());
}

TEST_F(VerifyTest, SnapshotsThatLagBehindTheLogAreGreen) {
  all.Write({false, 2, "", nullptr});
  ExpectGreen(all.Verify());
}

TEST_F(VerifyTest, OneStoreForAllCellsAndAnyNumberOfThreadsGiveTheSame) {
  StressStores single(StressStores::SmallSpec(), 1);
  single.Write({});
  for (const unsigned threads : {1u, 2u, 3u, 7u}) {
    VerifyOptions options = single.options();
    options.threads = threads;
    ExpectGreen(VerifyStores(options));
  }
}

TEST_F(VerifyTest, LostFromAnInbox) {
  all.of(user).in.erase(all.of(user).in.begin() + 7);
  all.Renumber(user);
  ExpectFound({.lost = 1});
}

TEST_F(VerifyTest, LostAtTheEndOfAnInbox) {
  all.of(user).in.pop_back();
  ExpectFound({.lost = 1});
}

TEST_F(VerifyTest, LostFromAnOutbox) {
  all.of(user).out.erase(all.of(user).out.begin() + 7);
  ExpectFound({.lost = 1});
}

TEST_F(VerifyTest, LostFromBoth) {
  const Entry lost = all.of(user).out[7];
  all.of(user).out.erase(all.of(user).out.begin() + 7);
  auto& in = all.of(lost.peer).in;
  in.erase(std::find_if(in.begin(), in.end(), [&](const Entry& e) {
    return e.peer == user && e.send_id == lost.send_id;
  }));
  all.Renumber(lost.peer);
  ExpectFound({.lost = 2});
}

TEST_F(VerifyTest, RepeatedInAnInbox) {
  auto& in = all.of(user).in;
  in.insert(in.begin() + 20, in[7]);
  all.Renumber(user);
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report).duplicated, 1u) << report.ToText();
  EXPECT_EQ(CountsOf(report).lost, 0u);
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_F(VerifyTest, RepeatedInAnOutboxInAnothersPlace) {
  Entry copy = all.of(user).out[7];
  copy.seq = copy.send_id = 11;
  all.of(user).out[10] = copy;
  all.Seal(user, true, 10);
  ExpectFound({.lost = 1, .duplicated = 1});
}

TEST_F(VerifyTest, AnOutboxThatWasShiftedByALoss) {
  auto& out = all.of(user).out;
  out.erase(out.begin() + 7);
  for (std::size_t i = 7; i < out.size(); ++i) {
    out[i].seq = out[i].send_id = i + 1;
    all.Seal(user, true, i);
  }
  // The one that is gone, and the last place, in which nothing stands.
  ExpectFound({.lost = 2});
}

TEST_F(VerifyTest, TwoOfAPairExchangedInAnInbox) {
  auto& in = all.of(user).in;
  const auto later =
      std::find_if(in.begin() + 8, in.end(), [&](const Entry& e) { return e.peer == in[7].peer; });
  std::swap(in[7], *later);
  all.Renumber(user);
  ExpectFound({.reordered = 1});
}

TEST_F(VerifyTest, TwoExchangedInAnOutbox) {
  auto& out = all.of(user).out;
  std::swap(out[7], out[12]);
  std::swap(out[7].seq, out[12].seq);
  all.Seal(user, true, 7);
  all.Seal(user, true, 12);
  ExpectFound({.reordered = 1});
}

TEST_F(VerifyTest, AByteAlteredInAnInbox) {
  all.of(user).in[7].body[3] ^= 1;
  all.Seal(user, false, 7);
  ExpectFound({.altered = 1});
}

TEST_F(VerifyTest, AByteAlteredInAnOutbox) {
  all.of(user).out[7].body[3] ^= 1;
  all.Seal(user, true, 7);
  ExpectFound({.altered = 1});
}

TEST_F(VerifyTest, AByteAlteredInBoth) {
  const Entry sent = all.of(user).out[7];
  all.of(user).out[7].body[3] ^= 1;
  all.Seal(user, true, 7);
  auto& in = all.of(sent.peer).in;
  const auto copy = std::find_if(in.begin(), in.end(), [&](const Entry& e) {
    return e.peer == user && e.send_id == sent.send_id;
  });
  copy->body[3] ^= 1;
  all.Seal(sent.peer, false, static_cast<std::size_t>(copy - in.begin()));
  ExpectFound({.altered = 2});
}

TEST_F(VerifyTest, AChecksumThatIsNotTheMessages) {
  all.of(user).in[7].checksum ^= 1;
  all.of(user).out[9].checksum ^= 1;
  ExpectFound({.altered = 2});
}

TEST_F(VerifyTest, AnotherReceiverInAnOutbox) {
  auto& out = all.of(user).out;
  const UserId planned = out[7].peer;
  out[7].peer =
      std::find_if(out.begin(), out.end(), [&](const Entry& e) { return e.peer != planned; })->peer;
  all.Seal(user, true, 7);
  ExpectFound({.altered = 1});
}

TEST_F(VerifyTest, AForgedSender) {
  Entry& entry = all.of(user).in[7];
  for (const Entry& other : all.of(user).in) {  // a friend who sent this number to somebody else
    if (all.of(other.peer).out[entry.send_id - 1].peer != user) entry.peer = other.peer;
  }
  all.Seal(user, false, 7);
  ExpectFound({.lost = 1, .foreign = 1});
}

TEST_F(VerifyTest, ASenderWhoIsNoFriendOrNobody) {
  all.of(user).in[7].peer = user;
  all.of(user).in[9].peer = 987'654;
  ExpectFound({.lost = 2, .foreign = 2});
}

TEST_F(VerifyTest, AVoidInsteadOfAMessage) {
  Entry& entry = all.of(user).out[7];
  entry.is_void = true;
  entry.peer = entry.pair_seq = 0;
  entry.body.clear();
  all.Seal(user, true, 7);
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report).lost, 1u) << report.ToText();
  EXPECT_EQ(report.voids, 1u);
}

TEST_F(VerifyTest, ANumberOfAPairThatDoesNotFollow) {
  all.of(user).in[7].pair_seq += 2;
  ExpectFound({.counter = 1});
}

TEST_F(VerifyTest, MessagesThatAreNotAcknowledged) {
  all.of(user).unacked[all.of(user).out[7].peer] = 2;
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report), (Counts{.counter = 1})) << report.ToText();
  EXPECT_EQ(report.acknowledged, kAll - 2);
}

TEST_F(VerifyTest, EveryCounterOfASnapshotIsCompared) {
  using wire::UserRecord;
  const std::vector<std::function<void(UserRecord&)>> advances = {
      [](UserRecord& r) { ++r.send_id; },
      [](UserRecord& r) { --r.send_ack_id; },
      [](UserRecord& r) { ++r.receive_id; },
      [](UserRecord& r) { --r.client_receive_id; },
      [](UserRecord& r) { ++r.friends[2].sent; },
      [](UserRecord& r) { --r.friends[2].acked; },
      [](UserRecord& r) { ++r.friends[2].received; },
      [](UserRecord& r) { ++r.friends[2].received_checksum; },
  };
  for (std::size_t i = 0; i < advances.size(); ++i) {
    StressStores stores;
    stores.Write({true, 36, "", [&](UserRecord& r) {
                    if (r.user == user && r.send_id == 36 && r.receive_id == 36 &&
                        r.send_ack_id == 36) {
                      advances[i](r);
                    }
                  }});
    const VerifyReport report = stores.Verify();
    EXPECT_EQ(CountsOf(report), (Counts{.counter = 1})) << i << "\n" << report.ToText();
    EXPECT_EQ(report.ExitCode(), 1);
  }
}

TEST_F(VerifyTest, OtherFriendsInASnapshot) {
  all.Write({true, 3, "", [&](wire::UserRecord& r) {
               if (r.user == user) r.friends.back().id += 1;
             }});
  const VerifyReport report = all.Verify();
  EXPECT_EQ(CountsOf(report).altered, 1u) << report.ToText();
}

TEST_F(VerifyTest, AUserWhoIsNowhere) {
  all.of(user).missing = true;
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 72})) << report.ToText();
  EXPECT_EQ(report.users, 29u);
}

TEST_F(VerifyTest, HalfOfWhatThePlanHasIsVerifiedAndTheOtherHalfLost) {
  all.Write({});
  VerifyOptions options = all.options();
  options.spec.rounds *= 2;
  const VerifyReport report = VerifyStores(options);
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 2 * kAll})) << report.ToText();
  EXPECT_EQ(report.verified(), kAll);
}

TEST_F(VerifyTest, AStoreThatIsNotGiven) {
  all.Write({});
  VerifyOptions options = all.options();
  options.stores.pop_back();
  const VerifyReport report = VerifyStores(options);
  // Both boxes of ten users.
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 2 * kAll / 3})) << report.ToText();
  EXPECT_THAT(report.ToText(), HasSubstr("stands in no store: give the stores of all cells"));
}

TEST_F(VerifyTest, AStoreThatIsGivenTwice) {
  all.Write({});
  VerifyOptions options = all.options();
  options.stores.push_back(options.stores.front());
  EXPECT_GT(CountsOf(VerifyStores(options)).foreign, 0u);
}

// ---------------------------------------------------------------- what clients were told

class OlderCopyTest : public VerifyTest {
 protected:
  OlderCopyTest() {
    const std::string older = all.folder() + "/older";
    all.Write({false, 3, older, nullptr});
    ledger_ = all.WriteLedger();
    ExpectGreen(Verify(true));
    std::filesystem::remove_all(all.paths().front());
    std::filesystem::rename(older, all.paths().front());
  }
  VerifyReport Verify(bool complete) const {
    VerifyOptions options = all.options();
    options.ledgers = {ledger_};
    options.expect_complete = complete;
    return VerifyStores(options);
  }
  std::string ledger_;
};

TEST_F(OlderCopyTest, IsLostWhenEverythingShouldBeThere) {
  const VerifyReport report = Verify(true);
  EXPECT_GT(CountsOf(report).lost, 100u) << report.ToText();
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_F(OlderCopyTest, IsLostByTheLedgerOfATestThatWasStopped) {
  const VerifyReport report = Verify(false);
  EXPECT_GT(CountsOf(report).lost, 100u) << report.ToText();
  EXPECT_THAT(report.ToText(), HasSubstr("its client was told 36"));
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_F(VerifyTest, ATestThatWasStoppedIsGreenWithoutItsEnd) {
  for (const UserId u : all.users()) {
    Boxes& boxes = all.of(u);
    boxes.out.resize(30);
    boxes.in.erase(std::remove_if(boxes.in.begin(), boxes.in.end(),
                                  [](const Entry& e) { return e.send_id > 25; }),
                   boxes.in.end());
    all.Renumber(u);
    for (const Entry& e : boxes.out) boxes.unacked[e.peer] = 4;
  }
  all.Write({false, 3, "", nullptr});
  VerifyOptions options = all.options();
  options.expect_complete = false;
  const VerifyReport report = VerifyStores(options);
  EXPECT_EQ(report.ExitCode(), 0) << report.ToText();
  EXPECT_EQ(report.sent, 30u * 30);
  EXPECT_EQ(report.verified(), 30u * 25);
}

TEST_F(VerifyTest, WhatIsAcknowledgedAndNotThereIsLostAlsoWithoutALedger) {
  all.of(user).in.pop_back();
  all.Write({false, 3, "", nullptr});
  VerifyOptions options = all.options();
  options.expect_complete = false;
  const VerifyReport report = VerifyStores(options);
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 1})) << report.ToText();
}

TEST_F(VerifyTest, ALedgerThatIsNotThereOrOfAnotherTest) {
  all.Write({});
  VerifyOptions options = all.options();
  options.ledgers = {all.folder() + "/none"};
  EXPECT_EQ(VerifyStores(options).ExitCode(), 2);
  options.ledgers = {all.WriteLedger()};
  options.spec.seed = 6;
  EXPECT_EQ(VerifyStores(options).ExitCode(), 1);  // every message is another
}

TEST_F(VerifyTest, TheFirstMismatchesAreListedAndTheOthersCounted) {
  for (std::size_t i = 0; i < 30; ++i) all.of(user).in[i].checksum ^= 1;
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(report.listed.size(), 20u);
  EXPECT_EQ(CountsOf(report).altered, 30u);
  EXPECT_THAT(report.ToText(), HasSubstr("… and 10 more"));
}

TEST_F(VerifyTest, ProgressRisesToTheTotal) {
  all.Write({});
  VerifyOptions options = all.options();
  std::uint64_t last = 0;
  options.threads = 1;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    EXPECT_GE(done, last);
    last = done;
    EXPECT_EQ(total, kAll);
  };
  VerifyStores(options);
  EXPECT_EQ(last, kAll);
}

}  // namespace
}  // namespace baiwan::verify
