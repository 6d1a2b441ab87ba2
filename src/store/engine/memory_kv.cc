#include "store/engine/memory_kv.h"

#include <utility>

namespace baiwan::store {

void MemoryDisk::ForgetCommitsAfter(std::uint64_t n) {
  forget_after_ = n;
  if (commits_ >= n && !remembered_) remembered_ = std::make_unique<Image>(spaces_);
}

KvError MemoryDisk::Apply(const WriteSet& writes) {
  if (++commits_ == fail_at_) return fail_with_;
  for (const WriteSet::Range& range : writes.deletes) {
    auto& space = spaces_[static_cast<std::size_t>(range.space)];
    const auto to = range.to.empty() ? space.end() : space.lower_bound(range.to);
    for (auto it = space.lower_bound(range.from); it != to;) it = space.erase(it);
  }
  for (const WriteSet::Put& put : writes.puts) {
    spaces_[static_cast<std::size_t>(put.space)][put.key] = put.value;
  }
  if (commits_ == forget_after_) remembered_ = std::make_unique<Image>(spaces_);
  return KvError::kNone;
}

void MemoryDisk::Crash() {
  open_ = false;
  if (remembered_) spaces_ = std::move(*remembered_);
  remembered_ = nullptr;
}

class MemoryKv final : public Kv {
 public:
  MemoryKv(MemoryDisk& disk, const MemoryKvOptions& options, Loop* loop)
      : disk_(disk), options_(options), loop_(loop) {
    disk_.open_ = true;
  }

  ~MemoryKv() override {
    std::uint64_t kept = 0;
    for (auto* group : {&group_, &queue_}) {
      for (const Waiting& commit : *group) {
        if (failed_ == KvError::kNone && kept++ < disk_.keep_on_crash_) ApplyNow(commit.writes);
      }
    }
    disk_.Crash();
  }

  void Commit(WriteSet writes, CommitFn done) override {
    if (loop_ == nullptr) return done(CommitNow(writes));
    queue_.push_back({std::move(writes), std::move(done)});
    if (group_.empty()) BeginGroup();
  }

  void Get(Space space, std::string key, GetFn done) override {
    if (loop_ == nullptr) {
      std::string value;
      const KvError error = GetNow(space, key, &value);
      return done(error, std::move(value));
    }
    Later(options_.read_delay, [this, space, key = std::move(key), done = std::move(done)] {
      std::string value;
      const KvError error = GetNow(space, key, &value);
      done(error, std::move(value));
    });
  }

  std::optional<DiskRoom> disk() const override { return disk_.room_; }

  void Post(std::function<void()> work) override {
    if (loop_ == nullptr) return work();
    Later(0, std::move(work));
  }

  KvError GetNow(Space space, std::string_view key, std::string* value) override {
    const auto& map = disk_.spaces_[static_cast<std::size_t>(space)];
    const auto it = map.find(key);
    if (it == map.end()) return KvError::kNotFound;
    *value = it->second;
    return KvError::kNone;
  }

  KvError ScanNow(Space space, std::string_view from, std::string_view to,
                  const ScanFn& each) override {
    const auto& map = disk_.spaces_[static_cast<std::size_t>(space)];
    for (auto it = map.lower_bound(from); it != map.end() && (to.empty() || it->first < to); ++it) {
      if (!each(it->first, it->second)) break;
    }
    return KvError::kNone;
  }

  KvError CommitNow(const WriteSet& writes) override {
    const KvError error = ApplyNow(writes);
    if (error == KvError::kNone) ++stats_.syncs;
    return error;
  }

  KvStats stats() const override { return stats_; }

 private:
  struct Waiting {
    WriteSet writes;
    CommitFn done;
  };

  KvError ApplyNow(const WriteSet& writes) {
    if (failed_ != KvError::kNone) return KvError::kAfterFailure;
    failed_ = disk_.Apply(writes);
    if (failed_ != KvError::kNone) return failed_;
    ++stats_.commits;
    for (const auto& put : writes.puts) stats_.bytes_written += put.key.size() + put.value.size();
    return KvError::kNone;
  }

  // As a real engine: what waits now is one group with one sync; what comes meanwhile waits.
  void BeginGroup() {
    group_ = std::exchange(queue_, {});
    Later(options_.commit_delay, [this, alive = std::weak_ptr<bool>(alive_)] {
      // Everything of this object is done with before the first callback, which may end it.
      std::vector<Waiting> group = std::exchange(group_, {});
      std::vector<KvError> results;
      results.reserve(group.size());
      for (const Waiting& commit : group) results.push_back(ApplyNow(commit.writes));
      if (failed_ == KvError::kNone) ++stats_.syncs;
      if (!queue_.empty()) BeginGroup();
      for (std::size_t i = 0; i < group.size() && !alive.expired(); ++i) group[i].done(results[i]);
    });
  }

  void Later(Nanos delay, std::function<void()> work) {
    auto guarded = [alive = std::weak_ptr<bool>(alive_), work = std::move(work)] {
      if (!alive.expired()) work();
    };
    if (delay > 0) {
      loop_->After(delay, std::move(guarded));
    } else {
      loop_->Post(std::move(guarded));
    }
  }

  MemoryDisk& disk_;
  const MemoryKvOptions options_;
  Loop* const loop_;
  std::vector<Waiting> queue_;  // given, not begun
  std::vector<Waiting> group_;  // begun, not called back
  KvError failed_ = KvError::kNone;
  KvStats stats_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

Result<std::unique_ptr<Kv>, KvError> OpenMemoryKv(MemoryDisk& disk, const MemoryKvOptions& options,
                                                  Loop* loop) {
  // The lock is the engine's life: see the destructor.
  if (disk.locked()) return KvError::kLocked;
  return std::unique_ptr<Kv>(std::make_unique<MemoryKv>(disk, options, loop));
}

}  // namespace baiwan::store
