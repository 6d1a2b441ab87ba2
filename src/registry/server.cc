#include "registry/server.h"

#include <algorithm>
#include <charconv>

#include "registry/json.h"

namespace baiwan::registry {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr Nanos kSweep = 200 * kMillisecond;

std::string_view Next(std::string_view* path) {
  const auto slash = path->find('/');
  const auto part = path->substr(0, slash);
  *path = slash == std::string_view::npos ? std::string_view{} : path->substr(slash + 1);
  return part;
}

template <class T>
bool ParseNumber(std::string_view text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && error == std::errc{} && end == text.data() + text.size();
}

void Error(net::HttpExchange& exchange, int status, std::string_view code,
           std::string_view message) {
  exchange.Reply(status, kJson,
                 fmt::format("{{\"error\":\"{}\",\"message\":\"{}\"}}", code, message));
}

}  // namespace

RegistryServer::RegistryServer(NodeContext& node, const ServerOptions& options,
                               const placement::PlacementTable& table,
                               std::function<bool(net::HttpExchange&)> extra)
    : node_(node),
      options_(options),
      table_(table),
      extra_(std::move(extra)),
      registry_(options.registry) {
  Sweep();
}

RegistryServer::~RegistryServer() { node_.loop.Cancel(sweep_); }

void RegistryServer::OnRequest(net::HttpExchange& exchange) {
  std::string_view path = exchange.request().path;
  const std::string_view query = exchange.request().query;
  if (path.substr(0, 8) == "/regist/") return SourceRegister(exchange, path.substr(8), query);
  if (path == "/server" || path == "/server/") {
    registry_.Expire(node_.clock.Monotonic());
    return exchange.Reply(200, kJson, SourceList(registry_.List()));
  }
  if (path == "/v1/watch") return Watch(exchange, query);
  if (path == "/v1/placement") return Placement(exchange);
  if (path == "/v1/services" || path.substr(0, 13) == "/v1/services/") {
    return Services(exchange, path.size() > 13 ? path.substr(13) : std::string_view{}, query);
  }
  if (extra_ && extra_(exchange)) return;
  Error(exchange, 404, "not_found", "there is nothing under this path");
}

void RegistryServer::OnAbandoned(net::HttpExchange& exchange) {
  std::erase_if(watchers_, [&](const Watcher& w) { return w.exchange == &exchange; });
}

void RegistryServer::SourceRegister(net::HttpExchange& exchange, std::string_view rest,
                                    std::string_view query) {
  if (exchange.request().method != "GET") {
    return Error(exchange, 405, "method_not_allowed", "this path takes GET");
  }
  Service s;
  s.role = RoleOf(Next(&rest));
  const std::string_view cell = Next(&rest);
  if (s.role.empty()) return Error(exchange, 404, "unknown_type", "no such type of service");
  if (!ParseNumber(cell, &s.cell)) return Answer(exchange, RegisterError::kBadCell);
  std::string port;
  if (!net::QueryValue(query, "host", &s.endpoint.host) || !net::QueryValue(query, "port", &port) ||
      !ParseNumber(port, &s.endpoint.port)) {
    return Answer(exchange, RegisterError::kBadEndpoint);
  }
  if (!net::QueryValue(query, "id", &s.name) || s.name.empty()) s.name = s.role;
  Answer(exchange, registry_.Register(s, node_.clock.Monotonic()));
}

void RegistryServer::Services(net::HttpExchange& exchange, std::string_view rest,
                              std::string_view query) {
  const std::string_view method = exchange.request().method;
  const Nanos now = node_.clock.Monotonic();
  if (rest.empty()) {
    if (method != "GET") return Error(exchange, 405, "method_not_allowed", "this path takes GET");
    registry_.Expire(now);
    std::vector<Service> list = registry_.List();
    std::string wanted;
    if (net::QueryValue(query, "role", &wanted)) {
      std::erase_if(list, [&](const Service& s) { return s.role != wanted; });
    }
    CellId cell = 0;
    if (net::QueryValue(query, "cell", &wanted)) {
      if (!ParseNumber(wanted, &cell)) return Answer(exchange, RegisterError::kBadCell);
      std::erase_if(list, [&](const Service& s) { return s.cell != cell; });
    }
    return exchange.Reply(200, kJson, ListToJson(registry_.revision(), list));
  }
  Service s;
  s.role = Next(&rest);
  const std::string_view cell = Next(&rest);
  s.name = rest;
  if (!ParseNumber(cell, &s.cell)) return Answer(exchange, RegisterError::kBadCell);
  if (method == "PUT") {
    std::string why;
    if (!ReadBody(exchange.request().body, &s, &why)) {
      ++refused_;
      return Error(exchange, 400, "bad_request", why);
    }
    return Answer(exchange, registry_.Register(s, now));
  }
  if (method == "DELETE") {
    if (!registry_.Deregister(s.role, s.cell, s.name, now)) {
      return Error(exchange, 404, "not_found", "no such service is registered");
    }
    TellWatchers();
    return exchange.Reply(200, kJson, "{\"removed\":true}");
  }
  Error(exchange, 405, "method_not_allowed", "this path takes PUT and DELETE");
}

void RegistryServer::Answer(net::HttpExchange& exchange, RegisterError error) {
  switch (error) {
    case RegisterError::kNone:
      ++registrations_;
      exchange.Reply(200, "text/plain", "OK");
      return TellWatchers();
    case RegisterError::kTaken:
      ++refused_;
      return Error(exchange, 409, "taken", Message(error));
    case RegisterError::kFull:
      ++refused_;
      return Error(exchange, 503, "full", Message(error));
    default:
      ++refused_;
      return Error(exchange, 400, "bad_request", Message(error));
  }
}

void RegistryServer::Watch(net::HttpExchange& exchange, std::string_view query) {
  std::uint64_t after = 0;
  std::uint64_t seconds = 30;
  std::string text;
  if (net::QueryValue(query, "after", &text) && !ParseNumber(text, &after)) {
    return Error(exchange, 400, "bad_request", "after is a revision");
  }
  if (net::QueryValue(query, "timeout", &text) && !ParseNumber(text, &seconds)) {
    return Error(exchange, 400, "bad_request", "timeout is a number of seconds");
  }
  if (after != registry_.revision() || watchers_.size() >= options_.max_watchers) {
    return exchange.Reply(200, kJson, ListToJson(registry_.revision(), registry_.List()));
  }
  const Nanos wait = std::min<Nanos>(
      static_cast<Nanos>(std::min<std::uint64_t>(seconds, 3600)) * kSecond, options_.max_watch);
  watchers_.push_back({&exchange, after, node_.clock.Monotonic() + wait});
}

void RegistryServer::TellWatchers() {
  if (told_revision_ == registry_.revision()) return;
  told_revision_ = registry_.revision();
  const std::string body = ListToJson(told_revision_, registry_.List());
  for (const Watcher& w : std::exchange(watchers_, {})) w.exchange->Reply(200, kJson, body);
}

void RegistryServer::Sweep() {
  const Nanos now = node_.clock.Monotonic();
  registry_.Expire(now);
  TellWatchers();
  std::string body;
  std::erase_if(watchers_, [&](const Watcher& w) {
    if (w.until > now) return false;
    if (body.empty()) body = ListToJson(registry_.revision(), registry_.List());
    w.exchange->Reply(200, kJson, body);
    return true;
  });
  sweep_ = node_.loop.After(kSweep, [this] { Sweep(); });
}

void RegistryServer::Placement(net::HttpExchange& exchange) {
  std::string body = fmt::format("{{\"version\":{},\"partitions\":{},\"cells\":{},\"owners\":[",
                                 table_.version(), table_.partitions(), table_.cells());
  for (PartitionId p = 0; p < table_.partitions(); ++p) {
    body += fmt::format("{}{{\"cell\":{},\"epoch\":{}}}", p == 0 ? "" : ",", table_.OwnerOf(p),
                        table_.EpochOf(p));
  }
  exchange.Reply(200, kJson, body + "]}\n");
}

void RegistryServer::WriteMetrics(MetricsSink& sink) const {
  sink.Gauge("registry_services", "services under lease",
             static_cast<double>(registry_.List().size()));
  sink.Gauge("registry_watchers", "watches open", static_cast<double>(watchers_.size()));
  sink.Counter("registry_registrations_total", "registrations and renewals",
               static_cast<double>(registrations_));
  sink.Counter("registry_refused_total", "registrations refused", static_cast<double>(refused_));
}

}  // namespace baiwan::registry
