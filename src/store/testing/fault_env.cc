#include "store/testing/fault_env.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

namespace baiwan::store::testing {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

struct File {
  std::uint64_t size = 0;
  std::uint64_t synced = 0;
  bool wal = false;
};
using FilePtr = std::shared_ptr<File>;

// A change to a folder that is not synced yet, and what it takes to undo it.
struct Change {
  enum class Kind { kCreated, kDeleted, kRenamed } kind;
  std::string path;
  std::string target;  // of a rename
  std::string grave;   // where what was deleted or overwritten lies; may be empty
};

std::string FolderOf(const std::string& path) {
  return fs::path(path).lexically_normal().parent_path().string();
}

}  // namespace

struct FaultDisk::State {
  std::mutex mutex;
  std::string graveyard;
  int graves = 0;
  int error = 0;
  bool off = false;
  bool off_after_wal_write = false;
  std::map<std::string, FilePtr> files;               // by path, graves included
  std::map<std::string, std::deque<Change>> changes;  // by folder, in order
  std::uint64_t wal_syncs = 0;
  std::uint64_t lost_bytes = 0;
  std::uint64_t lost_entries = 0;

  // What a change is answered with; the caller holds the mutex.
  IOStatus Refusal(const std::string& path) const {
    if (off) return IOStatus::IOError(path, "the power is off");
    if (error == 0) return IOStatus::OK();
    const std::string text = std::generic_category().message(error);
    return error == ENOSPC ? IOStatus::NoSpace(path, text) : IOStatus::IOError(path, text);
  }
  void Move(const std::string& from, const std::string& to) {
    std::error_code ignored;
    fs::rename(from, to, ignored);
    const auto found = files.find(from);
    if (found == files.end()) return;
    files[to] = found->second;
    files.erase(found);
  }
  // Out of sight, but not gone; empty if there is nothing.
  std::string Bury(const std::string& path) {
    std::error_code error_code;
    if (!fs::exists(path, error_code)) return {};
    std::string grave = graveyard + "/" + std::to_string(++graves);
    Move(path, grave);
    return grave;
  }
  void Undo(const Change& change) {
    ++lost_entries;
    switch (change.kind) {
      case Change::Kind::kCreated:
        ::unlink(change.path.c_str());
        files.erase(change.path);
        break;
      case Change::Kind::kDeleted:
        break;
      case Change::Kind::kRenamed:
        Move(change.target, change.path);
        break;
    }
    const std::string& covered =
        change.kind == Change::Kind::kRenamed ? change.target : change.path;
    if (!change.grave.empty()) Move(change.grave, covered);
  }
  void Forget(const Change& change) {
    if (change.grave.empty()) return;
    ::unlink(change.grave.c_str());
    files.erase(change.grave);
  }
};

namespace {

template <class State>
class FaultFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultFile(std::unique_ptr<rocksdb::FSWritableFile> file, std::shared_ptr<State> state,
            FilePtr tracked, std::string path)
      : FSWritableFileOwnerWrapper(std::move(file)),
        state_(std::move(state)),
        tracked_(std::move(tracked)),
        path_(std::move(path)) {}

  IOStatus Append(const Slice& data, const IOOptions& o, IODebugContext* d) override {
    return Grow(data.size(), [&] { return FSWritableFileWrapper::Append(data, o, d); });
  }
  IOStatus Append(const Slice& data, const IOOptions& o, const rocksdb::DataVerificationInfo& v,
                  IODebugContext* d) override {
    return Grow(data.size(), [&] { return FSWritableFileWrapper::Append(data, o, v, d); });
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& o, IODebugContext* d) override {
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(path_); !refused.ok()) return refused;
    const auto status = FSWritableFileWrapper::Truncate(size, o, d);
    if (status.ok()) tracked_->size = size;
    return status;
  }
  IOStatus Sync(const IOOptions& o, IODebugContext* d) override {
    return Synced([&] { return FSWritableFileWrapper::Sync(o, d); });
  }
  IOStatus Fsync(const IOOptions& o, IODebugContext* d) override {
    return Synced([&] { return FSWritableFileWrapper::Fsync(o, d); });
  }

 private:
  template <class Work>
  IOStatus Grow(std::size_t bytes, const Work& work) {
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(path_); !refused.ok()) return refused;
    const IOStatus status = work();
    if (status.ok()) tracked_->size += bytes;
    if (status.ok() && bytes > 0 && tracked_->wal && state_->off_after_wal_write) {
      state_->off = true;
    }
    return status;
  }
  template <class Work>
  IOStatus Synced(const Work& work) {
    std::uint64_t size = 0;
    {
      const std::lock_guard lock(state_->mutex);
      if (auto refused = state_->Refusal(path_); !refused.ok()) return refused;
      size = tracked_->size;
    }
    const IOStatus status = work();
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(path_); !refused.ok()) return refused;
    if (status.ok()) tracked_->synced = std::max(tracked_->synced, size);
    if (status.ok() && tracked_->wal) ++state_->wal_syncs;
    return status;
  }

  const std::shared_ptr<State> state_;
  const FilePtr tracked_;
  const std::string path_;
};

template <class State>
class FaultFolder final : public rocksdb::FSDirectoryWrapper {
 public:
  FaultFolder(std::unique_ptr<rocksdb::FSDirectory> folder, std::shared_ptr<State> state,
              std::string path)
      : FSDirectoryWrapper(std::move(folder)), state_(std::move(state)), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions& o, IODebugContext* d) override {
    return Synced([&] { return FSDirectoryWrapper::Fsync(o, d); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& o, IODebugContext* d,
                               const rocksdb::DirFsyncOptions& options) override {
    return Synced([&] { return FSDirectoryWrapper::FsyncWithDirOptions(o, d, options); });
  }

 private:
  template <class Work>
  IOStatus Synced(const Work& work) {
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(path_); !refused.ok()) return refused;
    const IOStatus status = work();
    if (!status.ok()) return status;
    for (const Change& change : state_->changes[path_]) state_->Forget(change);
    state_->changes[path_].clear();
    return status;
  }

  const std::shared_ptr<State> state_;
  const std::string path_;
};

}  // namespace

class FaultDisk::Files final : public rocksdb::FileSystemWrapper {
 public:
  explicit Files(std::shared_ptr<State> state)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), state_(std::move(state)) {}

  const char* Name() const override { return "BaiwanFaultDisk"; }

  IOStatus NewWritableFile(const std::string& path, const FileOptions& o,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* d) override {
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(path); !refused.ok()) return refused;
    const std::string grave = state_->Bury(path);
    std::unique_ptr<rocksdb::FSWritableFile> file;
    const IOStatus status = FileSystemWrapper::NewWritableFile(path, o, &file, d);
    if (!status.ok()) return status;
    auto tracked = std::make_shared<File>();
    tracked->wal = fs::path(path).extension() == ".log";
    state_->files[path] = tracked;
    Changed({Change::Kind::kCreated, path, {}, grave});
    *result = std::make_unique<FaultFile<State>>(std::move(file), state_, std::move(tracked), path);
    return status;
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions&,
                              std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported(path, "not tracked");
  }
  IOStatus ReuseWritableFile(const std::string& path, const std::string&, const FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported(path, "not tracked");
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& o,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext* d) override {
    std::unique_ptr<rocksdb::FSDirectory> folder;
    const IOStatus status = FileSystemWrapper::NewDirectory(path, o, &folder, d);
    if (!status.ok()) return status;
    *result =
        std::make_unique<FaultFolder<State>>(std::move(folder), state_, FolderOf(path + "/entry"));
    return status;
  }
  IOStatus DeleteFile(const std::string& path, const IOOptions& o, IODebugContext* d) override {
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(path); !refused.ok()) return refused;
    const std::string grave = state_->Bury(path);
    if (grave.empty()) return FileSystemWrapper::DeleteFile(path, o, d);  // says what is wrong
    Changed({Change::Kind::kDeleted, path, {}, grave});
    return IOStatus::OK();
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& o,
                      IODebugContext* d) override {
    const std::lock_guard lock(state_->mutex);
    if (auto refused = state_->Refusal(from); !refused.ok()) return refused;
    std::error_code ignored;
    if (!fs::exists(from, ignored)) return FileSystemWrapper::RenameFile(from, to, o, d);
    const std::string grave = state_->Bury(to);
    state_->Move(from, to);
    Changed({Change::Kind::kRenamed, from, to, grave});
    return IOStatus::OK();
  }

 private:
  void Changed(Change change) {
    state_->changes[FolderOf(change.path)].push_back(std::move(change));
  }

  const std::shared_ptr<State> state_;
};

FaultDisk::FaultDisk(std::string graveyard) : state_(std::make_shared<State>()) {
  state_->graveyard = std::move(graveyard);
  env_ = rocksdb::NewCompositeEnv(std::make_shared<Files>(state_));
}

FaultDisk::~FaultDisk() = default;

rocksdb::Env* FaultDisk::env() { return env_.get(); }

void FaultDisk::SetError(int error) {
  const std::lock_guard lock(state_->mutex);
  state_->error = error;
}

void FaultDisk::PowerOff() {
  const std::lock_guard lock(state_->mutex);
  state_->off = true;
}

void FaultDisk::PowerOffBeforeNextLogSync() {
  const std::lock_guard lock(state_->mutex);
  state_->off_after_wal_write = true;
}

bool FaultDisk::off() const {
  const std::lock_guard lock(state_->mutex);
  return state_->off;
}

void FaultDisk::LoseUnsynced(Rng& rng) {
  const std::lock_guard lock(state_->mutex);
  for (auto& [path, file] : state_->files) {
    if (file->size == file->synced) continue;
    const std::uint64_t unsynced = file->size - file->synced;
    const std::uint64_t kept = rng.Chance(0.5) ? 0 : rng.Below(unsynced + 1);
    file->size = file->synced = file->synced + kept;
    state_->lost_bytes += unsynced - kept;
    if (::truncate(path.c_str(), static_cast<off_t>(file->size)) != 0) std::perror("truncate");
  }
  for (auto& [folder, changes] : state_->changes) {
    const std::size_t kept = rng.Below(changes.size() + 1);
    while (changes.size() > kept) {
      state_->Undo(changes.back());
      changes.pop_back();
    }
    for (const Change& change : changes) state_->Forget(change);
    changes.clear();
  }
  state_->off = state_->off_after_wal_write = false;
}

std::uint64_t FaultDisk::wal_syncs() const {
  const std::lock_guard lock(state_->mutex);
  return state_->wal_syncs;
}

std::uint64_t FaultDisk::unsynced_wal_bytes() const {
  const std::lock_guard lock(state_->mutex);
  std::uint64_t bytes = 0;
  for (const auto& [path, file] : state_->files) {
    if (file->wal) bytes += file->size - file->synced;
  }
  return bytes;
}

std::uint64_t FaultDisk::lost_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lost_bytes;
}

std::uint64_t FaultDisk::lost_entries() const {
  const std::lock_guard lock(state_->mutex);
  return state_->lost_entries;
}

}  // namespace baiwan::store::testing
