#include "fleet/host_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "fleet/layout.h"
#include "fleet/toml_text.h"

namespace baiwan::fleet {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr const char* kInsecure = "--insecure-no-auth";

// One [[child]] of a host file.
struct Child {
  std::string name;
  Argv argv;
  std::string restart = "always";
  std::vector<int> final_codes = {};
  Nanos stop_deadline = 30 * kSecond;
  int stage = 0;
};

Argv WorkloadArgv(const stress::WorkloadSpec& s) {
  const auto text = [](auto n) { return std::to_string(n); };
  return {"--cells",
          text(s.cells),
          "--users-per-cell",
          text(s.users_per_cell),
          "--friends-in-cell",
          text(s.friends_in_cell),
          "--friends-cross",
          text(s.friends_cross),
          "--messages-per-friend",
          text(s.messages_per_friend),
          "--rounds",
          text(s.rounds),
          "--body-bytes",
          text(s.body_bytes),
          "--seed",
          text(s.seed)};
}

void Append(Argv* to, const Argv& more) { to->insert(to->end(), more.begin(), more.end()); }

class Maker {
 public:
  Maker(const FleetPlan& plan, const HostPaths& paths, const std::string& name, Address address)
      : p_(plan), paths_(paths), spec_(WorkloadOf(plan)) {
    host_.name = name;
    host_.address = FormatAddress(address);
    host_.folders = {"config", "logs", "results"};
    host_.collect = {"logs", "results"};
    registry_ = At(FormatAddress(ControlAddress(plan)), p_.ports.registry);
  }

  HostFiles Control() {
    share_ = p_.limits.memory / 2;
    std::string settings = Settings("registry");
    settings += fmt::format("registry.listen = {}\nregistry.table_file = {}\n", Quoted(registry_),
                            Quoted(Path("registry.table")));
    Add("registry", settings, "registry", {}, {.stage = 0});
    if (IsOther(p_)) return Finish();              // nothing of ours to watch
    Child monitor{.name = "monitor", .stage = 4};  // its last look is at servers that still serve
    monitor.argv = {paths_.program,  "monitor",
                    "--registry",    registry_,
                    "--secret-file", Path("link.secret"),
                    "--listen",      At(host_.address, p_.ports.monitor),
                    "--out",         Path("series.jsonl"),
                    "--interval",    FormatDuration(p_.limits.monitor_interval),
                    "--expect",      std::to_string(ProcessesOf(p_)),
                    "--host",        host_.name,
                    kInsecure};
    servers_.push_back(std::move(monitor));
    host_.collect.emplace_back("series.jsonl");
    return Finish();
  }

  // Another service: its own commands, in the same two services of the host.
  HostFiles Other(const std::string& next) {
    host_.folders = {"logs", "results"};
    host_.collect = {"logs", "results"};
    servers_.push_back({.name = "service", .argv = Filled(p_.service.serve, next)});
    host_.ready = Filled(p_.service.ready, next);
    if (!p_.service.load.empty()) {
      loads_.push_back({.name = "load",
                        .argv = Filled(p_.service.load, next),
                        .restart = "on-failure",
                        .stop_deadline = 10 * kSecond});
    }
    if (!p_.service.verify.empty()) {
      // To the step engine 1 means a share with mismatches, which other services do not have.
      host_.verify = {"/bin/sh", "-c", R"("$@" || exit 3)", "sh"};
      Append(&host_.verify, Filled(p_.service.verify, next));
    }
    return Finish();
  }

  HostFiles Worker(const Job& job) {
    share_ = p_.limits.memory / (1 + (job.has_load() ? job.count : 0));
    Server(job);
    for (std::uint32_t i = 0; job.has_load() && i < job.count; ++i) Load(job.first + i, i);
    if (job.has_store()) Verify(job);
    return Finish();
  }

 private:
  static std::string At(const std::string& host, std::uint32_t port) {
    return fmt::format("{}:{}", host, port);
  }
  Argv Filled(const Argv& argv, const std::string& next) const {
    const std::pair<std::string, std::string> places[] = {
        {"{address}", host_.address},
        {"{next}", next},
        {"{control}", FormatAddress(ControlAddress(p_))},
        {"{name}", host_.name},
        {"{folder}", paths_.folder}};
    Argv filled = argv;
    for (std::string& word : filled) {
      for (const auto& [place, value] : places) {
        for (auto at = word.find(place); at != std::string::npos;
             at = word.find(place, at + value.size())) {
          word.replace(at, place.size(), value);
        }
      }
    }
    return filled;
  }
  std::string Path(const std::string& in_folder) const { return paths_.folder + "/" + in_folder; }

  // What every process is told.
  std::string Settings(const std::string& name) const {
    return fmt::format(
        "process.name = {}\nprocess.memory = {}\nlink.secret_file = {}\ncell.cells = {}\n"
        "cell.partitions = {}\nregistry.endpoint = {}\n",
        Quoted(name), Quoted(FormatBytes(share_ / kMiB * kMiB)), Quoted(Path("link.secret")),
        spec_.cells, spec_.partitions, Quoted(registry_));
  }

  Argv Add(const std::string& name, const std::string& settings, const std::string& command,
           const Argv& more, Child child) {
    const std::string file = fmt::format("config/{}.toml", name);
    host_.files[file] = settings;
    child.name = name;
    child.argv = {paths_.program, command, "--config", Path(file), kInsecure};
    Append(&child.argv, more);
    (command == "drive" ? loads_ : servers_).push_back(child);
    return child.argv;
  }

  void Server(const Job& job) {
    const bool cell = job.role == "cell";
    const std::string name = fmt::format("{}-{}", job.role, job.first);
    const Argv roles = cell ? Argv{"gateway", "logic", "relay"} : Argv{job.role};
    std::string settings = Settings(name);
    settings += fmt::format("process.host = {}\n", Quoted(host_.name));
    settings += fmt::format("cell.first = {}\ncell.count = {}\ncell.roles = {}\n", job.first,
                            job.count, QuotedList(roles));
    const auto listen = [&](const char* key, std::uint32_t port) {
      settings += fmt::format("{} = {}\n", key, Quoted(At(host_.address, port)));
    };
    if (cell || job.role == "gateway") listen("gateway.http", p_.ports.gateway);
    if (cell || job.role == "relay") listen("relay.listen", p_.ports.relay);
    if (cell || job.role == "logic") listen("logic.listen", p_.ports.logic);
    if (!cell && job.role != "gateway") listen("ops.listen", p_.ports.ops);
    if (job.has_store()) {
      const std::string store = "stores/" + name;
      settings += fmt::format("store.path = {}\n", Quoted(Path(store)));
      host_.stores.push_back(store);
      host_.folders.emplace_back("stores");
    }
    // Who asks stops before who is asked.
    const int stage = cell || job.role == "gateway" ? 3 : job.role == "logic" ? 2 : 1;
    Argv argv = Add(name, settings, "serve", {}, {.stage = stage});
    if (!job.has_store()) return;
    argv[1] = "import";
    Append(&argv, WorkloadArgv(spec_));
    host_.imports.push_back(std::move(argv));
  }

  void Verify(const Job& job) {
    host_.share = "verify.share";
    host_.verify = {paths_.program,
                    "verify",
                    "--json",
                    "--own",
                    fmt::format("{}-{}", job.first, job.first + job.count - 1),
                    "--share-out",
                    Path(host_.share)};
    for (const std::string& store : host_.stores) Append(&host_.verify, {"--store", Path(store)});
    for (const std::string& ledger : host_.ledgers) {
      Append(&host_.verify, {"--ledger", Path(ledger)});
    }
    Append(&host_.verify, WorkloadArgv(spec_));
  }

  void Load(CellId cell, std::uint32_t place) {
    const std::string name = fmt::format("drive-{}", cell);
    const std::string ledger = fmt::format("ledgers/cell-{}", cell);
    const std::string result = fmt::format("results/{}.json", name);
    std::string settings = Settings(name);
    settings += fmt::format("ops.listen = {}\n", Quoted(At(host_.address, p_.ports.load + place)));
    const double rate = static_cast<double>(p_.load.rate) / spec_.cells;
    Argv more = {"--cell",
                 std::to_string(cell),
                 "--protocol",
                 p_.load.protocol,
                 "--concurrency",
                 std::to_string(p_.load.concurrency),
                 "--in-flight",
                 std::to_string(p_.load.in_flight),
                 "--messages-per-frame",
                 std::to_string(p_.load.messages_per_frame),
                 "--rate",
                 fmt::format("{}", rate),
                 "--together",
                 "--ledger",
                 Path(ledger),
                 "--result",
                 Path(result)};
    Append(&more, WorkloadArgv(spec_));
    Add(name, settings, "drive", more,
        {.restart = "on-failure",
         .final_codes = {2, 4},  // what it cannot do, and what was not as planned, stays so
         .stop_deadline = 10 * kSecond,
         .stage = 5});
    host_.ledgers.push_back(ledger);
    if (place == 0) host_.folders.emplace_back("ledgers");
  }

  std::string HostToml(const std::vector<Child>& children, const std::string& part) const {
    Nanos longest = 0;
    for (const Child& child : children) longest = std::max(longest, child.stop_deadline);
    // Stages stop one after the other.
    std::string text = fmt::format("stop_within = {}\nusage = {}\nevents = {}\n",
                                   Quoted(FormatDuration(2 * longest)),
                                   Quoted(Path(fmt::format("results/usage-{}.json", part))),
                                   Quoted(Path(fmt::format("results/events-{}.jsonl", part))));
    for (const Child& child : children) {
      text += fmt::format(
          "\n[[child]]\nname = {}\ncommand = {}\nlog = {}\nrestart = {}\nstop_deadline = {}\n"
          "stage = {}\nready = {}\nfinal = [{}]\n",
          Quoted(child.name), QuotedList(child.argv), Quoted(Path("logs/" + child.name + ".log")),
          Quoted(child.restart), Quoted(FormatDuration(child.stop_deadline)), child.stage,
          child.name != "service" && child.name != "load", fmt::join(child.final_codes, ", "));
    }
    return text;
  }

  HostFiles Finish() {
    host_.files["host.toml"] = HostToml(servers_, "servers");
    host_.serve = {paths_.program, "supervise", "--config", Path("host.toml")};
    if (!loads_.empty()) {
      host_.files["load.toml"] = HostToml(loads_, "load");
      host_.load = {paths_.program, "supervise", "--config", Path("load.toml")};
    }
    return std::move(host_);
  }

  const FleetPlan& p_;
  const HostPaths& paths_;
  const stress::WorkloadSpec spec_;
  HostFiles host_;
  std::string registry_;
  std::uint64_t share_ = 0;  // of the host's memory, for each process
  std::vector<Child> servers_;
  std::vector<Child> loads_;
};

}  // namespace

std::vector<HostFiles> FilesOf(const FleetPlan& plan, const HostPaths& paths) {
  std::vector<HostFiles> all;
  all.push_back(Maker(plan, paths, kControl, ControlAddress(plan)).Control());
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    Maker maker(plan, paths, WorkerName(i), WorkerAddress(plan, i));
    const std::string next = FormatAddress(WorkerAddress(plan, (i + 1) % plan.hosts.count));
    all.push_back(IsOther(plan) ? maker.Other(next) : maker.Worker(JobOf(plan, i)));
  }
  return all;
}

Argv JoinOf(const FleetPlan& plan, const HostPaths& paths, const std::vector<std::string>& shares) {
  Argv argv = {paths.program, "verify", "--json"};
  for (const std::string& share : shares) Append(&argv, {"--join", share});
  Append(&argv, WorkloadArgv(WorkloadOf(plan)));
  return argv;
}

std::uint32_t ProcessesOf(const FleetPlan& plan) {
  return 2 + plan.hosts.count + CellsOf(plan);  // registry, monitor; a server each; load clients
}

}  // namespace baiwan::fleet
