#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/rng.h"
#include "wire/commit_batch.h"
#include "wire/message.h"
#include "wire/peer.pb.h"
#include "wire/reuse.h"
#include "wire/user_record.h"

namespace baiwan::wire {
namespace {

UserRecord RandomRecord(Rng& rng) {
  // Small numbers and numbers of every length.
  const auto number = [&](Seq limit) { return (rng.Next() >> rng.Below(64)) % limit; };
  UserRecord r;
  r.user = 1 + number(kMaxUserId);
  r.send_id = number(~Seq{0});
  r.send_ack_id = number(r.send_id + 1);
  r.receive_id = number(~Seq{0});
  r.client_receive_id = number(r.receive_id + 1);
  r.heads = {number(~Seq{0}), number(~Seq{0})};
  r.as_of = number(~Seq{0});
  UserId id = 0;
  for (std::uint64_t i = rng.Below(40); i > 0; --i) {
    FriendRecord f;
    f.id = id += 1 + number(kMaxUserId / 64);
    f.sent = number(kMaxPairSeq + 1);
    f.acked = number(f.sent + 1);
    f.received = number(kMaxPairSeq + 1);
    if (f.received > 0) f.received_checksum = static_cast<std::uint32_t>(rng.Next());
    r.friends.push_back(f);
  }
  return r;
}

// With its checksum made good, as a newer or faulty program would write it.
std::string Sealed(std::string content) {
  Writer(content).U32(Crc32c(content));
  return content;
}

std::string Content(const UserRecord& r) {
  const std::string encoded = Encode(r);
  return encoded.substr(0, encoded.size() - 4);
}

UserRecord SmallRecord() {
  UserRecord r;
  r.user = 7;
  r.send_id = 300;
  r.send_ack_id = 200;
  r.receive_id = 5;
  r.client_receive_id = 4;
  r.heads = {9, 8};
  r.as_of = 1000;
  r.friends = {{2, 3, 1, 4, 0xABCD}, {900, 0, 0, 0, 0}, {901, 7, 7, 1, 0x1234}};
  return r;
}

TEST(UserRecordTest, ComesBackAsItWas) {
  Rng rng(1);
  for (int i = 0; i < 500; ++i) {
    const UserRecord r = RandomRecord(rng);
    UserRecord back = RandomRecord(rng);  // whatever was there before is gone
    ASSERT_EQ(Decode(Encode(r), back), DecodeError::kNone) << i;
    ASSERT_EQ(back, r);
  }
}

TEST(UserRecordTest, EveryTruncationIsRefused) {
  const std::string whole = Encode(SmallRecord());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    UserRecord r;
    const DecodeError error = Decode(whole.substr(0, n), r);
    EXPECT_NE(error, DecodeError::kNone) << n << " of " << whole.size() << " bytes";
    if (n < 5) {
      EXPECT_EQ(error, DecodeError::kTruncated);
    }
  }
}

TEST(UserRecordTest, EveryFlippedBitIsRefused) {
  const std::string whole = Encode(SmallRecord());
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    UserRecord r;
    EXPECT_NE(Decode(flipped, r), DecodeError::kNone) << "bit " << bit;
  }
}

TEST(UserRecordTest, OtherVersionsAreRefusedByName) {
  for (const int version : {0, 2, 255}) {
    std::string content = Content(SmallRecord());
    content[0] = static_cast<char>(version);
    UserRecord r;
    EXPECT_EQ(Decode(Sealed(content), r), DecodeError::kVersion) << version;
  }
}

TEST(UserRecordTest, ContradictionsAreRefused) {
  const auto refused = [](auto change) {
    UserRecord wrong = SmallRecord();
    change(wrong);
    UserRecord r;
    return Decode(Encode(wrong), r) == DecodeError::kMalformed;
  };
  EXPECT_TRUE(refused([](UserRecord& r) { r.friends[0].acked = 4; }));
  EXPECT_TRUE(refused([](UserRecord& r) { r.friends[1].id = 2; }));    // twice
  EXPECT_TRUE(refused([](UserRecord& r) { r.friends[2].id = 899; }));  // not rising
  EXPECT_TRUE(refused([](UserRecord& r) { r.friends[0].id = 0; }));
  EXPECT_TRUE(refused([](UserRecord& r) { r.friends[0].sent = kMaxPairSeq + 1; }));
  EXPECT_TRUE(refused([](UserRecord& r) { r.friends[0].received = Seq{1} << 32; }));
  EXPECT_TRUE(refused([](UserRecord& r) { r.send_ack_id = 301; }));
  EXPECT_TRUE(refused([](UserRecord& r) { r.client_receive_id = 6; }));
  EXPECT_FALSE(refused([](UserRecord&) {}));
  UserRecord r;
  EXPECT_EQ(Decode(Sealed(Content(SmallRecord()) + 'x'), r), DecodeError::kMalformed);
  // A count of friends that the bytes cannot hold reserves nothing.
  std::string content(1, static_cast<char>(kUserRecordVersion));
  content.append(8, '\0');
  Writer(content).Varint(~std::uint64_t{0});
  EXPECT_EQ(Decode(Sealed(content), r), DecodeError::kMalformed);
}

TEST(UserRecordTest, NoBytesCrashIt) {
  Rng rng(2);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(rng.Below(80), '\0');
    for (char& b : bytes) b = static_cast<char>(rng.Next());
    if (!bytes.empty()) bytes[0] = static_cast<char>(kUserRecordVersion);
    UserRecord r;
    Decode(Sealed(bytes), r);
  }
}

TEST(UserRecordTest, EveryErrorHasASentence) {
  for (int e = 0; e <= static_cast<int>(DecodeError::kMalformed); ++e) {
    EXPECT_STRNE(Describe(static_cast<DecodeError>(e)), "unknown");
  }
}

Message Out(Seq seq, UserId peer, Seq pair_seq) {
  Message m;
  m.seq = m.send_id = seq;
  m.peer = peer;
  m.pair_seq = pair_seq;
  return m;
}

class FoldTest : public ::testing::Test {
 protected:
  FoldTest() {
    record_.user = 1;
    record_.friends = {{2, 0, 0, 0, 0}, {3, 0, 0, 0, 0}};
  }
  // A fold that is refused changes nothing.
  void Refused(bool folded, const UserRecord& before) {
    EXPECT_FALSE(folded);
    EXPECT_EQ(record_, before);
  }

  UserRecord record_;
};

TEST_F(FoldTest, TheOutboxTakesOnlyWhatFollows) {
  ASSERT_TRUE(FoldOut(record_, Out(1, 2, 1)));
  ASSERT_TRUE(FoldOut(record_, Out(2, 3, 1)));
  ASSERT_TRUE(FoldOut(record_, Out(3, 2, 2)));
  Message gone = Out(4, 0, 0);
  gone.kind = Kind::kVoid;
  ASSERT_TRUE(FoldOut(record_, gone));
  EXPECT_EQ(record_.send_id, 4u);
  EXPECT_EQ(record_.Find(2)->sent, 2u);
  EXPECT_EQ(record_.Find(3)->sent, 1u);
  const UserRecord before = record_;
  Refused(FoldOut(record_, Out(4, 2, 3)), before);  // again
  Refused(FoldOut(record_, Out(6, 2, 3)), before);  // too far
  Refused(FoldOut(record_, Out(5, 2, 2)), before);  // the pair again
  Refused(FoldOut(record_, Out(5, 2, 4)), before);  // the pair too far
  Refused(FoldOut(record_, Out(5, 9, 1)), before);  // a stranger
}

TEST_F(FoldTest, TheInboxTakesOnlyWhatFollows) {
  Message m = Out(1, 2, 1);
  m.checksum = 77;
  ASSERT_TRUE(FoldIn(record_, m));
  ASSERT_TRUE(FoldIn(record_, Out(2, 3, 1)));
  EXPECT_EQ(record_.receive_id, 2u);
  EXPECT_EQ(record_.Find(2)->received, 1u);
  EXPECT_EQ(record_.Find(2)->received_checksum, 77u);
  const UserRecord before = record_;
  Refused(FoldIn(record_, Out(2, 2, 2)), before);
  Refused(FoldIn(record_, Out(4, 2, 2)), before);
  Refused(FoldIn(record_, Out(3, 2, 1)), before);
  Refused(FoldIn(record_, Out(3, 2, 3)), before);
  Refused(FoldIn(record_, Out(3, 9, 1)), before);
}

TEST_F(FoldTest, AcksRiseInWhateverOrderTheyCome) {
  for (Seq s = 1; s <= 5; ++s) ASSERT_TRUE(FoldOut(record_, Out(s, 2, s)));
  record_.send_ack_id = 2;
  EXPECT_TRUE(FoldAck(record_, 2, 4));
  EXPECT_TRUE(FoldAck(record_, 2, 3));
  EXPECT_EQ(record_.Find(2)->acked, 4u);
  EXPECT_EQ(record_.send_ack_id, 2u);
  const UserRecord before = record_;
  Refused(FoldAck(record_, 2, 6), before);
  Refused(FoldAck(record_, 9, 0), before);
}

TEST_F(FoldTest, AnAckOfNothingBeginsAgain) {
  for (Seq s = 1; s <= 5; ++s) ASSERT_TRUE(FoldOut(record_, Out(s, 2, s)));
  ASSERT_TRUE(FoldAck(record_, 2, 5));
  FinishFold(record_);
  EXPECT_EQ(record_.send_ack_id, 5u);
  EXPECT_TRUE(FoldAck(record_, 3, 0));  // had nothing
  EXPECT_EQ(record_.send_ack_id, 5u);
  EXPECT_TRUE(FoldAck(record_, 2, 0));
  EXPECT_TRUE(FoldAck(record_, 2, 3));
  EXPECT_EQ(record_.Find(2)->acked, 3u);
  EXPECT_EQ(record_.send_ack_id, 0u);  // no more is known
  FinishFold(record_);
  EXPECT_EQ(record_.send_ack_id, 0u);
}

TEST_F(FoldTest, TheCursorRisesUpToWhatIsThere) {
  ASSERT_TRUE(FoldIn(record_, Out(1, 2, 1)));
  ASSERT_TRUE(FoldIn(record_, Out(2, 2, 2)));
  EXPECT_TRUE(FoldCursor(record_, 2));
  EXPECT_TRUE(FoldCursor(record_, 1));
  EXPECT_EQ(record_.client_receive_id, 2u);
  const UserRecord before = record_;
  Refused(FoldCursor(record_, 3), before);
}

TEST_F(FoldTest, WithNothingPendingAllIsAcknowledged) {
  Message gone = Out(1, 0, 0);
  gone.kind = Kind::kVoid;
  ASSERT_TRUE(FoldOut(record_, gone));
  EXPECT_FALSE(record_.pending());
  FinishFold(record_);
  EXPECT_EQ(record_.send_ack_id, 1u);
  ASSERT_TRUE(FoldOut(record_, Out(2, 2, 1)));
  EXPECT_TRUE(record_.pending());
  FinishFold(record_);
  EXPECT_EQ(record_.send_ack_id, 1u);
  ASSERT_TRUE(FoldAck(record_, 2, 1));
  FinishFold(record_);
  EXPECT_EQ(record_.send_ack_id, 2u);
}

std::vector<Seq> Sequences(const CommitBatch& batch, const CommitBatch::Chain& chain) {
  std::vector<Seq> seqs;
  for (auto i = chain.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
    seqs.push_back(batch.entry(i).message.seq);
  }
  EXPECT_EQ(seqs.size(), chain.count);
  return seqs;
}

TEST(CommitBatchTest, EveryUserHasChainsOfItsOwn) {
  CommitBatch batch;
  BoxHeads heads[2];
  int owner = 0;
  EXPECT_TRUE(batch.empty());
  const auto a = batch.AddUser(1, 10, &heads[0], &owner);
  const auto b = batch.AddUser(2, 20, &heads[1], nullptr);
  for (Seq s = 1; s <= 3; ++s) {
    batch.AddOut(a, Out(s, 2, s));
    batch.AddIn(b, Out(s + 10, 1, s));
    batch.AddOut(b, Out(s + 20, 1, s));
    batch.AddAck(a, 2, s);
  }
  batch.AddAck(b, 1, 9);
  batch.SetCursor(b, 4);
  const auto& users = batch.users();
  ASSERT_EQ(users.size(), 2u);
  EXPECT_EQ(users[a].user, 1u);
  EXPECT_EQ(users[a].partition, 10u);
  EXPECT_EQ(users[a].heads, &heads[0]);
  EXPECT_EQ(users[a].owner, &owner);
  EXPECT_EQ(Sequences(batch, users[a].out), (std::vector<Seq>{1, 2, 3}));
  EXPECT_EQ(Sequences(batch, users[a].in), std::vector<Seq>{});
  EXPECT_EQ(Sequences(batch, users[b].out), (std::vector<Seq>{21, 22, 23}));
  EXPECT_EQ(Sequences(batch, users[b].in), (std::vector<Seq>{11, 12, 13}));
  std::vector<Seq> acks;
  for (auto i = users[a].acks.first; i != CommitBatch::kEnd; i = batch.ack(i).next) {
    EXPECT_EQ(batch.ack(i).from, 2u);
    acks.push_back(batch.ack(i).upto);
  }
  EXPECT_EQ(acks, (std::vector<Seq>{1, 2, 3}));
  EXPECT_EQ(users[a].cursor, 0u);
  EXPECT_EQ(users[b].cursor, 4u);
  EXPECT_EQ(batch.messages(), 9u);
}

TEST(CommitBatchTest, KeepsItsOwnCopyOfBodies) {
  CommitBatch batch;
  BoxHeads heads;
  const auto slot = batch.AddUser(1, 0, &heads, nullptr);
  std::size_t bytes = batch.bytes();
  for (Seq s = 1; s <= 300; ++s) {
    std::string body(s * 7, static_cast<char>('a' + s % 26));
    Message m = Out(s, 2, s);
    m.body = body;
    batch.AddOut(slot, m);
    body.assign(body.size(), '!');
    EXPECT_GE(batch.bytes(), bytes + s * 7);
    bytes = batch.bytes();
  }
  Seq s = 0;
  for (auto i = batch.users()[slot].out.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
    ++s;
    ASSERT_EQ(batch.entry(i).message.body, std::string(s * 7, static_cast<char>('a' + s % 26)));
  }
  EXPECT_EQ(s, 300u);
}

TEST(CommitBatchTest, ClearLeavesNothing) {
  CommitBatch batch;
  BoxHeads heads;
  batch.set_number(5);
  const auto slot = batch.AddUser(1, 0, &heads, nullptr);
  Message m = Out(1, 2, 1);
  m.body = "body";
  batch.AddIn(slot, m);
  batch.AddAck(slot, 2, 1);
  batch.AddSnapshot(0, SmallRecord(), &heads);
  batch.SetCheckpoint(3);
  batch.Clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.messages(), 0u);
  EXPECT_EQ(batch.bytes(), 0u);
  EXPECT_EQ(batch.number(), 0u);
  EXPECT_EQ(batch.checkpoint(), 0u);
  EXPECT_TRUE(batch.snapshots().empty());
  batch.AddOut(batch.AddUser(2, 0, &heads, nullptr), m);
  EXPECT_EQ(Sequences(batch, batch.users()[0].out), std::vector<Seq>{1});
}

TEST(CommitBatchTest, SnapshotsAndCheckpointsCountAsContent) {
  CommitBatch batch;
  BoxHeads heads;
  batch.AddSnapshot(4, SmallRecord(), &heads);
  EXPECT_FALSE(batch.empty());
  EXPECT_GE(batch.bytes(), 3 * sizeof(FriendRecord));
  ASSERT_EQ(batch.snapshots().size(), 1u);
  EXPECT_EQ(batch.snapshots()[0].record, SmallRecord());
  EXPECT_EQ(batch.snapshots()[0].heads, &heads);
  CommitBatch checkpoint;
  checkpoint.SetCheckpoint(1);
  EXPECT_FALSE(checkpoint.empty());
}

TEST(ReuseTest, AMessageThatHeldMuchGivesItBack) {
  PeerBatch batch;
  for (int i = 0; i < 100; ++i) batch.add_forwards()->set_body(std::string(64 << 10, 'x'));
  ClearReused(&batch, false);
  EXPECT_GT(batch.SpaceUsedLong(), std::size_t{6} << 20) << "what Clear alone keeps";
  ClearReused(&batch, true);
  EXPECT_LT(batch.SpaceUsedLong(), std::size_t{4} << 10);
}

}  // namespace
}  // namespace baiwan::wire
