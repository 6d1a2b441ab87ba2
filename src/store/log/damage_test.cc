// Damage: whatever is done to what stands in the log, a reader either gets what was written or is
// told, and nobody suffers but the users whom it hit.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "store/log/block.h"
#include "store/log/keys.h"
#include "store/log/recovery.h"
#include "store/testing/store_fixture.h"

namespace baiwan::store {
namespace {

using ::testing::ElementsAre;
using testing::Engine;
using ::testing::Gt;
using testing::ModelUser;
using testing::StoreFixture;
using Verdict = StoreFixture::Verdict;
using wire::Box;

constexpr int kUsers = 6;

class StoreDamage : public ::testing::TestWithParam<Engine> {
 protected:
  StoreDamage() : f_(GetParam().make(), 5) {
    f_.model.AddUsers(kUsers, 2);
    f_.model.snapshots = false;
    f_.model.max_body = 8;
    EXPECT_EQ(f_.Reopen(), StoreError{});
    EXPECT_EQ(f_.Import(), StoreError{});
  }
  ModelUser& user(UserId id) { return f_.model.users().at(id); }

  // One commit in which each of `users` sends one message.
  void SendOne(std::initializer_list<UserId> users, std::size_t bytes = 10) {
    wire::CommitBatch batch;
    batch.set_number(10'000 + f_.store->next_lsn());
    for (const UserId id : users) f_.model.Send(batch, user(id), std::string(bytes, 'm'));
    ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
  }

  std::string Block(Lsn lsn) {
    std::string value;
    EXPECT_EQ(f_.kv->GetNow(Space::kLog, LogKey(StoreFixture::kStream, lsn), &value),
              KvError::kNone);
    return value;
  }
  void PutBlock(Lsn lsn, const std::string& value) {
    f_.Put(Space::kLog, LogKey(StoreFixture::kStream, lsn), value);
  }
  void EraseBlock(Lsn lsn) { f_.Erase(Space::kLog, LogKey(StoreFixture::kStream, lsn)); }
  // Flips one bit of the byte at `offset` in a block.
  void Flip(Lsn lsn, std::size_t offset) {
    std::string block = Block(lsn);
    block.at(offset) = static_cast<char>(block[offset] ^ 0x10);
    PutBlock(lsn, block);
  }
  // Where in the block the payload of the first section of `owner` and `type` begins.
  std::size_t PayloadOf(Lsn lsn, UserId owner, SectionType type) {
    const std::string block = Block(lsn);
    BlockReader reader(StoreFixture::kStream, lsn, block);
    BlockReader::Item item;
    while (reader.Next(&item)) {
      if (item.good && item.type == type && OwnerOf(item.payload).user == owner) {
        return static_cast<std::size_t>(item.payload.data() - block.data());
      }
    }
    ADD_FAILURE() << "no such section";
    return 0;
  }
  bool detected() const {
    return f_.report.damaged_blocks + f_.report.torn_blocks + f_.report.quarantined.size() > 0;
  }
  // All but `hit` are as the model has them; `hit` cannot be loaded.
  void ExpectOnlyHit(std::initializer_list<UserId> hit) {
    for (const auto& [id, u] : f_.model.users()) {
      const bool is_hit = std::find(hit.begin(), hit.end(), id) != hit.end();
      EXPECT_EQ(f_.Judge(u), is_hit ? Verdict::kRefused : Verdict::kRight) << "user " << id;
    }
    EXPECT_EQ(f_.report.quarantined, std::vector<UserId>(hit));
  }

  StoreFixture f_;
};

TEST_P(StoreDamage, AFlippedBitAnywhereInTheLogIsDetectedOrHarmless) {
  f_.options.block_bytes = 80;
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  f_.CommitRandom(4, 7);
  const auto contents = f_.contents();
  std::size_t flips = 0;
  std::size_t unnamed = 0;
  const std::size_t step = std::string_view(GetParam().name) == "Memory" ? 1 : 29;
  std::size_t bit = 0;
  for (const auto& [key, value] : contents[static_cast<std::size_t>(Space::kLog)]) {
    for (; bit < value.size() * 8; bit += step) {
      ++flips;
      auto damaged = contents;
      auto& block = damaged[static_cast<std::size_t>(Space::kLog)][key];
      block[bit / 8] = static_cast<char>(block[bit / 8] ^ (1 << bit % 8));
      f_.Replace(damaged);
      ASSERT_EQ(f_.OpenStore(), StoreError{}) << *LsnOf(key) << " bit " << bit;
      for (const auto& [id, user] : f_.model.users()) {
        const Verdict verdict = f_.Judge(user);
        if (verdict == Verdict::kRight) continue;
        ASSERT_TRUE(detected()) << "user " << id << " block " << *LsnOf(key) << " bit " << bit;
        if (verdict == Verdict::kDiffers && f_.report.torn_blocks == 0) ++unnamed;
      }
    }
    bit -= value.size() * 8;
  }
  EXPECT_GT(flips, 100u);
  // Only a flip in a user's own number hides whom it hit.
  EXPECT_LT(unnamed, flips / 10);
  std::printf("%zu flips, %zu users hit without being named\n", flips, unnamed);
}

TEST_P(StoreDamage, AFlippedBitInASnapshotOrInMetaIsDetected) {
  SendOne({1, 2});
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  const auto contents = f_.contents();
  const std::string key = SnapKey(user(1).partition, 1);
  const std::string snapshot = contents[static_cast<std::size_t>(Space::kSnap)].at(key);
  for (std::size_t bit = 0; bit < snapshot.size() * 8; bit += 3) {
    std::string damaged = snapshot;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    f_.Put(Space::kSnap, key, damaged);
    EXPECT_EQ(f_.Load(user(1)).error(), StoreError::kCorrupt) << bit;
  }
  f_.Put(Space::kSnap, key, snapshot);
  const auto pending = [this] {
    std::vector<UserId> users;
    for (PartitionId p = 0; p < 4; ++p) {
      EXPECT_EQ(f_.store->PendingUsers(p, [&](UserId u) { users.push_back(u); }), StoreError{});
    }
    return users;
  };
  const std::vector<UserId> were = pending();
  for (const auto& [name, value] : contents[static_cast<std::size_t>(Space::kMeta)]) {
    for (std::size_t bit = 0; bit < value.size() * 8; bit += 7) {
      std::string damaged = value;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
      f_.Put(Space::kMeta, name, damaged);
      // The index is made anew from the snapshots.
      const bool index = name.starts_with("pending/") || name.starts_with("index");
      EXPECT_EQ(f_.OpenStore(), index ? StoreError{} : StoreError::kCorrupt) << name << " " << bit;
      if (index) {
        EXPECT_EQ(pending(), were) << name << " " << bit;
      }
    }
    f_.Put(Space::kMeta, name, value);
  }
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  f_.ExpectAllMatch();
}

TEST_P(StoreDamage, ATornTailIsDroppedWholeAndCounted) {
  SendOne({1, 2, 3}, 3000);
  const auto whole = f_.model.users();
  const Lsn first = f_.store->next_lsn();
  SendOne({2, 3, 4, 5}, 3000);
  const Lsn last = f_.store->next_lsn() - 1;
  ASSERT_GT(last, first);
  const auto contents = f_.contents();
  f_.model.users() = whole;

  const auto expect_torn = [&](std::uint64_t blocks) {
    ASSERT_EQ(f_.OpenStore(), StoreError{});
    EXPECT_EQ(f_.report.torn_blocks, blocks);
    EXPECT_EQ(f_.report.damaged_blocks, 0u);
    EXPECT_TRUE(f_.report.quarantined.empty());
    f_.ExpectAllMatch();
    // And it goes on: what was torn is gone, and its positions are not used again.
    EXPECT_GE(f_.store->next_lsn(), first + blocks);
    const auto before = f_.model.users();
    SendOne({2, 6});
    ASSERT_EQ(f_.OpenStore(), StoreError{});
    EXPECT_FALSE(detected());
    f_.ExpectAllMatch();
    f_.model.users() = before;
    f_.Replace(contents);
  };
  for (Lsn cut = first + 1; cut <= last; ++cut) {  // blocks that never came
    for (Lsn lsn = cut; lsn <= last; ++lsn) EraseBlock(lsn);
    expect_torn(cut - first);
  }
  for (const std::size_t length : {0, 1, 5, 6, 7, 500, 3000}) {  // one that came in part
    PutBlock(last, Block(last).substr(0, length));
    expect_torn(last - first + 1);
  }
}

TEST_P(StoreDamage, AUserWhoseSectionIsDamagedIsQuarantinedAloneAndForGood) {
  SendOne({1, 2, 3});
  const Lsn lsn = f_.store->next_lsn() - 1;
  SendOne({1, 2, 3});
  Flip(lsn, PayloadOf(lsn, 2, SectionType::kOutbox) + 8);
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  EXPECT_EQ(f_.report.damaged_blocks, 1u);
  ExpectOnlyHit({2});
  std::vector<UserId> listed;
  for (PartitionId p = 0; p < 4; ++p) {
    EXPECT_EQ(f_.store->PendingUsers(p, [&](UserId u) { listed.push_back(u); }), StoreError{});
  }
  EXPECT_THAT(listed, ::testing::Not(::testing::Contains(2)));

  SendOne({1, 3, 4});
  ASSERT_EQ(f_.Reopen(), StoreError{});  // the checkpoint is behind the damage by now
  EXPECT_EQ(f_.report.damaged_blocks, 0u);
  ExpectOnlyHit({2});
}

TEST_P(StoreDamage, DamageToALengthLosesOneSectionOnly) {
  SendOne({1, 2, 3});
  const Lsn lsn = f_.store->next_lsn() - 1;
  SendOne({4});
  Flip(lsn, PayloadOf(lsn, 2, SectionType::kOutbox) - 1);
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  ExpectOnlyHit({2});
}

TEST_P(StoreDamage, AMissingBlockQuarantinesWhoeverComesAfterIt) {
  SendOne({1, 2});
  const Lsn lsn = f_.store->next_lsn() - 1;
  SendOne({2, 3});
  EraseBlock(lsn);
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  EXPECT_EQ(f_.report.damaged_blocks, 1u);
  EXPECT_THAT(f_.report.quarantined, ElementsAre(2));
  EXPECT_EQ(f_.Judge(user(3)), Verdict::kRight);
  EXPECT_EQ(f_.Judge(user(2)), Verdict::kRefused);
  // User 1 never comes again: only the count says that there was something.
  EXPECT_EQ(f_.Judge(user(1)), Verdict::kDiffers);
}

TEST_P(StoreDamage, ADamagedSectionThatIsFoldedAlreadyIsRefusedWhenRead) {
  SendOne({1, 2});
  const Lsn lsn = f_.store->next_lsn() - 1;
  ASSERT_EQ(f_.OpenStore(), StoreError{});  // folded
  SendOne({1, 2});
  Flip(lsn, PayloadOf(lsn, 2, SectionType::kOutbox) + 8);
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  EXPECT_FALSE(detected());  // nobody looked there
  ASSERT_TRUE(f_.Load(user(2)).ok());
  EXPECT_TRUE(f_.Read(2, Box::kOut, user(2).record.heads.out, 2, 1).ok());
  EXPECT_EQ(f_.Read(2, Box::kOut, user(2).record.heads.out, 1, 1).error(), StoreError::kCorrupt);
  EXPECT_EQ(f_.Judge(user(1)), Verdict::kRight);
}

TEST_P(StoreDamage, ABlockInAnotherPlaceIsRefused) {
  SendOne({1});
  const Lsn a = f_.store->next_lsn() - 1;
  SendOne({2});
  SendOne({3});
  const std::string first = Block(a);
  const std::string second = Block(a + 1);
  PutBlock(a, second);
  PutBlock(a + 1, first);
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  EXPECT_EQ(f_.report.damaged_blocks, 2u);
  ExpectOnlyHit({1, 2});
}

TEST_P(StoreDamage, ALogOfAnotherStreamIsRefused) {
  SendOne({1});
  const Lsn lsn = f_.store->next_lsn() - 1;
  f_.Put(Space::kLog, LogKey(StoreFixture::kStream + 1, lsn), Block(lsn));
  RecoveryReport report;
  auto other = Store::Open(*f_.kv, StoreFixture::kStream + 1, {}, &report);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(report.torn_blocks, 1u);
}

TEST_P(StoreDamage, ANewerBlockIsRefusedByName) {
  SendOne({1});
  const Lsn lsn = f_.store->next_lsn() - 1;
  // Version, flags, and the checksum over key, these two and the length (docs/formats.md).
  std::string block("\x07\x01\0\0\0\0later", 11);
  const std::uint32_t length = static_cast<std::uint32_t>(block.size());
  std::uint32_t crc = Crc32c(LogKey(StoreFixture::kStream, lsn));
  crc = Crc32c(std::string_view(block).substr(0, 2), crc);
  crc = Crc32c({reinterpret_cast<const char*>(&length), 4}, crc);
  std::memcpy(block.data() + 2, &crc, 4);
  PutBlock(lsn, block);
  EXPECT_EQ(f_.OpenStore(), StoreError::kVersion);
}

TEST_P(StoreDamage, AUserWithoutASnapshotIsQuarantined) {
  SendOne({1, 2});
  f_.Erase(Space::kSnap, SnapKey(user(1).partition, 1));
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  ExpectOnlyHit({1});
}

TEST_P(StoreDamage, ASnapshotOfALaterLogIsRefused) {
  SendOne({1, 2});
  const auto older = f_.contents();
  SendOne({1});
  wire::CommitBatch batch;
  batch.AddSnapshot(user(1).partition, user(1).record, &user(1).record.heads);
  ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
  auto mixed = older;
  mixed[static_cast<std::size_t>(Space::kSnap)] =
      f_.contents()[static_cast<std::size_t>(Space::kSnap)];
  f_.Replace(mixed);
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  EXPECT_EQ(f_.Load(user(1)).error(), StoreError::kCorrupt);
  EXPECT_EQ(f_.Judge(user(2)), Verdict::kRight);
}

TEST_P(StoreDamage, FoldingInLittleMemoryGivesTheSame) {
  f_.CommitRandom(20, 20);
  RecoveryReport report;
  ASSERT_TRUE(Recover(*f_.kv, StoreFixture::kStream, &report, 1).ok());
  EXPECT_THAT(report.users_folded, Gt(static_cast<std::uint64_t>(kUsers)));
  ASSERT_EQ(f_.OpenStore(), StoreError{});
  EXPECT_EQ(f_.report.blocks, 0u);
  f_.ExpectAllMatch();
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreDamage, ::testing::ValuesIn(testing::kEngines),
                         [](const auto& p) { return p.param.name; });

// --- faults of the disk below, which only the memory engine can play ---

class StoreFaults : public ::testing::Test {
 protected:
  StoreFaults()
      : world_(new testing::MemoryWorld), f_(std::unique_ptr<testing::KvWorld>(world_), 9) {
    f_.model.AddUsers(40, 2);
    f_.model.snapshots = false;
    EXPECT_EQ(f_.Reopen(), StoreError{});
    EXPECT_EQ(f_.Import(), StoreError{});
  }

  testing::MemoryWorld* const world_;
  StoreFixture f_;
};

TEST_F(StoreFaults, ACrashAnywhereInRecoveryCostsOnlyTime) {
  f_.CommitRandom(20, 30);
  f_.Close();
  const auto before = world_->disk().Snapshot();
  for (std::uint64_t survive = 0;; ++survive) {
    f_.Close();
    world_->disk().Restore(before);
    world_->disk().FailCommit(world_->disk().commits() + 1 + survive, KvError::kIo);
    f_.OpenEngine();
    RecoveryReport report;
    const bool recovered = Recover(*f_.kv, StoreFixture::kStream, &report, 1).ok();
    world_->disk().FailCommit(MemoryDisk::kNever, KvError::kIo);
    ASSERT_EQ(f_.Reopen(), StoreError{});
    EXPECT_TRUE(f_.report.quarantined.empty());
    f_.ExpectAllMatch();
    if (recovered) {
      EXPECT_GT(survive, 10u);  // so many places to crash at
      break;
    }
  }
}

TEST_F(StoreFaults, AFailedCommitTakesAllLaterOnesWithIt) {
  f_.CommitRandom(3, 10);
  const auto good = f_.model.users();
  world_->disk().FailNextCommit(KvError::kNoSpace);
  std::vector<StoreError> results;
  std::vector<wire::CommitBatch> batches(3);
  for (auto& batch : batches) {
    f_.model.Fill(batch, f_.store->next_lsn(), 10);
    f_.store->Commit(batch, [&](StoreError error) { results.push_back(error); });
  }
  ASSERT_TRUE(f_.loop.RunUntil([&] { return results.size() == 3; }));
  EXPECT_THAT(results, ElementsAre(StoreError::kNoSpace, StoreError::kAfterFailure,
                                   StoreError::kAfterFailure));
  f_.model.users() = good;
  ASSERT_EQ(f_.Reopen(), StoreError{});
  f_.ExpectAllMatch();
}

TEST_F(StoreFaults, CommitsThatNobodyWasToldOfAreRecoveredAsAPrefix) {
  std::vector<std::map<UserId, ModelUser>> states;
  std::vector<wire::CommitBatch> batches(4);
  for (auto& batch : batches) {
    f_.model.Fill(batch, f_.store->next_lsn(), 10);
    states.push_back(f_.model.users());
    f_.store->Commit(batch, [](StoreError) {});
    // The store moved the heads since.
    for (auto& [id, u] : states.back()) u.record.heads = f_.model.users().at(id).record.heads;
  }
  world_->disk().KeepOnCrash(2);
  ASSERT_EQ(f_.Reopen(), StoreError{});
  f_.model.users() = states[1];
  f_.ExpectAllMatch();
}

}  // namespace
}  // namespace baiwan::store
