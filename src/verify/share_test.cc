// What each share finds and what is found by joining them (that both together find what
// VerifyStores finds is shown in verify_test.cc), and shares that do not fit together.
#include "verify/share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file.h"
#include "verify/share_file.h"
#include "verify/testing/split.h"

namespace baiwan::verify {
namespace {

using ::testing::Contains;
using testing::Counts;
using testing::CountsOf;
using testing::Entry;
using ::testing::HasSubstr;
using testing::Join;
using testing::MakeShares;
using testing::Shared;
using testing::Split;
using testing::StressStores;

const Split kEach = {{0, 0}, {1, 1}, {2, 2}};

class ShareTest : public ::testing::Test {
 protected:
  CellId CellOf(UserId u) const { return stress::LayoutOf(all.spec()).CellOf(u); }
  // The last message of a friend of another cell in a user's inbox, or outbox.
  std::size_t LastAcross(const std::vector<Entry>& box) const {
    std::size_t at = box.size() - 1;
    while (CellOf(box[at].peer) == CellOf(user)) --at;
    return at;
  }
  Shared Make(const Split& split = kEach) {
    all.Write({false, 3, "", nullptr});
    return MakeShares(all, all.options(), split);
  }
  VerifyReport JoinAll(const Shared& shared) const { return Join(all.options(), shared.paths); }
  void ExpectRefused(const VerifyReport& report, const std::string& why) {
    EXPECT_EQ(report.ExitCode(), 2) << report.ToText();
    EXPECT_EQ(report.mismatches(), 0u);
    EXPECT_EQ(report.verified(), 0u);
    EXPECT_THAT(report.errors, Contains(HasSubstr(why)));
  }

  StressStores all;
  const UserId user = all.UserOf(1, 4);
};

// ---------------------------------------------------------------- who finds what

TEST_F(ShareTest, EachShareIsGreenByItselfAndSaysWhatIsLeft) {
  const Shared shared = Make();
  std::uint64_t verified = 0;
  for (const VerifyReport& report : shared.reports) {
    EXPECT_EQ(report.ExitCode(), 0) << report.ToText();
    EXPECT_EQ(report.users, 10u);
    EXPECT_EQ(report.expected_messages, 360u);
    EXPECT_EQ(report.stored, 360u);
    EXPECT_EQ(report.delivered, 360u);
    EXPECT_EQ(report.verified(), 240u);  // both boxes stand here
    EXPECT_THAT(report.notes,
                Contains(HasSubstr("120 messages to other cells and 120 from there")));
    verified += report.verified();
  }
  const VerifyReport joined = JoinAll(shared);
  EXPECT_EQ(joined.ExitCode(), 0) << joined.ToText();
  EXPECT_EQ(joined.verified(), StressStores::kSmallMessages);
  EXPECT_LT(verified, joined.verified());
}

TEST_F(ShareTest, WhatIsMissingWithinAnInboxIsFoundByTheReceiversShareOnly) {
  auto& in = all.of(user).in;
  in.erase(std::find_if(in.begin(), in.end(), [&](const Entry& e) { return CellOf(e.peer) != 1; }));
  all.Renumber(user);
  const Shared shared = Make();
  EXPECT_EQ(shared.reports[0].ExitCode(), 0);
  EXPECT_EQ(CountsOf(shared.reports[1]).lost, 1u);
  EXPECT_EQ(shared.reports[1].ExitCode(), 1);
  EXPECT_EQ(shared.reports[2].ExitCode(), 0);
  EXPECT_EQ(CountsOf(JoinAll(shared)).lost, 1u);
}

TEST_F(ShareTest, WhatIsMissingInAnOutboxIsFoundByTheSendersShareOnly) {
  auto& out = all.of(user).out;
  out.erase(out.begin() + static_cast<std::ptrdiff_t>(LastAcross(out)));
  const Shared shared = Make();
  EXPECT_EQ(shared.reports[0].ExitCode(), 0);
  EXPECT_EQ(CountsOf(shared.reports[1]).lost, 1u);
  EXPECT_EQ(shared.reports[2].ExitCode(), 0);
  EXPECT_EQ(CountsOf(JoinAll(shared)).lost, 1u);
}

TEST_F(ShareTest, AnInboxThatEndsBeforeItsSendersOutboxIsFoundByJoining) {
  auto& in = all.of(user).in;
  const UserId sender = in[LastAcross(in)].peer;
  in.erase(in.begin() + static_cast<std::ptrdiff_t>(LastAcross(in)));
  all.Renumber(user);
  const Shared shared = Make();
  for (const VerifyReport& report : shared.reports) EXPECT_EQ(report.ExitCode(), 0);
  const VerifyReport joined = JoinAll(shared);
  EXPECT_EQ(CountsOf(joined), (Counts{.lost = 1})) << joined.ToText();
  EXPECT_THAT(joined.ToText(), HasSubstr(fmt::format(
                                   "inbox of user {}: it ends with message 5 of 6 of its pair with "
                                   "user {}, who knows 6 to be delivered",
                                   user, sender)));
}

// Of a test that was stopped: only the other end tells what should be there.
TEST_F(ShareTest, AnOutboxThatEndsBeforeItsFriendsInboxIsFoundByJoining) {
  auto& out = all.of(user).out;
  std::uint64_t across = 0;
  while (out.size() > 30) {
    all.of(user).unacked[out.back().peer] = 6;  // it does not know of anything delivered
    if (CellOf(out.back().peer) != 1) ++across;
    out.pop_back();
  }
  ASSERT_GT(across, 0u);
  all.Write({false, 3, "", nullptr});
  VerifyOptions options = all.options();
  options.expect_complete = false;
  const Shared shared = MakeShares(all, options, kEach);
  EXPECT_EQ(CountsOf(shared.reports[1]).lost, 6 - across) << shared.reports[1].ToText();
  const VerifyReport joined = Join(options, shared.paths);
  EXPECT_EQ(CountsOf(joined), (Counts{.lost = 6})) << joined.ToText();
}

TEST_F(ShareTest, AStoreThatCannotBeReadIsAnErrorOfItsShareAndNoLoss) {
  all.Write({});
  std::filesystem::remove_all(all.paths()[1]);
  const Shared shared = MakeShares(all, all.options(), kEach);
  EXPECT_EQ(shared.reports[0].ExitCode(), 0);
  EXPECT_EQ(shared.reports[1].ExitCode(), 2);
  const VerifyReport joined = JoinAll(shared);
  EXPECT_EQ(joined.ExitCode(), 2) << joined.ToText();
  EXPECT_EQ(joined.mismatches(), 0u);
  EXPECT_THAT(joined.errors, Contains(HasSubstr("cell 1: there is no store in")));
}

TEST_F(ShareTest, AStoreOfAnotherSharesCellsIsForeign) {
  all.Write({});
  ShareOptions share{all.options(), {0, 1}, all.folder() + "/share"};
  const VerifyReport report = MakeShare(share);
  EXPECT_GT(CountsOf(report).foreign, 10u) << report.ToText();
  EXPECT_EQ(CountsOf(report).lost, 0u);
  EXPECT_THAT(report.ToText(), HasSubstr("is of a cell of another share"));
}

TEST_F(ShareTest, AStoreThatIsNotGivenIsLost) {
  all.Write({});
  ShareOptions share{all.options(), {0, 1}, all.folder() + "/share"};
  share.verify.stores.resize(1);
  EXPECT_EQ(CountsOf(MakeShare(share)).lost, 720u);  // both boxes of ten users
}

TEST_F(ShareTest, ALedgerOfAnotherSharesCellsIsAnError) {
  all.Write({});
  ShareOptions share{all.options(), {1, 1}, all.folder() + "/share"};
  share.verify.stores = {all.paths()[1]};
  share.verify.ledgers = {all.WriteLedger()};
  const VerifyReport report = MakeShare(share);
  EXPECT_EQ(report.ExitCode(), 2);
  EXPECT_THAT(report.errors, Contains(HasSubstr("10 of its users are of cells of another share")));
}

// ---------------------------------------------------------------- what cannot be made

TEST_F(ShareTest, NothingIsMadeOfWhatCannotBe) {
  all.Write({});
  const std::string path = all.folder() + "/share";
  const auto refused = [&](const ShareOptions& share, const std::string& why) {
    ExpectRefused(MakeShare(share), why);
    EXPECT_FALSE(std::filesystem::exists(share.path));
  };
  refused({all.options(), {1, 3}, path}, "there is no cell 3: the cells are 0 to 2");
  ShareOptions share{all.options(), {0, 0}, path};
  share.verify.stores.clear();
  refused(share, "no store to verify");
  share.verify = all.options();
  share.verify.graph_file = "graph.txt";
  refused(share, "a graph file cannot be shared out");
}

TEST_F(ShareTest, AShareThatCannotBeWrittenIsAnErrorWhateverWasFound) {
  all.of(user).in.pop_back();
  all.Write({});
  const VerifyReport report = MakeShare({all.options(), {0, 2}, all.folder() + "/none/share"});
  EXPECT_EQ(CountsOf(report).lost, 1u);
  EXPECT_EQ(report.ExitCode(), 2);
  EXPECT_THAT(report.errors, Contains(HasSubstr("the share was not written")));
}

TEST_F(ShareTest, AFormerShareIsRemovedAndAnotherFileIsNot) {
  const Shared shared = Make();
  ShareOptions share{all.options(), {0, 0}, shared.paths[0]};
  share.verify.spec.users_per_cell = 3;  // with four friends in the cell
  EXPECT_EQ(MakeShare(share).ExitCode(), 2);
  EXPECT_FALSE(std::filesystem::exists(shared.paths[0]));
  share.path = all.WriteLedger();
  ExpectRefused(MakeShare(share), "is there and is no share");
  EXPECT_TRUE(std::filesystem::exists(share.path));
}

// ---------------------------------------------------------------- what does not fit together

TEST_F(ShareTest, MissingDoubledAndForeignSharesAreRefused) {
  const Shared each = Make();
  ExpectRefused(Join(all.options(), {}), "no share to join");
  ExpectRefused(Join(all.options(), {each.paths[1]}), "no share of cell 0: give those of all");
  ExpectRefused(Join(all.options(), {each.paths[2]}), "no share of cells 0 to 1");
  ExpectRefused(Join(all.options(), {each.paths[0], each.paths[1], each.paths[2], each.paths[1]}),
                "cell 1 is in");
  std::filesystem::rename(each.paths[0], all.folder() + "/former");
  const Shared two = MakeShares(all, all.options(), {{0, 1}});
  ExpectRefused(Join(all.options(), {two.paths[0], all.folder() + "/former", each.paths[2]}),
                "cell 0 is in");
  ExpectRefused(Join(all.options(), {two.paths[0], each.paths[2], all.folder() + "/none"}),
                "No such file");
  ExpectRefused(Join(all.options(), {two.paths[0], each.paths[2], all.folder()}), "is not a file");
  ExpectRefused(Join(all.options(), {two.paths[0], each.paths[2], all.WriteLedger()}),
                "is not a share");
}

TEST_F(ShareTest, SharesOfAnotherWorkloadAreRefused) {
  const Shared shared = Make();
  using stress::WorkloadSpec;
  const std::vector<std::pair<std::function<void(WorkloadSpec&)>, std::string>> others = {
      {[](WorkloadSpec& s) { s.seed = 6; }, "--seed is 5 there and 6 here"},
      {[](WorkloadSpec& s) { s.cells = 4; }, "--cells is 3 there and 4 here"},
      {[](WorkloadSpec& s) { s.users_per_cell = 12; }, "--users-per-cell is 10 there"},
      {[](WorkloadSpec& s) { s.friends_in_cell = 5; }, "--friends-in-cell is 4 there"},
      {[](WorkloadSpec& s) { s.friends_cross = 4; }, "--friends-cross is 2 there"},
      {[](WorkloadSpec& s) { s.messages_per_friend = 4; }, "--messages-per-friend is 3 there"},
      {[](WorkloadSpec& s) { s.rounds = 1; }, "--rounds is 2 there"},
      {[](WorkloadSpec& s) { s.body_bytes = 17; }, "--body-bytes is 16 there"},
      {[](WorkloadSpec& s) { s.partitions = 9; }, "--partitions is 8 there"},
      {[](WorkloadSpec& s) { s.text = true; }, "text instead of bytes is 0 there"},
  };
  for (const auto& [change, why] : others) {
    VerifyOptions options = all.options();
    change(options.spec);
    ExpectRefused(Join(options, shared.paths), why);
  }
  VerifyOptions options = all.options();
  options.expect_complete = false;
  ExpectRefused(Join(options, shared.paths), "was made without --unfinished");
}

class ShareFileTest : public ShareTest {
 protected:
  ShareFileTest() : shared_(Make()), good_(*ReadFile(shared_.paths[1])) {}
  void Put(const std::string& content) {
    std::ofstream(shared_.paths[1], std::ios::binary | std::ios::trunc) << content;
  }
  // The checksum is that of what stands before it.
  static std::string Sealed(std::string content) {
    content.resize(content.size() - 4);
    Writer(content).U32(Crc32c(content));
    return content;
  }

  const Shared shared_;
  const std::string good_;
};

TEST_F(ShareFileTest, AnAlteredByteAnywhereIsRefused) {
  for (std::size_t at = 0; at < good_.size(); ++at) {
    std::string damaged = good_;
    damaged[at] ^= 4;
    Put(damaged);
    const VerifyReport report = JoinAll(shared_);
    ASSERT_EQ(report.ExitCode(), 2) << at << "\n" << report.ToText();
    ASSERT_EQ(report.mismatches(), 0u);
    ASSERT_THAT(report.errors, Contains(HasSubstr("share.1")));
  }
}

TEST_F(ShareFileTest, AShareThatIsCutOffIsRefused) {
  for (std::size_t bytes = 0; bytes < good_.size(); ++bytes) {
    Put(good_.substr(0, bytes));
    ASSERT_EQ(JoinAll(shared_).ExitCode(), 2) << bytes;
  }
  Put(good_ + '\0');
  ExpectRefused(JoinAll(shared_), "is damaged or cut off");
}

TEST_F(ShareFileTest, AnUnknownVersionIsRefusedByName) {
  std::string other = good_;
  other[8] = 2;
  Put(Sealed(other));
  ExpectRefused(JoinAll(shared_), "has format version 2, this program knows 1");
}

// Bytes that nobody wrote by mistake: whatever they say, it ends in a report.
TEST_F(ShareFileTest, InventedSharesEndInAReport) {
  std::size_t refused = 0;
  for (std::size_t at = 0; at + 4 < good_.size(); ++at) {
    for (const int byte : {0x00, 0x7F, 0xFF}) {
      std::string invented = good_;
      invented[at] = static_cast<char>(byte);
      Put(Sealed(invented));
      refused += JoinAll(shared_).ExitCode() == 2 ? 1 : 0;
    }
  }
  EXPECT_GT(refused, 100u);
  std::string shorter = good_;
  shorter.erase(shorter.size() - 6, 1);  // of the last block
  Put(Sealed(shorter));
  ExpectRefused(JoinAll(shared_), "contradicts itself");
}

TEST_F(ShareFileTest, AShareWithOtherFriendshipsIsRefused) {
  ShareHead head{all.spec(), {1, 1}, {}, std::vector<bool>(10, true)};
  SharedPairs pairs(all.spec(), {1, 1});
  Put(pairs.Encode(head));
  ExpectRefused(JoinAll(shared_), "what it says of friends in cells 1 and 0 is not of this");
  for (int i = 0; i < 21; ++i) {
    for (const CellId other : {0, 2}) pairs.Add(1, other, {6, 6, 6});
  }
  Put(pairs.Encode(head));
  ExpectRefused(JoinAll(shared_), "what it says of friends in cells 1 and 2 is not of this");
}

TEST_F(ShareFileTest, OnlySoManyTextsTravel) {
  ShareHead head{all.spec(), {1, 1}, {}, std::vector<bool>(10, true)};
  head.report.complete = true;
  for (std::size_t i = 0; i < kShareTexts + 7; ++i) head.report.errors.push_back("no");
  head.report.notes.push_back(std::string(2 * kShareTextBytes, 'x'));
  Put(SharedPairs(all.spec(), {1, 1}).Encode(head));
  const auto share = ShareFile::Open(shared_.paths[1]);
  ASSERT_TRUE(share) << share.error();
  const VerifyReport& report = (*share)->head().report;
  ASSERT_EQ(report.errors.size(), kShareTexts + 1);
  EXPECT_EQ(report.errors.back(), "… and 7 more");
  EXPECT_EQ(report.notes.front().size(), kShareTextBytes);
}

}  // namespace
}  // namespace baiwan::verify
