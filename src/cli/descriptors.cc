#include "cli/descriptors.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "cli/cell_loop.h"

namespace baiwan::cli {
namespace {

constexpr std::uint64_t kProgram = 32;       // standard files, the log, what is read now and then
constexpr std::uint64_t kOfLoop = 8;         // its ring or epoll, its wake-up
constexpr std::uint64_t kOfStore = 40;       // logs, manifest, folders, tables being compacted
constexpr std::uint64_t kMostTables = 256;   // of a store that are kept open …
constexpr std::uint64_t kLeastTables = 24;   // … and what RocksDB cannot do without
constexpr std::uint64_t kQuestions = 8;      // of a cell towards the registry
constexpr std::uint64_t kHandshakes = 32;    // of strangers at a listener for links, at least
constexpr std::uint64_t kRoleLinks = 4;      // of gateway and relay, and of those they replace
constexpr std::uint64_t kLeastClients = 16;  // of a cell
constexpr std::uint64_t kWatchers = 1024;    // of a process without a gateway, most
constexpr std::uint64_t kMostLingering = 1024;
constexpr const char* kMore = "raise the limit (`ulimit -n`, or LimitNOFILE= of its unit)";

std::uint64_t Number(const Config& config, const char* key) {
  return static_cast<std::uint64_t>(config.integer(key));
}

}  // namespace

std::uint64_t DescriptorLimit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 1024;
  // PrepareProcess raises what is in force to what is allowed.
  return files.rlim_max;
}

std::string DescriptorShares::ToString() const {
  std::string store;
  if (tables > 0) {
    store = fmt::format("{} for {} ({} tables each), ", stores * (tables + kOfStore),
                        stores == 1 ? "the store" : fmt::format("{} stores", stores), tables);
  }
  return fmt::format(
      "of {} descriptors {} are for the program, {}{} for links of each cell, and its clients get "
      "{}",
      limit, program, store, dialed + links, clients);
}

std::string DescriptorShares::WayOut() const {
  return fmt::format(
      "gateway.max_connections = {} does not fit: the process may open {} descriptors, which "
      "leaves "
      "{} for the clients of each cell; lower it to that, or {}",
      wanted, limit, clients, kMore);
}

Result<DescriptorShares, std::string> ShareDescriptors(const Config& config, std::uint64_t limit) {
  const std::uint64_t loops = Number(config, "process.loops");
  const std::uint64_t cells = Number(config, "cell.count");
  const std::uint64_t others = Number(config, "cell.cells") - 1;
  const std::uint64_t loop_cells = (cells + loops - 1) / loops;
  const bool gateway = HasRole(config, "gateway");
  const bool logic = HasRole(config, "logic");
  const bool relay = HasRole(config, "relay");
  const std::uint64_t used_loops = std::min(loops, cells);

  DescriptorShares s;
  s.limit = limit;
  s.program = kProgram + kOfLoop * loops;
  s.dialed = kQuestions + (relay ? others : 0) + (logic ? 0 : 1);
  std::uint64_t listeners = 0;
  if (relay) ++listeners;
  if (logic && !(gateway && relay)) ++listeners;
  const std::uint64_t most_handshakes = Number(config, "link.max_handshakes");
  s.handshakes = listeners == 0 ? 0 : std::min(kHandshakes, most_handshakes);
  s.links = listeners == 0 ? 0 : others + others / 2 + kRoleLinks + s.handshakes;
  const std::uint64_t of_cell = s.dialed + listeners * s.links + net::HttpServer::kReserve;
  const bool on_disk = logic && config.choice("store.engine") == "rocksdb";
  s.stores = on_disk ? used_loops : 0;
  s.wanted = gateway ? Number(config, "gateway.max_connections") : 0;
  const std::uint64_t most_clients = gateway ? s.wanted : kWatchers;

  const std::uint64_t least_clients = std::min(kLeastClients, most_clients);
  const std::uint64_t fixed = s.program + s.stores * kOfStore + cells * of_cell;
  const std::uint64_t least = fixed + s.stores * kLeastTables + cells * least_clients;
  if (limit < least) {
    return fmt::format(
        "a process may open {} descriptors here, and this one needs {}: {} for itself, {} for "
        "stores, {} for links and vital questions, {} for clients; {}, or serve fewer cells in it",
        limit, least, s.program, s.stores * (kOfStore + kLeastTables), cells * of_cell,
        cells * least_clients, kMore);
  }
  // Stores may have up to a quarter of what is left for their tables.
  std::uint64_t rest = limit - fixed;
  if (s.stores > 0) {
    s.tables = std::clamp(rest / 4 / s.stores, kLeastTables, kMostTables);
    rest -= s.stores * s.tables;
  }
  // Strangers who dial a port for links may have a little more than the least.
  if (listeners > 0) {
    const std::uint64_t more =
        std::min(most_handshakes - s.handshakes, rest / 16 / (cells * listeners));
    s.handshakes += more;
    s.links += more;
    rest -= cells * listeners * more;
  }
  s.lingering = std::min(kMostLingering, rest / 8 / used_loops);
  s.clients = std::min((rest - used_loops * s.lingering) / cells, most_clients);
  s.accepted =
      loop_cells * (s.clients + net::HttpServer::kReserve + listeners * s.links) + s.lingering;
  return s;
}

void ShareSockets(std::uint64_t limit, std::uint64_t own, net::LoopOptions* loop,
                  net::HttpLimits* http) {
  const std::uint64_t taken = own + net::HttpServer::kReserve;
  const std::uint64_t rest = std::max(limit, taken + kLeastClients) - taken;
  loop->max_lingering = std::min(kMostLingering, rest / 8);
  http->max_connections = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(rest - loop->max_lingering, http->max_connections));
  loop->max_accepted = http->max_connections + net::HttpServer::kReserve + loop->max_lingering;
}

}  // namespace baiwan::cli
