// Puts a cell's share of a friend graph into its store: one user record each, nothing sent or
// received yet.
//
// Threads: one; blocks, for tools and for the start of a process. Failure: a sentence with the way
// out. Memory: one batch of records at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "placement/placement.h"
#include "store/engine/kv.h"
#include "store/log/store.h"
#include "stress/cell_graph.h"

namespace baiwan::stress {

struct ImportOptions {
  std::size_t batch_users = 1000;  // encoded and committed together
  // Import also into a store that has users. Those that are imported again begin anew, with empty
  // counters: for an import that was interrupted, before anything was sent.
  bool over_existing = false;
};

using ImportProgress = std::function<void(std::size_t users_done, std::size_t users_total)>;

// `kv` is the engine under `store`. `progress` may be empty; else it is called after each batch.
// What is wrong, or nothing once all users are durable.
std::optional<std::string> ImportUsers(store::Kv& kv, store::Store& store, const CellGraph& graph,
                                       const placement::PlacementTable& table,
                                       const ImportOptions& options,
                                       const ImportProgress& progress);

// The record of user `index` of `graph`, as it is imported.
wire::UserRecord RecordOf(const CellGraph& graph, std::size_t index);

}  // namespace baiwan::stress
