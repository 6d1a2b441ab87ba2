// Old pages: whoever goes through a box pays about its length, not its length for each page.
#include "store/log/chain_index.h"

#include <gtest/gtest.h>

#include "store/testing/store_fixture.h"

namespace baiwan::store {
namespace {

using wire::Box;

// Sections of one message, newest first, at twice their sequence.
WalkTrail Trail(Seq newest, Seq oldest) {
  WalkTrail trail;
  for (Seq s = newest; s >= oldest; --s) trail.Add(s, 2 * s, 100);
  return trail;
}

TEST(ChainIndexTest, AWalkBeginsJustFarEnoughFromWhatItWants) {
  ChainIndex index(1 << 20);
  EXPECT_EQ(index.Start(1, Box::kIn, 500, 10, 20, 1 << 20), 500u);
  index.Learn(1, Box::kIn, Trail(200, 10));
  EXPECT_EQ(index.Start(1, Box::kIn, 500, 10, 20, 1 << 20), 60u);  // by messages
  EXPECT_EQ(index.Start(1, Box::kIn, 500, 10, 100, 500), 32u);     // by bytes, some left over
  EXPECT_EQ(index.Start(1, Box::kIn, 500, 190, 20, 1 << 20), 500u);
  EXPECT_EQ(index.Start(1, Box::kIn, 50, 10, 20, 1 << 20), 50u);  // never beyond the head
  EXPECT_EQ(index.Start(1, Box::kOut, 500, 10, 20, 1 << 20), 500u);
  EXPECT_EQ(index.Start(2, Box::kIn, 500, 10, 20, 1 << 20), 500u);
}

TEST(ChainIndexTest, LongTrailsAreDenseWhereTheyEnd) {
  const WalkTrail trail = Trail(1'000'000, 1);
  const auto& points = trail.points();
  EXPECT_LE(points.size(), WalkTrail::kMaxPoints);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < points.size(); ++i) {
    bytes += points[i].bytes;
    if (i + 1 == points.size()) continue;
    // No gap is longer than what lies behind it, by much.
    EXPECT_LE(points[i].first - points[i + 1].first, points[i].first / 8 + 1) << i;
  }
  EXPECT_EQ(bytes, 100'000'000u);
  EXPECT_EQ(points.back().first, 1u);
}

TEST(ChainIndexTest, WhatWasUsedLongestAgoIsForgottenFirst) {
  ChainIndex index(64 << 10);
  for (UserId user = 1; user <= 100; ++user) {
    index.Learn(user, Box::kIn, Trail(100, 1));
    index.Start(1, Box::kIn, 500, 10, 20, 1 << 20);  // somebody goes on reading
    EXPECT_LE(index.bytes(), std::size_t{64} << 10);
  }
  EXPECT_EQ(index.Start(1, Box::kIn, 500, 10, 20, 1 << 20), 60u);
  EXPECT_EQ(index.Start(2, Box::kIn, 500, 10, 20, 1 << 20), 500u);
  EXPECT_EQ(index.Start(100, Box::kIn, 500, 10, 20, 1 << 20), 60u);
  index.Clear();
  EXPECT_EQ(index.bytes(), 0u);
  EXPECT_EQ(index.Start(1, Box::kIn, 500, 10, 20, 1 << 20), 500u);
}

// An outbox of many sections in a store that keeps no blocks in memory: what is read is counted.
class OldPagesTest : public ::testing::Test {
 protected:
  static constexpr Seq kMessages = 3000;

  OldPagesTest() : f_(std::make_unique<testing::MemoryWorld>(), 11) {
    f_.options.recent_bytes = 1;
    f_.model.AddUsers(3, 2);
    EXPECT_EQ(f_.Reopen(), StoreError{});
    EXPECT_EQ(f_.Import(), StoreError{});
    for (Seq s = 1; s <= kMessages; ++s) {
      wire::CommitBatch batch;
      batch.set_number(1000 + s);
      f_.model.Send(batch, f_.model.users().at(1), std::to_string(s));
      EXPECT_EQ(f_.CommitAndWait(batch), StoreError{});
    }
  }
  Lsn head() { return f_.model.users().at(1).record.heads.out; }
  void ExpectPage(Seq from, std::uint32_t limit) {
    const auto page = f_.Read(1, Box::kOut, head(), from, limit, 1 << 20);
    ASSERT_TRUE(page.ok());
    ASSERT_EQ(page->messages.size(), std::min<Seq>(limit, kMessages + 1 - from));
    for (std::size_t i = 0; i < page->messages.size(); ++i) {
      ASSERT_EQ(page->messages[i].seq, from + i);
    }
  }

  testing::StoreFixture f_;
};

TEST_F(OldPagesTest, AReaderWhoGoesOnFromWhereHeWasWalksTheBoxAFewTimesInAll) {
  const auto before = f_.loop.posts();
  for (Seq from = 1; from <= kMessages; from += 10) ExpectPage(from, 10);
  EXPECT_LT(f_.loop.posts() - before, 8 * kMessages);
}

TEST_F(OldPagesTest, SoDoesOneWhoGoesBack) {
  const auto before = f_.loop.posts();
  for (Seq from = kMessages - 9; from >= 10; from -= 10) ExpectPage(from, 10);
  EXPECT_LT(f_.loop.posts() - before, 8 * kMessages);
}

TEST_F(OldPagesTest, PagesOfAnyPlaceAreWhole) {
  Rng rng(3);
  for (int i = 0; i < 200; ++i) {
    ExpectPage(1 + rng.Below(kMessages), static_cast<std::uint32_t>(1 + rng.Below(100)));
  }
}

}  // namespace
}  // namespace baiwan::store
