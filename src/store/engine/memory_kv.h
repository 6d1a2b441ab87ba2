// The Kv in memory: for tests and the simulator, which need crashes and faults at will.
//
// What is committed lives in a MemoryDisk that survives the engine, so destroying the engine is a
// crash and opening another one on the same disk is the restart. Commits that wait are lost with
// the engine, unless KeepOnCrash says otherwise: a real disk may hold commits that it had no time
// to report.
//
// Threads: disk, engine and loop belong to one thread. Completions come by Loop::Post (or After,
// with a delay). Without a loop only the blocking functions may be waited for: Commit and Get then
// call back at once. Failure: only as injected.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/loop.h"
#include "base/result.h"
#include "store/engine/kv.h"

namespace baiwan::store {

class MemoryDisk {
 public:
  using Image = std::array<std::map<std::string, std::string, std::less<>>, kSpaces>;
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  // What is durable now, and putting it back. Restore only while no engine is open.
  Image Snapshot() const { return spaces_; }
  void Restore(Image image) { spaces_ = std::move(image); }
  std::uint64_t commits() const { return commits_; }
  bool locked() const { return open_; }

  // Faults. Commits are counted from the disk's making, over all engines on it.
  //
  // Commit number `n` (the first is 1) fails with `error` and poisons its engine.
  void FailCommit(std::uint64_t n, KvError error) { fail_at_ = n, fail_with_ = error; }
  void FailNextCommit(KvError error) { FailCommit(commits_ + 1, error); }
  // The disk lies: commits after number `n` are acknowledged and can be read, but are gone once the
  // engine is. kNever: an honest disk again (from the next engine on).
  void ForgetCommitsAfter(std::uint64_t n);
  // What disk() says; nothing: not asked.
  void SetRoom(std::optional<DiskRoom> room) { room_ = room; }
  // Of the commits that wait when an engine is destroyed, the first `n` are on the disk all the
  // same, though nobody was told.
  void KeepOnCrash(std::uint64_t n) { keep_on_crash_ = n; }

 private:
  friend class MemoryKv;

  KvError Apply(const WriteSet& writes);
  void Crash();

  Image spaces_;
  std::unique_ptr<Image> remembered_;  // what stays once the engine is gone, if the disk lies
  std::uint64_t commits_ = 0;
  std::uint64_t fail_at_ = kNever;
  KvError fail_with_ = KvError::kIo;
  std::uint64_t forget_after_ = kNever;
  std::uint64_t keep_on_crash_ = 0;
  std::optional<DiskRoom> room_;
  bool open_ = false;
};

struct MemoryKvOptions {
  Nanos commit_delay = 0;  // from the begin of a group to its callbacks; the next group waits
  Nanos read_delay = 0;
};

// kLocked if an engine is open on `disk`, which outlives the engine, as does the loop.
Result<std::unique_ptr<Kv>, KvError> OpenMemoryKv(MemoryDisk& disk, const MemoryKvOptions& options,
                                                  Loop* loop);

}  // namespace baiwan::store
