// One event loop of a serving process: its key-value store, and the cells that live on it. Each
// cell has a commit stream of its own in it (whose number is the cell's), so that checkpoints and
// recovery are the cell's own business, while what all of them commit at a time shares one write
// and one sync.
//
// Threads: everything on the thread of the loop that it was made on. Failure: a sentence. Stop
// drains every cell, then calls back.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/node_context.h"
#include "cell/host.h"
#include "cli/descriptors.h"
#include "cli/memory_shares.h"
#include "cli/runtime.h"
#include "monitor/host_facts.h"
#include "placement/placement.h"
#include "store/engine/memory_kv.h"
#include "store/log/identity.h"
#include "store/log/store.h"

namespace baiwan::cli {

// Of the process that `config` describes: where loop number `loop` keeps its store.
std::string StorePathOf(const Config& config, std::int64_t loop);
// The loop that serves a cell.
std::int64_t LoopOf(const Config& config, CellId cell);
// The commit stream of a cell in its store.
std::uint16_t StreamOf(CellId cell);
bool HasRole(const Config& config, const std::string& role);
std::string ProcessName(const Config& config);
placement::PlacementTable TableOf(const Config& config);

// Of descriptors and memory, of the whole process.
struct Shares {
  DescriptorShares descriptors;
  MemoryShares memory;
};

class CellLoop {
 public:
  // Runs the loop until the registry has said whether the stores may be served.
  static Result<std::unique_ptr<CellLoop>, std::string> Create(Runtime& runtime,
                                                               const Config& config,
                                                               const std::string& secret,
                                                               const Shares& shares,
                                                               std::int64_t loop);
  ~CellLoop();

  void Stop(std::function<void()> done);
  // Where its cells can be asked, "host:port" each.
  std::vector<std::string> addresses() const;

 private:
  CellLoop(NodeContext& node, const Config& config, const Shares& shares)
      : node_(node), table_(TableOf(config)), shares_(shares) {}
  Result<bool, std::string> OpenKv(const Config& config, const std::string& path,
                                   std::int64_t loop);
  Result<std::unique_ptr<store::Store>, std::string> OpenStream(const Config& config,
                                                                const std::string& path,
                                                                CellId cell);

  Result<bool, std::string> ClaimCells(Runtime& runtime, const Config& config,
                                       const std::string& secret, const std::string& path);
  registry::StoreClaim ClaimOf(std::size_t which) const;
  Result<bool, std::string> StartHost(const Config& config, const std::string& secret,
                                      const std::string& path, std::size_t which);

  NodeContext& node_;
  placement::PlacementTable table_;
  const Shares shares_;
  store::MemoryDisk memory_;
  std::unique_ptr<store::Kv> kv_;
  std::uint64_t life_ = 0;  // of the store
  store::Opening opening_;
  bool held_ = false;          // the registry has granted this opening its cells
  std::size_t granted_ = 0;    // else: how many of them since
  std::vector<CellId> cells_;  // of this loop
  std::vector<std::unique_ptr<store::Store>> stores_;  // of `cells_`, if they have a logic server
  std::unique_ptr<monitor::HostMetrics> host_metrics_;
  std::vector<std::unique_ptr<cell::CellHost>> hosts_;
  std::size_t stopped_ = 0;
};

}  // namespace baiwan::cli
