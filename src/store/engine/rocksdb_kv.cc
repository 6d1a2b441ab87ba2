#include "store/engine/rocksdb_kv.h"

#include <rocksdb/db.h>
#include <sys/statvfs.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/engine/rocksdb_files.h"
#include "store/engine/rocksdb_open.h"

namespace baiwan::store {
namespace {

// Work that is done and waits for the loop. Shared with the closure that is posted, which may run
// after the engine is gone.
class Completions {
 public:
  explicit Completions(Loop* loop) : loop_(loop) {}

  struct Done {
    Kv::CommitFn commit;  // one of the two
    Kv::GetFn get;
    KvError error = KvError::kNone;
    std::string value;
  };

  // From the engine's threads. `self` is this.
  void Add(std::vector<Done>& done, const std::shared_ptr<Completions>& self) {
    bool post = false;
    {
      const std::lock_guard lock(mutex_);
      for (Done& d : done) ready_.push_back(std::move(d));
      post = !std::exchange(posted_, true);
    }
    done.clear();
    if (post) loop_->Post([self] { self->Run(); });
  }

  // From the loop. `self` is this.
  void Post(std::function<void()> work, const std::shared_ptr<Completions>& self) {
    loop_->Post([self, work = std::move(work)] {
      if (!self->abandoned_) work();
    });
  }

  // From the loop: nothing is called back any more.
  void Abandon() { abandoned_ = true; }

 private:
  void Run() {
    std::vector<Done> ready;
    {
      const std::lock_guard lock(mutex_);
      ready.swap(ready_);
      posted_ = false;
    }
    for (Done& d : ready) {
      if (abandoned_) return;
      if (d.commit) {
        d.commit(d.error);
      } else {
        d.get(d.error, std::move(d.value));
      }
    }
  }

  Loop* const loop_;
  std::mutex mutex_;
  std::vector<Done> ready_;
  bool posted_ = false;
  bool abandoned_ = false;  // the loop's own
};

class RocksDbKv final : public Kv {
 public:
  RocksDbKv(internal::OpenFiles files, const RocksDbOptions& options, bool sync, Loop* loop,
            Log& log)
      : files_(std::move(files)), options_(options), loop_(loop), log_(log) {
    write_options_.sync = sync;
    if (loop_ == nullptr) return;
    completions_ = std::make_shared<Completions>(loop_);
    committer_ = std::thread([this] { CommitLoop(); });
    reader_ = std::thread([this] { ReadLoop(); });
  }

  ~RocksDbKv() override {
    if (loop_ == nullptr) return;
    completions_->Abandon();
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    commit_wake_.notify_one();
    read_wake_.notify_one();
    committer_.join();
    reader_.join();
  }

  void Commit(WriteSet writes, CommitFn done) override {
    if (loop_ == nullptr) return done(CommitNow(writes));
    {
      const std::lock_guard lock(mutex_);
      commits_.push_back({std::move(writes), std::move(done)});
    }
    commit_wake_.notify_one();
  }

  void Get(Space space, std::string key, GetFn done) override {
    if (loop_ == nullptr) {
      std::string value;
      const KvError error = GetNow(space, key, &value);
      return done(error, std::move(value));
    }
    {
      const std::lock_guard lock(mutex_);
      reads_.push_back({space, std::move(key), std::move(done)});
    }
    read_wake_.notify_one();
  }

  void Post(std::function<void()> work) override {
    if (loop_ == nullptr) return work();
    completions_->Post(std::move(work), completions_);
  }

  KvError GetNow(Space space, std::string_view key, std::string* value) override {
    const auto status = files_.db->Get({}, files_.space(space), Slice(key), value);
    return status.ok() || status.IsNotFound() ? internal::ToKvError(status)
                                              : Report("reading", status);
  }

  KvError ScanNow(Space space, std::string_view from, std::string_view to,
                  const ScanFn& each) override {
    const rocksdb::Slice end = Slice(to);
    rocksdb::ReadOptions read;
    read.fill_cache = false;
    read.readahead_size = 2 << 20;
    if (!to.empty()) read.iterate_upper_bound = &end;
    const std::unique_ptr<rocksdb::Iterator> it(files_.db->NewIterator(read, files_.space(space)));
    for (it->Seek(Slice(from)); it->Valid(); it->Next()) {
      if (!each(it->key().ToStringView(), it->value().ToStringView())) break;
    }
    return it->status().ok() ? KvError::kNone : Report("reading", it->status());
  }

  KvError CommitNow(const WriteSet& writes) override {
    rocksdb::WriteBatch batch;
    Add(writes, batch);
    return Write(batch, 1);
  }

  std::optional<DiskRoom> disk() const override {
    struct statvfs about {};
    if (statvfs(files_.db->GetName().c_str(), &about) != 0) return std::nullopt;
    return DiskRoom{std::uint64_t{about.f_bavail} * about.f_frsize,
                    std::uint64_t{about.f_blocks} * about.f_frsize};
  }

  KvStats stats() const override {
    KvStats s;
    s.commits = stat_commits_.load(std::memory_order_relaxed);
    s.syncs = stat_syncs_.load(std::memory_order_relaxed);
    s.bytes_written = stat_bytes_.load(std::memory_order_relaxed);
    s.sync_nanos = stat_nanos_.load(std::memory_order_relaxed);
    return s;
  }

 private:
  struct WaitingCommit {
    WriteSet writes;
    CommitFn done;
  };
  struct WaitingRead {
    Space space;
    std::string key;
    GetFn done;
  };
  static constexpr std::size_t kReadsPerPost = 64;

  static rocksdb::Slice Slice(std::string_view v) { return {v.data(), v.size()}; }

  void Add(const WriteSet& writes, rocksdb::WriteBatch& batch) {
    std::uint64_t bytes = 0;
    for (const WriteSet::Range& range : writes.deletes) AddRange(range, batch);
    for (const WriteSet::Put& put : writes.puts) {
      batch.Put(files_.space(put.space), Slice(put.key), Slice(put.value));
      bytes += put.key.size() + put.value.size();
    }
    stat_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  }

  void AddRange(const WriteSet::Range& range, rocksdb::WriteBatch& batch) {
    // RocksDB wants an end. No key of ours begins like this one.
    static const std::string kBehindAll(64, '\xff');
    batch.DeleteRange(files_.space(range.space), Slice(range.from),
                      Slice(range.to.empty() ? kBehindAll : range.to));
  }

  KvError Write(rocksdb::WriteBatch& batch, std::uint64_t commits) {
    if (failed_.load(std::memory_order_relaxed)) return KvError::kAfterFailure;
    if (batch.Count() > 0) {
      const Nanos begin = SystemClock().Monotonic();
      const auto status = files_.db->Write(write_options_, &batch);
      stat_nanos_.fetch_add(SystemClock().Monotonic() - begin, std::memory_order_relaxed);
      if (!status.ok()) {
        failed_.store(true, std::memory_order_relaxed);
        return Report("writing", status);
      }
      stat_syncs_.fetch_add(1, std::memory_order_relaxed);
    }
    stat_commits_.fetch_add(commits, std::memory_order_relaxed);
    return KvError::kNone;
  }

  KvError Report(const char* doing, const rocksdb::Status& status) {
    log_.Error("store {}: {}: {}", files_.db->GetName(), doing, status.ToString());
    return internal::ToKvError(status);
  }

  // Moves what may share one write into `group`; false: the engine ends.
  bool NextGroup(std::vector<WaitingCommit>& group) {
    std::unique_lock lock(mutex_);
    commit_wake_.wait(lock, [this] { return stop_ || !commits_.empty(); });
    if (stop_) return false;
    std::size_t bytes = 0;
    while (!commits_.empty() && (group.empty() || bytes < options_.max_group_bytes)) {
      for (const auto& put : commits_.front().writes.puts) bytes += put.value.size();
      group.push_back(std::move(commits_.front()));
      commits_.pop_front();
    }
    return true;
  }

  void CommitLoop() {
    std::vector<WaitingCommit> group;
    std::vector<Completions::Done> done;
    rocksdb::WriteBatch batch;
    while (NextGroup(group)) {
      batch.Clear();
      for (const WaitingCommit& commit : group) Add(commit.writes, batch);
      KvError error = Write(batch, group.size());
      for (WaitingCommit& commit : group) {
        done.push_back({std::move(commit.done), nullptr, error, {}});
        if (error != KvError::kNone) error = KvError::kAfterFailure;
      }
      group.clear();
      completions_->Add(done, completions_);
    }
  }

  bool NextReads(std::vector<WaitingRead>& reads) {
    std::unique_lock lock(mutex_);
    read_wake_.wait(lock, [this] { return stop_ || !reads_.empty(); });
    if (stop_) return false;
    while (!reads_.empty() && reads.size() < kReadsPerPost) {
      reads.push_back(std::move(reads_.front()));
      reads_.pop_front();
    }
    return true;
  }

  void ReadLoop() {
    std::vector<WaitingRead> reads;
    std::vector<Completions::Done> done;
    while (NextReads(reads)) {
      for (WaitingRead& read : reads) {
        Completions::Done d{nullptr, std::move(read.done), KvError::kNone, {}};
        d.error = GetNow(read.space, read.key, &d.value);
        done.push_back(std::move(d));
      }
      reads.clear();
      completions_->Add(done, completions_);
    }
  }

  internal::OpenFiles files_;
  const RocksDbOptions options_;
  rocksdb::WriteOptions write_options_;
  Loop* const loop_;
  Log& log_;
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> stat_commits_{0};
  std::atomic<std::uint64_t> stat_syncs_{0};
  std::atomic<std::uint64_t> stat_bytes_{0};
  std::atomic<std::int64_t> stat_nanos_{0};

  std::mutex mutex_;  // guards the queues and stop_
  std::condition_variable commit_wake_;
  std::condition_variable read_wake_;
  std::deque<WaitingCommit> commits_;
  std::deque<WaitingRead> reads_;
  bool stop_ = false;
  std::shared_ptr<Completions> completions_;
  std::thread committer_;
  std::thread reader_;
};

}  // namespace

namespace internal {

Result<std::unique_ptr<Kv>, KvError> OpenRocksDbWith(const std::string& path,
                                                     const RocksDbOptions& options, Loop* loop,
                                                     Log& log, const RocksDbHooks& hooks) {
  auto files = OpenRocksDbFiles(path, options, hooks, log);
  if (!files) return files.error();
  return std::unique_ptr<Kv>(
      std::make_unique<RocksDbKv>(std::move(*files), options, hooks.sync, loop, log));
}

}  // namespace internal

Result<std::unique_ptr<Kv>, KvError> OpenRocksDb(const std::string& path,
                                                 const RocksDbOptions& options, Loop* loop,
                                                 Log& log) {
  return internal::OpenRocksDbWith(path, options, loop, log, {});
}

}  // namespace baiwan::store
