#include "registry/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/units.h"
#include "ops/ops.h"
#include "registry/json.h"

namespace baiwan::registry {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kText = "text/plain";
constexpr std::string_view kReads = "GET, HEAD";
constexpr std::string_view kServices = "/v1/services/";
constexpr std::string_view kClaims = "/v1/claims/";
constexpr std::size_t kMaxBody = 16 << 10;
constexpr Nanos kSweep = 200 * kMillisecond;
constexpr Nanos kLogEvery = kSecond;
constexpr int kListingsPerTurn = 8;

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

void Error(net::HttpExchange& exchange, int status, std::string_view code, std::string_view message,
           const net::Headers& extra = {}) {
  exchange.Reply(status, kJson, ErrorToJson(code, message), extra);
}

// Answers 405 unless the method is one of those that the path takes: "GET, HEAD", say.
bool Takes(net::HttpExchange& exchange, std::string_view methods) {
  const std::string_view method = exchange.request().method;
  for (std::string_view rest = methods;;) {
    const auto comma = rest.find(", ");
    if (rest.substr(0, comma) == method) return true;
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 2);
  }
  Error(exchange, 405, "method_not_allowed", fmt::format("this path takes {}", methods),
        {{"Allow", std::string(methods)}});
  return false;
}

void BadRequest(net::HttpExchange& exchange, std::string_view message) {
  Error(exchange, 400, "bad_request", message);
}

int StatusOf(RegisterError error) {
  switch (error) {
    case RegisterError::kUnproved:
    case RegisterError::kTaken:
    case RegisterError::kStoreCopy:
    case RegisterError::kStoreServed:
    case RegisterError::kStoreReplaced:
      return 409;
    case RegisterError::kReplaced:
      return 410;
    case RegisterError::kFull:
      return 503;
    default:
      return 400;
  }
}

const char* CodeOf(RegisterError error) {
  switch (error) {
    case RegisterError::kUnproved:
    case RegisterError::kTaken:
      return "taken";
    case RegisterError::kReplaced:
      return "replaced";
    case RegisterError::kFull:
      return "full";
    case RegisterError::kStoreCopy:
      return "store_copy";
    case RegisterError::kStoreServed:
      return "store_served";
    case RegisterError::kStoreReplaced:
      return "store_replaced";
    default:
      return "bad_request";
  }
}

}  // namespace

RegistryServer::RegistryServer(NodeContext& node, const ServerOptions& options,
                               const placement::PlacementTable& table,
                               std::function<bool(net::HttpExchange&)> extra)
    : node_(node),
      options_(options),
      extra_(std::move(extra)),
      id_(NewId(node.rng)),
      registry_(options.registry, table, node.clock.Monotonic()),
      told_revision_(registry_.revision()) {
  Sweep();
}

RegistryServer::~RegistryServer() {
  node_.loop.Cancel(sweep_);
  node_.loop.Cancel(tell_);
  node_.loop.Cancel(answer_);
  node_.budget.Release(Account::kStore, charged_);
}

void RegistryServer::OnRequest(net::HttpExchange& exchange) {
  const std::string_view path = exchange.request().path;
  const std::string_view query = exchange.request().query;
  registry_.Expire(node_.clock.Monotonic());
  TellSoon();
  if (path.substr(0, 8) == "/regist/") {
    if (Takes(exchange, "GET")) SourceRegister(exchange, path.substr(8), query);
  } else if (path == "/server" || path == "/server/") {
    if (Takes(exchange, kReads)) exchange.Reply(200, kJson, SourceList(registry_.leases()));
  } else if (path == "/v1/watch") {
    if (Takes(exchange, "GET")) Watch(exchange, query);
  } else if (path == "/v1/placement") {
    if (Takes(exchange, kReads)) Placement(exchange, query);
  } else if (path.substr(0, kClaims.size()) == kClaims) {
    if (Takes(exchange, "PUT") && Proved(exchange)) {
      Claim(exchange, path.substr(kClaims.size()));
    }
  } else if (path == "/v1/services" || path == kServices) {
    if (Takes(exchange, kReads)) ListServices(exchange, query);
  } else if (path.substr(0, kServices.size()) == kServices) {
    OneService(exchange, path.substr(kServices.size()), query);
  } else if (extra_ && extra_(exchange)) {
    return;
  } else if (path == "/healthz") {
    if (Takes(exchange, kReads)) exchange.Reply(200, kText, "ok\n");
  } else {
    Error(exchange, 404, "not_found", "there is nothing under this path");
  }
}

bool RegistryServer::Vital(std::string_view path) const { return ops::Ops::Vital(path); }

void RegistryServer::OnAbandoned(net::HttpExchange& exchange) {
  const auto gone = [&](const Watcher& w) { return w.exchange == &exchange; };
  std::erase_if(watchers_, gone);
  std::erase_if(answering_, gone);
}

// ---------------------------------------------------------------- services

void RegistryServer::SourceRegister(net::HttpExchange& exchange, std::string_view rest,
                                    std::string_view query) {
  if (!IsLoopback(exchange.peer())) {
    ++refused_;
    return Error(exchange, 403, "loopback_only",
                 "this way to register proves nothing and is open on loopback only: use PUT "
                 "/v1/services with a proof");
  }
  const std::string_view type = Next(&rest);
  const std::string_view cell = Next(&rest);
  Service s;
  s.role = RoleOf(type);
  if (s.role.empty()) return Error(exchange, 404, "unknown_type", "no such type of service");
  if (!ParseNumber(cell, &s.cell)) return Refuse(exchange, s, RegisterError::kBadCell);
  std::string port;
  if (!net::QueryValue(query, "id", &s.name)) return Refuse(exchange, s, RegisterError::kBadName);
  if (!net::QueryValue(query, "host", &s.endpoint.host) || !net::QueryValue(query, "port", &port) ||
      !ParseNumber(port, &s.endpoint.port)) {
    return Refuse(exchange, s, RegisterError::kBadEndpoint);
  }
  std::string cell_id;
  if (net::QueryValue(query, "cellid", &cell_id) && !cell_id.empty()) {
    std::uint32_t number = 0;
    if (!ParseNumber(cell_id, &number)) return BadRequest(exchange, "cellid is a number");
    s.meta[kMetaCellId] = cell_id;
  }
  if (type != SourceTypeOf(s.role)) s.meta[kMetaType] = type;
  const bool proved = options_.member.secret.empty();
  if (Register(exchange, s, proved)) exchange.Reply(200, kText, "OK");
}

void RegistryServer::ListServices(net::HttpExchange& exchange, std::string_view query) {
  std::string role;
  std::string text;
  CellId cell = 0;
  const bool by_role = net::QueryValue(query, "role", &role);
  const bool by_cell = net::QueryValue(query, "cell", &text);
  if (by_role && !IsRole(role)) return BadRequest(exchange, Message(RegisterError::kBadRole));
  if (by_cell && !ParseNumber(text, &cell)) {
    return BadRequest(exchange, Message(RegisterError::kBadCell));
  }
  std::vector<const Registry::Lease*> leases;
  for (const auto& [key, lease] : registry_.leases()) {
    if (by_role && key.role != role) continue;
    if (by_cell && key.cell != cell) continue;
    leases.push_back(&lease);
  }
  exchange.Reply(200, kJson, LeasesToJson(registry_, id_, leases, node_.clock.Monotonic()));
}

void RegistryServer::OneService(net::HttpExchange& exchange, std::string_view rest,
                                std::string_view query) {
  if (!Takes(exchange, "PUT, DELETE")) return;
  const std::string_view method = exchange.request().method;
  Service s;
  s.role = Next(&rest);
  const std::string_view cell = Next(&rest);
  s.name = rest;
  if (!ParseNumber(cell, &s.cell)) return Refuse(exchange, s, RegisterError::kBadCell);
  if (!Proved(exchange)) return;
  if (method == "PUT") {
    const std::string_view body = exchange.request().body;
    if (body.size() > kMaxBody) return Error(exchange, 413, "too_large", "at most 16 KiB");
    if (const auto why = ReadBody(body, &s)) {
      ++refused_;
      return BadRequest(exchange, *why);
    }
    if (!Register(exchange, s, true)) return;
    return exchange.Reply(200, kJson,
                          fmt::format("{{\"registry\":{},\"lease_ms\":{}}}\n", id_,
                                      registry_.lease() / kMillisecond));
  }
  std::string text;
  Incarnation incarnation = 0;
  if (net::QueryValue(query, "incarnation", &text) && !ParseNumber(text, &incarnation)) {
    return BadRequest(exchange, "incarnation is a whole number");
  }
  if (!registry_.Deregister(s.key(), incarnation, node_.clock.Monotonic())) {
    return Error(exchange, 404, "not_found", "no such service is registered");
  }
  TellSoon();
  exchange.Reply(200, kJson, "{\"removed\":true}\n");
}

void RegistryServer::Claim(net::HttpExchange& exchange, std::string_view rest) {
  Service s;
  s.role = "logic";
  if (!ParseNumber(rest, &s.cell)) return Refuse(exchange, s, RegisterError::kBadCell);
  const std::string_view body = exchange.request().body;
  if (body.size() > kMaxBody) return Error(exchange, 413, "too_large", "at most 16 KiB");
  if (const auto why = ReadClaim(body, &s.claim)) {
    ++refused_;
    return BadRequest(exchange, *why);
  }
  const auto error = registry_.Claim(s.cell, s.claim, node_.clock.Monotonic());
  if (error != RegisterError::kNone) return Refuse(exchange, s, error);
  exchange.Reply(200, kJson, fmt::format("{{\"registry\":{},\"granted\":true}}\n", id_));
}

// False if the request does not show that it is of the deployment, and is answered.
bool RegistryServer::Proved(net::HttpExchange& exchange) {
  if (options_.member.secret.empty()) return true;
  const net::HttpRequest& r = exchange.request();
  if (RequestProved(options_.member, id_, r.method, r.target, r.body, r.Header(kProofHeader))) {
    return true;
  }
  ++refused_;
  exchange.Reply(401, kJson,
                 fmt::format("{{\"error\":\"unproved\",\"registry\":{},\"message\":\"{}\"}}\n", id_,
                             "a proof that the caller knows this deployment's link secret is "
                             "missing or wrong: give him the same link.secret_file"));
  return false;
}

// False if it was refused, and the request answered.
bool RegistryServer::Register(net::HttpExchange& exchange, const Service& service, bool proved) {
  const bool room = !node_.budget.full() || registry_.leases().count(service.key()) > 0;
  const RegisterError error =
      room ? registry_.Register(service, node_.clock.Monotonic(), proved) : RegisterError::kFull;
  if (error != RegisterError::kNone) {
    Refuse(exchange, service, error);
    return false;
  }
  ++registrations_;
  TellSoon();
  return true;
}

void RegistryServer::Refuse(net::HttpExchange& exchange, const Service& service,
                            RegisterError error) {
  ++refused_;
  std::string message = Message(error);
  if (error == RegisterError::kTaken) {
    const ServiceKey holder = registry_.HolderOf(service.endpoint)->service.key();
    message = fmt::format("{} belongs to {}: give {} another port", service.endpoint.ToString(),
                          holder.ToString(), service.key().ToString());
    const Nanos now = node_.clock.Monotonic();
    if (logged_at_ == 0 || now - logged_at_ >= kLogEvery) {
      logged_at_ = now;
      node_.log.Warn("registration refused: {}", message);
    }
  }
  if (service.claim.id != 0 && StatusOf(error) == 409 && error != RegisterError::kTaken &&
      error != RegisterError::kUnproved) {
    node_.log.Warn("cell {}: {} (life {}, incarnation {})", service.cell, message,
                   service.claim.life, service.claim.incarnation);
  }
  net::Headers extra;
  if (error == RegisterError::kFull) extra.emplace_back("Retry-After", "5");
  Error(exchange, StatusOf(error), CodeOf(error), message, extra);
}

// ---------------------------------------------------------------- watching

void RegistryServer::Watch(net::HttpExchange& exchange, std::string_view query) {
  std::uint64_t after = 0;
  std::uint64_t id = id_;
  Nanos wait = 30 * kSecond;
  std::string text;
  if (net::QueryValue(query, "after", &text) && !ParseNumber(text, &after)) {
    return BadRequest(exchange, "after is a revision");
  }
  if (net::QueryValue(query, "registry", &text) && !ParseNumber(text, &id)) {
    return BadRequest(exchange, "registry is the number that the last answer had");
  }
  if (net::QueryValue(query, "timeout", &text)) {
    const bool bare = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    const auto parsed = ParseDuration(bare ? text + "s" : text);
    if (!parsed) return BadRequest(exchange, parsed.error());
    wait = std::min(*parsed, options_.max_watch);
  }
  if (id != id_) after = 0;
  if (after != registry_.revision() && tell_ == 0) {
    return exchange.Reply(200, kJson, ChangesToJson(registry_, id_, after));
  }
  if (watchers_.size() >= options_.max_watchers) {
    return Error(exchange, 503, "too_many_watchers", "as many watch as may",
                 {{"Retry-After", "1"}});
  }
  watchers_.push_back({&exchange, after, node_.clock.Monotonic() + wait});
}

void RegistryServer::ChargeTables() {
  const std::size_t now = registry_.bytes();
  if (now > charged_) node_.budget.ChargeAlways(Account::kStore, now - charged_);
  if (now < charged_) node_.budget.Release(Account::kStore, charged_ - now);
  charged_ = now;
}

void RegistryServer::TellSoon() {
  ChargeTables();
  if (told_revision_ == registry_.revision() || tell_ != 0) return;
  tell_ = node_.loop.After(options_.linger, [this] {
    tell_ = 0;
    told_revision_ = registry_.revision();
    Answer([this](const Watcher& w) { return w.after != told_revision_; });
  });
}

void RegistryServer::Sweep() {
  const Nanos now = node_.clock.Monotonic();
  registry_.Expire(now);
  TellSoon();
  Answer([now](const Watcher& w) { return w.until <= now; });
  sweep_ = node_.loop.After(kSweep, [this] { Sweep(); });
}

void RegistryServer::Answer(const std::function<bool(const Watcher&)>& which) {
  const auto first = std::stable_partition(watchers_.begin(), watchers_.end(),
                                           [&](const Watcher& w) { return !which(w); });
  answering_.insert(answering_.end(), first, watchers_.end());
  watchers_.erase(first, watchers_.end());
  std::stable_sort(answering_.begin(), answering_.end(),
                   [](const Watcher& a, const Watcher& b) { return a.after < b.after; });
  if (answer_ == 0) AnswerSome();
}

// Answering a request may bring the next one of the same connection at once, or the end of another:
// so those to be answered are set apart first, and looked up again each time. Most ask after the
// same revision; each other one needs a listing of its own.
void RegistryServer::AnswerSome() {
  std::string body;
  std::uint64_t after = 0;
  for (int made = 0; !answering_.empty();) {
    const Watcher watcher = answering_.back();
    if (made == 0 || watcher.after != after) {
      if (made++ == kListingsPerTurn) break;
      after = watcher.after;
      body = ChangesToJson(registry_, id_, after);
    }
    answering_.pop_back();
    watcher.exchange->Reply(200, kJson, body);
  }
  if (answering_.empty() || answer_ != 0) return;
  answer_ = node_.loop.After(0, [this] {
    answer_ = 0;
    AnswerSome();
  });
}

// ---------------------------------------------------------------- placement and the rest

void RegistryServer::Placement(net::HttpExchange& exchange, std::string_view query) {
  const placement::PlacementTable& table = registry_.table();
  std::string format;
  if (net::QueryValue(query, "format", &format) && format == "binary") {
    return exchange.Reply(200, "application/octet-stream", table.Encode());
  }
  std::string body = fmt::format("{{\"version\":{},\"partitions\":{},\"cells\":{},\"owners\":[",
                                 table.version(), table.partitions(), table.cells());
  for (PartitionId p = 0; p < table.partitions(); ++p) {
    body += fmt::format("{}{{\"cell\":{},\"epoch\":{}}}", p == 0 ? "" : ",", table.OwnerOf(p),
                        table.EpochOf(p));
  }
  exchange.Reply(200, kJson, body + "]}\n");
}

std::optional<std::string> RegistryServer::Move(PartitionId partition, CellId to) {
  registry_.Expire(node_.clock.Monotonic());
  TellSoon();
  const MoveError error = registry_.CheckMove(partition, to);
  if (error != MoveError::kNone) return Message(error);
  if (options_.placement_store == nullptr) return "there is nowhere to save the placement table";
  placement::PlacementTable moved = registry_.table();
  moved.Move(partition, to);
  if (auto why = options_.placement_store->Save(moved.Encode())) return why;
  registry_.Adopt(moved);
  TellSoon();
  return std::nullopt;
}

void RegistryServer::WriteMetrics(MetricsSink& sink) const {
  sink.Gauge("registry_services", "services under lease",
             static_cast<double>(registry_.leases().size()));
  sink.Gauge("registry_watchers", "watches open", static_cast<double>(watchers_.size()));
  sink.Counter("registry_registrations_total", "registrations and renewals",
               static_cast<double>(registrations_));
  sink.Counter("registry_refused_total", "registrations refused", static_cast<double>(refused_));
}

}  // namespace baiwan::registry
