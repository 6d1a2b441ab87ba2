#include "ops/ops.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "net/http_answer.h"

namespace baiwan::ops {
namespace {

// Collects what sources list into Prometheus's families; one family for all labels of a name.
class FamilySink final : public MetricsSink {
 public:
  void Counter(std::string_view name, std::string_view help, double value,
               std::string_view label) override {
    Add(prometheus::MetricType::Counter, name, help, label).counter.value = value;
  }
  void Gauge(std::string_view name, std::string_view help, double value,
             std::string_view label) override {
    Add(prometheus::MetricType::Gauge, name, help, label).gauge.value = value;
  }
  std::string Text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  prometheus::ClientMetric& Add(prometheus::MetricType type, std::string_view name,
                                std::string_view help, std::string_view label) {
    const std::string full = "baiwan_" + std::string(name);
    const auto [it, is_new] = index_.try_emplace(full, families_.size());
    if (is_new) {
      families_.emplace_back();
      families_.back().name = full;
      families_.back().help = help;
      families_.back().type = type;
    }
    prometheus::ClientMetric& metric = families_[it->second].metric.emplace_back();
    const auto equals = label.find('=');
    if (equals != std::string_view::npos && label.size() >= equals + 3) {
      metric.label.push_back({std::string(label.substr(0, equals)),
                              std::string(label.substr(equals + 2, label.size() - equals - 3))});
    }
    return metric;
  }

  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, std::size_t> index_;
};

double Seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
}

double ResidentBytes() {
  long pages = 0;
  long resident = 0;
  if (std::FILE* f = std::fopen("/proc/self/statm", "re")) {
    if (std::fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

constexpr Account kAll[] = {Account::kConnections, Account::kReorder, Account::kCommits,
                            Account::kLinks,       Account::kUsers,   Account::kStore,
                            Account::kProgram};

}  // namespace

Ops::Ops(NodeContext& node, std::string role, std::string name)
    : node_(node),
      role_(std::move(role)),
      name_(std::move(name)),
      started_(node.clock.Monotonic()),
      started_wall_ms_(node.clock.WallMillis()) {}

void Ops::AddStatus(std::string key, std::function<std::string()> json) {
  status_.emplace_back(std::move(key), std::move(json));
}

bool Ops::Handle(net::HttpExchange& exchange) {
  const std::string_view path = exchange.request().path;
  if (path != "/metrics" && path != "/status" && path != "/healthz" && path != "/connections") {
    return false;
  }
  const std::string_view method = exchange.request().method;
  if (method != "GET" && method != "HEAD") {
    exchange.Reply(405, "application/json",
                   net::ErrorBody("method_not_allowed", "this path takes GET, HEAD"),
                   {{"Allow", "GET, HEAD"}});
  } else if (path == "/metrics") {
    exchange.Reply(200, "text/plain; version=0.0.4", MetricsText());
  } else if (path == "/status") {
    exchange.Reply(200, "application/json", StatusJson());
  } else if (path == "/healthz") {
    const std::string why = Unhealthy();
    exchange.Reply(why.empty() ? 200 : 503, "text/plain", why.empty() ? "ok\n" : why + "\n");
  } else {
    nlohmann::json list = nlohmann::json::array();
    if (connections_) {
      for (const net::ConnectionInfo& c : connections_()) {
        list.push_back({{"peer", c.peer.ToString()},
                        {"kind", c.kind},
                        {"bytes_in", c.bytes_in},
                        {"bytes_out", c.bytes_out},
                        {"requests", c.requests},
                        {"unsent", c.unsent}});
      }
    }
    exchange.Reply(200, "application/json", list.dump(1) + "\n");
  }
  return true;
}

std::string Ops::MetricsText() const {
  FamilySink sink;
  WriteProcess(sink);
  for (const MetricsSource* source : sources_) source->WriteMetrics(sink);
  return sink.Text();
}

void Ops::WriteProcess(MetricsSink& sink) const {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  sink.Counter("process_cpu_user_seconds_total", "CPU time in user mode", Seconds(usage.ru_utime));
  sink.Counter("process_cpu_system_seconds_total", "CPU time in the kernel",
               Seconds(usage.ru_stime));
  sink.Gauge("process_id", "number of the process on its machine", static_cast<double>(getpid()));
  sink.Gauge("process_resident_bytes", "memory in use", ResidentBytes());
  sink.Gauge("process_uptime_seconds", "since the start of this process",
             static_cast<double>(node_.clock.Monotonic() - started_) / kSecond);
  for (const Account account : kAll) {
    sink.Gauge("budget_bytes", "memory charged to the budget, by account",
               static_cast<double>(node_.budget.used(account)),
               fmt::format("account=\"{}\"", Name(account)));
  }
  sink.Gauge("budget_limit_bytes", "the budget's hard limit",
             static_cast<double>(node_.budget.hard_limit()));
  sink.Counter("budget_refused_total", "charges refused at the hard limit",
               static_cast<double>(node_.budget.refused()));
  const LogCounts log = node_.log.counts();
  sink.Counter("log_dropped_total", "lines of the log that were not read, or not to be written",
               static_cast<double>(log.dropped));
  sink.Counter("log_throttled_total",
               "lines of the log left out, because many of the same kind came before",
               static_cast<double>(log.throttled));
}

std::string Ops::StatusJson() const {
  nlohmann::json status = {
      {"role", role_},
      {"name", name_},
      {"pid", getpid()},
      {"started_ms", started_wall_ms_},
      {"uptime_s", static_cast<double>(node_.clock.Monotonic() - started_) / kSecond},
  };
  const std::string why = Unhealthy();
  status["healthy"] = why.empty();
  if (!why.empty()) status["why"] = why;
  for (const auto& [key, json] : status_) {
    status[key] = nlohmann::json::parse(json(), nullptr, false);
  }
  return status.dump(1) + "\n";
}

std::string Ops::Unhealthy() const {
  for (const auto& check : checks_) {
    std::string why = check();
    if (!why.empty()) return why;
  }
  return {};
}

void OpsService::OnRequest(net::HttpExchange& exchange) {
  if (ops_.Handle(exchange)) return;
  exchange.Reply(404, "application/json",
                 "{\"error\":\"not_found\",\"message\":\"there is nothing under this path\"}");
}

}  // namespace baiwan::ops
