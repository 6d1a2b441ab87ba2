#include "store/testing/store_model.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"

namespace baiwan::store::testing {

using wire::CommitBatch;
using wire::Kind;
using wire::Message;

void StoreModel::AddUsers(int count, int friends) {
  for (int i = 1; i <= count; ++i) {
    ModelUser user;
    user.partition = static_cast<PartitionId>(i % 4);
    user.record.user = static_cast<UserId>(i);
    for (int f = 0; f < friends; ++f) {
      wire::FriendRecord record;
      record.id = static_cast<UserId>(1000 + 1000 * f + i);
      user.record.friends.push_back(record);
    }
    users_.emplace(user.record.user, std::move(user));
  }
}

std::vector<std::pair<PartitionId, wire::UserRecord>> StoreModel::Records() const {
  std::vector<std::pair<PartitionId, wire::UserRecord>> records;
  for (const auto& [id, user] : users_) records.emplace_back(user.partition, user.record);
  return records;
}

std::string StoreModel::Body() {
  const bool big = max_big_body > 0 && rng_.Chance(0.02);
  std::string body(rng_.Below((big ? max_big_body : max_body) + 1), '\0');
  for (char& c : body) c = static_cast<char>(rng_.Next());
  return body;
}

CommitBatch::Slot StoreModel::SlotOf(CommitBatch& batch, ModelUser& user) {
  if (user.in_batch != batch.number()) {
    user.slot = batch.AddUser(user.record.user, user.partition, &user.record.heads, &user);
    user.in_batch = batch.number();
  }
  return user.slot;
}

void StoreModel::Send(CommitBatch& batch, ModelUser& user, std::string body) {
  auto& to = user.record.friends[rng_.Below(user.record.friends.size())];
  Message m;
  m.seq = m.send_id = user.record.send_id + 1;
  // Mostly forward, as clocks go; but a clock may jump.
  now_ms_ += rng_.Chance(0.01) ? -rng_.Below(100'000) : rng_.Below(40);
  m.timestamp_ms = now_ms_;
  if (rng_.Chance(0.1)) {
    m.kind = Kind::kVoid;
    m.reason = rng_.Chance(0.5) ? wire::VoidReason::kByClient : wire::VoidReason::kNotFriend;
    body.clear();
  } else {
    m.peer = to.id;
    m.pair_seq = to.sent + 1;
  }
  m.checksum = MessageChecksum(user.record.user, m.peer, m.seq, body);
  wire::FoldOut(user.record, m);
  m.body = body;
  batch.AddOut(SlotOf(batch, user), m);
  user.out.push_back({m, std::move(body)});
}

void StoreModel::Receive(CommitBatch& batch, ModelUser& user, std::string body) {
  const auto& from = user.record.friends[rng_.Below(user.record.friends.size())];
  Message m;
  m.seq = user.record.receive_id + 1;
  m.peer = from.id;
  m.pair_seq = from.received + 1;
  m.send_id = rng_.Next() >> rng_.Below(64);
  m.timestamp_ms = now_ms_ += rng_.Below(40);
  m.checksum = MessageChecksum(m.peer, user.record.user, m.send_id, body);
  wire::FoldIn(user.record, m);
  m.body = body;
  batch.AddIn(SlotOf(batch, user), m);
  user.in.push_back({m, std::move(body)});
}

void StoreModel::Change(CommitBatch& batch, ModelUser& user) {
  const auto what = rng_.Below(10);
  if (what < 4) return Send(batch, user, Body());
  if (what < 8) return Receive(batch, user, Body());
  if (what == 8) {
    const auto& f = user.record.friends[rng_.Below(user.record.friends.size())];
    // Mostly up, sometimes back: a friend's store may come back with less.
    const Seq upto =
        rng_.Chance(0.1) ? rng_.Below(f.sent + 1) : std::min(f.sent, f.acked + 1 + rng_.Below(3));
    wire::FoldAck(user.record, f.id, upto);
    batch.AddAck(SlotOf(batch, user), f.id, upto);
  } else if (user.record.receive_id > user.record.client_receive_id) {
    const Seq cursor = user.record.client_receive_id + 1;
    wire::FoldCursor(user.record, cursor);
    batch.SetCursor(SlotOf(batch, user), cursor);
  }
}

void StoreModel::Fill(CommitBatch& batch, Lsn next_lsn, int operations) {
  batch.set_number(++batches_);
  for (int i = 0; i < operations; ++i) {
    auto it = users_.begin();
    std::advance(it, rng_.Below(users_.size()));
    Change(batch, it->second);
  }
  for (const CommitBatch::User& u : batch.users()) {
    auto* user = static_cast<ModelUser*>(u.owner);
    if (user->dirty_since == 0) user->dirty_since = next_lsn;
  }
  if (snapshots && rng_.Chance(0.3)) AddSnapshots(batch, next_lsn);
}

void StoreModel::AddSnapshots(CommitBatch& batch, Lsn next_lsn) {
  Lsn checkpoint = next_lsn - 1;
  for (auto& [id, user] : users_) {
    if (user.dirty_since > 0 && rng_.Chance(0.7)) {
      batch.AddSnapshot(user.partition, user.record, &user.record.heads);
      user.dirty_since = 0;
    }
    if (user.dirty_since > 0) checkpoint = std::min(checkpoint, user.dirty_since - 1);
  }
  if (rng_.Chance(0.5)) batch.SetCheckpoint(checkpoint);
}

}  // namespace baiwan::store::testing
