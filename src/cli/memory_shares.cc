#include "cli/memory_shares.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "cli/cell_loop.h"

namespace baiwan::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kProgram = 20 * kMiB;  // resident without having done anything, about
constexpr std::uint64_t kOfLoop = 2 * kMiB;    // rings, stacks, tables of descriptors
constexpr std::uint64_t kOfStore = 5 * kMiB;  // two small memory tables, table readers, compactions
constexpr std::uint64_t kBatches = 2;         // gathering and under way, at the least
constexpr std::uint64_t kLeastBatch = 256 << 10;
constexpr std::uint64_t kMostBatch = 16 * kMiB;
constexpr std::uint64_t kMostRecent = 4 * kMiB;
constexpr std::uint64_t kMostLoop = 32 * kMiB;

struct Needs {
  std::uint64_t loops = 1;
  std::uint64_t cells = 0;   // with a logic server
  std::uint64_t stores = 0;  // on disk
  std::uint64_t write_buffer = 0;
  std::uint64_t cache = 0;
};

MemoryShares Share(std::uint64_t limit, const Needs& n) {
  MemoryShares s;
  s.limit = limit;
  s.loop = std::clamp(limit / 16 / n.loops, 2 * kMiB, kMostLoop);
  s.program = kProgram + n.loops * (kOfLoop + s.loop);
  if (n.cells > 0) {
    s.recent = std::clamp(limit / 32 / n.cells, kLeastBatch, kMostRecent);
    s.batch = std::clamp(limit / 32 / n.cells, kLeastBatch, kMostBatch);
    s.stores = n.cells * s.recent;
  }
  if (n.stores > 0) {
    const std::uint64_t each = std::max(limit / 5 / n.stores, kOfStore + 5 * kMiB);
    s.cache = std::min(n.cache, std::max(each / 5, kMiB));
    s.write_buffer = std::min(n.write_buffer, std::max((each - kOfStore - s.cache) / 4, kMiB));
    s.stores += n.stores * (s.cache + 4 * s.write_buffer + kOfStore);
  }
  return s;
}

bool Fits(const MemoryShares& s, const Needs& n) {
  return s.program + s.stores + kBatches * n.cells * s.batch <= s.limit / 4 * 3;
}

std::uint64_t MiB(std::uint64_t bytes) { return (bytes + kMiB - 1) / kMiB; }

}  // namespace

std::string MemoryShares::ToString() const {
  std::string text =
      fmt::format("of {} of memory {} MiB are for the program", FormatBytes(limit), MiB(program));
  if (stores > 0) text += fmt::format(" and {} MiB for what stores keep", MiB(stores));
  if (write_buffer > 0) {
    text += fmt::format(" (each has 4 memory tables of {} MiB and a cache of {} MiB)",
                        MiB(write_buffer), MiB(cache));
  }
  return text;
}

void MemoryShares::Bound(net::LoopOptions* options) const {
  const auto buffers = static_cast<std::uint32_t>(loop / 2 / options->buffer_bytes);
  options->buffers = std::min(options->buffers, buffers);
  options->spare_bytes = std::min<std::size_t>(options->spare_bytes, loop / 2);
}

void MemoryShares::Bound(store::RocksDbOptions* rocksdb) const {
  rocksdb->write_buffer_bytes = write_buffer;
  rocksdb->cache_bytes = cache;
  rocksdb->max_group_bytes = std::min<std::size_t>(rocksdb->max_group_bytes, write_buffer);
}

Result<MemoryShares, std::string> ShareMemory(const Config& config) {
  Needs needs;
  needs.loops = static_cast<std::uint64_t>(config.integer("process.loops"));
  if (HasRole(config, "logic")) {
    needs.cells = static_cast<std::uint64_t>(config.integer("cell.count"));
    const bool on_disk = config.choice("store.engine") == "rocksdb";
    needs.stores = on_disk ? std::min(needs.loops, needs.cells) : 0;
  }
  needs.write_buffer = config.bytes("store.write_buffer");
  needs.cache = config.bytes("store.cache");
  const MemoryShares shares = Share(config.bytes("process.memory"), needs);
  if (Fits(shares, needs)) return shares;
  std::uint64_t enough = shares.limit / kMiB * kMiB;
  do enough += 8 * kMiB;
  while (!Fits(Share(enough, needs), needs));
  return fmt::format(
      "process.memory = {} is too little: the program takes {} MiB, its {} stores {} MiB, and {} "
      "cells need room for commits and users; set at least {}MiB, or fewer loops or cells",
      FormatBytes(shares.limit), MiB(shares.program), needs.stores, MiB(shares.stores), needs.cells,
      enough / kMiB);
}

MemoryShares ShareMemory(std::uint64_t limit) { return Share(limit, {}); }

}  // namespace baiwan::cli
