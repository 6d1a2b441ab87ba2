#include "store/engine/rocksdb_files.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "store/engine/wal_tail.h"

namespace baiwan::store::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, kSpaces> kNames = {"meta", "log", "snap"};

KvError FromErrno(int error) {
  switch (error) {
    case 0:
      return KvError::kNone;
    case ENOSPC:
    case EDQUOT:
      return KvError::kNoSpace;
    case EROFS:
    case EACCES:
    case EPERM:
      return KvError::kReadOnly;
    default:
      return KvError::kIo;
  }
}

// A new folder survives a crash only once the folder above it is synced; RocksDB syncs inside its
// own folder only.
int MakeFolder(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return 0;
  const fs::path parent = path.parent_path();
  if (!parent.empty() && parent != path) {
    if (const int failed = MakeFolder(parent); failed != 0) return failed;
  }
  if (!fs::create_directory(path, error) && error) return error.value();
  const int fd = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int failed = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return failed;
}

bool HasLz4() {
  const auto all = rocksdb::GetSupportedCompressions();
  return std::find(all.begin(), all.end(), rocksdb::kLZ4Compression) != all.end();
}

// What holds for the whole database. Where RocksDB's default is already right but matters, it is
// stated all the same.
rocksdb::DBOptions DatabaseOptions(const RocksDbOptions& options, const RocksDbHooks& hooks) {
  rocksdb::DBOptions db;
  if (hooks.env != nullptr) db.env = hooks.env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.paranoid_checks = true;
  // The write-ahead log. The default mode would open silently with every commit after a flipped bit
  // gone; this one forgives only what a crash can leave, an unfinished record at the very end. The
  // manifest remembers closed logs and their sizes, so that a missing or short one is noticed.
  // Recycled files would make old records look like a torn tail.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  db.track_and_verify_wals_in_manifest = true;
  db.recycle_log_file_num = 0;
  db.max_total_wal_size = options.max_wal_bytes;
  // Closing writes nothing: everything that counts is in the synced log.
  db.avoid_flush_during_shutdown = true;
  // Two cores for everything: no concurrency that one writer cannot use.
  db.allow_concurrent_memtable_write = false;
  db.max_background_jobs = options.background_jobs;
  db.max_open_files = options.max_open_files;
  // Tables reach the disk in steady small steps, so that they do not stand in the way of a sync.
  db.bytes_per_sync = 1 << 20;
  // RocksDB's own diary, kept small.
  db.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  db.max_log_file_size = 1 << 20;
  db.keep_log_file_num = 2;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

rocksdb::ColumnFamilyOptions SpaceOptions(Space space, const RocksDbOptions& options,
                                          const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;  // so that the cache's size bounds them too
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions cf;
  cf.compression = rocksdb::kNoCompression;
  cf.write_buffer_size = options.write_buffer_bytes;
  cf.max_write_buffer_number = 2;
  cf.target_file_size_base = options.write_buffer_bytes;
  switch (space) {
    case Space::kMeta:
      cf.write_buffer_size = 1 << 20;
      break;
    case Space::kLog:
      // Keys only rise, so tables do not overlap and mostly move down without being rewritten; a
      // wide first level keeps even those that do from being rewritten often. Blocks are 4 KiB
      // already and are read by exact key: no filter is needed for keys that are there.
      cf.max_bytes_for_level_base = 8 * options.write_buffer_bytes;
      table.block_size = 16 << 10;
      break;
    case Space::kSnap:
      // Rewritten again and again, in random order, and asked for users that do not exist.
      table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
      if (HasLz4()) cf.compression = rocksdb::kLZ4Compression;
      break;
  }
  cf.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return cf;
}

}  // namespace

KvError ToKvError(const rocksdb::Status& status) {
  if (status.ok()) return KvError::kNone;
  if (status.IsNotFound()) return KvError::kNotFound;
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit)
    return KvError::kNoSpace;
  if (status.IsCorruption()) return KvError::kCorrupt;
  if (status.IsNotSupported()) return KvError::kVersion;
  // RocksDB keeps the cause of an input/output error only as text.
  const std::string text = status.ToString();
  const auto says = [&](const char* words) { return text.find(words) != std::string::npos; };
  if (says("lock hold by current process") || says("While lock file")) {
    return says("Permission denied") ? KvError::kReadOnly : KvError::kLocked;
  }
  // A column family that this program does not know.
  if (says("Column families not opened")) return KvError::kVersion;
  for (const int error : {EROFS, EACCES, EPERM, ENOSPC, EDQUOT}) {
    if (says(std::generic_category().message(error).c_str())) return FromErrno(error);
  }
  return KvError::kIo;
}

OpenFiles::~OpenFiles() {
  if (!db) return;
  for (rocksdb::ColumnFamilyHandle* handle : spaces) db->DestroyColumnFamilyHandle(handle);
  db->DestroyColumnFamilyHandle(fallback);
}

Result<OpenFiles, KvError> OpenRocksDbFiles(const std::string& path, const RocksDbOptions& options,
                                            const RocksDbHooks& hooks, Log& log) {
  if (const int failed = MakeFolder(fs::path(path).lexically_normal()); failed != 0) {
    log.Error("store {}: making the folder: {}", path, std::generic_category().message(failed));
    return FromErrno(failed);
  }
  if (const std::string damaged = FindDamagedWal(path); !damaged.empty()) {
    log.Error("store {}: the last records of {} are damaged, not torn", path, damaged);
    return KvError::kCorrupt;
  }
  const auto cache = rocksdb::NewLRUCache(options.cache_bytes);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (std::size_t i = 0; i < kSpaces; ++i) {
    families.emplace_back(kNames[i], SpaceOptions(static_cast<Space>(i), options, cache));
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName,
                        SpaceOptions(Space::kMeta, options, cache));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const auto status =
      rocksdb::DB::Open(DatabaseOptions(options, hooks), path, families, &handles, &db);
  if (!status.ok()) {
    log.Error("store {}: opening: {}", path, status.ToString());
    return ToKvError(status);
  }
  OpenFiles files;
  files.db.reset(db);
  std::copy_n(handles.begin(), kSpaces, files.spaces.begin());
  files.fallback = handles[kSpaces];
  return files;
}

}  // namespace baiwan::store::internal
