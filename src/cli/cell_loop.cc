#include "cli/cell_loop.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/line_writer.h"
#include "cli/config.h"
#include "cli/store_identity.h"
#include "registry/claimer.h"

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

Result<std::unique_ptr<CellLoop>, std::string> CellLoop::Create(Runtime& runtime,
                                                                const Config& config,
                                                                const std::string& secret,
                                                                const Shares& shares,
                                                                std::int64_t loop) {
  std::unique_ptr<CellLoop> cells(new CellLoop(runtime.node(), config, shares));
  const std::int64_t first = config.integer("cell.first");
  for (std::int64_t k = 0; k < config.integer("cell.count"); ++k) {
    const auto cell = static_cast<CellId>(first + k);
    if (LoopOf(config, cell) == loop) cells->cells_.push_back(cell);
  }
  const bool logic = HasRole(config, "logic");
  const std::string path = StorePathOf(config, loop);
  if (logic) {
    if (auto opened = cells->OpenKv(config, path, loop); !opened) return opened.error();
    for (const CellId cell : cells->cells_) {
      auto stream = cells->OpenStream(config, path, cell);
      if (!stream) return stream.error();
      cells->stores_.push_back(std::move(*stream));
    }
    if (auto claimed = cells->ClaimCells(runtime, config, secret, path); !claimed)
      return claimed.error();
  }
  for (std::size_t which = 0; which < cells->cells_.size(); ++which) {
    auto started = cells->StartHost(config, secret, path, which);
    if (!started) return started.error();
  }
  const std::string& name = config.string("process.host");
  if (loop == 0 && !name.empty() && !cells->hosts_.empty()) {
    cells->host_metrics_ = std::make_unique<monitor::HostMetrics>(name, logic ? path : ".");
    cells->hosts_.front()->ops().AddSource(cells->host_metrics_.get());
  }
  return cells;
}

Result<bool, std::string> CellLoop::ClaimCells(Runtime& runtime, const Config& config,
                                               const std::string& secret, const std::string& path) {
  auto opening = store::BeginOpening(*kv_, RandomId());
  if (!opening) {
    return fmt::format("the store {} cannot be read: {}", path, Message(opening.error()));
  }
  opening_ = *opening;
  std::vector<std::pair<CellId, registry::StoreClaim>> claims;
  for (std::size_t i = 0; i < cells_.size(); ++i) claims.emplace_back(cells_[i], ClaimOf(i));
  std::string refused;
  registry::Claimer claimer(node_, config.endpoint("registry.endpoint"),
                            {secret, config.string("deployment.name")}, claims);
  claimer.Start(config.duration("registry.claim_wait"),
                [&](registry::Claiming outcome, CellId cell, const std::string& why) {
                  held_ = outcome == registry::Claiming::kGranted;
                  if (outcome == registry::Claiming::kRefused) refused = Disowned(path, cell, why);
                  runtime.loop().Stop();
                });
  runtime.Run();
  if (!refused.empty()) return refused;
  if (!held_) {
    node_.log.Warn("the registry at {} cannot be reached: serves without having claimed its cells",
                   config.endpoint("registry.endpoint").ToString());
    return true;
  }
  if (const auto error = kv_->CommitNow(store::OpeningGranted(opening_.id));
      error != store::KvError::kNone) {
    return fmt::format("the store {} cannot be written: {}", path, Message(error));
  }
  return true;
}

registry::StoreClaim CellLoop::ClaimOf(std::size_t which) const {
  return {.life = life_,
          .incarnation = stores_[which]->incarnation(),
          .id = opening_.id,
          .after = opening_.after,
          .held = held_};
}

Result<bool, std::string> CellLoop::StartHost(const Config& config, const std::string& secret,
                                              const std::string& path, std::size_t which) {
  const CellId cell = cells_[which];
  const bool logic = HasRole(config, "logic");
  cell::HostOptions options = HostOptionsOf(config);
  options.name = ProcessName(config);
  options.cell = cell;
  options.gateway = HasRole(config, "gateway");
  options.logic = logic;
  options.relay = HasRole(config, "relay");
  options.http_limits.hosts = config.list(options.gateway ? "gateway.hosts" : "ops.hosts");
  options.secret = secret;
  options.deployment = config.string("deployment.name");
  options.http_limits.max_connections = static_cast<std::uint32_t>(shares_.descriptors.clients);
  options.logic_options.max_batch_bytes = shares_.memory.batch;
  const DescriptorShares& descriptors = shares_.descriptors;
  options.max_links = static_cast<std::uint32_t>(descriptors.links - descriptors.handshakes);
  options.link_limits.max_handshakes = static_cast<std::uint32_t>(descriptors.handshakes);
  for (Endpoint* at : {&options.http, &options.relay_listen, &options.logic_listen, &options.ops}) {
    *at = Shifted(*at, std::int64_t{cell} - config.integer("cell.first"));
  }
  if (logic) {
    options.claim = ClaimOf(which);
    // At once, as a crash would: whatever was answered is durable, and nothing more may be.
    options.on_disowned = [this, path, cell](const std::string& why) {
      node_.log.Error("{}", Disowned(path, cell, why));
      FlushProcessStderr();
      _exit(kUsage);
    };
    // Called for each of its services; what counts is that all cells of the store are granted.
    options.on_granted = [this, told = false]() mutable {
      if (std::exchange(told, true) || ++granted_ < cells_.size()) return;
      kv_->Commit(store::OpeningGranted(opening_.id), [](auto) {});
    };
  }
  auto host =
      cell::CellHost::Create(node_, options, table_, logic ? stores_[which].get() : nullptr);
  if (!host) return host.error();
  hosts_.push_back(std::move(*host));
  return true;
}

CellLoop::~CellLoop() = default;

Result<bool, std::string> CellLoop::OpenKv(const Config& config, const std::string& path,
                                           std::int64_t loop) {
  store::RocksDbOptions rocksdb = RocksDbOptionsOf(config);
  const std::uint64_t tables = shares_.descriptors.tables;
  if (tables > 0) rocksdb.max_open_files = static_cast<int>(tables);
  shares_.memory.Bound(&rocksdb);
  auto kv = config.choice("store.engine") == "memory"
                ? store::OpenMemoryKv(memory_, {}, &node_.loop)
                : store::OpenRocksDb(path, rocksdb, &node_.loop, node_.log);
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
  store::StoreOptions store_options = StoreOptionsOf(config);
  store_options.recent_bytes = shares_.memory.recent;
  store_options.budget = &node_.budget;
  auto opened = store::Store::Open(*kv_, StreamOf(cell), store_options, &report);
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
