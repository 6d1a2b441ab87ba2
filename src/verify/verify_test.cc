#include "verify/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "verify/testing/split.h"
#include "verify/testing/stress_stores.h"

namespace baiwan::verify {
namespace {

using testing::Boxes;
using testing::Counts;
using testing::CountsOf;
using testing::Entry;
using ::testing::HasSubstr;
using testing::Split;
using testing::StressStores;
using testing::VerifyBothWays;

constexpr std::uint64_t kUsers = 40;
constexpr std::uint64_t kEach = 36;  // messages
constexpr std::uint64_t kAll = kUsers * kEach;

stress::WorkloadSpec FourCells() {
  stress::WorkloadSpec spec = StressStores::SmallSpec();
  spec.cells = 4;
  return spec;
}

void ExpectGreen(const VerifyReport& report) {
  EXPECT_EQ(report.ExitCode(), 0) << report.ToText();
  EXPECT_EQ(report.verified(), kAll);
  EXPECT_EQ(report.sent, kAll);
  EXPECT_EQ(report.stored, kAll);
  EXPECT_EQ(report.delivered, kAll);
  EXPECT_EQ(report.acknowledged, kAll);
  EXPECT_EQ(report.expected_messages, kAll);
  EXPECT_EQ(report.users, kUsers);
  EXPECT_EQ(report.relations, 6 * kUsers);
  EXPECT_GT(report.disk_bytes, 0u);
}

// Whose messages a test spoils: of friends in the user's own cell, or in others, whose boxes stand
// in other stores. Everything is verified over all stores, and in shares of several hosts as well.
enum class Friends { kInCell, kAcross };

class VerifyTest : public ::testing::TestWithParam<Friends> {
 protected:
  VerifyTest() {
    for (const UserId one : all.users()) {  // the ones that tests spoil first
      const Boxes& boxes = all.of(one);
      if (Spoiled(one, boxes.out[7]) && Spoiled(one, boxes.in[7])) user = one;
    }
    EXPECT_NE(user, 0u);
  }
  bool Spoiled(UserId one, const Entry& entry) const {
    const auto layout = stress::LayoutOf(all.spec());
    return (layout.CellOf(one) != layout.CellOf(entry.peer)) == (GetParam() == Friends::kAcross);
  }
  // The last entry of a friend's who is to be spoiled.
  std::size_t Last(const std::vector<Entry>& box) const {
    std::size_t at = box.size() - 1;
    while (!Spoiled(user, box[at])) --at;
    return at;
  }
  void EraseCopyOf(const Entry& sent) {
    auto& in = all.of(sent.peer).in;
    in.erase(std::find_if(in.begin(), in.end(), [&](const Entry& e) {
      return e.peer == user && e.send_id == sent.send_id;
    }));
    all.Renumber(sent.peer);
  }

  VerifyReport Verify() const { return VerifyBothWays(all, all.options()); }
  // The test's mistake is planted in `all` by now; snapshots lag, so that they show none of it.
  VerifyReport WriteAndVerify() {
    all.Write({false, 3, "", nullptr});
    return Verify();
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

  StressStores all{FourCells(), 4};
  UserId user = 0;
};

INSTANTIATE_TEST_SUITE_P(Of, VerifyTest, ::testing::Values(Friends::kInCell, Friends::kAcross),
                         [](const auto& test) {
                           return test.param == Friends::kInCell ? "FriendsInTheCell"
                                                                 : "FriendsAcross";
                         });

TEST_P(VerifyTest, StoresThatAreRightAreGreen) {
  all.Write({});
  ExpectGreen(Verify());
}

TEST_P(VerifyTest, SnapshotsThatLagBehindTheLogAreGreen) {
  all.Write({false, 2, "", nullptr});
  ExpectGreen(Verify());
}

TEST_P(VerifyTest, OneStoreForAllCellsAndAnyNumberOfThreadsGiveTheSame) {
  StressStores single(FourCells(), 1);
  single.Write({});
  for (const unsigned threads : {1u, 2u, 3u, 7u}) {
    VerifyOptions options = single.options();
    options.threads = threads;
    ExpectGreen(VerifyStores(options));
  }
}

TEST_P(VerifyTest, LostFromAnInbox) {
  all.of(user).in.erase(all.of(user).in.begin() + 7);
  all.Renumber(user);
  ExpectFound({.lost = 1});
}

TEST_P(VerifyTest, LostAtTheEndOfAnInbox) {
  auto& in = all.of(user).in;
  in.erase(in.begin() + static_cast<std::ptrdiff_t>(Last(in)));
  all.Renumber(user);
  ExpectFound({.lost = 1});
}

TEST_P(VerifyTest, LostAtTheEndsOfBoth) {
  auto& out = all.of(user).out;
  const Entry lost = out[Last(out)];
  for (Entry e = out.back(); e.seq >= lost.seq; e = out.back()) {  // and what stands behind it
    EraseCopyOf(e);
    out.pop_back();
  }
  ExpectFound({.lost = 2 * (kEach - out.size())});
}

TEST_P(VerifyTest, AFriendsMessagesThatStandInNeitherBox) {
  const UserId peer = all.of(user).out[7].peer;
  auto& out = all.of(user).out;
  for (const Entry& e : out) {
    if (e.peer == peer) EraseCopyOf(e);
  }
  out.erase(std::remove_if(out.begin(), out.end(), [&](const Entry& e) { return e.peer == peer; }),
            out.end());
  ExpectFound({.lost = 12});
}

TEST_P(VerifyTest, LostFromAnOutbox) {
  all.of(user).out.erase(all.of(user).out.begin() + 7);
  ExpectFound({.lost = 1});
}

TEST_P(VerifyTest, LostFromBoth) {
  EraseCopyOf(all.of(user).out[7]);
  all.of(user).out.erase(all.of(user).out.begin() + 7);
  ExpectFound({.lost = 2});
}

TEST_P(VerifyTest, RepeatedInAnInbox) {
  auto& in = all.of(user).in;
  in.insert(in.begin() + 20, in[7]);
  all.Renumber(user);
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report).duplicated, 1u) << report.ToText();
  EXPECT_EQ(CountsOf(report).lost, 0u);
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_P(VerifyTest, RepeatedInAnOutboxInAnothersPlace) {
  Entry copy = all.of(user).out[7];
  copy.seq = copy.send_id = 11;
  all.of(user).out[10] = copy;
  all.Seal(user, true, 10);
  ExpectFound({.lost = 1, .duplicated = 1});
}

TEST_P(VerifyTest, AnOutboxThatWasShiftedByALoss) {
  auto& out = all.of(user).out;
  out.erase(out.begin() + 7);
  for (std::size_t i = 7; i < out.size(); ++i) {
    out[i].seq = out[i].send_id = i + 1;
    all.Seal(user, true, i);
  }
  // The one that is gone, and the last place, in which nothing stands.
  ExpectFound({.lost = 2});
}

TEST_P(VerifyTest, TwoOfAPairExchangedInAnInbox) {
  auto& in = all.of(user).in;
  const auto later =
      std::find_if(in.begin() + 8, in.end(), [&](const Entry& e) { return e.peer == in[7].peer; });
  std::swap(in[7], *later);
  all.Renumber(user);
  ExpectFound({.reordered = 1});
}

TEST_P(VerifyTest, TwoExchangedInAnOutbox) {
  auto& out = all.of(user).out;
  std::swap(out[7], out[12]);
  std::swap(out[7].seq, out[12].seq);
  all.Seal(user, true, 7);
  all.Seal(user, true, 12);
  ExpectFound({.reordered = 1});
}

TEST_P(VerifyTest, AByteAlteredInAnInbox) {
  all.of(user).in[7].body[3] ^= 1;
  all.Seal(user, false, 7);
  ExpectFound({.altered = 1});
}

TEST_P(VerifyTest, AByteAlteredInAnOutbox) {
  all.of(user).out[7].body[3] ^= 1;
  all.Seal(user, true, 7);
  ExpectFound({.altered = 1});
}

TEST_P(VerifyTest, AByteAlteredInBoth) {
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

TEST_P(VerifyTest, AChecksumThatIsNotTheMessages) {
  all.of(user).in[7].checksum ^= 1;
  all.of(user).out[9].checksum ^= 1;
  ExpectFound({.altered = 2});
}

TEST_P(VerifyTest, AnotherReceiverInAnOutbox) {
  auto& out = all.of(user).out;
  const UserId planned = out[7].peer;
  out[7].peer =
      std::find_if(out.begin(), out.end(), [&](const Entry& e) { return e.peer != planned; })->peer;
  all.Seal(user, true, 7);
  ExpectFound({.altered = 1});
}

TEST_P(VerifyTest, AForgedSender) {
  Entry& entry = all.of(user).in[7];
  for (const Entry& other : all.of(user).in) {  // a friend who sent this number to somebody else
    if (!Spoiled(user, other)) continue;
    if (all.of(other.peer).out[entry.send_id - 1].peer != user) entry.peer = other.peer;
  }
  all.Seal(user, false, 7);
  ExpectFound({.lost = 1, .foreign = 1});
}

TEST_P(VerifyTest, ASenderWhoIsNoFriendOrNobody) {
  all.of(user).in[7].peer = user;
  all.of(user).in[9].peer = 987'654;
  ExpectFound({.lost = 2, .foreign = 2});
}

TEST_P(VerifyTest, ASenderWhoIsSomebodyElsesFriend) {
  std::vector<UserId> others = all.users();
  const auto is_friend = [&](UserId u) {
    const auto& out = all.of(user).out;
    return u == user ||
           std::any_of(out.begin(), out.end(), [&](const Entry& e) { return e.peer == u; });
  };
  Entry& entry = all.of(user).in[7];
  for (const UserId other : others) {
    Entry forged = entry;
    forged.peer = other;
    if (!is_friend(other) && Spoiled(user, forged)) entry.peer = other;
  }
  all.Seal(user, false, 7);
  ExpectFound({.lost = 1, .foreign = 1});
}

TEST_P(VerifyTest, AVoidInsteadOfAMessage) {
  Entry& entry = all.of(user).out[7];
  entry.is_void = true;
  entry.peer = entry.pair_seq = 0;
  entry.body.clear();
  all.Seal(user, true, 7);
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report).lost, 1u) << report.ToText();
  EXPECT_EQ(report.voids, 1u);
}

TEST_P(VerifyTest, ANumberOfAPairThatDoesNotFollow) {
  all.of(user).in[7].pair_seq += 2;
  ExpectFound({.counter = 1});
}

TEST_P(VerifyTest, MessagesThatAreNotAcknowledged) {
  all.of(user).unacked[all.of(user).out[7].peer] = 2;
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report), (Counts{.counter = 1})) << report.ToText();
  EXPECT_EQ(report.acknowledged, kAll - 2);
}

TEST_P(VerifyTest, EveryCounterOfASnapshotIsCompared) {
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
    StressStores stores(FourCells(), 4);
    stores.Write({true, 36, "", [&](UserRecord& r) {
                    if (r.user == user && r.send_id == 36 && r.receive_id == 36 &&
                        r.send_ack_id == 36) {
                      advances[i](r);
                    }
                  }});
    const VerifyReport report = VerifyBothWays(stores, stores.options());
    EXPECT_EQ(CountsOf(report), (Counts{.counter = 1})) << i << "\n" << report.ToText();
    EXPECT_EQ(report.ExitCode(), 1);
  }
}

TEST_P(VerifyTest, OtherFriendsInASnapshot) {
  all.Write({true, 3, "", [&](wire::UserRecord& r) {
               if (r.user == user) r.friends.back().id += 1;
             }});
  const VerifyReport report = Verify();
  EXPECT_EQ(CountsOf(report).altered, 1u) << report.ToText();
}

TEST_P(VerifyTest, AUserWhoIsNowhere) {
  all.of(user).missing = true;
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 72})) << report.ToText();
  EXPECT_EQ(report.users, kUsers - 1);
}

TEST_P(VerifyTest, HalfOfWhatThePlanHasIsVerifiedAndTheOtherHalfLost) {
  all.Write({});
  VerifyOptions options = all.options();
  options.spec.rounds *= 2;
  const VerifyReport report = VerifyBothWays(all, options);
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 2 * kAll})) << report.ToText();
  EXPECT_EQ(report.verified(), kAll);
}

TEST_P(VerifyTest, AStoreThatIsNotGiven) {
  all.Write({});
  VerifyOptions options = all.options();
  options.stores.pop_back();
  const VerifyReport report = VerifyStores(options);
  // Both boxes of ten users.
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 2 * kAll / 4})) << report.ToText();
  EXPECT_THAT(report.ToText(), HasSubstr("stands in no store: give the stores of all cells"));
}

TEST_P(VerifyTest, AStoreThatIsGivenTwice) {
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
    ExpectGreen(VerifyTold(true));
    std::filesystem::remove_all(all.paths().front());
    std::filesystem::rename(older, all.paths().front());
  }
  VerifyReport VerifyTold(bool complete) const {
    VerifyOptions options = all.options();
    options.ledgers = {ledger_};
    options.expect_complete = complete;
    return VerifyBothWays(all, options);
  }
  std::string ledger_;
};

INSTANTIATE_TEST_SUITE_P(Of, OlderCopyTest, ::testing::Values(Friends::kInCell),
                         [](const auto&) { return "AStore"; });

TEST_P(OlderCopyTest, IsLostWhenEverythingShouldBeThere) {
  const VerifyReport report = VerifyTold(true);
  EXPECT_GT(CountsOf(report).lost, 100u) << report.ToText();
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_P(OlderCopyTest, IsLostByTheLedgerOfATestThatWasStopped) {
  const VerifyReport report = VerifyTold(false);
  EXPECT_GT(CountsOf(report).lost, 100u) << report.ToText();
  EXPECT_THAT(report.ToText(), HasSubstr("its client was told 36"));
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_P(VerifyTest, ATestThatWasStoppedIsGreenWithoutItsEnd) {
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
  const VerifyReport report = VerifyBothWays(all, options);
  EXPECT_EQ(report.ExitCode(), 0) << report.ToText();
  EXPECT_EQ(report.sent, kUsers * 30);
  EXPECT_EQ(report.verified(), kUsers * 25);
}

TEST_P(VerifyTest, WhatIsAcknowledgedAndNotThereIsLostAlsoWithoutALedger) {
  auto& in = all.of(user).in;
  in.erase(in.begin() + static_cast<std::ptrdiff_t>(Last(in)));
  all.Renumber(user);
  all.Write({false, 3, "", nullptr});
  VerifyOptions options = all.options();
  options.expect_complete = false;
  const VerifyReport report = VerifyBothWays(all, options);
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 1})) << report.ToText();
}

TEST_P(VerifyTest, ALedgerThatIsNotThereOrOfAnotherTest) {
  all.Write({});
  VerifyOptions options = all.options();
  options.ledgers = {all.folder() + "/none"};
  EXPECT_EQ(VerifyStores(options).ExitCode(), 2);
  options.ledgers = {all.WriteLedger()};
  options.spec.seed = 6;
  EXPECT_EQ(VerifyStores(options).ExitCode(), 1);  // every message is another
}

TEST_P(VerifyTest, TheFirstMismatchesAreListedAndTheOthersCounted) {
  for (std::size_t i = 0; i < 30; ++i) all.of(user).in[i].checksum ^= 1;
  const VerifyReport report = WriteAndVerify();
  EXPECT_EQ(report.listed.size(), 20u);
  EXPECT_EQ(CountsOf(report).altered, 30u);
  EXPECT_THAT(report.ToText(), HasSubstr("… and 10 more"));
}

TEST_P(VerifyTest, ProgressRisesToTheTotal) {
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
