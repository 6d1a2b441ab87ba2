// One thread's share of a store's log: the users whose number falls to its shard.
//
// Threads: one. Failure: see store_check.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/boxes.h"
#include "verify/store_check.h"

namespace baiwan::verify {

class LogCheck {
 public:
  struct Context {
    const std::string& path;
    std::uint32_t store;
    const StoppedStore& files;
    Books& books;
    Census& census;
    std::uint32_t shard;
    std::uint32_t shards;
  };

  LogCheck(const Context& context, BoxChecker& boxes);

  // Every block of a stream, up to position `last`.
  void ReadStream(std::uint16_t stream, Lsn last);
  // The snapshots that are as new as the log.
  void CompareRest();

 private:
  struct Heads {
    Lsn out = 0;
    Lsn in = 0;
  };

  bool first_shard() const { return c_.shard == 0; }
  Population::Number Mine(UserId user) const;
  bool OnBlock(LogPlace place, std::string_view key, std::string_view value);
  void OnSection(LogPlace place, const Section& section, Population::Number n);
  void OnBox(LogPlace place, const Section& section, Population::Number n);
  void OnAcks(const Section& section, Population::Number n);
  void OnCursor(const Section& section, Population::Number n);
  void Stranger(const Section& section);
  void Damaged(std::string what);
  // A snapshot against what the log says so far.
  void CompareAt(Population::Number n);
  void Compare(Population::Number n, const StoredSnapshot& s);
  void CompareFriends(Population::Number n, const StoredSnapshot& s);
  void Number(UserId user, const char* what, std::uint64_t stored, std::uint64_t real);

  const Context c_;
  BoxChecker& boxes_;
  Findings& findings_;
  std::vector<Heads> heads_;  // by user number / shards
  std::vector<StoredAck> acks_;
  StoredSnapshot snapshot_;
  std::uint64_t damaged_ = 0;
};

}  // namespace baiwan::verify
