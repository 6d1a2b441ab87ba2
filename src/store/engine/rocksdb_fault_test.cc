// RocksDB on a disk that loses power, fills up or breaks: what was acknowledged stays, and a test
// that could not see the difference would be worthless, so it is shown to see it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "base/testing/temp_folder.h"
#include "store/engine/rocksdb_open.h"
#include "store/testing/fault_env.h"
#include "store/testing/store_fixture.h"
#include "store/testing/test_loop.h"

namespace baiwan::store {
namespace {

using testing::FaultDisk;

// RocksDB in a folder of a FaultDisk. Its memory tables are so small that tables are written and
// logs are changed all the time.
class FaultWorld final : public testing::KvWorld {
 public:
  FaultWorld() {
    std::filesystem::create_directory(folder_.path() + "/graves");
    options.write_buffer_bytes = 64 << 10;
    options.max_wal_bytes = 128 << 10;
    disk_ = std::make_unique<FaultDisk>(folder_.path() + "/graves");
  }
  Result<std::unique_ptr<Kv>, KvError> Open(Loop* loop) override {
    return internal::OpenRocksDbWith(folder_.path() + "/store", options, loop, NoLog(),
                                     {disk_->env(), sync});
  }
  FaultDisk& disk() { return *disk_; }

  RocksDbOptions options;
  bool sync = true;

 private:
  TempFolder folder_;
  std::unique_ptr<FaultDisk> disk_;
};

class RocksDbFaults : public ::testing::Test {
 protected:
  void Open() {
    auto opened = world_.Open(&loop_);
    ASSERT_TRUE(opened.ok()) << Message(opened.error());
    kv_ = std::move(*opened);
  }
  static std::string Value(int i) {
    return fmt::format("{}:{}", i, std::string(100 + i % 700, static_cast<char>('a' + i % 26)));
  }
  void Commit(int i) {
    WriteSet writes;
    writes.puts.push_back({Space::kLog, fmt::format("{:08}", i), Value(i)});
    // Other spaces take part, so that their tables and the log's are written at different times.
    writes.puts.push_back({Space::kSnap, std::to_string(i % 50), Value(i)});
    kv_->Commit(std::move(writes), [this](KvError error) { acked_ += error == KvError::kNone; });
  }
  // Commits without end, then loses power between a write to the log and its sync, and opens again.
  // How many commits are there; they are checked to be the first ones, as they were written.
  int RoundWithPowerLoss(int least) {
    const int goal = acked_ + least;
    while (acked_ < goal) {
      while (given_ < acked_ + 20) Commit(given_++);
      loop_.Turn(kMillisecond);
    }
    world_.disk().PowerOffBeforeNextLogSync();
    Commit(given_++);
    EXPECT_TRUE(loop_.RunUntil([&] { return world_.disk().off(); }));
    kv_ = nullptr;
    world_.disk().LoseUnsynced(rng_);
    auto opened = world_.Open(&loop_);
    if (!opened.ok()) return -1;
    kv_ = std::move(*opened);
    int found = 0;
    kv_->ScanNow(Space::kLog, {}, {}, [&](std::string_view key, std::string_view value) {
      EXPECT_EQ(key, fmt::format("{:08}", found));
      EXPECT_EQ(value, Value(found));
      ++found;
      return !HasFailure();
    });
    return found;
  }

  testing::TestLoop loop_;
  FaultWorld world_;
  std::unique_ptr<Kv> kv_;
  Rng rng_{3};
  int given_ = 0;
  int acked_ = 0;
};

TEST_F(RocksDbFaults, WhatWasAcknowledgedSurvivesAPowerLoss) {
  Open();
  for (int round = 0; round < 8; ++round) {
    const int found = RoundWithPowerLoss(1 + static_cast<int>(rng_.Below(150)));
    ASSERT_GE(found, acked_) << "round " << round;
    ASSERT_FALSE(HasFailure()) << "round " << round;
    acked_ = given_ = found;
  }
  // The disk did take things away, or this has proven nothing.
  EXPECT_GT(world_.disk().lost_bytes() + world_.disk().lost_entries(), 0u);
}

TEST_F(RocksDbFaults, WithTheSyncTakenOutTheSameTestSeesLoss) {
  world_.sync = false;
  Open();
  const int found = RoundWithPowerLoss(100);
  EXPECT_LT(found, acked_);
}

TEST_F(RocksDbFaults, EveryAcknowledgementFollowsASyncOfTheLog) {
  Open();
  for (int i = 0; i < 50; ++i) {
    const auto before = world_.disk().wal_syncs();
    Commit(i);
    ASSERT_TRUE(loop_.RunUntil([&] { return acked_ == i + 1; }));
    EXPECT_GT(world_.disk().wal_syncs(), before);
    EXPECT_EQ(world_.disk().unsynced_wal_bytes(), 0u);
  }
  for (int i = 50; i < 550; ++i) Commit(i);
  ASSERT_TRUE(loop_.RunUntil([&] { return acked_ == 550; }));
  EXPECT_GE(world_.disk().wal_syncs(), kv_->stats().syncs);
  EXPECT_EQ(kv_->stats().commits, 550u);
}

TEST_F(RocksDbFaults, AFailingDiskIsNamedAndPoisonsTheEngineButReadingGoesOn) {
  const std::pair<int, KvError> kinds[] = {{ENOSPC, KvError::kNoSpace},
                                           {EDQUOT, KvError::kNoSpace},
                                           {EIO, KvError::kIo},
                                           {EROFS, KvError::kReadOnly},
                                           {EACCES, KvError::kReadOnly}};
  for (const auto& [number, expected] : kinds) {
    Open();
    Commit(0);
    ASSERT_TRUE(loop_.RunUntil([&] { return acked_ == 1; }));
    world_.disk().SetError(number);
    std::vector<KvError> results;
    for (int i = 0; i < 3; ++i) {
      WriteSet writes;
      writes.puts.push_back({Space::kLog, "lost", std::string(10'000, 'x')});
      kv_->Commit(std::move(writes), [&](KvError error) { results.push_back(error); });
    }
    ASSERT_TRUE(loop_.RunUntil([&] { return results.size() == 3; }));
    EXPECT_THAT(results,
                ::testing::ElementsAre(expected, KvError::kAfterFailure, KvError::kAfterFailure));
    EXPECT_EQ(kv_->CommitNow({}), KvError::kAfterFailure);
    std::string value;
    EXPECT_EQ(kv_->GetNow(Space::kLog, "00000000", &value), KvError::kNone);
    kv_ = nullptr;
    EXPECT_EQ(world_.Open(&loop_).error(), expected);  // opening writes, too
    world_.disk().SetError(0);
    acked_ = 0;
  }
}

TEST_F(RocksDbFaults, AStoreComesBackFromAPowerLossAsSomePrefixOfItsCommits) {
  auto world = std::make_unique<FaultWorld>();
  FaultDisk& disk = world->disk();
  testing::StoreFixture f(std::move(world), 21);
  f.model.AddUsers(20, 2);
  f.model.max_big_body = 20'000;
  ASSERT_EQ(f.Reopen(), StoreError{});
  ASSERT_EQ(f.Import(), StoreError{});
  for (int round = 0; round < 4; ++round) {
    // After commit i the next position is ends[i] and the users are states[i].
    std::vector<Lsn> ends = {f.store->next_lsn()};
    std::vector<std::map<UserId, testing::ModelUser>> states = {f.model.users()};
    std::vector<wire::CommitBatch> batches(30);
    std::size_t acked = 0;
    for (auto& batch : batches) {
      f.model.Fill(batch, f.store->next_lsn(), 20);
      f.store->Commit(batch, [&](StoreError error) { acked += error == StoreError{}; });
      ends.push_back(f.store->next_lsn());
      states.push_back(f.model.users());
      f.loop.Turn();
    }
    const std::size_t goal = rng_.Below(batches.size());
    ASSERT_TRUE(f.loop.RunUntil([&] { return acked >= goal; }));
    disk.PowerOff();
    f.Close();
    disk.LoseUnsynced(rng_);
    ASSERT_EQ(f.Reopen(), StoreError{});
    EXPECT_EQ(f.report.damaged_blocks + f.report.torn_blocks + f.report.quarantined.size(), 0u);
    // Commits of one batch without blocks leave no trace in the position: take the last such state.
    const auto end = std::upper_bound(ends.begin(), ends.end(), f.store->next_lsn());
    const auto kept = static_cast<std::size_t>(end - ends.begin()) - 1;
    EXPECT_GE(kept, acked);
    f.model.users() = states[kept];
    f.ExpectAllMatch();
    ASSERT_FALSE(HasFailure()) << "round " << round;
    for (auto& [id, user] : f.model.users()) user.dirty_since = user.in_batch = 0;
  }
}

}  // namespace
}  // namespace baiwan::store
