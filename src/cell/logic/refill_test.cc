// What waits for another cell while it cannot be reached, and how it gets there afterwards: in
// frames that a link takes, at a cost in proportion to what is sent, each in its turn, and without
// waiting for other cells.
#include <gtest/gtest.h>

#include <algorithm>

#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

// Much less than a link's frame, and more than a batch is meant to have before it leaves.
constexpr std::size_t kLargestBatch = 400 << 10;

std::vector<UserId> UsersOf(CellId cell, std::uint32_t count, std::uint32_t cells = 2) {
  const placement::UserLayout layout(cells, placement::kDefaultPartitions);
  std::vector<UserId> users;
  for (std::uint32_t i = 0; i < count; ++i) users.push_back(layout.UserAt(cell, i));
  std::sort(users.begin(), users.end());
  return users;
}

TEST(OffersTest, LeaveInFramesThatALinkTakes) {
  LoneLogic::Options options;
  options.users = 60;
  options.friends = UsersOf(1, 1000);
  LoneLogic cell(options);
  for (std::uint32_t i = 0; i < options.users; ++i) {
    const std::uint64_t before = i * options.friends.size();
    for (Seq s = 1; s <= options.friends.size(); ++s) {
      cell.Submit(cell.UserOf(0, i), s, options.friends[s - 1]);
      if (s > 1 && s < options.friends.size()) continue;
      ASSERT_TRUE(cell.RunUntil([&] { return cell.logic->counters().stored == before + s; }));
    }
  }
  const std::uint64_t all = options.users * options.friends.size();
  cell.Up(1);
  EXPECT_TRUE(cell.AnswerUntil([&] { return cell.logic->AtRest(); }));
  EXPECT_EQ(cell.logic->counters().acknowledged, all);
  EXPECT_EQ(cell.logic->counters().offers, all);
  EXPECT_LT(cell.far[1].largest, kLargestBatch);
}

TEST(OffersTest, AreAnsweredInFramesThatALinkTakes) {
  LoneLogic::Options options;
  options.users = 60;
  options.friends = UsersOf(1, 1000);
  LoneLogic cell(options);
  wire::PeerBatch batch;
  batch.set_session(1);
  for (std::uint32_t i = 0; i < options.users; ++i) {
    for (const UserId f : options.friends) {
      wire::PairOffer* o = batch.add_offers();
      o->set_sender(f);
      o->set_receiver(cell.UserOf(0, i));
      o->set_first(1);
      o->set_last(1);
    }
  }
  cell.logic->FromPeer(1, batch.SerializeAsString());
  std::size_t acks = 0;
  std::size_t gaps = 0;
  const std::size_t all = options.users * options.friends.size();
  EXPECT_TRUE(cell.RunUntil([&] {
    for (const auto& [to, bytes] : cell.replies) {
      wire::PeerBatch reply;
      EXPECT_TRUE(reply.ParseFromString(bytes));
      acks += static_cast<std::size_t>(reply.acks().size());
      gaps += static_cast<std::size_t>(reply.gaps().size());
    }
    cell.replies.clear();
    return acks == all && gaps == all;
  }));
  EXPECT_LT(cell.far[1].largest, kLargestBatch);
}

class BacklogTest : public ::testing::Test {
 protected:
  void Begin(std::uint32_t cells, std::uint32_t users, std::size_t credit) {
    LoneLogic::Options options;
    options.cells = cells;
    options.users = users;
    options.logic.path_credit = credit;
    cell.emplace(options);
  }
  void Store(std::uint32_t user, Seq messages, CellId to) {
    const UserId from = cell->UserOf(0, user);
    for (Seq i = 0; i < messages; ++i) {
      cell->Submit(from, ++sent_[from], cell->UserOf(to, 0), std::string(200, 'x'));
      if (i % 10 == 9) cell->Turns(2);  // sections of their own
      ++stored_;
    }
    ASSERT_TRUE(cell->RunUntil([&] { return cell->logic->counters().stored == stored_; }));
  }

  std::optional<LoneLogic> cell;

 private:
  std::map<UserId, Seq> sent_;
  std::uint64_t stored_ = 0;
};

TEST_F(BacklogTest, IsReadAboutOnceHoweverLittleCreditComesAtATime) {
  constexpr std::uint32_t kUsers = 100;
  constexpr Seq kEach = 30;
  Begin(2, kUsers, 16 << 10);
  for (std::uint32_t i = 0; i < kUsers; ++i) ASSERT_NO_FATAL_FAILURE(Store(i, kEach, 1));
  cell->Up(1);
  ASSERT_TRUE(cell->AnswerUntil([&] { return cell->logic->AtRest(); }));
  EXPECT_EQ(cell->far[1].forwards, kUsers * kEach);
  EXPECT_LE(cell->store().messages_read, 2 * kUsers * kEach);
  EXPECT_LE(cell->store().reads, 4 * kUsers);
}

TEST_F(BacklogTest, GoesInTheOrderInWhichUsersCameToWait) {
  constexpr std::uint32_t kUsers = 50;
  Begin(2, kUsers, 2 << 10);
  for (std::uint32_t i = 0; i < kUsers; ++i) ASSERT_NO_FATAL_FAILURE(Store(i, 20, 1));
  cell->Up(1);
  ASSERT_TRUE(cell->AnswerUntil([&] { return cell->logic->AtRest(); }));
  // Some are read at a time: whoever is first heard of finds all but a few before him done.
  constexpr std::uint32_t kAtATime = 8;
  std::map<UserId, std::uint32_t> heard;
  for (const UserId sender : cell->far[1].senders) {
    if (heard[sender]++ > 0) continue;
    for (std::uint32_t i = 0; i + kAtATime < heard.size(); ++i) {
      EXPECT_EQ(heard[cell->UserOf(0, i)], 20U) << "user " << i;
    }
  }
  EXPECT_EQ(heard.size(), kUsers);
}

TEST_F(BacklogTest, ForOneCellDoesNotWaitForAnother) {
  Begin(3, 1, 4 << 10);
  ASSERT_NO_FATAL_FAILURE(Store(0, 300, 1));
  ASSERT_NO_FATAL_FAILURE(Store(0, 10, 2));
  cell->Up(1);
  cell->Up(2);
  ASSERT_TRUE(cell->RunUntil([&] { return !cell->far[1].batches.empty(); }));
  cell->Take(1);  // takes what the credit allows, and never says that it has
  EXPECT_TRUE(cell->AnswerUntil([&] { return cell->far[2].forwards == 10; }, {2}));
  cell->Take(1, false);
  EXPECT_LT(cell->far[1].forwards, 300U);
  EXPECT_TRUE(cell->AnswerUntil([&] { return cell->logic->AtRest(); }));
  EXPECT_EQ(cell->far[1].forwards, 300U);
}

TEST_F(BacklogTest, LetsWhatIsNewPass) {
  constexpr std::uint32_t kUsers = 40;
  Begin(2, kUsers + 1, 8 << 10);
  for (std::uint32_t i = 0; i < kUsers; ++i) ASSERT_NO_FATAL_FAILURE(Store(i, 20, 1));
  cell->Up(1);
  const FarCell& far = cell->far[1];
  ASSERT_TRUE(cell->AnswerUntil([&] { return far.forwards > 50; }));
  ASSERT_NO_FATAL_FAILURE(Store(kUsers, 1, 1));
  const FarCell::Pair fresh{cell->UserOf(0, kUsers), cell->UserOf(1, 0)};
  ASSERT_TRUE(cell->AnswerUntil([&] { return cell->far[1].received[fresh] == 1; }));
  EXPECT_LT(far.forwards, kUsers * 20 / 2);
}

TEST(SessionTest, WhatIsSaidOfAnotherSessionIsDropped) {
  LoneLogic cell(LoneLogic::Options{});
  const UserId from = cell.UserOf(0, 0);
  const UserId to = cell.UserOf(1, 0);
  cell.Up(1);
  cell.Submit(from, 1, to);
  ASSERT_TRUE(cell.RunUntil([&] { return !cell.far[1].batches.empty(); }));
  cell.Take(1, false);
  const std::uint64_t before = cell.far[1].session;
  cell.Down(1);
  cell.Up(1);
  ASSERT_TRUE(cell.RunUntil([&] { return !cell.far[1].batches.empty(); }));
  cell.Take(1, false);
  const std::uint64_t now = cell.far[1].session;
  ASSERT_NE(before, now);
  wire::PeerBatch word;
  wire::PairAck* ack = word.add_acks();
  ack->set_sender(from);
  ack->set_receiver(to);
  ack->set_upto(1);
  cell.far[1].session = before;
  cell.Answer(1, word);
  cell.Turns(20);
  EXPECT_EQ(cell.logic->counters().acknowledged, 0U);
  cell.far[1].session = now;
  cell.Answer(1, word);
  EXPECT_TRUE(cell.RunUntil([&] { return cell.logic->counters().acknowledged == 1; }));
}

TEST(SessionTest, WhatWasToBeSaidInOneIsNotSaidInTheNext) {
  LoneLogic cell(LoneLogic::Options{});
  wire::PeerBatch batch;
  batch.set_session(1);
  wire::PairOffer* o = batch.add_offers();
  o->set_sender(cell.UserOf(1, 0));
  o->set_receiver(cell.UserOf(0, 0));
  o->set_first(1);
  o->set_last(5);
  cell.logic->FromPeer(1, batch.SerializeAsString());
  ASSERT_TRUE(cell.RunUntil([&] { return !cell.replies.empty() && cell.logic->AtRest(); }));
  cell.replies.clear();
  // The user is loaded now: what there is to say is known before the turn ends.
  batch.set_session(2);
  cell.logic->FromPeer(1, batch.SerializeAsString());
  wire::PeerBatch next;
  next.set_session(3);
  cell.logic->FromPeer(1, next.SerializeAsString());
  ASSERT_TRUE(cell.RunUntil([&] { return !cell.replies.empty(); }));
  for (const auto& [to, bytes] : cell.replies) {
    wire::PeerBatch reply;
    ASSERT_TRUE(reply.ParseFromString(bytes));
    EXPECT_EQ(reply.session(), 3U);
    EXPECT_EQ(reply.gaps_size(), 0);
  }
}

}  // namespace
}  // namespace baiwan::cell
