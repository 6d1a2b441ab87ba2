#include "registry/placement_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/file.h"

namespace baiwan::registry {

Result<std::string, std::string> FilePlacementStore::Load() {
  if (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT) return std::string();
  return ReadFile(path_);
}

std::optional<std::string> FilePlacementStore::Save(const std::string& encoded) {
  return ReplaceFile(path_, encoded);
}

Result<placement::PlacementTable, std::string> StartingTable(
    PlacementStore& store, const placement::PlacementTable& configured) {
  const auto saved = store.Load();
  if (!saved) return saved.error();
  if (saved->empty()) {
    if (auto error = store.Save(configured.Encode())) return std::move(*error);
    return configured;
  }
  auto table = placement::PlacementTable::Decode(*saved);
  if (!table) {
    return fmt::format("the saved placement table cannot be used: {}; put back a copy of it",
                       placement::Message(table.error()));
  }
  if (table->cells() != configured.cells() || table->partitions() != configured.partitions()) {
    return fmt::format(
        "the saved placement table has {} cells and {} partitions, the configuration {} and {}: "
        "these cannot be changed for a deployment that has data",
        table->cells(), table->partitions(), configured.cells(), configured.partitions());
  }
  return std::move(*table);
}

}  // namespace baiwan::registry
