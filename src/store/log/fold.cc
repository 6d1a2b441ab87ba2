#include "store/log/fold.h"

#include <algorithm>
#include <vector>

#include "base/planted.h"
#include "store/log/keys.h"
#include "store/log/pending_index.h"
#include "store/log/recovery.h"
#include "store/log/store_error.h"

namespace baiwan::store {

bool Folder::FoldBlock(Lsn lsn, std::string_view block) {
  BlockReader reader(stream_, lsn, block);
  bool damaged = reader.health() != BlockHealth::kWhole;
  BlockReader::Item item;
  while (reader.Next(&item)) {
    if (!item.good) {
      damaged = true;
      Suspect(lsn, item.payload);
      continue;
    }
    const SectionOwner owner = OwnerOf(item.payload);
    User* user = Find(owner);
    if (user == nullptr || lsn <= user->record.as_of) continue;
    user->changed = true;
    if (!FoldSection(*user, lsn, item)) Quarantine(owner);
  }
  return damaged;
}

bool Folder::FoldSection(User& user, Lsn lsn, const BlockReader::Item& item) {
  wire::UserRecord& record = user.record;
  switch (item.type) {
    case SectionType::kOutbox:
      return FoldBox(record, lsn, wire::Box::kOut, item.payload);
    case SectionType::kInbox:
      return FoldBox(record, lsn, wire::Box::kIn, item.payload);
    case SectionType::kAcks: {
      if (Planted("acks-not-folded")) return true;
      bool follows = true;
      const bool read = ReadAcks(item.payload, [&](UserId from, Seq upto) {
        follows = follows && wire::FoldAck(record, from, upto);
      });
      return read && follows;
    }
    case SectionType::kCursor: {
      Seq cursor = 0;
      return ReadCursor(item.payload, &cursor) && wire::FoldCursor(record, cursor);
    }
  }
  return false;
}

bool Folder::FoldBox(wire::UserRecord& record, Lsn lsn, wire::Box box, std::string_view payload) {
  BoxSection section(box, payload);
  Lsn& head = box == wire::Box::kOut ? record.heads.out : record.heads.in;
  if (section.previous() != head) return false;
  wire::Message message;
  while (section.Next(&message)) {
    const bool follows =
        box == wire::Box::kOut ? wire::FoldOut(record, message) : wire::FoldIn(record, message);
    if (!follows) return false;
  }
  head = lsn;
  return section.ok();
}

Folder::User* Folder::Find(const SectionOwner& owner) {
  if (quarantined_.count(owner) > 0) return nullptr;
  const auto found = users_.find(owner);
  if (found != users_.end()) return &found->second;
  ++loaded_;
  User user;
  bool exists = false;
  if (!Load(owner, user.record, &exists)) {
    Quarantine(owner);
    return nullptr;
  }
  bytes_ += sizeof(User) + user.record.friends.size() * sizeof(wire::FriendRecord);
  return &users_.emplace(owner, std::move(user)).first->second;
}

bool Folder::Load(const SectionOwner& owner, wire::UserRecord& record, bool* exists) {
  std::string value;
  const KvError got = kv_.GetNow(Space::kSnap, SnapKey(owner.partition, owner.user), &value);
  *exists = got != KvError::kNotFound;
  if (got == KvError::kNotFound || got == KvError::kCorrupt) return false;
  if (got != KvError::kNone) {
    error_ = ToStoreError(got);
    return false;
  }
  const wire::DecodeError decoded = wire::Decode(value, record);
  if (decoded == wire::DecodeError::kVersion) error_ = StoreError::kVersion;
  return decoded == wire::DecodeError::kNone && record.user == owner.user;
}

// A snapshot stays as it is: it is the last good state, for whoever repairs the user.
void Folder::Quarantine(const SectionOwner& owner) {
  quarantined_.insert(owner);
  users_.erase(owner);
}

// A section that does not match its checksum. Its payload most likely still begins with its user's
// number; a number that no user has is no news.
void Folder::Suspect(Lsn lsn, std::string_view payload) {
  const SectionOwner owner = OwnerOf(payload);
  if (owner.user == 0 || quarantined_.count(owner) > 0) return;
  const auto found = users_.find(owner);
  wire::UserRecord record;
  bool exists = true;
  if (found == users_.end() && !Load(owner, record, &exists) && !exists) return;
  const Lsn as_of = found == users_.end() ? record.as_of : found->second.record.as_of;
  if (lsn > as_of) Quarantine(owner);
}

StoreError Folder::Flush(Lsn as_of) {
  if (error_ != StoreError{}) return error_;
  std::vector<SectionOwner> owners;
  for (const auto& [owner, user] : users_) {
    if (user.changed) owners.push_back(owner);
  }
  std::sort(owners.begin(), owners.end());  // snapshots are kept in this order
  folded_ += owners.size();
  WriteSet writes;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    wire::UserRecord& record = users_.find(owners[i])->second.record;
    record.as_of = as_of;
    wire::FinishFold(record);
    writes.puts.push_back(
        {Space::kSnap, SnapKey(owners[i].partition, owners[i].user), wire::Encode(record)});
    bytes += writes.puts.back().value.size();
    PendingIndex::NoteUnknown(owners[i].partition, record, writes);
    if (writes.puts.size() < kFlushUsers && bytes < kFlushBytes && i + 1 < owners.size()) continue;
    if (const KvError error = kv_.CommitNow(writes); error != KvError::kNone) {
      return error_ = ToStoreError(error);
    }
    writes.puts.clear();
    bytes = 0;
  }
  users_.clear();
  bytes_ = 0;
  return StoreError{};
}

}  // namespace baiwan::store
