// `baiwan monitor`: the process that records a run.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/runtime.h"
#include "monitor/collector.h"
#include "monitor/host_facts.h"
#include "net/http.h"
#include "net/link.h"
#include "ops/ops.h"
#include "registry/client.h"
#include "supervise/ready.h"

namespace baiwan::cli {
namespace {

constexpr std::uint32_t kWatchers = 256;  // connections of whoever looks at the monitor itself

struct Options {
  std::string registry;
  std::string out = "series.jsonl";
  std::string listen = "127.0.0.1:0";
  std::string name = "monitor";
  std::string host;
  std::string secret_file;
  Nanos interval = 10 * kSecond;
  std::uint32_t expect = 0;
  std::uint32_t max_mib = 256;
  bool insecure = false;
};

std::string JsonText(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + '"';
}

// Everything that runs, in the order in which it can be destroyed.
struct Parts {
  std::unique_ptr<registry::RegistryClient> registry;
  std::unique_ptr<monitor::Collector> collector;
  std::unique_ptr<monitor::HostMetrics> host;
  std::unique_ptr<ops::Ops> ops;
  std::unique_ptr<ops::OpsService> service;
  std::unique_ptr<net::HttpServer> server;
};

std::optional<std::string> Start(NodeContext& node, const Options& o, const Endpoint& registry,
                                 const Endpoint& listen, const std::string& secret, Parts* parts) {
  parts->ops = std::make_unique<ops::Ops>(node, "monitor", o.name);
  parts->service = std::make_unique<ops::OpsService>(*parts->ops);
  net::HttpLimits limits;
  limits.max_connections = kWatchers;
  auto server = net::HttpServer::Listen(node, listen, *parts->service, limits);
  if (!server) {
    return fmt::format("cannot listen on {}: {}; free it, or let --listen end in :0",
                       listen.ToString(), Message(server.error()));
  }
  parts->server = std::move(*server);
  registry::ClientOptions client;
  client.registry = registry;
  client.member = {secret, {}};
  client.only_members = false;  // whoever is listed is looked at
  parts->registry = std::make_unique<registry::RegistryClient>(node, client);
  monitor::CollectorOptions options;
  options.path = o.out;
  options.interval = o.interval;
  options.expected = o.expect;
  options.max_bytes = std::uint64_t{o.max_mib} << 20;
  options.poll.registry = registry;
  auto collector = monitor::Collector::Create(node, *parts->registry, options);
  if (!collector) return collector.error() + "; choose another file with --out";
  parts->collector = std::move(*collector);
  const monitor::Collector& c = *parts->collector;
  parts->ops->AddSource(&c);
  if (!o.host.empty()) {
    parts->host = std::make_unique<monitor::HostMetrics>(
        o.host, std::filesystem::absolute(o.out).parent_path().string());
    parts->ops->AddSource(parts->host.get());
  }
  parts->ops->AddHealth([&c] { return c.trouble(); });
  parts->ops->AddStatus("series", [&o] { return JsonText(o.out); });
  parts->ops->AddStatus("alive", [&c] { return std::to_string(c.last().alive); });
  parts->ops->AddStatus("expected", [&c] { return std::to_string(c.last().expected); });
  parts->ops->AddStatus("fetch_bytes_per_second",
                        [&c] { return fmt::format("{:.1f}", c.last().fetched_per_s); });
  parts->ops->SetConnections([parts] { return parts->server->Connections(); });
  registry::Service service;
  service.role = "monitor";
  service.name = o.name;
  service.endpoint = parts->server->local();
  service.incarnation = registry::NewId(node.rng);
  parts->registry->Announce(service);
  return std::nullopt;
}

int Run(const Options& o) {
  const auto registry = ParseEndpoint(o.registry);
  if (!registry) return Fail("--registry: " + registry.error());
  const auto listen = ParseEndpoint(o.listen, true);
  if (!listen) return Fail("--listen: " + listen.error());
  if (!IsLoopback(*listen) && !o.insecure) {
    return Fail("--listen: " + o.listen +
                " is not a loopback address, and nothing guards what is served there; "
                "--insecure-no-auth takes it all the same");
  }
  if (const std::string wrong = monitor::WrongHostName(o.host); !wrong.empty()) {
    return Fail("--host: " + wrong);
  }
  if (o.interval < 100 * kMillisecond) return Fail("--interval: at least 100ms");
  RuntimeOptions runtime_options;
  runtime_options.name = o.name;
  auto runtime = Runtime::Create(runtime_options);
  if (!runtime) return Fail(runtime.error());
  if (o.insecure) {
    (*runtime)->node().log.Warn(
        "--insecure-no-auth: whoever reaches {} can read every counter of this process", o.listen);
  }
  std::string secret;
  if (!o.secret_file.empty()) {
    auto read = net::ReadLinkSecret(o.secret_file);
    if (!read) return Fail(read.error());
    secret = std::move(*read);
  }
  Parts parts;
  if (const auto wrong = Start((*runtime)->node(), o, *registry, *listen, secret, &parts)) {
    return Fail(*wrong);
  }
  (*runtime)->OnStop([&] {
    parts.collector->Stop([&] {
      parts.server->StopAccepting();
      parts.registry->Withdraw([&] { (*runtime)->loop().Stop(); });
    });
  });
  supervise::NotifyReady(parts.server->local().ToString());
  (*runtime)->Run();
  return kDone;
}

}  // namespace

Command MonitorCommand() {
  return {"monitor", "Records what every process of a deployment counts, beat by beat.",
          "  baiwan monitor --registry 127.0.0.1:8089 --out runs/latest/series.jsonl\n"
          "  baiwan monitor --registry 127.0.0.1:8089 --interval 1s --expect 10\n",
          [](Args& args) {
            auto options = std::make_shared<Options>();
            args.Text("--registry", &options->registry, "host:port of the registry");
            args.Required("--registry");
            args.Text("--out", &options->out, "the series file; appended to if it is there");
            args.Duration("--interval", &options->interval, "between two looks");
            args.Text("--listen", &options->listen, "of its own /metrics and the like");
            args.Text("--name", &options->name, "in the registry");
            args.Text("--host", &options->host,
                      "the host's name, to tell in its /metrics how the host is");
            args.Text("--secret-file", &options->secret_file,
                      "the deployment's link secret, where the registry wants it proved");
            args.Number("--expect", &options->expect,
                        "processes that should be there; 0: all that were seen", 0U, 1'000'000U);
            args.Number("--max-mib", &options->max_mib, "how large the file may grow", 1U,
                        1U << 20);
            args.Flag("--insecure-no-auth", &options->insecure,
                      "listen on an address that is not loopback, for everybody to read");
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
