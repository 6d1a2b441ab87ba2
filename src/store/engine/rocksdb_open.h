// What the RocksDB engine's parts know of each other, and what only its tests may ask for.
#pragma once

#include "store/engine/rocksdb_kv.h"

namespace rocksdb {
class Env;
}

namespace baiwan::store::internal {

struct RocksDbHooks {
  rocksdb::Env* env = nullptr;  // where files live; null: the machine's file system
  bool sync = true;             // false breaks the promise of Kv: to show that its test sees that
};

Result<std::unique_ptr<Kv>, KvError> OpenRocksDbWith(const std::string& path,
                                                     const RocksDbOptions& options, Loop* loop,
                                                     Log& log, const RocksDbHooks& hooks);

}  // namespace baiwan::store::internal
