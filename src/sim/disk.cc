#include "sim/disk.h"

#include <algorithm>
#include <utility>

namespace baiwan::sim {

using store::KvError;
using store::Space;
using store::WriteSet;

namespace {

std::size_t Index(Space space) { return static_cast<std::size_t>(space); }

std::uint64_t Bytes(const WriteSet& writes) {
  std::uint64_t bytes = 0;
  for (const auto& put : writes.puts) bytes += put.key.size() + put.value.size();
  for (const auto& range : writes.deletes) bytes += range.from.size() + range.to.size();
  return bytes;
}

}  // namespace

void SimDisk::Apply(const WriteSet& writes) {
  for (const auto& range : writes.deletes) {
    auto& space = contents_[Index(range.space)];
    const auto from = space.lower_bound(range.from);
    const auto to = range.to.empty() ? space.end() : space.lower_bound(range.to);
    if (range.to.empty() || range.from < range.to) space.erase(from, to);
  }
  for (const auto& put : writes.puts)
    contents_[Index(put.space)].insert_or_assign(put.key, put.value);
}

void SimDisk::TearInto(const WriteSet& writes) {
  if (writes.puts.empty()) return;
  WriteSet torn;
  const std::size_t whole = rng_.Below(writes.puts.size());
  torn.puts.assign(writes.puts.begin(),
                   writes.puts.begin() + static_cast<std::ptrdiff_t>(whole) + 1);
  auto& cut = torn.puts.back().value;
  if (cut.empty()) {
    torn.puts.pop_back();
  } else {
    cut.resize(rng_.Below(cut.size()));
  }
  Apply(torn);
}

Nanos SimDisk::SyncTime() {
  const Nanos high = rng_.Chance(options_.stall_chance) ? options_.max_stall : options_.max_sync;
  return Between(rng_, options_.min_sync, high) * slowness_;
}

Nanos SimDisk::ReadTime() {
  return Between(rng_, options_.min_read, options_.max_read) * slowness_;
}

void SimKv::Commit(WriteSet writes, CommitFn done) {
  if (!life_->alive) return;
  const std::uint64_t number = ++disk_.commits_;
  disk_.timeline_.Note(life_->node, What::kCommit, number, Bytes(writes));
  pending_.push_back({std::move(writes), std::move(done), number});
  if (syncing_ == 0) StartSync();
}

void SimKv::StartSync() {
  syncing_ = std::min(pending_.size(), disk_.options_.max_group);
  const Nanos took = disk_.SyncTime();
  disk_.timeline_.In(took, [this, life = life_, took] {
    if (life->alive) FinishSync(took);
  });
}

void SimKv::FinishSync(Nanos took) {
  if (disk_.options_.lies && disk_.rng_.Chance(0.1)) disk_.truth_ = disk_.contents_;
  ++stats_.syncs;
  stats_.sync_nanos += took;
  for (std::size_t i = std::exchange(syncing_, 0); i > 0; --i) {
    SimDisk::Pending commit = std::move(pending_.front());
    pending_.pop_front();
    const KvError error = Outcome();
    if (error == KvError::kNone) {
      ++stats_.commits;
      stats_.bytes_written += Bytes(commit.writes);
      disk_.Apply(commit.writes);
    }
    disk_.timeline_.Note(life_->node, What::kDurable, commit.number,
                         static_cast<std::uint64_t>(error));
    // A full disk took nothing; after any other failure nobody knows.
    if (error == KvError::kIo || (error == KvError::kAfterFailure && !doubtful_.empty())) {
      doubtful_.push_back(std::move(commit.writes));
    }
    Report(commit, error);
  }
  if (!pending_.empty()) StartSync();
}

KvError SimKv::Outcome() {
  if (poisoned_) return KvError::kAfterFailure;
  if (std::exchange(disk_.fail_next_, false)) {
    poisoned_ = true;
    return KvError::kIo;
  }
  if (disk_.full_) {
    poisoned_ = true;
    return KvError::kNoSpace;
  }
  return KvError::kNone;
}

void SimKv::Report(SimDisk::Pending& commit, KvError error) {
  if (commit.done == nullptr) return;
  loop_.Post([done = std::move(commit.done), error] { done(error); });
}

void SimKv::Get(Space space, std::string key, GetFn done) {
  if (!life_->alive) return;
  const std::uint64_t read = ++last_read_;
  reads_.emplace(read, std::move(done));
  const Nanos took = disk_.ReadTime();
  disk_.timeline_.In(took, [this, life = life_, read, space, key = std::move(key)] {
    if (life->alive) FinishRead(read, space, key);
  });
}

void SimKv::FinishRead(std::uint64_t read, Space space, const std::string& key) {
  const auto at = reads_.find(read);
  std::string value;
  const KvError error = GetNow(space, key, &value);
  loop_.Post([done = std::move(at->second), error, value = std::move(value)]() mutable {
    done(error, std::move(value));
  });
  reads_.erase(at);
}

KvError SimKv::GetNow(Space space, std::string_view key, std::string* value) {
  const auto& keys = disk_.contents_[Index(space)];
  const auto at = keys.find(key);
  if (at == keys.end()) return KvError::kNotFound;
  *value = at->second;
  return KvError::kNone;
}

KvError SimKv::ScanNow(Space space, std::string_view from, std::string_view to,
                       const ScanFn& each) {
  const auto& keys = disk_.contents_[Index(space)];
  for (auto at = keys.lower_bound(from); at != keys.end(); ++at) {
    if (!to.empty() && at->first >= to) break;
    if (!each(at->first, at->second)) break;
  }
  return KvError::kNone;
}

KvError SimKv::CommitNow(const WriteSet& writes) {
  if (!life_->alive) return KvError::kIo;
  // Behind everything that was given before it.
  while (!pending_.empty()) {
    syncing_ = pending_.size();
    FinishSync(0);
  }
  disk_.timeline_.Note(life_->node, What::kCommit, ++disk_.commits_, Bytes(writes));
  const KvError error = Outcome();
  if (error != KvError::kNone) return error;
  ++stats_.commits;
  ++stats_.syncs;
  stats_.bytes_written += Bytes(writes);
  disk_.Apply(writes);
  return error;
}

void SimKv::Crash() {
  if (disk_.options_.lies && !disk_.truth_[0].empty()) disk_.contents_ = disk_.truth_;
  std::deque<WriteSet> uncertain = std::exchange(doubtful_, {});
  if (!poisoned_) {
    for (auto& commit : pending_) uncertain.push_back(std::move(commit.writes));
  }
  // Dropped last: a callback may hold what comes back here while it goes.
  const auto dropped = std::exchange(pending_, {});
  const auto reads = std::exchange(reads_, {});
  syncing_ = 0;
  if (uncertain.empty()) return;
  const std::size_t durable = disk_.rng_.Below(uncertain.size() + 1);
  for (std::size_t i = 0; i < durable; ++i) disk_.Apply(uncertain[i]);
  if (disk_.options_.torn_last_commit && durable < uncertain.size() && disk_.rng_.Chance(0.5)) {
    disk_.TearInto(uncertain[durable]);
  }
}

}  // namespace baiwan::sim
