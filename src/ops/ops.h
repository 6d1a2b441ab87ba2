// What every process can be asked over HTTP: /metrics, /status, /connections, /healthz.
//
//   /metrics      Prometheus text format 0.0.4: counters and gauges of every source, names prefixed
//                 with "baiwan_", and of the process itself (CPU, memory, loop, budget)
//   /status       one JSON object: who this is, since when, healthy or not, the parts' own lines
//
//   /connections  a JSON list of open connections
//
//   /healthz      200 "ok", or 503 with the reason
//
// Threads: one loop. Sources outlive the Ops that lists them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "base/node_context.h"
#include "net/http.h"

namespace baiwan::ops {

class Ops {
 public:
  // `role` and `name` say who this is, e.g. "cell" and "cell-0".
  Ops(NodeContext& node, std::string role, std::string name);

  void AddSource(const MetricsSource* source) { sources_.push_back(source); }
  // A line of /status: the value as JSON text.
  void AddStatus(std::string key, std::function<std::string()> json);
  // Empty: healthy; else why not.
  void AddHealth(std::function<std::string()> check) { checks_.push_back(std::move(check)); }
  void SetConnections(std::function<std::vector<net::ConnectionInfo>()> list) {
    connections_ = std::move(list);
  }

  // Answers one of the paths above; false for any other.
  bool Handle(net::HttpExchange& exchange);

  // What is answered also when there is no room for anything else.
  static bool Vital(std::string_view path) { return path == "/healthz" || path == "/metrics"; }

  std::string MetricsText() const;
  std::string StatusJson() const;
  std::string Unhealthy() const;

 private:
  void WriteProcess(MetricsSink& sink) const;

  NodeContext& node_;
  const std::string role_;
  const std::string name_;
  const Nanos started_;
  const std::uint64_t started_wall_ms_;
  std::vector<const MetricsSource*> sources_;
  std::vector<std::pair<std::string, std::function<std::string()>>> status_;
  std::vector<std::function<std::string()>> checks_;
  std::function<std::vector<net::ConnectionInfo>()> connections_;
};

// A process that has nothing else to serve answers with this.
class OpsService final : public net::HttpService {
 public:
  explicit OpsService(Ops& ops) : ops_(ops) {}
  void OnRequest(net::HttpExchange& exchange) override;
  void OnAbandoned(net::HttpExchange&) override {}
  bool Vital(std::string_view path) const override { return Ops::Vital(path); }

 private:
  Ops& ops_;
};

}  // namespace baiwan::ops
