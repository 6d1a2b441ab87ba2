// The load client of one cell as a process: finds the cell's gateway in the registry, plays the
// cell's users, and leaves a result file that is written anew every second, so that a life that
// ends by a kill is counted by the next one.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/memory_shares.h"
#include "cli/runtime.h"
#include "cli/workload_args.h"
#include "net/http.h"
#include "ops/ops.h"
#include "registry/client.h"
#include "stress/driver.h"
#include "stress/graph_text.h"
#include "stress/http_target.h"
#include "stress/offer.h"
#include "stress/start_line.h"
#include "stress/ws_target.h"
#include "supervise/ready.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kKeepEvery = kSecond;
constexpr Nanos kBeginWithin = 2 * kSecond;
constexpr Nanos kWaitForAll = 60 * kSecond;  // load clients that are to begin together …
constexpr Nanos kWaitForEach = kSecond / 2;  // … and more for each of them
constexpr const char* kStateKey = "state";   // in the registry
constexpr std::uint32_t kSpareFiles = 160;   // beside the users' connections, those of …
constexpr std::uint32_t kWatchers = 32;      // … whoever looks how it goes among them

struct Options {
  ConfigArgs config;
  stress::WorkloadSpec spec;
  stress::DriveOptions drive;
  std::string protocol = "ws";
  std::string graph;
  std::string ledger;
  std::string result;
  bool together = false;  // with the load clients of all other cells
};

class DriveProcess {
 public:
  DriveProcess(Runtime& runtime, const Options& options, const Config& config,
               registry::Membership member, const stress::CellGraph& graph, stress::Ledger* ledger,
               stress::DriveResult earlier)
      : runtime_(runtime),
        node_(runtime.node()),
        options_(options),
        directory_(node_,
                   {.registry = config.endpoint("registry.endpoint"), .member = std::move(member)}),
        ops_(node_, "load", Name()),
        ops_service_(ops_),
        target_(MakeTarget()),
        driver_(node_, options.drive, options.spec, graph, *target_, ledger),
        start_line_(
            node_.loop,
            {.cells = options.spec.cells, .wait = kWaitForAll + options.spec.cells * kWaitForEach},
            [this](const std::vector<CellId>& missing) { BeginWithout(missing); }),
        earlier_(std::move(earlier)) {
    ops_.AddSource(&driver_);
  }

  // Exit code.
  int Run(const Endpoint& listen) {
    net::HttpLimits limits;
    limits.max_connections = kWatchers;
    auto http = net::HttpServer::Listen(node_, listen, ops_service_, limits);
    if (!http) {
      const bool none = http.error() == NetError::kNoLocalPort;
      return Fail(fmt::format("cannot listen on {}: {}", listen.ToString(),
                              none ? stress::WayOutOf("EADDRNOTAVAIL") : Message(http.error())));
    }
    ops_.SetConnections([&http] { return (*http)->Connections(); });
    self_.role = "load";
    self_.name = Name();
    self_.cell = options_.drive.cell;
    self_.endpoint = (*http)->local();
    self_.incarnation = registry::NewId(node_.rng);
    Announce(stress::StartLine::State::kArming);
    runtime_.OnStop([this] {
      node_.log.Warn("stopped before every user was finished");
      exit_ = kDeadline;
      Leave();
    });
    runtime_.StopWithin(5 * kSecond);
    if (!options_.result.empty()) KeepResult();
    // Users that begin before their gateway is known would only wait for their next try.
    directory_.Listen([this] {
      if (directory_.Find("gateway", options_.drive.cell) != nullptr) Arm();
      LookAtOthers();
    });
    node_.loop.After(kBeginWithin, [this] { Arm(); });
    supervise::NotifyReady((*http)->local().ToString());
    runtime_.Run();
    http->reset();
    node_.loop.Cancel(keep_);
    if (!options_.result.empty() && !WriteResult()) exit_ = kUsage;
    const stress::DriveCounters& c = driver_.counters();
    if (c.users_failed > 0 || !c.failures.empty() || c.behind_ledger > 0) exit_ = kMismatch;
    return exit_ == kDone ? AsPlanned() : exit_;
  }

 private:
  std::string Name() const { return fmt::format("drive-{}", options_.drive.cell); }

  std::unique_ptr<stress::Target> MakeTarget() {
    auto gateway = [this](UserId, Endpoint* at) {
      const registry::Service* found = directory_.Find("gateway", options_.drive.cell);
      if (found != nullptr) *at = found->endpoint;
      return found != nullptr;
    };
    if (options_.protocol == "http") return std::make_unique<stress::HttpTarget>(node_, gateway);
    return std::make_unique<stress::WsTarget>(node_, gateway, options_.drive.messages_per_frame);
  }

  // How far this one is, for the others of the run.
  void Announce(stress::StartLine::State state) {
    self_.meta[kStateKey] = stress::NameOf(state);
    directory_.Announce(self_);
  }

  // Ready to begin. One that goes on where an earlier life ended waits for nobody.
  void Arm() {
    if (std::exchange(armed_, true)) return;
    if (!options_.together || earlier_.first_submit_ms > 0) return Begin();
    Announce(stress::StartLine::State::kArmed);
    start_line_.Armed();
  }

  void LookAtOthers() {
    if (!options_.together || begun_) return;
    std::map<CellId, stress::StartLine::State> all;
    for (const registry::Service& service : directory_.services()) {
      if (service.role != "load") continue;
      const auto state = service.meta.find(kStateKey);
      all[service.cell] = state == service.meta.end() ? stress::StartLine::State::kArming
                                                      : stress::StartStateNamed(state->second);
    }
    start_line_.Look(all);
  }

  void BeginWithout(const std::vector<CellId>& missing) {
    for (const CellId cell : missing) began_without_[fmt::format("cell {}", cell)] = 1;
    if (!missing.empty()) {
      node_.log.Warn("begins without the load clients of cells {}, which are not there",
                     fmt::join(missing, ", "));
    }
    Begin();
  }

  void Begin() {
    if (std::exchange(begun_, true)) return;
    Announce(stress::StartLine::State::kPlays);
    driver_.Start([this] { Ended(); });
  }

  void Ended() {
    if (!driver_.broken().empty()) {
      node_.log.Error("{}", driver_.broken());
      exit_ = kUsage;
    }
    Leave();
  }

  int AsPlanned() {
    const stress::RunOffer offer = stress::OfferOf({{Name(), All()}});
    if (offer.valid) return kDone;
    node_.log.Warn("latency is not valid: {}", offer.reason);
    return kNotAsPlanned;
  }

  void KeepResult() {
    WriteResult();
    keep_ = node_.loop.After(kKeepEvery, [this] { KeepResult(); });
  }

  // Former lives included.
  stress::DriveResult All() const {
    stress::DriveResult result = driver_.Result();
    result.began_without = began_without_;
    result.Continue(earlier_);
    return result;
  }

  bool WriteResult() {
    const auto wrong = ReplaceFile(options_.result, All().ToJson());
    if (wrong) node_.log.Error("{}", *wrong);
    return !wrong;
  }

  void Leave() {
    if (std::exchange(leaving_, true)) return;
    directory_.Withdraw([this] { runtime_.loop().Stop(); });
  }

  Runtime& runtime_;
  NodeContext& node_;
  const Options& options_;
  registry::RegistryClient directory_;
  ops::Ops ops_;
  ops::OpsService ops_service_;
  std::unique_ptr<stress::Target> target_;
  stress::Driver driver_;
  stress::StartLine start_line_;
  registry::Service self_;
  std::map<std::string, std::uint64_t> began_without_;
  const stress::DriveResult earlier_;  // what former lives came to
  TimerId keep_ = 0;
  bool armed_ = false;
  bool begun_ = false;
  bool leaving_ = false;
  int exit_ = kDone;
};

// No more connections than there are descriptors for.
std::optional<std::string> FitConnections(stress::DriveOptions* o) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return std::nullopt;
  const rlim_t most = files.rlim_cur > kSpareFiles ? files.rlim_cur - kSpareFiles : 0;
  if (most < o->concurrency) {
    return fmt::format("--concurrency {} does not fit: {}; {} users at a time do", o->concurrency,
                       stress::WayOutOf("EMFILE"), most);
  }
  if (most < o->max_connections) o->max_connections = static_cast<std::uint32_t>(most);
  return std::nullopt;
}

int Run(Options o) {
  if (const auto wrong = stress::Validate(o.spec)) return Fail(*wrong);
  const auto config = Load(o.config, {"ops"});
  if (!config) return config.error();
  registry::Membership member;
  if (const auto wrong = MembershipOf(*config, &member)) return Fail(*wrong);
  if (o.drive.cell >= o.spec.cells) {
    return Fail(fmt::format("--cell {} is not one of {} cells", o.drive.cell, o.spec.cells));
  }
  if (const auto wrong = FitConnections(&o.drive)) return Fail(*wrong);
  o.spec.partitions = static_cast<std::uint32_t>(config->integer("cell.partitions"));
  stress::CellGraph graph;
  if (o.graph.empty()) {
    graph = stress::BuildCellGraph(o.spec, o.drive.cell);
  } else {
    auto all = stress::ReadGraphText(o.graph);
    if (!all) return Fail(all.error());
    graph = stress::ShareOf(*all, placement::PlacementTable(o.spec.cells, o.spec.partitions),
                            o.drive.cell);
  }
  std::unique_ptr<stress::Ledger> ledger;
  if (!o.ledger.empty()) {
    auto opened = stress::Ledger::Open(o.ledger, graph);
    if (!opened) return Fail(opened.error());
    ledger = std::move(*opened);
  }
  const MemoryShares memory = ShareMemory(config->bytes("process.memory"));
  net::LoopOptions loop = LoopOptionsOf(*config);
  memory.Bound(&loop);
  auto runtime = Runtime::Create({.name = fmt::format("drive-{}", o.drive.cell),
                                  .budget_bytes = config->bytes("process.memory"),
                                  .loop = loop});
  if (!runtime) return Fail(runtime.error());
  (*runtime)->node().budget.ChargeAlways(Account::kProgram, memory.program);
  stress::DriveResult earlier;
  if (!o.result.empty() && access(o.result.c_str(), F_OK) == 0) {
    const auto text = ReadFile(o.result);
    auto read = text ? stress::DriveResult::FromJson(*text)
                     : Result<stress::DriveResult, std::string>::Failure(text.error());
    if (!read)
      return Fail(fmt::format("{} is no result to go on from: {}", o.result, read.error()));
    earlier = std::move(*read);
  }
  DriveProcess process(**runtime, o, *config, std::move(member), graph, ledger.get(),
                       std::move(earlier));
  return process.Run(config->endpoint("ops.listen"));
}

}  // namespace

Command DriveCommand() {
  return {"drive", "Plays the users of one cell: the load client.",
          "  baiwan drive --cell 0 --set registry.endpoint=127.0.0.1:8089 --ledger cell-0.ledger\n"
          "  baiwan drive --cell 2 --protocol http --concurrency 500\n"
          "  baiwan drive --cell 0 --rate 5000        # open loop: latency from the planned time\n"
          "Exit codes: 0 done, 1 refused or messages lost, 2 usage or environment, 3 interrupted,\n"
          "4 done, but the load was not as planned (--rate).\n",
          [](Args& args) {
            auto o = std::make_shared<Options>();
            AddConfigArgs(args, &o->config);
            WorkloadArgs(args, &o->spec);
            args.Number("--cell", &o->drive.cell, "whose users", 0, kMaxCells - 1);
            args.Choice("--protocol", &o->protocol, {"ws", "http"}, "how it talks");
            args.Number("--concurrency", &o->drive.concurrency, "users that play at a time", 1,
                        1'000'000);
            args.Number("--in-flight", &o->drive.in_flight, "messages of a user not yet stored", 1,
                        1024);
            args.Number("--messages-per-frame", &o->drive.messages_per_frame, "at most", 1, 1024);
            args.Real("--rate", &o->drive.rate,
                      "messages a second of this cell, open loop; 0: as fast as they are stored", 0,
                      1e9);
            args.Flag("--together", &o->together,
                      "begin when the load clients of all cells are there");
            args.Text("--graph", &o->graph, "a graph in the source's text form, instead");
            args.Text("--ledger", &o->ledger, "file that remembers what the servers have told");
            args.Text("--result", &o->result, "file for what came out");
            return [o] { return Run(*o); };
          }};
}

}  // namespace baiwan::cli
