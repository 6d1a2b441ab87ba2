#include "cli/config.h"

#include <algorithm>
#include <cstdio>

#include "cli/cell_loop.h"
#include "monitor/host_facts.h"
#include "placement/placement.h"

namespace baiwan::cli {
namespace {

constexpr std::size_t kMaxDeploymentName = 64;
constexpr std::size_t kMaxHosts = 64;
constexpr Nanos kPortWithin = 3 * kSecond;
constexpr std::uint64_t kKiB = 1 << 10;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;

std::optional<std::string> WrongHost(std::string_view host) {
  if (FormOf(host) != HostForm::kNone) return std::nullopt;
  return "'" + std::string(host) + "' is neither an address nor a name, without port";
}

void ProcessKeys(ConfigSchema& s) {
  s.String("process.name", "", "What this process is called; by default after its roles and cell.",
           64);
  s.String("process.host", "",
           "Its host's name, if this process tells in its /metrics how the host is; one process of "
           "each host.",
           monitor::kMostHostName);
  s.Bytes("process.memory", 2 * kGiB, "Memory that its queues, windows and caches may use.",
          64 * kMiB, 1024 * kGiB, ConfigUse::kMemory);
  s.Int("process.loops", 1, "Event loops; the cells of this process are shared out over them.", 1,
        64, "threads");
  s.Enum("process.backend", "auto", "How sockets are served.", {"auto", "io_uring", "epoll"});
  s.Duration("process.stop_deadline", 20 * kSecond, "How long stopping in good order may take.",
             100 * kMillisecond, 600 * kSecond);
  s.String("link.secret_file", "",
           "File (mode 0600) with the secret that links, and whoever registers, prove to know.");
  s.Int("link.max_handshakes", 1024,
        "Connections to a role's port for links that have not proved the secret yet; beyond it the "
        "oldest make room.",
        1, 65'536);
}

void CellKeys(ConfigSchema& s) {
  s.String("deployment.name", "baiwan",
           "What the deployment is called; its stores and registrations say so. Never changes.",
           kMaxDeploymentName);
  s.Int("cell.cells", 1, "Cells of the deployment.", 1, kMaxCells, "cells");
  s.Int("cell.partitions", placement::kDefaultPartitions,
        "Partitions of the deployment; never changes.", 1, kMaxPartitions, "partitions");
  s.Int("cell.first", 0, "The first cell that this process serves.", 0, kMaxCells - 1);
  s.Int("cell.count", 1, "How many cells, from the first on, it serves.", 1, kMaxCells, "cells");
  s.List("cell.roles", {"gateway", "logic", "relay"}, "What it does for them.", 3);
}

void RoleKeys(ConfigSchema& s) {
  const auto port = "With several cells in one process each further cell takes the next port.";
  const auto others = "Requests for other hosts get 421, those of other sites' pages 403.";
  s.Endpoint("gateway.http", "127.0.0.1:9500", std::string("Where clients connect. ") + port,
             ConfigUse::kListens);
  s.List("gateway.hosts", {},
         std::string("Names or addresses, beside its own and names without a dot, under which "
                     "browsers reach it, and whose pages may use it. ") +
             others,
         kMaxHosts, WrongHost);
  s.Int("gateway.max_connections", 16'384,
        "Connections of clients at a time; fewer where the process may not open so many files.", 1,
        1'000'000);
  s.Int("gateway.max_handshakes", 4096,
        "Of these, such as have sent no whole request or WebSocket message yet, and at most half "
        "of them; beyond it the oldest make room.",
        1, 1'000'000);
  s.Duration("gateway.handshake_timeout", 10 * kSecond,
             "For a request to arrive whole, for a WebSocket message to, and for a WebSocket to "
             "say whose it is.",
             100 * kMillisecond, 600 * kSecond);
  s.Int("gateway.max_requests", 8192, "HTTP requests that wait for the logic server.", 1,
        1'000'000);
  s.Int("gateway.max_submits_per_frame", 1024, "Messages in one frame or request.", 1, 65'536);
  s.Duration("gateway.request_timeout", 5 * kSecond, "After this a request is answered with 504.",
             10 * kMillisecond, 600 * kSecond);
  s.Duration("gateway.idle_timeout", 300 * kSecond, "A connection without a request is closed.",
             kSecond, Nanos{24} * 3600 * kSecond);
  s.Duration("gateway.heartbeat", 240 * kSecond, "A silent WebSocket is pinged after this.",
             kSecond, 3600 * kSecond);
  s.Endpoint("relay.listen", "127.0.0.1:11000", "Where relays of other cells connect.",
             ConfigUse::kListens);
  s.Endpoint("logic.listen", "127.0.0.1:9700",
             "Where gateway and relay of another process connect.", ConfigUse::kListens);
  s.Endpoint("ops.listen", "127.0.0.1:0", "/metrics and the like, where there is no gateway.",
             ConfigUse::kListens);
  s.List("ops.hosts", {}, "As gateway.hosts, where there is no gateway.", kMaxHosts, WrongHost);
  s.Int("logic.window_messages", 1024, "Send ids of a user taken beyond those stored.", 1, 65'536);
  s.Bytes("logic.window_bytes", 256 * kKiB, "Bodies of a user taken and not yet stored.", kKiB,
          64 * kMiB);
  s.Bytes("logic.max_body", 64 * kKiB, "One message.", 1, kMiB);
  s.Duration("logic.reorder_timeout", 60 * kSecond,
             "A message that comes before its turn waits this long for those before it, and at "
             "most half as long again.",
             kSecond, 3600 * kSecond);
  s.Int("logic.max_unacked", 16'384, "Messages of a user that no friend has acknowledged.", 1,
        1'000'000);
  s.Int("logic.max_devices", 8, "Connections of one user.", 1, 1024);
  s.Int("logic.max_loads", 256, "Users being loaded at a time.", 1, 65'536);
  s.Bytes("logic.path_credit", kMiB, "Messages under way to one other cell.", 64 * kKiB, kGiB);
  s.Duration("logic.audit_interval", 30 * kSecond,
             "How often pairs that do not move are asked after.", kSecond, 3600 * kSecond);
  s.Endpoint("registry.endpoint", "127.0.0.1:8089", "Where the registry is, for all others.");
  s.Endpoint("registry.listen", "127.0.0.1:8089", "Where the registry listens.",
             ConfigUse::kListens);
  s.List("registry.hosts", {},
         "As gateway.hosts, for the registry; the host of registry.endpoint is always one.",
         kMaxHosts, WrongHost);
  s.Duration("registry.lease", 10 * kSecond, "A service that does not renew is gone after this.",
             kSecond, 600 * kSecond);
  s.Duration("registry.claim_wait", 250 * kMillisecond,
             "How long a process that starts tries to reach the registry to claim its cells; then "
             "it serves, and claims them later.",
             0, 600 * kSecond);
  s.String("registry.table_file", "",
           "Where the registry keeps the placement table; empty: nowhere.");
}

void StoreKeys(ConfigSchema& s) {
  s.Enum("store.engine", "rocksdb", "memory: gone when the process ends, for trying things.",
         {"rocksdb", "memory"});
  s.String("store.path", "store", "Folder; with several loops each has a numbered one in it.");
  s.Bytes("store.checkpoint", 256 * kMiB, "Log written between two checkpoints.", kMiB, 64 * kGiB);
  s.Bytes("store.block", 4 * kKiB, "Size of a log block, about.", 512, kMiB);
  s.Bytes("store.disk_reserve", kGiB,
          "With less room on the disk nothing new is taken from clients; with less than half of it "
          "nothing from other cells either.",
          0, 1024 * kGiB);
  s.Int("store.disk_reserve_percent", 5, "The same, as a share of the disk; the larger counts.", 0,
        50, "percent");
  s.Bytes("store.write_buffer", 64 * kMiB,
          "RocksDB: one memory table, of four; less where process.memory is small.", kMiB, kGiB);
  s.Bytes("store.cache", 32 * kMiB, "RocksDB: block cache; less where process.memory is small.",
          kMiB, 64 * kGiB);
}

}  // namespace

ConfigSchema Schema() {
  ConfigSchema s;
  ProcessKeys(s);
  CellKeys(s);
  RoleKeys(s);
  StoreKeys(s);
  s.Check("cell.partitions", [](const Config& c) -> std::optional<std::string> {
    if (c.integer("cell.partitions") >= c.integer("cell.cells")) return std::nullopt;
    return "there must be at least as many partitions as cells";
  });
  s.Check("cell.count", [](const Config& c) -> std::optional<std::string> {
    if (c.integer("cell.first") + c.integer("cell.count") <= c.integer("cell.cells")) {
      return std::nullopt;
    }
    return "cell.first + cell.count is beyond cell.cells";
  });
  s.Check("cell.roles", [](const Config& c) -> std::optional<std::string> {
    for (const std::string& role : c.list("cell.roles")) {
      if (role != "gateway" && role != "logic" && role != "relay") {
        return "'" + role + "' is none of gateway, logic, relay";
      }
    }
    if (c.list("cell.roles").empty()) return "expected at least one of gateway, logic, relay";
    return std::nullopt;
  });
  s.Check("deployment.name", [](const Config& c) -> std::optional<std::string> {
    const std::string& name = c.string("deployment.name");
    const auto odd = [](char ch) { return ch <= ' ' || ch > '~' || ch == '\'' || ch == '"'; };
    if (!name.empty() && std::none_of(name.begin(), name.end(), odd)) return std::nullopt;
    return "a name of 1 to 64 printable ASCII characters without spaces and quotes is needed";
  });
  s.Check("process.host", [](const Config& c) -> std::optional<std::string> {
    std::string wrong = monitor::WrongHostName(c.string("process.host"));
    if (wrong.empty()) return std::nullopt;
    return wrong;
  });
  return s;
}

void AddConfigArgs(Args& args, ConfigArgs* config) {
  args.Text("--config", &config->file, "TOML file with settings (see `baiwan config describe`)");
  args.Texts("--set", &config->sets, "one setting, key=value; may be repeated");
  args.Flag("--insecure-no-auth", &config->insecure,
            "allow addresses that others can reach: whoever reaches them may read and send "
            "everything in every user's name");
}

Result<Config, int> Load(const ConfigArgs& args, const std::vector<std::string>& sections) {
  auto config = LoadConfig(
      Schema(), {.file = args.file, .sets = args.sets, .environment = ProcessEnvironment()});
  if (!config) {
    std::fputs(ToText(config.error()).c_str(), stderr);
    return Result<Config, int>::Failure(kUsage);
  }
  for (const ConfigKey& key : config->keys()) {
    if (key.use != ConfigUse::kListens) continue;
    const std::string section = key.name.substr(0, key.name.find('.'));
    bool counts = false;
    for (const std::string& s : sections) counts |= s == section;
    const Endpoint& at = config->endpoint(key.name);
    if (!counts || IsLoopback(at)) continue;
    if (!args.insecure) {
      return Fail(key.name + " = " + at.ToString() +
                  " can be reached from other machines, and clients do not have to say who they "
                  "are: use 127.0.0.1, or say --insecure-no-auth");
    }
    std::fprintf(stderr,
                 "baiwan: %s listens on %s WITHOUT AUTHENTICATION: whoever reaches it may read and "
                 "send everything in every user's name\n",
                 section.c_str(), at.ToString().c_str());
  }
  return std::move(*config);
}

net::LoopOptions LoopOptionsOf(const Config& config) {
  net::LoopOptions options;
  options.port_within = kPortWithin;
  const std::string& backend = config.choice("process.backend");
  if (backend == "io_uring") options.backend = net::Backend::kIoUring;
  if (backend == "epoll") options.backend = net::Backend::kEpoll;
  return options;
}

net::LoopOptions LoopOptionsOf(const Config& config, const Shares& shares) {
  net::LoopOptions options = LoopOptionsOf(config);
  options.max_accepted = shares.descriptors.accepted;
  options.max_lingering = shares.descriptors.lingering;
  shares.memory.Bound(&options);
  return options;
}

store::RocksDbOptions RocksDbOptionsOf(const Config& config) {
  store::RocksDbOptions options;
  options.write_buffer_bytes = config.bytes("store.write_buffer");
  options.cache_bytes = config.bytes("store.cache");
  return options;
}

store::StoreOptions StoreOptionsOf(const Config& config) {
  store::StoreOptions options;
  options.checkpoint_bytes = config.bytes("store.checkpoint");
  options.block_bytes = static_cast<std::uint32_t>(config.bytes("store.block"));
  return options;
}

cell::HostOptions HostOptionsOf(const Config& config) {
  const auto number = [&](const char* key) {
    return static_cast<std::uint32_t>(config.integer(key));
  };
  cell::HostOptions o;
  o.registry = config.endpoint("registry.endpoint");
  o.http = config.endpoint("gateway.http");
  o.relay_listen = config.endpoint("relay.listen");
  o.logic_listen = config.endpoint("logic.listen");
  o.ops = config.endpoint("ops.listen");
  o.gateway_options.max_requests = number("gateway.max_requests");
  o.gateway_options.max_submits_per_frame = number("gateway.max_submits_per_frame");
  o.gateway_options.request_timeout = config.duration("gateway.request_timeout");
  o.http_limits.max_connections = number("gateway.max_connections");
  o.http_limits.max_handshakes = number("gateway.max_handshakes");
  o.http_limits.head_timeout = config.duration("gateway.handshake_timeout");
  o.http_limits.websocket.message_timeout = o.http_limits.head_timeout;
  o.gateway_options.connect_timeout = o.http_limits.head_timeout;
  o.link_limits.max_handshakes = number("link.max_handshakes");
  o.http_limits.idle_timeout = config.duration("gateway.idle_timeout");
  o.http_limits.websocket.heartbeat = config.duration("gateway.heartbeat");
  cell::LogicOptions& l = o.logic_options;
  l.mailbox.window_messages = number("logic.window_messages");
  l.mailbox.window_bytes = static_cast<std::uint32_t>(config.bytes("logic.window_bytes"));
  l.mailbox.max_body = static_cast<std::uint32_t>(config.bytes("logic.max_body"));
  l.mailbox.max_unacked = number("logic.max_unacked");
  l.max_devices = number("logic.max_devices");
  l.max_loads = number("logic.max_loads");
  l.path_credit = config.bytes("logic.path_credit");
  l.reorder_timeout = config.duration("logic.reorder_timeout");
  l.audit_interval = config.duration("logic.audit_interval");
  l.disk_reserve.bytes = config.bytes("store.disk_reserve");
  l.disk_reserve.percent = number("store.disk_reserve_percent");
  l.heartbeat_s = static_cast<std::uint32_t>(config.duration("gateway.heartbeat") / kSecond);
  return o;
}

std::optional<std::string> MembershipOf(const Config& config, registry::Membership* member) {
  member->deployment = config.string("deployment.name");
  const std::string& file = config.string("link.secret_file");
  if (file.empty()) return std::nullopt;
  auto secret = net::ReadLinkSecret(file);
  if (!secret) return secret.error();
  member->secret = std::move(*secret);
  return std::nullopt;
}

std::string LinkSecretOf(const Config& config, std::string* error) {
  const std::string& file = config.string("link.secret_file");
  if (file.empty()) {
    *error =
        "link.secret_file is not set: processes prove to each other that they know the same "
        "secret; make one with: (umask 077; head -c 32 /dev/urandom | base64 > link.secret)";
    return {};
  }
  auto secret = net::ReadLinkSecret(file);
  if (!secret) {
    *error = secret.error();
    return {};
  }
  return *secret;
}

}  // namespace baiwan::cli
