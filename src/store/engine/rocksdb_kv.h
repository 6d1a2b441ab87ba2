// The Kv on disk, with RocksDB.
//
// One thread commits: everything that was queued while it wrote becomes one write batch with one
// sync, so the price of a sync is shared by whoever came meanwhile. One thread reads. Completions
// go back to the loop with one Post for each group.
//
// Threads: the Kv belongs to the loop's thread; its own threads are invisible. The loop outlives
// it. Without a loop no thread is started and only the blocking functions do work in the
// background's stead: Commit and Get then call back at once.
//
// Failure: what RocksDB says goes to the log in full, and to the caller as a KvError. A write or
// sync that fails poisons the engine. Destroying it waits for the group being written, drops what
// is queued without calling back, and flushes nothing.
//
// Damage: RocksDB's records and blocks carry checksums. A flipped bit in a write-ahead log or a
// table makes opening or reading fail with kCorrupt; only a write-ahead log's very end may be torn,
// as a crash leaves it, and is then cut there.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/loop.h"
#include "base/result.h"
#include "store/engine/kv.h"

namespace baiwan::store {

struct RocksDbOptions {
  // One memory table; of log and snap there are at most two each, one filling and one being
  // written out. So memory is bounded by 4 of these, the cache, and the table readers.
  std::size_t write_buffer_bytes = 64 << 20;
  std::size_t cache_bytes = 32 << 20;      // blocks, indices and filters of all spaces
  std::size_t max_wal_bytes = 256 << 20;   // write-ahead logs kept before tables are written out
  std::size_t max_group_bytes = 16 << 20;  // queued commits that share one write and sync
  int background_jobs = 2;                 // flushes and compactions at a time
  int max_open_files = 256;                // tables; 40 more descriptors do for the rest
};

// Opens or makes the store in folder `path` (and the folders above it). `loop` may be null: see
// above. kLocked, kReadOnly, kNoSpace, kCorrupt, kVersion or kIo.
Result<std::unique_ptr<Kv>, KvError> OpenRocksDb(const std::string& path,
                                                 const RocksDbOptions& options, Loop* loop,
                                                 Log& log);

}  // namespace baiwan::store
