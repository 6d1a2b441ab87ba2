#include "verify/stopped_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/file.h"

namespace baiwan::verify {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 3> kNames = {"meta", "log", "snap"};
constexpr std::size_t kCacheBytes = 8 << 20;
constexpr std::size_t kReadahead = 2 << 20;

rocksdb::Slice ToSlice(std::string_view v) { return {v.data(), v.size()}; }

// RocksDB's own diary would be written into the store's folder.
class NoDiary final : public rocksdb::Logger {
 public:
  NoDiary() : rocksdb::Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

class RocksStore final : public StoppedStore {
 public:
  RocksStore(std::string path, std::unique_ptr<rocksdb::DB> db,
             std::vector<rocksdb::ColumnFamilyHandle*> spaces)
      : path_(std::move(path)), db_(std::move(db)), spaces_(std::move(spaces)) {}
  ~RocksStore() override {
    for (rocksdb::ColumnFamilyHandle* space : spaces_) db_->DestroyColumnFamilyHandle(space);
  }

  std::optional<std::string> Scan(Space space, std::string_view from, std::string_view to,
                                  const Each& each) const override {
    const rocksdb::Slice end = ToSlice(to);
    rocksdb::ReadOptions read = Options();
    if (!to.empty()) read.iterate_upper_bound = &end;
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(read, Handle(space)));
    for (it->Seek(ToSlice(from)); it->Valid(); it->Next()) {
      if (!each(it->key().ToStringView(), it->value().ToStringView())) break;
    }
    return ErrorOf(it->status());
  }

  std::optional<std::string> ScanBack(Space space, std::string_view to,
                                      const Each& each) const override {
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(Options(), Handle(space)));
    it->SeekForPrev(ToSlice(to));
    while (it->Valid() && it->key().compare(ToSlice(to)) >= 0) it->Prev();
    for (; it->Valid(); it->Prev()) {
      if (!each(it->key().ToStringView(), it->value().ToStringView())) break;
    }
    return ErrorOf(it->status());
  }

  Result<bool, std::string> Get(Space space, std::string_view key,
                                std::string* value) const override {
    const rocksdb::Status got = db_->Get({}, Handle(space), ToSlice(key), value);
    if (got.ok()) return true;
    if (got.IsNotFound()) return false;
    return *ErrorOf(got);
  }

 private:
  static rocksdb::ReadOptions Options() {
    rocksdb::ReadOptions read;
    read.fill_cache = false;
    read.readahead_size = kReadahead;
    return read;
  }
  rocksdb::ColumnFamilyHandle* Handle(Space space) const {
    return spaces_[static_cast<std::size_t>(space)];
  }
  std::optional<std::string> ErrorOf(const rocksdb::Status& status) const {
    if (status.ok()) return std::nullopt;
    return fmt::format("store {} does not read back: {}", path_, status.ToString());
  }

  const std::string path_;
  const std::unique_ptr<rocksdb::DB> db_;
  const std::vector<rocksdb::ColumnFamilyHandle*> spaces_;
};

// Whether a process holds RocksDB's lock.
bool InUse(const std::string& path) {
  const UniqueFd fd(::open((path + "/LOCK").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd.get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

rocksdb::DBOptions DatabaseOptions() {
  rocksdb::DBOptions options;
  options.info_log = std::make_shared<NoDiary>();
  options.paranoid_checks = true;
  // An unfinished record at the very end is what a crash leaves; anything else is damage.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.max_open_files = 256;
  return options;
}

}  // namespace

Result<std::unique_ptr<StoppedStore>, std::string> StoppedStore::Open(const std::string& path) {
  std::error_code ignored;
  if (!fs::exists(path + "/CURRENT", ignored)) {
    return fmt::format("there is no store in {}: give the folder that a cell was started with",
                       path);
  }
  if (InUse(path)) {
    return fmt::format("store {} is open in another process: stop that first", path);
  }
  const rocksdb::DBOptions options = DatabaseOptions();
  std::vector<std::string> there;
  rocksdb::Status status = rocksdb::DB::ListColumnFamilies(options, path, &there);
  if (!status.ok()) return fmt::format("store {} cannot be opened: {}", path, status.ToString());
  rocksdb::ColumnFamilyOptions family;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kCacheBytes);
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : kNames) {
    if (std::find(there.begin(), there.end(), name) == there.end()) {
      return fmt::format("store {} has no space \"{}\": this is not a store, or a damaged one",
                         path, name);
    }
    families.emplace_back(name, family);
  }
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  for (const std::string& name : there) {
    if (std::none_of(families.begin(), families.end(),
                     [&](const auto& known) { return known.name == name; })) {
      return fmt::format(
          "store {} has a space \"{}\", which this program does not know: it was written by a "
          "newer one",
          path, name);
    }
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  status = rocksdb::DB::OpenForReadOnly(options, path, families, &handles, &db);
  if (!status.ok()) return fmt::format("store {} cannot be opened: {}", path, status.ToString());
  return std::unique_ptr<StoppedStore>(
      std::make_unique<RocksStore>(path, std::unique_ptr<rocksdb::DB>(db), std::move(handles)));
}

std::uint64_t BytesOnDisk(const std::string& path) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    if (it->is_regular_file(gone)) bytes += it->file_size(gone);
  }
  return bytes;
}

}  // namespace baiwan::verify
