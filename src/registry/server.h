// The registry over HTTP.
//
//   GET    /regist/{type}/{cell}/?id=&host=&port=&cellid=   the source's: registers or renews; "OK"
//   GET    /server                                          the source's list
//   PUT    /v1/services/{role}/{cell}/{name} {"host","port","ops_port","incarnation"} DELETE
//   /v1/services/{role}/{cell}/{name} GET    /v1/services?role=&cell= {"revision","services":[…]}
//   GET    /v1/watch?after=REVISION&timeout=SECONDS         the same, once the revision is another
//   GET    /v1/placement                                    partitions, their owners and epochs
//
// Errors are {"error","message"} with 400, 404, 405, 409 or 503. Threads: one loop. Bounds:
// watchers are limited; one beyond the limit is answered at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/node_context.h"
#include "net/http.h"
#include "placement/placement.h"
#include "registry/registry.h"

namespace baiwan::registry {

struct ServerOptions {
  RegistryOptions registry;
  std::size_t max_watchers = 10'000;
  Nanos max_watch = 60 * kSecond;
};

class RegistryServer final : public net::HttpService, public MetricsSource {
 public:
  RegistryServer(NodeContext& node, const ServerOptions& options,
                 const placement::PlacementTable& table,
                 std::function<bool(net::HttpExchange&)> extra);
  ~RegistryServer() override;

  void OnRequest(net::HttpExchange& exchange) override;
  void OnAbandoned(net::HttpExchange& exchange) override;
  void WriteMetrics(MetricsSink& sink) const override;
  const Registry& registry() const { return registry_; }

 private:
  struct Watcher {
    net::HttpExchange* exchange;
    std::uint64_t after;
    Nanos until;
  };

  void SourceRegister(net::HttpExchange& exchange, std::string_view rest, std::string_view query);
  void Services(net::HttpExchange& exchange, std::string_view rest, std::string_view query);
  void Watch(net::HttpExchange& exchange, std::string_view query);
  void Placement(net::HttpExchange& exchange);
  void Answer(net::HttpExchange& exchange, RegisterError error);
  void Sweep();
  void TellWatchers();

  NodeContext& node_;
  const ServerOptions options_;
  const placement::PlacementTable& table_;
  const std::function<bool(net::HttpExchange&)> extra_;
  Registry registry_;
  std::vector<Watcher> watchers_;
  std::uint64_t told_revision_ = 0;
  std::uint64_t registrations_ = 0;
  std::uint64_t refused_ = 0;
  TimerId sweep_ = 0;
};

}  // namespace baiwan::registry
