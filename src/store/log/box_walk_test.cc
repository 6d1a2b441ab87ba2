// Walks that are long: what they look for is found in one go, they end when nobody wants them any
// more, and what they hold is charged while they hold it.
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "store/testing/store_fixture.h"

namespace baiwan::store {
namespace {

using wire::Box;

class BoxWalkTest : public ::testing::Test {
 protected:
  static constexpr Seq kMessages = 1000;
  static constexpr UserId kUser = 1;

  // An outbox of many sections.
  void Fill(std::size_t recent_bytes, Budget* charge) {
    f_.options.recent_bytes = recent_bytes;
    f_.options.budget = charge;
    f_.model.AddUsers(3, 2);
    ASSERT_EQ(f_.Reopen(), StoreError{});
    ASSERT_EQ(f_.Import(), StoreError{});
    for (Seq s = 1; s <= kMessages; ++s) {
      wire::CommitBatch batch;
      batch.set_number(1000 + s);
      f_.model.Send(batch, f_.model.users().at(kUser), std::to_string(s));
      ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
    }
  }
  Lsn head() { return f_.model.users().at(kUser).record.heads.out; }
  std::map<Seq, std::string> Find(std::vector<Seq> seqs, StoreError expected = {}) {
    std::map<Seq, std::string> found;
    std::optional<StoreError> done;
    f_.store->FindInBox(
        kUser, Box::kOut, head(), std::move(seqs), nullptr,
        [&](const wire::Message& m) { EXPECT_TRUE(found.emplace(m.seq, m.body).second); },
        [&](StoreError error) { done = error; });
    EXPECT_TRUE(f_.loop.RunUntil([&] { return done.has_value(); }));
    EXPECT_EQ(done, expected);
    return found;
  }

  Budget budget{1ULL << 30};
  testing::StoreFixture f_{std::make_unique<testing::MemoryWorld>(), 11};
};

TEST_F(BoxWalkTest, ManyMessagesAreFoundInOneWalk) {
  ASSERT_NO_FATAL_FAILURE(Fill(1, nullptr));
  std::vector<Seq> seqs(kMessages / 2);
  for (Seq i = 0; i < seqs.size(); ++i) seqs[i] = 2 * i + 1;
  const auto before = f_.loop.posts();
  const auto found = Find(seqs);
  EXPECT_LT(f_.loop.posts() - before, 3 * kMessages);
  ASSERT_EQ(found.size(), seqs.size());
  const auto& sent = f_.model.users().at(kUser).out;
  for (const auto& [seq, body] : found) EXPECT_EQ(body, sent[seq - 1].body) << seq;
}

TEST_F(BoxWalkTest, WhatIsNotThereIsNotFound) {
  ASSERT_NO_FATAL_FAILURE(Fill(1 << 20, nullptr));
  EXPECT_TRUE(Find({kMessages + 1, kMessages + 7}).empty());
  const auto found = Find({1, kMessages, kMessages + 1});
  EXPECT_EQ(found.size(), 2u);
  EXPECT_EQ(found.count(1) + found.count(kMessages), 2u);
}

TEST_F(BoxWalkTest, OneThatNobodyWantsAnyMoreEnds) {
  ASSERT_NO_FATAL_FAILURE(Fill(1, nullptr));
  const auto wanted = std::make_shared<bool>(true);
  std::optional<StoreError> page;
  std::optional<StoreError> find;
  f_.store->ReadBox(kUser, Box::kOut, head(), 1, 1, 1, wanted,
                    [&](auto got) { page = got ? StoreError{} : got.error(); });
  f_.store->FindInBox(
      kUser, Box::kOut, head(), {1}, wanted, [](const wire::Message&) { FAIL(); },
      [&](StoreError error) { find = error; });
  for (int i = 0; i < 5; ++i) f_.loop.Turn();
  *wanted = false;
  const auto before = f_.loop.posts();
  ASSERT_TRUE(f_.loop.RunUntil([&] { return page.has_value() && find.has_value(); }));
  EXPECT_EQ(page, StoreError::kCancelled);
  EXPECT_EQ(find, StoreError::kCancelled);
  EXPECT_LT(f_.loop.posts() - before, 20u);
}

TEST_F(BoxWalkTest, ChargesWhatItHoldsAndLeaves) {
  ASSERT_NO_FATAL_FAILURE(Fill(1, &budget));
  const auto charged = [this] { return budget.used(Account::kStore); };
  EXPECT_EQ(charged(), 0u);
  std::optional<BoxPage> page;
  f_.store->ReadBox(kUser, Box::kOut, head(), 1, 100, 1 << 20,
                    [&](auto got) { page = std::move(*got); });
  std::uint64_t most = 0;
  ASSERT_TRUE(f_.loop.RunUntil([&] {
    most = std::max(most, charged());
    return page.has_value();
  }));
  const std::size_t bodies =
      std::accumulate(page->messages.begin(), page->messages.end(), std::size_t{0},
                      [](std::size_t sum, const wire::Message& m) { return sum + m.body.size(); });
  EXPECT_GT(most, bodies);
  const std::uint64_t left = charged();  // the trail
  EXPECT_GT(left, 0u);
  EXPECT_LE(left, 64u << 10);
  // One that goes on while the store ends.
  f_.store->ReadBox(kUser, Box::kOut, head(), 500, 100, 1 << 20, [](const auto&) { FAIL(); });
  for (int i = 0; i < 20; ++i) f_.loop.Turn();
  EXPECT_GT(charged(), left);
  f_.Close();
  EXPECT_EQ(charged(), 0u);
}

TEST_F(BoxWalkTest, LeavesNothingWhereThereIsNoMemory) {
  ASSERT_NO_FATAL_FAILURE(Fill(1, &budget));
  budget.ChargeAlways(Account::kUsers, budget.hard_limit());
  EXPECT_EQ(Find({1}).size(), 1u);
  EXPECT_EQ(budget.used(Account::kStore), 0u);
}

}  // namespace
}  // namespace baiwan::store
