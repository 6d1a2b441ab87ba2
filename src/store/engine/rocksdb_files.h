// How a RocksDB store is laid out and opened: column families, options, and its errors as ours.
//
// Private to the engine: it shows RocksDB's headers.
#pragma once

#include <rocksdb/db.h>

#include <array>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "store/engine/kv.h"
#include "store/engine/rocksdb_open.h"

namespace baiwan::store::internal {

KvError ToKvError(const rocksdb::Status& status);

// An open database with a column family for each Space. Closing is destroying.
struct OpenFiles {
  std::unique_ptr<rocksdb::DB> db;
  std::array<rocksdb::ColumnFamilyHandle*, kSpaces> spaces{};
  rocksdb::ColumnFamilyHandle* fallback = nullptr;  // RocksDB insists on "default"; unused

  rocksdb::ColumnFamilyHandle* space(Space s) const { return spaces[static_cast<std::size_t>(s)]; }

  OpenFiles() = default;
  OpenFiles(OpenFiles&&) = default;
  OpenFiles& operator=(OpenFiles&&) = delete;
  ~OpenFiles();
};

Result<OpenFiles, KvError> OpenRocksDbFiles(const std::string& path, const RocksDbOptions& options,
                                            const RocksDbHooks& hooks, Log& log);

}  // namespace baiwan::store::internal
