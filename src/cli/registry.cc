#include <fmt/format.h>

#include <memory>

#include "cli/cell_loop.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/runtime.h"
#include "ops/ops.h"
#include "registry/server.h"
#include "supervise/ready.h"

namespace baiwan::cli {
namespace {

constexpr std::uint64_t kOwnFiles = 48;  // the table's file, and what every program has

int Run(const ConfigArgs& args) {
  const auto config = Load(args, {"registry"});
  if (!config) return config.error();
  net::LoopOptions loop = LoopOptionsOf(*config);
  net::HttpLimits http_limits;
  const MemoryShares memory = ShareMemory(config->bytes("process.memory"));
  memory.Bound(&loop);
  ShareSockets(DescriptorLimit(), kOwnFiles, &loop, &http_limits);
  auto runtime = Runtime::Create(
      {.name = "registry", .budget_bytes = config->bytes("process.memory"), .loop = loop});
  if (!runtime) return Fail(runtime.error());
  NodeContext& node = (*runtime)->node();
  node.budget.ChargeAlways(Account::kProgram, memory.program);
  placement::PlacementTable table = TableOf(*config);
  registry::FilePlacementStore file(config->string("registry.table_file"));
  registry::ServerOptions options;
  options.registry.lease = config->duration("registry.lease");
  if (const auto wrong = MembershipOf(*config, &options.member)) return Fail(*wrong);
  const Endpoint at = config->endpoint("registry.listen");
  if (options.member.secret.empty() && !IsLoopback(at)) {
    return Fail("registry.listen = " + at.ToString() +
                " can be reached from other machines, so that whoever registers has to prove that "
                "he knows the link secret: set link.secret_file");
  }
  if (!config->string("registry.table_file").empty()) {
    auto starting = registry::StartingTable(file, table);
    if (!starting) return Fail(starting.error());
    table = std::move(*starting);
    options.placement_store = &file;
  }
  ops::Ops ops(node, "registry", "registry");
  registry::RegistryServer server(
      node, options, table, [&ops](net::HttpExchange& exchange) { return ops.Handle(exchange); });
  ops.AddSource(&server);
  http_limits.hosts = config->list("registry.hosts");
  http_limits.hosts.push_back(config->endpoint("registry.endpoint").host);
  auto http = net::HttpServer::Listen(node, at, server, http_limits);
  if (!http) {
    return Fail(
        fmt::format("the registry cannot listen on {}: {}", at.ToString(), Message(http.error())));
  }
  ops.SetConnections([&http] { return (*http)->Connections(); });
  (*runtime)->StopWithin(config->duration("process.stop_deadline"));
  (*runtime)->OnStop([&] { (*runtime)->loop().Stop(); });
  if (options.member.secret.empty()) {
    node.log.Warn(
        "without link.secret_file everybody on this machine may register services; cells "
        "connect to none that has not proved to know their secret");
  }
  node.log.Info("serves at {}", (*http)->local().ToString());
  supervise::NotifyReady((*http)->local().ToString());
  (*runtime)->Run();
  http->reset();
  return kDone;
}

}  // namespace

Command RegistryCommand() {
  return {"registry", "Runs the registry: who is where, kept alive by leases.",
          "  baiwan registry\n"
          "  baiwan registry --set registry.listen=127.0.0.1:8090 --set cell.cells=4\n",
          [](Args& args) {
            auto options = std::make_shared<ConfigArgs>();
            AddConfigArgs(args, options.get());
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
