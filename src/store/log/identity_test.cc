#include "store/log/identity.h"

#include <gtest/gtest.h>

#include "store/engine/memory_kv.h"
#include "store/log/store.h"
#include "wire/user_record.h"

namespace baiwan::store {
namespace {

class IdentityTest : public ::testing::Test {
 protected:
  IdentityTest() { Reopen(); }
  void Reopen() {
    kv_.reset();
    kv_ = std::move(*OpenMemoryKv(disk_, {}, nullptr));
  }
  Identified Ask(const StoreIdentity& ours, std::uint64_t new_life) {
    Reopen();
    auto found = Identify(
        *kv_, ours, [](PartitionId partition) { return partition < 4; }, new_life);
    EXPECT_TRUE(found);
    return found ? *found : Identified{};
  }
  // A store as it was before stores said whose they are.
  void MakeNameless(UserId user, PartitionId partition) {
    auto store = Store::Open(*kv_, 0, {}, nullptr);
    ASSERT_TRUE(store);
    wire::UserRecord record;
    record.user = user;
    ASSERT_EQ((*store)->ImportNow({{partition, record}}), StoreError{});
  }

  const StoreIdentity mine_{.deployment = "d", .cells = 2, .partitions = 8, .streams = {{0, 0}}};
  MemoryDisk disk_;
  std::unique_ptr<Kv> kv_;
};

TEST_F(IdentityTest, ANewStoreSaysWhoseItIsAndKeepsItsLife) {
  EXPECT_EQ(Ask(mine_, 11).life, 11u);
  const Identified again = Ask(mine_, 12);
  EXPECT_TRUE(again.ours);
  EXPECT_FALSE(again.adopted);
  EXPECT_EQ(again.life, 11u);
  EXPECT_EQ(again.stored, mine_);
  EXPECT_TRUE(Store::Open(*kv_, 0, {}, nullptr));
}

TEST_F(IdentityTest, ASomebodyElsesStoreIsToldAndLeftAsItIs) {
  Ask(mine_, 11);
  for (int what = 0; what < 5; ++what) {
    StoreIdentity other = mine_;
    if (what == 0) other.deployment = "e";
    if (what == 1) other.cells = 3;
    if (what == 2) other.partitions = 9;
    if (what == 3) other.streams = {{1, 1}};
    if (what == 4) other.streams = {{0, 0}, {1, 1}};
    const Identified found = Ask(other, 12);
    EXPECT_FALSE(found.ours) << what;
    EXPECT_EQ(found.stored, mine_) << what;
  }
  EXPECT_TRUE(Ask(mine_, 12).ours);
}

TEST_F(IdentityTest, AStoreWithoutANameIsAdoptedOnceIfItCanBeOurs) {
  MakeNameless(10, 1);
  const Identified first = Ask(mine_, 11);
  EXPECT_TRUE(first.ours && first.adopted);
  const Identified second = Ask(mine_, 12);
  EXPECT_TRUE(second.ours && !second.adopted);
  EXPECT_EQ(second.life, 11u);
}

TEST_F(IdentityTest, AStoreWithoutANameIsRefusedIfItsUsersOrStreamsAreOthers) {
  MakeNameless(10, 1);
  StoreIdentity other = mine_;
  other.partitions = 16;  // user 10 would stand in partition 9
  EXPECT_FALSE(Ask(other, 11).ours);
  other = mine_;
  other.streams = {{1, 1}};
  EXPECT_FALSE(Ask(other, 11).ours);
  EXPECT_TRUE(Ask(mine_, 11).ours);
}

TEST_F(IdentityTest, AStoreWithoutANameIsRefusedIfItsUsersAreOfAnotherCell) {
  MakeNameless(7, 6);
  EXPECT_FALSE(Ask(mine_, 11).ours);
}

TEST_F(IdentityTest, ACopyThatIsPutBackGetsALifeOfItsOwn) {
  EXPECT_FALSE(BeginLife(*kv_, 13));
  Ask(mine_, 11);
  const auto stored = BeginLife(*kv_, 13);
  ASSERT_TRUE(stored);
  EXPECT_EQ(*stored, mine_);
  EXPECT_EQ(Ask(mine_, 14).life, 13u);
}

TEST_F(IdentityTest, AnOpeningKnowsTheOneThatWasGrantedLast) {
  Ask(mine_, 11);
  const auto first = BeginOpening(*kv_, 100);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, 100u);
  EXPECT_EQ(first->after, 0u);
  Reopen();
  EXPECT_EQ(BeginOpening(*kv_, 101)->id, 100u) << "nobody knows whether it was granted";
  ASSERT_EQ(kv_->CommitNow(OpeningGranted(100)), KvError::kNone);
  Reopen();
  EXPECT_EQ(BeginOpening(*kv_, 102)->id, 102u);
  EXPECT_EQ(BeginOpening(*kv_, 103)->after, 100u);
  ASSERT_TRUE(BeginLife(*kv_, 13));
  EXPECT_EQ(BeginOpening(*kv_, 104)->id, 104u);
  EXPECT_EQ(BeginOpening(*kv_, 105)->after, 0u);
}

}  // namespace
}  // namespace baiwan::store
