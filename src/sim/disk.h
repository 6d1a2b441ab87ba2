// A disk that survives its node, and the key-value store on it.
//
// SimDisk is what a machine keeps: durable contents, plus the commits that are on their way to it.
// SimKv is a run's view of it (store::Kv). Commits gather while a sync is under way and then share
// the next one. When a node crashes, a prefix of the commits that nobody was told of is durable,
// chosen by the seed: none, some or all, each whole, never one without those before it.
//
// Switches make a disk slow, full or failing. A commit whose sync failed may turn out to be durable
// after the next crash (nobody can know), and those after it only together with it; all of them are
// reported as failed.
//
// Threads: one. Failure: as store::Kv says; poison lasts until the node's next life.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/rng.h"
#include "sim/loop.h"
#include "sim/timeline.h"
#include "store/engine/kv.h"

namespace baiwan::sim {

struct DiskOptions {
  Nanos min_sync = 100 * kMicrosecond;
  Nanos max_sync = 3 * kMillisecond;
  double stall_chance = 0.01;  // of a sync that takes max_stall
  Nanos max_stall = 60 * kMillisecond;
  Nanos min_read = 5 * kMicrosecond;
  Nanos max_read = 400 * kMicrosecond;
  std::size_t max_group = 64;  // commits that share a sync
  // After a crash, the first commit that is not durable may have left the beginning of its writes,
  // with the last value cut short. A Kv never does that; the log above it is said to bear it.
  bool torn_last_commit = false;
  // A disk whose syncs are lies: a crash takes back some of what was reported as durable. For
  // proving that somebody notices.
  bool lies = false;
};

class SimDisk {
 public:
  using Contents = std::array<std::map<std::string, std::string, std::less<>>, store::kSpaces>;

  SimDisk(Timeline& timeline, const DiskOptions& options, Rng rng)
      : timeline_(timeline), options_(options), rng_(rng) {}

  // What would be found after a crash now, if nothing under way came through.
  const Contents& contents() const { return contents_; }
  // An older or other state put back: lost data, for checks that must notice.
  void Replace(Contents contents) { contents_ = std::move(contents); }
  // One record that is not what was written: damage, or its repair.
  void Put(store::Space space, const std::string& key, std::string value) {
    contents_[static_cast<std::size_t>(space)].insert_or_assign(key, std::move(value));
  }

  // The next commit's sync fails.
  void FailNextCommit() { fail_next_ = true; }
  // Commits fail with kNoSpace while full.
  void SetFull(bool full) { full_ = full; }
  // What the disk says when it is asked for its room; nothing: that it cannot be asked.
  void SetRoom(std::optional<store::DiskRoom> room) { room_ = room; }
  // Syncs and reads take `factor` times as long; 1 is normal.
  void SetSlowness(int factor) { slowness_ = factor; }

  const DiskOptions& options() const { return options_; }

 private:
  friend class SimKv;
  struct Pending {
    store::WriteSet writes;
    store::Kv::CommitFn done;
    std::uint64_t number = 0;
  };

  void Apply(const store::WriteSet& writes);
  void TearInto(const store::WriteSet& writes);
  Nanos SyncTime();
  Nanos ReadTime();

  Timeline& timeline_;
  const DiskOptions options_;
  Rng rng_;
  Contents contents_;
  Contents truth_;  // of a disk that lies
  std::uint64_t commits_ = 0;
  bool fail_next_ = false;
  bool full_ = false;
  std::optional<store::DiskRoom> room_;
  int slowness_ = 1;
};

class SimKv final : public store::Kv {
 public:
  SimKv(SimDisk& disk, SimLoop& loop, std::shared_ptr<Life> life)
      : disk_(disk), loop_(loop), life_(std::move(life)) {}

  void Commit(store::WriteSet writes, CommitFn done) override;
  void Get(store::Space space, std::string key, GetFn done) override;
  store::KvError GetNow(store::Space space, std::string_view key, std::string* value) override;
  store::KvError ScanNow(store::Space space, std::string_view from, std::string_view to,
                         const ScanFn& each) override;
  store::KvError CommitNow(const store::WriteSet& writes) override;
  store::KvStats stats() const override { return stats_; }
  std::optional<store::DiskRoom> disk() const override { return disk_.room_; }

  // The node died: decides what of the commits under way is durable, and forgets the rest.
  void Crash();
  std::size_t under_way() const { return pending_.size(); }

 private:
  void StartSync();
  void FinishSync(Nanos took);
  void FinishRead(std::uint64_t read, store::Space space, const std::string& key);
  void Report(SimDisk::Pending& commit, store::KvError error);
  store::KvError Outcome();

  SimDisk& disk_;
  SimLoop& loop_;
  const std::shared_ptr<Life> life_;
  std::deque<SimDisk::Pending> pending_;  // the first `syncing_` of them share the sync under way
  std::size_t syncing_ = 0;
  // Kept here and not in the timeline, so that they go with the node and not after it.
  std::map<std::uint64_t, GetFn> reads_;
  std::uint64_t last_read_ = 0;
  std::deque<store::WriteSet> doubtful_;  // reported as failed, yet perhaps on the disk
  bool poisoned_ = false;
  store::KvStats stats_;
};

}  // namespace baiwan::sim
