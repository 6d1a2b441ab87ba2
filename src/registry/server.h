// The registry over HTTP.
//
//   GET    /regist/{type}/{cell}/?id=&host=&port=&cellid=   the source's: registers or renews; "OK"
//   GET    /server                                          the source's list
//   PUT    /v1/services/{role}/{cell}/{name}                {"host","port","ops_port",
//                                                           "incarnation","meta"}: registers,
//                                                           renews
//   DELETE /v1/services/{role}/{cell}/{name}?incarnation=   of that incarnation only, if given
//   PUT    /v1/claims/{cell}                                {"life","incarnation","id","after",
//                                                           "held"}: whether that store may be
//                                                           served, see claims.h
//   GET    /v1/services?role=&cell=                         who is there, with leases and ages
//   GET    /v1/watch?after=REVISION&registry=ID&timeout=30s what has changed, once something has
//   GET    /v1/placement                                    partitions, their owners and epochs;
//                                                           ?format=binary: as encoded
//   GET    /healthz
//
// With a secret everything that changes something has to be proved (proof.h), with the header
// Baiwan-Proof; what is not is answered with 401, which tells the number that a proof is bound to.
// The source's way knows no proof and is taken from loopback only. Without a secret everybody may
// register: that is for one machine.
//
// Several changes that come close together are told in one answer (`linger`), so that the start of
// a large deployment is not told to everybody service by service.
//
// Errors are {"error","message"} with 400, 404, 405, 409 (that address belongs to somebody else; or
// with "store_copy", "store_served" or "store_replaced": that store must not be served), 410 (a
// later process of this name is registered), 413 or 503. Threads: one loop. Destroy the
// HttpServer first. Bounds: services, see RegistryOptions; watchers: one beyond the limit gets 503
// with Retry-After; bodies: 16 KiB; one listing at a time is held for those who watch, and a few
// are made in a turn. The tables are charged to the budget's store account, and nobody new is taken
// when it is full.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/node_context.h"
#include "net/http.h"
#include "placement/placement.h"
#include "registry/placement_store.h"
#include "registry/proof.h"
#include "registry/registry.h"

namespace baiwan::registry {

struct ServerOptions {
  RegistryOptions registry;
  std::size_t max_watchers = 10'000;
  Nanos max_watch = 60 * kSecond;
  Nanos linger = 20 * kMillisecond;
  Membership member;                          // without a secret: nothing needs a proof
  PlacementStore* placement_store = nullptr;  // null: the table cannot be changed; outlives this
};

class RegistryServer final : public net::HttpService, public MetricsSource {
 public:
  // `table`: see StartingTable. `extra` is offered what is not the registry's (metrics, say) and
  // says whether it has answered.
  RegistryServer(NodeContext& node, const ServerOptions& options,
                 const placement::PlacementTable& table,
                 std::function<bool(net::HttpExchange&)> extra = nullptr);
  ~RegistryServer() override;

  void OnRequest(net::HttpExchange& exchange) override;
  void OnAbandoned(net::HttpExchange& exchange) override;
  bool Vital(std::string_view path) const override;
  void WriteMetrics(MetricsSink& sink) const override;
  const Registry& registry() const { return registry_; }

  // Gives a partition to another cell: saved first, told then. Why not, or nothing.
  std::optional<std::string> Move(PartitionId partition, CellId to);

 private:
  struct Watcher {
    net::HttpExchange* exchange;
    std::uint64_t after;
    Nanos until;
  };

  void SourceRegister(net::HttpExchange& exchange, std::string_view rest, std::string_view query);
  void ListServices(net::HttpExchange& exchange, std::string_view query);
  void OneService(net::HttpExchange& exchange, std::string_view rest, std::string_view query);
  void Claim(net::HttpExchange& exchange, std::string_view rest);
  void Watch(net::HttpExchange& exchange, std::string_view query);
  void Placement(net::HttpExchange& exchange, std::string_view query);
  bool Register(net::HttpExchange& exchange, const Service& service, bool proved);
  bool Proved(net::HttpExchange& exchange);
  void Refuse(net::HttpExchange& exchange, const Service& service, RegisterError error);
  void TellSoon();
  void ChargeTables();
  void AnswerSome();
  void Sweep();
  void Answer(const std::function<bool(const Watcher&)>& which);

  NodeContext& node_;
  const ServerOptions options_;
  const std::function<bool(net::HttpExchange&)> extra_;
  const std::uint64_t id_;  // of this start, so that nobody mixes its revisions with another's
  Registry registry_;
  std::vector<Watcher> watchers_;
  std::vector<Watcher> answering_;  // in the order of what they know, to be taken from the end
  TimerId answer_ = 0;
  std::size_t charged_ = 0;
  std::uint64_t told_revision_ = 0;
  std::uint64_t registrations_ = 0;
  std::uint64_t refused_ = 0;
  Nanos logged_at_ = 0;
  TimerId tell_ = 0;
  TimerId sweep_ = 0;
};

}  // namespace baiwan::registry
