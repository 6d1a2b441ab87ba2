// What a Store promises, asked on every engine: what was committed is loaded, read and recovered
// exactly, page by page, whatever the batches were.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/log/keys.h"
#include "store/testing/store_fixture.h"

namespace baiwan::store {
namespace {

using testing::Engine;
using testing::ModelUser;
using testing::StoredMessage;
using testing::StoreFixture;
using wire::Box;

class StoreConformance : public ::testing::TestWithParam<Engine> {
 protected:
  StoreConformance() : f_(GetParam().make(), 11) {
    f_.model.AddUsers(20, 3);
    EXPECT_EQ(f_.Reopen(), StoreError{});
    EXPECT_EQ(f_.Import(), StoreError{});
  }
  ModelUser& user(UserId id) { return f_.model.users().at(id); }
  // Of the partitions of all users.
  std::vector<UserId> Pending() {
    std::vector<UserId> listed;
    for (PartitionId p = 0; p < 4; ++p) {
      const StoreError error = f_.store->PendingUsers(p, [&](UserId id) {
        listed.push_back(id);
        EXPECT_EQ(p, user(id).partition);
      });
      EXPECT_EQ(error, StoreError{});
    }
    return listed;
  }

  // One batch with `messages` to user 1's outbox, of `bytes` each.
  void Send(int messages, std::size_t bytes) {
    wire::CommitBatch batch;
    batch.set_number(1000 + ++sent_);
    for (int i = 0; i < messages; ++i) f_.model.Send(batch, user(1), std::string(bytes, 'b'));
    EXPECT_EQ(f_.CommitAndWait(batch), StoreError{});
    EXPECT_EQ(batch.users()[0].heads_after, user(1).record.heads);
  }

  StoreFixture f_;
  int sent_ = 0;
};

TEST_P(StoreConformance, ImportedUsersAreLoadedAndOthersAreUnknown) {
  const auto loaded = f_.Load(user(7));
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(*loaded, user(7).record);
  ModelUser stranger = user(7);
  stranger.record.user = 777;
  EXPECT_EQ(f_.Load(stranger).error(), StoreError::kUnknownUser);
  stranger = user(7);
  stranger.partition += 1;
  EXPECT_EQ(f_.Load(stranger).error(), StoreError::kUnknownUser);
}

TEST_P(StoreConformance, RandomBatchesComeBackAfterEveryReopening) {
  f_.model.max_big_body = 9000;
  for (int round = 0; round < 6; ++round) {
    f_.CommitRandom(25, 40);
    ASSERT_EQ(f_.Reopen(), StoreError{});
    EXPECT_EQ(f_.store->incarnation(), static_cast<Incarnation>(round + 2));
    EXPECT_EQ(f_.report.torn_blocks + f_.report.damaged_blocks, 0u);
    EXPECT_TRUE(f_.report.quarantined.empty());
    f_.ExpectAllMatch();
    for (auto& [id, u] : f_.model.users()) u.dirty_since = 0;  // recovery wrote all snapshots
  }
}

TEST_P(StoreConformance, SmallBlocksHoldTheSame) {
  f_.options.block_bytes = 64;
  ASSERT_EQ(f_.Reopen(), StoreError{});
  f_.CommitRandom(30, 60);
  ASSERT_EQ(f_.Reopen(), StoreError{});
  f_.ExpectAllMatch();
}

TEST_P(StoreConformance, RecoveryReadsOnlyWhatTheCheckpointLeaves) {
  f_.model.snapshots = false;
  f_.CommitRandom(10, 30);
  const Lsn blocks = f_.store->next_lsn() - 1;
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(f_.report.blocks, blocks);
  EXPECT_GT(f_.report.users_folded, 0u);
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(f_.report.blocks, 0u);
  EXPECT_EQ(f_.report.users_folded, 0u);
  f_.ExpectAllMatch();

  // A clean stop: snapshots of everybody and a checkpoint, so nothing is left to fold.
  wire::CommitBatch batch;
  f_.model.Fill(batch, f_.store->next_lsn(), 50);
  for (auto& [id, u] : f_.model.users()) {
    batch.AddSnapshot(u.partition, u.record, &u.record.heads);
  }
  ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
  wire::CommitBatch mark;
  mark.SetCheckpoint(f_.store->next_lsn() - 1);
  ASSERT_EQ(f_.CommitAndWait(mark), StoreError{});
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(f_.report.blocks, 0u);
  f_.ExpectAllMatch();
}

TEST_P(StoreConformance, AChainLongerThanABlockIsLinkedOverSeveral) {
  const Lsn before = f_.store->next_lsn();
  Send(30, 1500);
  EXPECT_GE(f_.store->next_lsn() - before, 10u);
  Send(1, 100'000);
  Send(3, 0);
  const auto live = f_.ReadAll(1, Box::kOut, user(1).record.heads.out);
  ASSERT_TRUE(live.ok());
  EXPECT_EQ(*live, user(1).out);
  ASSERT_EQ(f_.Reopen(), StoreError{});
  f_.ExpectAllMatch();
}

TEST_P(StoreConformance, ABoxIsReadFromAnySequenceWithinItsLimits) {
  for (int i = 0; i < 40; ++i) Send(1 + i % 3, 50);
  const Lsn head = user(1).record.heads.out;
  const auto& out = user(1).out;
  for (const bool reopened : {false, true}) {  // from memory, and from the engine
    if (reopened) {
      ASSERT_EQ(f_.Reopen(), StoreError{});
    }
    for (Seq from = 0; from <= out.size() + 1; ++from) {
      const auto page = f_.Read(1, Box::kOut, head, from, 10);
      ASSERT_TRUE(page.ok()) << Message(page.error());
      const Seq first = std::max<Seq>(from, 1);
      ASSERT_EQ(page->messages.size(), std::min<Seq>(10, out.size() + 1 - first)) << from;
      for (std::size_t i = 0; i < page->messages.size(); ++i) {
        EXPECT_EQ(page->messages[i].seq, first + i);
        EXPECT_EQ(page->messages[i].body, out[first + i - 1].body);
      }
    }
    const auto few_bytes = f_.Read(1, Box::kOut, head, 5, 1000, 1);
    ASSERT_TRUE(few_bytes.ok());
    EXPECT_GE(few_bytes->messages.size(), 1u);
    EXPECT_LE(few_bytes->messages.size(), 3u);
    const auto no_limit = f_.Read(1, Box::kOut, head, 5, 0);
    ASSERT_TRUE(no_limit.ok());
    EXPECT_EQ(no_limit->messages.size(), 1u);
  }
  EXPECT_TRUE(f_.Read(2, Box::kIn, 0, 1, 10)->messages.empty());
}

TEST_P(StoreConformance, ACommitThatIsUnderWayCanBeReadAlready) {
  wire::CommitBatch batch;
  batch.set_number(1);
  for (int i = 0; i < 5; ++i) f_.model.Send(batch, user(1), "under way");
  bool durable = false;
  f_.store->Commit(batch, [&](StoreError) { durable = true; });
  const auto page = f_.Read(1, Box::kOut, user(1).record.heads.out, 1, 10);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->messages.size(), 5u);
  ASSERT_TRUE(f_.loop.RunUntil([&] { return durable; }));
}

TEST_P(StoreConformance, ALongWalkGivesUpItsTurn) {
  f_.options.max_chain_steps = 4;
  ASSERT_EQ(f_.Reopen(), StoreError{});
  for (int i = 0; i < 50; ++i) Send(1, 10);
  const auto before = f_.loop.turns();
  const auto page = f_.Read(1, Box::kOut, user(1).record.heads.out, 1, 1);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->messages.size(), 1u);
  EXPECT_GE(f_.loop.turns() - before, 50u / 4);
}

TEST_P(StoreConformance, AReadFromAWrongHeadIsRefused) {
  Send(3, 10);
  const Lsn head = user(1).record.heads.out;
  EXPECT_EQ(f_.Read(1, Box::kIn, head, 1, 10).error(), StoreError::kCorrupt);
  EXPECT_EQ(f_.Read(2, Box::kOut, head, 1, 10).error(), StoreError::kCorrupt);
  EXPECT_EQ(f_.Read(1, Box::kOut, head + 1, 1, 10).error(), StoreError::kCorrupt);
}

TEST_P(StoreConformance, AStoreThatIsGoneCallsNobodyBack) {
  Send(3, 10);
  int called = 0;
  wire::CommitBatch batch;
  f_.model.Fill(batch, f_.store->next_lsn(), 5);
  f_.store->Commit(batch, [&](StoreError) { ++called; });
  f_.store->Load(user(1).partition, 1, [&](const auto&) { ++called; });
  f_.store->ReadBox(1, Box::kOut, user(1).record.heads.out, 1, 10, 1000,
                    [&](const auto&) { ++called; });
  f_.store = nullptr;  // the engine lives on
  f_.loop.RunFor(20 * kMillisecond);
  EXPECT_EQ(called, 0);
}

TEST_P(StoreConformance, OnlyUsersWithSomethingUnacknowledgedAreListed) {
  wire::CommitBatch batch;
  batch.set_number(1);
  f_.model.users().at(5).record.friends.resize(1);
  while (user(5).record.friends[0].sent < 2) f_.model.Send(batch, user(5), "x");
  while (user(9).record.friends[0].sent < 1) f_.model.Send(batch, user(9), "x");
  for (auto& friend_of_9 : user(9).record.friends) {
    const auto slot = user(9).slot;
    wire::FoldAck(user(9).record, friend_of_9.id, friend_of_9.sent);
    batch.AddAck(slot, friend_of_9.id, friend_of_9.sent);
  }
  ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{5});
  // Again from the index, and when a snapshot says that nothing is left.
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{5});
  batch.Clear();
  batch.set_number(2);
  wire::UserRecord& five = user(5).record;
  for (auto& f : five.friends) f.acked = f.sent;
  batch.AddSnapshot(user(5).partition, five, &five.heads);
  ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{});
}

// A partition whose snapshots were read once is not read again, unless somebody who does not keep
// the index has opened the store meanwhile.
TEST_P(StoreConformance, WhoHasSomethingUnacknowledgedIsReadFromAnIndex) {
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{});
  const PartitionId partition = user(7).partition;
  const std::string key = PendingKey(partition, 7);
  f_.Put(Space::kMeta, key, MetaValue(key, 1));
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{7});
  const std::string opened = IncarnationKey(testing::StoreFixture::kStream);
  f_.Put(Space::kMeta, opened, MetaValue(opened, f_.store->incarnation() + 1));
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{});
  f_.Put(Space::kMeta, key, "damaged");
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(Pending(), std::vector<UserId>{});
}

TEST_P(StoreConformance, ACheckpointIsDueByTheLengthOfTheLog) {
  f_.options.checkpoint_bytes = 3 << 20;
  ASSERT_EQ(f_.Reopen(), StoreError{});
  int commits = 0;
  for (; !f_.store->CheckpointDue(); ++commits) Send(1, 100'000);
  EXPECT_GE(commits, 30);
  EXPECT_LE(commits, 45);  // one in ten is a void, without a body
  wire::CommitBatch batch;
  for (auto& [id, u] : f_.model.users()) {
    batch.AddSnapshot(u.partition, u.record, &u.record.heads);
  }
  batch.SetCheckpoint(f_.store->next_lsn() - 1);
  ASSERT_EQ(f_.CommitAndWait(batch), StoreError{});
  EXPECT_FALSE(f_.store->CheckpointDue());
}

TEST_P(StoreConformance, AChainWithAHoleIsNeverWritten) {
  Send(2, 10);
  const Lsn before = f_.store->next_lsn();
  wire::CommitBatch batch;
  batch.set_number(77);
  auto heads = user(1).record.heads;
  const auto slot = batch.AddUser(1, user(1).partition, &heads, nullptr);
  wire::Message m;
  m.seq = 3;
  m.peer = 1001;
  batch.AddOut(slot, m);
  m.seq = 5;
  batch.AddOut(slot, m);
  EXPECT_EQ(f_.CommitAndWait(batch), StoreError::kCorrupt);
  wire::CommitBatch next;
  next.set_number(78);
  EXPECT_EQ(f_.CommitAndWait(next), StoreError::kAfterFailure);
  ASSERT_EQ(f_.Reopen(), StoreError{});
  EXPECT_EQ(f_.store->next_lsn(), before);
  f_.ExpectAllMatch();
}

TEST_P(StoreConformance, StreamsOfOneEngineDoNotTouchEachOther) {
  Send(5, 100);
  RecoveryReport report;
  auto other = Store::Open(*f_.kv, 4, {}, &report);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(report.blocks, 0u);
  EXPECT_EQ((*other)->incarnation(), 1u);
  EXPECT_EQ((*other)->next_lsn(), 1u);
}

TEST_P(StoreConformance, AnUnknownFormatIsRefusedByName) {
  Send(2, 10);
  WriteSet writes;
  writes.puts.push_back({Space::kMeta, std::string(kFormatKey), MetaValue(kFormatKey, 3)});
  ASSERT_EQ(f_.kv->CommitNow(writes), KvError::kNone);
  EXPECT_EQ(f_.Reopen(), StoreError::kVersion);
}

TEST_P(StoreConformance, AStoreWithDataButNoFormatIsNotTakenForNew) {
  Send(2, 10);
  WriteSet writes;
  writes.deletes.push_back({Space::kMeta, "", ""});
  ASSERT_EQ(f_.kv->CommitNow(writes), KvError::kNone);
  EXPECT_EQ(f_.Reopen(), StoreError::kCorrupt);
}

INSTANTIATE_TEST_SUITE_P(Engines, StoreConformance, ::testing::ValuesIn(testing::kEngines),
                         [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace baiwan::store
