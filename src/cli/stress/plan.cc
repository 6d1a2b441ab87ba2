#include "cli/stress/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/config.h"
#include "base/units.h"
#include "cli/config.h"
#include "stress/estimate.h"

namespace baiwan::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kLeastMemory = 64 * kMiB;
constexpr std::uint64_t kMostMemory = 2048 * kMiB;
constexpr std::uint64_t kSpareFiles = 1024;  // of a process: tables, logs, links

// Which ones stop first: who asks before who is asked.
int StageOf(const std::string& role) {
  if (role == "load") return 5;
  if (role == "monitor") return 4;  // its last look is at servers that still serve
  if (role == "gateway" || role == "cell") return 3;
  if (role == "logic") return 2;
  if (role == "relay") return 1;
  return 0;
}

class Planner {
 public:
  Planner(const StressOptions& options, const Machine& machine, const std::string& folder,
          const Endpoint& registry)
      : o_(options), machine_(machine), folder_(folder), registry_(registry) {
    const std::uint64_t cells = o_.spec.cells;
    const std::uint64_t servers = o_.layout == "role" ? 3 * cells : o_.layout == "cell" ? cells : 1;
    memory_ = std::clamp(machine_.memory_bytes / 10 * 7 / (servers + cells + 2), kLeastMemory,
                         kMostMemory);
    loops_ = o_.layout == "single" ? std::min<std::uint32_t>(machine_.cores, o_.spec.cells) : 1;
  }

  StressPlan Make() {
    StressPlan plan;
    plan.registry = Process("registry", "registry", "registry", {});
    plan.registry.settings +=
        fmt::format("registry.listen = \"{}\"\nregistry.table_file = \"{}/registry.table\"\n",
                    registry_.ToString(), folder_);
    Servers(&plan);
    for (CellId cell = 0; cell < o_.spec.cells; ++cell) plan.loads.push_back(Load(cell, &plan));
    plan.registry_at = registry_;
    plan.processes = static_cast<std::uint32_t>(2 + plan.servers.size() + plan.loads.size());
    plan.monitor = Process("monitor", "monitor", "monitor", {});
    plan.monitor.child.argv = {machine_.program, "monitor",
                               "--registry",     registry_.ToString(),
                               "--secret-file",  folder_ + "/link.secret",
                               "--out",          folder_ + "/series.jsonl",
                               "--interval",     FormatDuration(o_.monitor_interval),
                               "--expect",       std::to_string(plan.processes)};
    plan.disk_bytes = stress::DiskOf(o_.spec, plan.stores.size());
    plan.deadline = o_.deadline > 0 ? o_.deadline : stress::TimeFor(o_.spec, o_.rate);
    return plan;
  }

 private:
  PlannedProcess Process(const std::string& role, const std::string& name,
                         const std::string& command, const std::vector<std::string>& more) const {
    PlannedProcess p;
    p.role = role;
    p.settings = fmt::format(
        "process.name = \"{}\"\nprocess.memory = \"{}\"\nlink.secret_file = \"{}/link.secret\"\n"
        "cell.cells = {}\ncell.partitions = {}\nregistry.endpoint = \"{}\"\n",
        name, FormatBytes(memory_ / kMiB * kMiB), folder_, o_.spec.cells, o_.spec.partitions,
        registry_.ToString());
    p.child.name = name;
    p.child.argv = {machine_.program, command, "--config",
                    fmt::format("{}/config/{}.toml", folder_, name)};
    for (const std::string& set : o_.sets) {
      p.child.argv.push_back("--set");
      p.child.argv.push_back(set);
    }
    p.child.argv.insert(p.child.argv.end(), more.begin(), more.end());
    p.child.log_file = fmt::format("{}/logs/{}.log", folder_, name);
    p.child.notifies_ready = true;
    p.child.stop_deadline = 30 * kSecond;
    p.child.stage = StageOf(role);
    return p;
  }

  void Server(StressPlan* plan, const std::string& role, CellId first, std::uint32_t count,
              const std::string& roles) {
    const std::string name = count == o_.spec.cells && o_.layout == "single"
                                 ? std::string("cells")
                                 : fmt::format("{}-{}", role, first);
    PlannedProcess p = Process(role, name, "serve", {});
    p.settings += fmt::format(
        "process.loops = {}\ncell.first = {}\ncell.count = {}\ncell.roles = [{}]\n"
        "gateway.http = \"127.0.0.1:0\"\nrelay.listen = \"127.0.0.1:0\"\n"
        "logic.listen = \"127.0.0.1:0\"\nops.listen = \"127.0.0.1:0\"\n"
        "store.path = \"{}/stores/{}\"\n",
        loops_, first, count, roles, folder_, name);
    if (roles.find("logic") != std::string::npos) {
      for (std::uint32_t i = 0; i < loops_; ++i) {
        plan->stores.push_back(loops_ == 1 ? fmt::format("{}/stores/{}", folder_, name)
                                           : fmt::format("{}/stores/{}/loop-{}", folder_, name, i));
      }
      PlannedProcess import = p;
      import.role = "import";
      import.child.name = "import-" + name;
      import.child.argv[1] = "import";
      const auto workload = WorkloadArgv();
      import.child.argv.insert(import.child.argv.end(), workload.begin(), workload.end());
      import.child.log_file = fmt::format("{}/logs/import-{}.log", folder_, name);
      import.child.restart = supervise::Restart::kNever;
      import.child.notifies_ready = false;
      plan->imports.push_back(std::move(import));
    }
    plan->servers.push_back(std::move(p));
  }

  void Servers(StressPlan* plan) {
    const std::string all = "\"gateway\", \"logic\", \"relay\"";
    if (o_.layout == "single") return Server(plan, "cell", 0, o_.spec.cells, all);
    for (CellId cell = 0; cell < o_.spec.cells; ++cell) {
      if (o_.layout == "cell") {
        Server(plan, "cell", cell, 1, all);
        continue;
      }
      Server(plan, "logic", cell, 1, "\"logic\"");
      Server(plan, "relay", cell, 1, "\"relay\"");
      Server(plan, "gateway", cell, 1, "\"gateway\"");
    }
  }

  std::vector<std::string> WorkloadArgv() const {
    const stress::WorkloadSpec& s = o_.spec;
    return {"--cells",
            std::to_string(s.cells),
            "--users-per-cell",
            std::to_string(s.users_per_cell),
            "--friends-in-cell",
            std::to_string(s.friends_in_cell),
            "--friends-cross",
            std::to_string(s.friends_cross),
            "--messages-per-friend",
            std::to_string(s.messages_per_friend),
            "--rounds",
            std::to_string(s.rounds),
            "--body-bytes",
            std::to_string(s.body_bytes),
            "--seed",
            std::to_string(s.seed)};
  }

  PlannedProcess Load(CellId cell, StressPlan* plan) const {
    const std::string name = fmt::format("drive-{}", cell);
    const std::string ledger = fmt::format("{}/ledgers/cell-{}", folder_, cell);
    plan->ledgers.push_back(ledger);
    std::vector<std::string> more = {"--cell",
                                     std::to_string(cell),
                                     "--protocol",
                                     o_.protocol,
                                     "--concurrency",
                                     std::to_string(o_.drive.concurrency),
                                     "--in-flight",
                                     std::to_string(o_.drive.in_flight),
                                     "--messages-per-frame",
                                     std::to_string(o_.drive.messages_per_frame),
                                     "--rate",
                                     fmt::format("{}", o_.rate / o_.spec.cells),
                                     "--together",
                                     "--ledger",
                                     ledger,
                                     "--result",
                                     fmt::format("{}/results/{}.json", folder_, name)};
    const auto workload = WorkloadArgv();
    more.insert(more.end(), workload.begin(), workload.end());
    PlannedProcess p = Process("load", name, "drive", more);
    p.child.restart = supervise::Restart::kOnFailure;
    p.child.stop_deadline = 10 * kSecond;
    return p;
  }

  const StressOptions& o_;
  const Machine& machine_;
  const std::string& folder_;
  const Endpoint registry_;
  std::uint64_t memory_;
  std::uint32_t loops_;
};

}  // namespace

std::optional<std::string> CheckOptions(const StressOptions& o, const Machine& machine) {
  if (auto wrong = stress::Validate(o.spec)) return wrong;
  if (stress::TotalMessages(o.spec) == 0) {
    return "nobody has a friend, so nothing would be sent: raise --friends-in-cell or "
           "--friends-cross";
  }
  if (machine.open_files < kSpareFiles + 2 * std::uint64_t{o.drive.concurrency}) {
    return fmt::format(
        "--concurrency {} needs more than the {} open files that a process may have here: at most "
        "{} users at a time",
        o.drive.concurrency, machine.open_files, (machine.open_files - kSpareFiles) / 2);
  }
  if (o.rate > 0 && o.rate < o.spec.cells) {
    return fmt::format("--rate {} is less than one message a second for each of {} cells", o.rate,
                       o.spec.cells);
  }
  return std::nullopt;
}

Result<StressPlan, std::string> MakePlan(const StressOptions& options, const Machine& machine,
                                         const std::string& folder, const Endpoint& registry) {
  using Answer = Result<StressPlan, std::string>;
  if (const auto wrong = CheckOptions(options, machine)) return Answer::Failure(*wrong);
  StressPlan plan = Planner(options, machine, folder, registry).Make();
  std::vector<Config> configs;
  std::vector<DeployedProcess> processes;
  configs.reserve(plan.servers.size() + 1);
  std::vector<const PlannedProcess*> all = {&plan.registry};
  for (const PlannedProcess& server : plan.servers) all.push_back(&server);
  for (const PlannedProcess* p : all) {
    auto config = LoadConfig(Schema(), {.file = p->child.name,
                                        .text = p->settings,
                                        .sets = options.sets,
                                        .environment = ProcessEnvironment()});
    if (!config) return Answer::Failure(ToText(config.error()));
    configs.push_back(std::move(*config));
    processes.push_back({p->child.name, "this machine", &configs.back(), {p->role, "process"}});
  }
  const Config& config = configs.back();
  const std::uint64_t reserve =
      std::max(config.bytes("store.disk_reserve"),
               machine.disk_total_bytes / 100 *
                   static_cast<std::uint64_t>(config.integer("store.disk_reserve_percent")));
  if (plan.disk_bytes + reserve > machine.disk_free_bytes) {
    return Answer::Failure(fmt::format(
        "the run needs about {} MiB of disk in {} beside a reserve of {} MiB, and {} MiB are free: "
        "make room, choose another disk with --runs, lower --rounds or --users-per-cell, or set "
        "store.disk_reserve and store.disk_reserve_percent lower with --set",
        plan.disk_bytes / kMiB, folder, reserve / kMiB, machine.disk_free_bytes / kMiB));
  }
  const auto errors = CheckDeployment(processes, machine.memory_bytes);
  if (!errors.empty()) return Answer::Failure(ToText(errors));
  return plan;
}

}  // namespace baiwan::cli
