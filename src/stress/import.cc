#include "stress/import.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::stress {
namespace {

std::optional<std::string> RefuseIfUsed(store::Kv& kv) {
  bool used = false;
  const auto first = [&used](std::string_view, std::string_view) {
    used = true;
    return false;
  };
  const store::KvError error = kv.ScanNow(store::Space::kSnap, "", "", first);
  if (error != store::KvError::kNone) {
    return fmt::format("the store cannot be read: {}", store::Message(error));
  }
  if (used) return "the store has users already: import into an empty one, or say --over-existing";
  return std::nullopt;
}

}  // namespace

wire::UserRecord RecordOf(const CellGraph& graph, std::size_t index) {
  wire::UserRecord record;
  record.user = graph.user(index);
  const auto friends = graph.friends(index);
  record.friends.resize(friends.size());
  for (std::size_t i = 0; i < friends.size(); ++i) record.friends[i].id = friends[i];
  return record;
}

std::optional<std::string> ImportUsers(store::Kv& kv, store::Store& store, const CellGraph& graph,
                                       const placement::PlacementTable& table,
                                       const ImportOptions& options,
                                       const ImportProgress& progress) {
  if (!options.over_existing) {
    if (auto wrong = RefuseIfUsed(kv)) return wrong;
  }
  const std::size_t total = graph.users();
  std::vector<std::pair<PartitionId, wire::UserRecord>> batch;
  for (std::size_t i = 0; i < total;) {
    const std::size_t end = std::min(total, i + std::max<std::size_t>(options.batch_users, 1));
    batch.clear();
    for (; i < end; ++i) {
      batch.emplace_back(table.PartitionOf(graph.user(i)), RecordOf(graph, i));
    }
    const store::StoreError error = store.ImportNow(batch);
    if (error != store::StoreError{}) {
      return fmt::format("after {} of {} users the store failed: {}", i - batch.size(), total,
                         store::Message(error));
    }
    if (progress) progress(i, total);
  }
  return std::nullopt;
}

}  // namespace baiwan::stress
