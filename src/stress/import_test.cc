#include "stress/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/engine/memory_kv.h"

namespace baiwan::stress {
namespace {

using ::testing::HasSubstr;

class ImportTest : public ::testing::Test {
 protected:
  ImportTest() { Reopen(); }

  void Reopen() {
    store_.reset();
    kv_.reset();
    kv_ = std::move(*store::OpenMemoryKv(disk_, {}, nullptr));
    store_ = std::move(*store::Store::Open(*kv_, 0, {}, nullptr));
  }
  std::optional<std::string> Import(const ImportOptions& options = {}) {
    return ImportUsers(*kv_, *store_, graph_, table_, options, progress_);
  }
  Result<wire::UserRecord, store::StoreError> Load(UserId user) {
    Result<wire::UserRecord, store::StoreError> loaded = store::StoreError::kIo;
    store_->Load(table_.PartitionOf(user), user, [&](auto result) { loaded = std::move(result); });
    return loaded;
  }
  void ExpectAllThere() {
    for (std::size_t i = 0; i < graph_.users(); ++i) {
      const auto record = Load(graph_.user(i));
      ASSERT_TRUE(record.ok()) << graph_.user(i);
      ASSERT_EQ(record->send_id + record->receive_id + record->client_receive_id, 0u);
      ASSERT_EQ(record->friends.size(), graph_.friends(i).size());
      for (std::size_t k = 0; k < record->friends.size(); ++k) {
        ASSERT_EQ(record->friends[k], (wire::FriendRecord{graph_.friends(i)[k], 0, 0, 0, 0}));
      }
    }
  }

  static WorkloadSpec Spec() {
    WorkloadSpec spec;
    spec.users_per_cell = 250;
    return spec;
  }
  const WorkloadSpec spec_ = Spec();
  const placement::PlacementTable table_{spec_.cells, spec_.partitions};
  const CellGraph graph_ = BuildCellGraph(spec_, 2);
  ImportProgress progress_;
  store::MemoryDisk disk_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(ImportTest, EveryUserOfTheCellIsThereAlsoAfterARestart) {
  ASSERT_EQ(Import(), std::nullopt);
  ExpectAllThere();
  Reopen();
  ExpectAllThere();
  EXPECT_EQ(Load(LayoutOf(spec_).UserAt(1, 0)).error(), store::StoreError::kUnknownUser);
}

TEST_F(ImportTest, ProgressRisesToTheTotalInBoundedBatches) {
  std::vector<std::size_t> done;
  progress_ = [&](std::size_t users, std::size_t total) {
    EXPECT_EQ(total, 250u);
    done.push_back(users);
  };
  ASSERT_EQ(Import({100, false}), std::nullopt);
  EXPECT_EQ(done, (std::vector<std::size_t>{100, 200, 250}));
}

TEST_F(ImportTest, AStoreWithUsersIsRefusedUnlessToldOtherwise) {
  ASSERT_EQ(Import(), std::nullopt);
  EXPECT_THAT(*Import(), HasSubstr("has users already"));
  EXPECT_EQ(Import({1000, true}), std::nullopt);
  ExpectAllThere();
}

TEST_F(ImportTest, AStoreThatFailsIsNamedWithHowFarItCame) {
  disk_.FailCommit(disk_.commits() + 2, store::KvError::kNoSpace);
  const auto wrong = Import({100, false});
  ASSERT_TRUE(wrong.has_value());
  EXPECT_THAT(*wrong, HasSubstr("after 100 of 250 users the store failed"));
}

}  // namespace
}  // namespace baiwan::stress
