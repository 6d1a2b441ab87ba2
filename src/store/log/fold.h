// Users in memory while the log is folded onto them, and back into snapshots.
//
// One thread; blocks on the engine. Failure: a user that cannot be loaded, or whose sections do not
// follow each other, is quarantined and left as its snapshot has it; error() is set only by what
// stops the whole recovery.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <unordered_map>

#include "base/rng.h"
#include "store/engine/kv.h"
#include "store/log/block.h"
#include "store/log/store.h"
#include "wire/user_record.h"

namespace baiwan::store {

class Folder {
 public:
  Folder(Kv& kv, std::uint16_t stream, std::set<SectionOwner>& quarantined)
      : kv_(kv), stream_(stream), quarantined_(quarantined) {}

  // Every section of the block, those in stretches of damage included. True if there was damage.
  bool FoldBlock(Lsn lsn, std::string_view block);
  // Writes the snapshots of all users that changed, complete up to `as_of`, and drops all users.
  StoreError Flush(Lsn as_of);

  std::size_t bytes() const { return bytes_; }
  StoreError error() const { return error_; }
  // A user counts again when it comes again after a Flush.
  std::uint64_t users() const { return loaded_; }
  std::uint64_t users_folded() const { return folded_; }

 private:
  struct User {
    wire::UserRecord record;
    bool changed = false;
  };
  struct Hash {
    std::size_t operator()(const SectionOwner& o) const { return Mix(o.partition, o.user); }
  };

  User* Find(const SectionOwner& owner);
  bool Load(const SectionOwner& owner, wire::UserRecord& record, bool* exists);
  void Quarantine(const SectionOwner& owner);
  void Suspect(Lsn lsn, std::string_view payload);
  bool FoldSection(User& user, Lsn lsn, const BlockReader::Item& item);
  bool FoldBox(wire::UserRecord& record, Lsn lsn, wire::Box box, std::string_view payload);

  Kv& kv_;
  const std::uint16_t stream_;
  std::set<SectionOwner>& quarantined_;
  std::unordered_map<SectionOwner, User, Hash> users_;
  std::uint64_t loaded_ = 0;
  std::uint64_t folded_ = 0;
  std::size_t bytes_ = 0;
  StoreError error_{};
};

}  // namespace baiwan::store
