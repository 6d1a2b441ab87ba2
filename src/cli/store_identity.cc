#include "cli/store_identity.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/fatal.h"
#include "cli/cell_loop.h"

namespace baiwan::cli {
namespace {

// The settings that a store was made with and that must stay, "cell.partitions = 256" each.
std::string WayBack(const store::StoreIdentity& stored, const store::StoreIdentity& ours) {
  std::string ways;
  const auto add = [&ways](const std::string& way) {
    ways += fmt::format("{}{}", ways.empty() ? "" : ", ", way);
  };
  if (stored.partitions != 0) {
    if (stored.deployment != ours.deployment) {
      add(fmt::format("deployment.name = {}", stored.deployment));
    }
    if (stored.cells != ours.cells) add(fmt::format("cell.cells = {}", stored.cells));
    if (stored.partitions != ours.partitions) {
      add(fmt::format("cell.partitions = {}", stored.partitions));
    }
  }
  if (stored.streams != ours.streams) {
    add("cell.first, cell.count and process.loops as they were when it was made");
  } else if (ways.empty()) {
    add("cell.cells and cell.partitions as they were when it was made");
  }
  return ways;
}

}  // namespace

store::StoreIdentity StoreIdentityOf(const Config& config, std::int64_t loop) {
  store::StoreIdentity ours;
  ours.deployment = config.string("deployment.name");
  ours.cells = static_cast<std::uint32_t>(config.integer("cell.cells"));
  ours.partitions = static_cast<std::uint32_t>(config.integer("cell.partitions"));
  const std::int64_t first = config.integer("cell.first");
  for (std::int64_t k = 0; k < config.integer("cell.count"); ++k) {
    const auto cell = static_cast<CellId>(first + k);
    if (LoopOf(config, cell) == loop) ours.streams[StreamOf(cell)] = cell;
  }
  return ours;
}

bool IsStore(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder + "/CURRENT", ignored);
}

std::optional<std::string> StoreElsewhere(const Config& config) {
  if (config.choice("store.engine") == "memory") return std::nullopt;
  const std::string& path = config.string("store.path");
  const std::int64_t loops = config.integer("process.loops");
  std::int64_t stored = IsStore(path) ? 1 : 0;
  if (stored == 0) {
    while (IsStore(fmt::format("{}/loop-{}", path, stored))) ++stored;
    // With fewer folders than loops each store says itself which cells it was made for.
    if (stored == 0 || (loops > 1 && stored <= loops)) return std::nullopt;
  } else if (loops == 1) {
    return std::nullopt;
  }
  return fmt::format(
      "the store in {} was made with process.loops = {}, but process.loops is {}, and it would not "
      "be found: set process.loops = {}, or give another store.path",
      path, stored, loops, stored);
}

Result<std::uint64_t, std::string> IdentifyStore(store::Kv& kv, const Config& config,
                                                 std::int64_t loop, const std::string& path,
                                                 Log& log) {
  using Answer = Result<std::uint64_t, std::string>;
  const store::StoreIdentity ours = StoreIdentityOf(config, loop);
  const placement::PlacementTable table = TableOf(config);
  const auto holds = [&](PartitionId partition) {
    if (partition >= table.partitions()) return false;
    const CellId owner = table.OwnerOf(partition);
    return std::any_of(ours.streams.begin(), ours.streams.end(),
                       [owner](const auto& stream) { return stream.second == owner; });
  };
  const auto found = store::Identify(kv, ours, holds, RandomId());
  if (!found) {
    return Answer::Failure(
        fmt::format("the store {} cannot be read: {}", path, Message(found.error())));
  }
  if (!found->ours) {
    return Answer::Failure(fmt::format(
        "the store {} is {}, but the settings are {}: set {}, or give another store.path", path,
        found->stored.ToString(), ours.ToString(), WayBack(found->stored, ours)));
  }
  if (found->adopted) {
    log.Warn("store {}: of a format that does not say whose it is; from now on it is {}", path,
             ours.ToString());
  }
  return found->life;
}

std::string Disowned(const std::string& path, CellId cell, const std::string& why) {
  std::string words = why;
  const nlohmann::json answer = nlohmann::json::parse(why, nullptr, false);
  if (answer.is_object() && answer.contains("message") && answer["message"].is_string()) {
    words = answer["message"].get<std::string>();
  }
  return fmt::format(
      "the registry does not let the store {} be served for cell {}: {}; serve the store that was "
      "served before, or, if that is gone for good and this one was put back from a copy, stop "
      "whoever serves the cell and run: baiwan restore --store {}",
      path, cell, words, path);
}

std::uint64_t RandomId() {
  std::uint64_t number = 0;
  if (getrandom(&number, sizeof number, 0) != sizeof number) {
    ProcessFatal().Die("the system gives no random numbers");
  }
  return (number >> 11) | 1;
}

}  // namespace baiwan::cli
