// Everything in one stopped store against the plan: the log from its first block to its last, and
// every user's snapshot against what the log says up to where the snapshot was taken.
//
// The log is read once, in order, by each of `shards` threads; each deals with its own users, so
// what is kept of a user is written by one thread. A snapshot that is older than the log's end is
// compared when the log has come to where it was taken.
//
// Threads: several StoreChecks may run at a time, sharing a Census. Failure: what cannot be read is
// an error in the report, and nothing that depends on it is called lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "verify/boxes.h"
#include "verify/decode.h"
#include "verify/owner.h"
#include "verify/population.h"
#include "verify/report.h"
#include "verify/stopped_store.h"

namespace baiwan::verify {

// Where every own user was found.
struct Census {
  static constexpr std::uint32_t kNowhere = ~std::uint32_t{0};

  Census(const Population& people, std::size_t stores)
      : homes(people.own_users()), as_of(people.own_users(), 0), unread(stores) {
    for (auto& home : homes) home = kNowhere;
  }
  // Whether all that there is of a user was read.
  bool Readable(Population::Number n) const { return homes[n] != kNowhere && !unread[homes[n]]; }
  // False: the user has another home.
  bool Claim(Population::Number n, std::uint32_t store) {
    std::uint32_t none = kNowhere;
    return homes[n].compare_exchange_strong(none, store) || none == store;
  }

  std::vector<std::atomic<std::uint32_t>> homes;  // which store, by user number
  // The position that a user's snapshot was taken at, until it is compared; then kCompared.
  static constexpr Lsn kCompared = ~Lsn{0};
  std::vector<Lsn> as_of;
  std::vector<std::atomic<bool>> unread;  // by store: not all of it could be read
};

class StoreCheck {
 public:
  // `checkers`, one for each thread to use, belong to this check until it is done.
  StoreCheck(const std::string& path, std::uint32_t store, Books& books, Census& census,
             std::vector<std::unique_ptr<BoxChecker>>& checkers);

  void Run();
  // After Run.
  const std::optional<StoreOwner>& owner() const { return owner_; }

 private:
  struct Stream {
    std::uint16_t id = 0;
    Lsn last = 0;  // of its last whole commit
  };
  class Shard;

  Findings& findings() { return checkers_.front()->findings(); }
  void Fail(std::string what);
  bool ReadMeta();
  bool ReadOwner();
  bool ReadSnapshots();
  void ReadSnapshot(std::string_view key, std::string_view value, StoredSnapshot& snapshot);
  bool FindStreams();
  bool StreamsOwned();

  const std::string path_;
  const std::uint32_t store_;
  Books& books_;
  Census& census_;
  std::vector<std::unique_ptr<BoxChecker>>& checkers_;
  std::unique_ptr<StoppedStore> files_;
  std::vector<Stream> streams_;
  // Whose it is, by its own words; nothing in a store of the older format.
  std::optional<StoreOwner> owner_;
};

}  // namespace baiwan::verify
