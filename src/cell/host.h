// The roles of one cell that run in this process, put together.
//
// With all three roles here they call each other directly; a role whose partner is elsewhere finds
// it in the directory and talks to it over a link. Either way the roles are the same.
//
// Threads: one loop. Failure: Create says in a sentence what is wrong (a taken port, say). Stop is
// one sequence: refuse, commit, release, write snapshots, leave the registry; its caller sets the
// deadline.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/node_context.h"
#include "cell/gateway/gateway.h"
#include "cell/logic/logic.h"
#include "cell/relay/relay.h"
#include "net/http.h"
#include "ops/ops.h"
#include "placement/placement.h"
#include "registry/client.h"

namespace baiwan::cell {

class LogicLink;
class LogicServer;
class RelayLogicLink;

struct HostOptions {
  std::string name;  // of the process, for registry and status
  CellId cell = 0;
  bool gateway = true;
  bool logic = true;
  bool relay = true;
  Endpoint http{"127.0.0.1", 0};  // gateway
  Endpoint relay_listen{"127.0.0.1", 0};
  Endpoint logic_listen{"127.0.0.1", 0};
  Endpoint ops{"127.0.0.1", 0};  // /metrics and the like, where there is no gateway
  std::string secret;            // of the links, and proved to the registry
  std::string deployment = "baiwan";
  Endpoint registry;
  registry::StoreClaim claim;  // of the store, where logic is among the roles; id 0: none
  std::function<void(const std::string& why)> on_disowned;  // see registry::ClientOptions
  std::function<void()> on_granted;
  LogicOptions logic_options;
  GatewayOptions gateway_options;
  net::HttpLimits http_limits;
  net::LinkLimits link_limits;
  std::uint32_t max_links = 2 * kMaxCells;  // that relay and logic server accept, each
};

class CellHost {
 public:
  // `store` is null where logic is not among the roles; everything outlives the host.
  static Result<std::unique_ptr<CellHost>, std::string> Create(
      NodeContext& node, const HostOptions& options, const placement::PlacementTable& table,
      store::Store* store);
  ~CellHost();

  void Stop(std::function<void()> done);
  ops::Ops& ops() { return ops_; }
  // Where this process can be asked: the gateway's address, or that of ops alone.
  Endpoint http_address() const { return http_->local(); }
  const Logic* logic() const { return logic_.get(); }

 private:
  CellHost(NodeContext& node, const HostOptions& options, const placement::PlacementTable& table);
  Result<bool, std::string> Build(store::Store* store);
  Result<bool, std::string> Listen();
  void Announce();
  void OnDirectory();
  void LookForCopies();
  std::string GatewayAddress(CellId cell) const;

  NodeContext& node_;
  const HostOptions options_;
  const placement::PlacementTable& table_;
  ops::Ops ops_;
  ops::OpsService ops_service_;
  std::unique_ptr<registry::RegistryClient> directory_;
  std::unique_ptr<Relay> relay_;
  std::unique_ptr<Logic> logic_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<LogicServer> logic_server_;
  std::unique_ptr<LogicLink> gateway_link_;
  std::unique_ptr<RelayLogicLink> relay_link_;
  Endpoint linked_logic_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace baiwan::cell
