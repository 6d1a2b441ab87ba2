// process.memory, shared out before anything is held: the program with its loops, its stores, and
// what gathers for commits. What is left is for users, connections and links, which charge what
// they hold.
//
// RocksDB allocates for itself and knows no budget, so its parts are made small enough beforehand
// and charged in full. What is set (store.write_buffer, store.cache) is what they get at most.
//
// Threads: any; pure. Failure: a sentence that names what is needed.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"
#include "base/result.h"
#include "net/transport.h"
#include "store/engine/rocksdb_kv.h"

namespace baiwan::cli {

struct MemoryShares {
  std::uint64_t limit = 0;
  std::uint64_t program = 0;       // code, threads, and the loops' buffers
  std::uint64_t loop = 0;          // of this, one loop's buffers
  std::uint64_t stores = 0;        // all of them, what they keep of the newest blocks included
  std::uint64_t cache = 0;         // of one store
  std::uint64_t write_buffer = 0;  // likewise; there are four
  std::uint64_t recent = 0;        // newest blocks, of one cell
  std::uint64_t batch = 0;         // what one commit of a cell may hold

  std::string ToString() const;
  void Bound(net::LoopOptions* loop_options) const;
  void Bound(store::RocksDbOptions* rocksdb) const;
};

// Of a process that serves cells as `config` says.
Result<MemoryShares, std::string> ShareMemory(const Config& config);
// Of any other one: no stores, one loop.
MemoryShares ShareMemory(std::uint64_t limit);

}  // namespace baiwan::cli
