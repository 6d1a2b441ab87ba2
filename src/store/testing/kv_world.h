// Where a Kv lives, for suites that every engine must pass: something that stays when the engine
// goes, so that a test can close, crash and open again.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/testing/temp_folder.h"
#include "store/engine/memory_kv.h"
#include "store/engine/rocksdb_kv.h"
#include "store/testing/test_loop.h"

namespace baiwan::store::testing {

class KvWorld {
 public:
  virtual ~KvWorld() = default;
  virtual Result<std::unique_ptr<Kv>, KvError> Open(Loop* loop) = 0;
};

class MemoryWorld final : public KvWorld {
 public:
  Result<std::unique_ptr<Kv>, KvError> Open(Loop* loop) override {
    return OpenMemoryKv(disk_, {}, loop);
  }
  MemoryDisk& disk() { return disk_; }

 private:
  MemoryDisk disk_;
};

class RocksWorld final : public KvWorld {
 public:
  Result<std::unique_ptr<Kv>, KvError> Open(Loop* loop) override {
    return OpenRocksDb(path(), options, loop, NoLog());
  }
  std::string path() const { return folder_.path() + "/store"; }

  RocksDbOptions options;

 private:
  TempFolder folder_;
};

// One engine, as a parameter of a suite.
struct Engine {
  const char* name;
  std::unique_ptr<KvWorld> (*make)();

  friend std::ostream& operator<<(std::ostream& out, const Engine& e) { return out << e.name; }
};
inline const Engine kEngines[] = {
    {"Memory", [] { return std::unique_ptr<KvWorld>(std::make_unique<MemoryWorld>()); }},
    {"RocksDb", [] { return std::unique_ptr<KvWorld>(std::make_unique<RocksWorld>()); }},
};

}  // namespace baiwan::store::testing
