// Where the registry keeps the placement table, so that an epoch that was once told never returns.
//
// A seam: a file for real, something that forgets or fails in tests. Threads: the registry's.
// Failure: a sentence; what could not be saved must not be told to anybody.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "placement/placement.h"

namespace baiwan::registry {

class PlacementStore {
 public:
  virtual ~PlacementStore() = default;
  // The encoded table; empty if none was ever saved.
  virtual Result<std::string, std::string> Load() = 0;
  // Durable when it returns. The error, or nothing.
  virtual std::optional<std::string> Save(const std::string& encoded) = 0;
};

// A file that is replaced as a whole, synced. Blocks: tables change by hand, and rarely.
class FilePlacementStore final : public PlacementStore {
 public:
  explicit FilePlacementStore(std::string path) : path_(std::move(path)) {}
  Result<std::string, std::string> Load() override;
  std::optional<std::string> Save(const std::string& encoded) override;

 private:
  const std::string path_;
};

// The table to start with: what was saved, or, the first time, `configured`, which is saved then.
// Refused: a saved table that cannot be read, or is for another number of cells or partitions.
Result<placement::PlacementTable, std::string> StartingTable(
    PlacementStore& store, const placement::PlacementTable& configured);

}  // namespace baiwan::registry
