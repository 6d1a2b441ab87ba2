#include "cli/cell_loop.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/config.h"
#include "cli/store_identity.h"

namespace baiwan::cli {
namespace {

Endpoint Shifted(Endpoint at, std::int64_t by) {
  if (at.port != 0) at.port = static_cast<std::uint16_t>(at.port + by);
  return at;
}

}  // namespace

std::string StorePathOf(const Config& config, std::int64_t loop) {
  const std::string& path = config.string("store.path");
  return config.integer("process.loops") == 1 ? path : fmt::format("{}/loop-{}", path, loop);
}

std::int64_t LoopOf(const Config& config, CellId cell) {
  return (std::int64_t{cell} - config.integer("cell.first")) % config.integer("process.loops");
}

std::uint16_t StreamOf(CellId cell) { return static_cast<std::uint16_t>(cell); }

bool HasRole(const Config& config, const std::string& role) {
  const auto& roles = config.list("cell.roles");
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

std::string ProcessName(const Config& config) {
  const std::string& name = config.string("process.name");
  if (!name.empty()) return name;
  const auto& roles = config.list("cell.roles");
  return fmt::format("{}-{}", roles.size() == 1 ? roles.front() : "cell",
                     config.integer("cell.first"));
}

placement::PlacementTable TableOf(const Config& config) {
  return placement::PlacementTable(static_cast<std::uint32_t>(config.integer("cell.cells")),
                                   static_cast<std::uint32_t>(config.integer("cell.partitions")));
}

Result<std::unique_ptr<CellLoop>, std::string> CellLoop::Create(NodeContext& node,
                                                                const Config& config,
                                                                const std::string& secret,
                                                                std::int64_t loop) {
  std::unique_ptr<CellLoop> cells(new CellLoop(node, config));
  const bool logic = HasRole(config, "logic");
  const std::string path = StorePathOf(config, loop);
  if (logic) {
    if (auto opened = cells->OpenKv(config, path, loop); !opened) return opened.error();
  }
  const std::int64_t first = config.integer("cell.first");
  for (std::int64_t k = 0; k < config.integer("cell.count"); ++k) {
    const auto cell = static_cast<CellId>(first + k);
    if (LoopOf(config, cell) != loop) continue;
    if (logic) {
      auto stream = cells->OpenStream(config, path, cell);
      if (!stream) return stream.error();
      cells->stores_.push_back(std::move(*stream));
    }
    cell::HostOptions options = HostOptionsOf(config);
    options.name = ProcessName(config);
    options.cell = cell;
    options.gateway = HasRole(config, "gateway");
    options.logic = logic;
    options.relay = HasRole(config, "relay");
    options.secret = secret;
    for (Endpoint* at :
         {&options.http, &options.relay_listen, &options.logic_listen, &options.ops}) {
      *at = Shifted(*at, k);
    }
    auto host = cell::CellHost::Create(node, options, cells->table_,
                                       logic ? cells->stores_.back().get() : nullptr);
    if (!host) return host.error();
    cells->hosts_.push_back(std::move(*host));
  }
  const std::string& name = config.string("process.host");
  if (loop == 0 && !name.empty() && !cells->hosts_.empty()) {
    cells->host_metrics_ = std::make_unique<monitor::HostMetrics>(name, logic ? path : ".");
    cells->hosts_.front()->ops().AddSource(cells->host_metrics_.get());
  }
  return cells;
}

CellLoop::~CellLoop() = default;

Result<bool, std::string> CellLoop::OpenKv(const Config& config, const std::string& path,
                                           std::int64_t loop) {
  auto kv = config.choice("store.engine") == "memory"
                ? store::OpenMemoryKv(memory_, {}, &node_.loop)
                : store::OpenRocksDb(path, RocksDbOptionsOf(config), &node_.loop, node_.log);
  if (!kv) return fmt::format("the store {} cannot be opened: {}", path, Message(kv.error()));
  kv_ = std::move(*kv);
  const auto life = IdentifyStore(*kv_, config, loop, path, node_.log);
  if (!life) return life.error();
  life_ = *life;
  return true;
}

Result<std::unique_ptr<store::Store>, std::string> CellLoop::OpenStream(const Config& config,
                                                                        const std::string& path,
                                                                        CellId cell) {
  store::RecoveryReport report;
  auto opened = store::Store::Open(*kv_, StreamOf(cell), StoreOptionsOf(config), &report);
  if (!opened) return fmt::format("the store {} cannot be read: {}", path, Message(opened.error()));
  node_.log.Info(
      "store {}, cell {}: {} log blocks read in {} ms, {} users brought up to date, {} torn blocks "
      "dropped at the end",
      path, cell, report.blocks, report.nanos / kMillisecond, report.users_folded,
      report.torn_blocks);
  if (report.damaged_blocks > 0 || !report.quarantined.empty()) {
    node_.log.Error(
        "store {}, cell {}: {} blocks of the log are damaged, {} users quarantined: messages may "
        "be lost",
        path, cell, report.damaged_blocks, report.quarantined.size());
  }
  return std::move(*opened);
}

void CellLoop::Stop(std::function<void()> done) {
  if (hosts_.empty()) return done();
  auto shared = std::make_shared<std::function<void()>>(std::move(done));
  for (const auto& host : hosts_) {
    host->Stop([this, shared] {
      if (++stopped_ == hosts_.size()) (*shared)();
    });
  }
}

std::vector<std::string> CellLoop::addresses() const {
  std::vector<std::string> all;
  for (const auto& host : hosts_) all.push_back(host->http_address().ToString());
  return all;
}

}  // namespace baiwan::cli
