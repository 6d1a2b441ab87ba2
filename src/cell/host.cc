#include "cell/host.h"

#include <algorithm>

#include "cell/gateway/logic_link.h"
#include "cell/logic/server.h"
#include "cell/relay/logic_link.h"

namespace baiwan::cell {
namespace {

std::string RolesOf(const HostOptions& o) {
  if (o.gateway && o.logic && o.relay) return "cell";
  return o.gateway ? "gateway" : o.logic ? "logic" : "relay";
}

}  // namespace

Result<std::unique_ptr<CellHost>, std::string> CellHost::Create(
    NodeContext& node, const HostOptions& options, const placement::PlacementTable& table,
    store::Store* store) {
  std::unique_ptr<CellHost> host(new CellHost(node, options, table));
  if (auto built = host->Build(store); !built) return built.error();
  return host;
}

CellHost::CellHost(NodeContext& node, const HostOptions& options,
                   const placement::PlacementTable& table)
    : node_(node),
      options_(options),
      table_(table),
      ops_(node, RolesOf(options), options.name),
      ops_service_(ops_) {}

CellHost::~CellHost() {
  // Who waits at the gateway is told while there are connections to tell it over. Then servers and
  // links: nothing may come in while the roles go.
  if (gateway_ != nullptr) gateway_->SetLogic(nullptr);
  http_.reset();
  gateway_link_.reset();
  relay_link_.reset();
  logic_server_.reset();
  if (relay_ != nullptr) relay_->Detach();
  if (logic_ != nullptr) logic_->SetRelay(nullptr);
}

Result<bool, std::string> CellHost::Build(store::Store* store) {
  const HostOptions& o = options_;
  directory_ = std::make_unique<registry::RegistryClient>(
      node_, registry::ClientOptions{.registry = o.registry,
                                     .member = {o.secret, o.deployment},
                                     .on_disowned = o.on_disowned,
                                     .on_granted = o.on_granted});
  if (o.logic) {
    LogicOptions logic_options = o.logic_options;
    logic_options.cell = o.cell;
    logic_options.life = o.claim.life;
    logic_ = std::make_unique<Logic>(node_, logic_options, table_, *store);
    ops_.AddSource(logic_.get());
  }
  if (o.relay) {
    RelayOptions relay_options;
    relay_options.cell = o.cell;
    relay_options.listen = o.relay_listen;
    relay_options.secret = o.secret;
    relay_options.link = o.link_limits;
    relay_options.max_links = o.max_links;
    auto relay = Relay::Create(node_, relay_options);
    if (!relay) {
      return "the relay cannot listen on " + o.relay_listen.ToString() + ": " +
             Message(relay.error());
    }
    relay_ = std::move(*relay);
    ops_.AddSource(relay_.get());
  }
  if (o.gateway) {
    GatewayOptions gateway_options = o.gateway_options;
    gateway_options.cell = o.cell;
    // A stream tells that it can be written to again only if it had a quarter of max_unsent unsent.
    gateway_options.push_high_water =
        std::max(gateway_options.push_high_water, o.http_limits.websocket.max_unsent / 4);
    gateway_ = std::make_unique<Gateway>(
        node_, gateway_options, table_, [this](CellId cell) { return GatewayAddress(cell); },
        [this](net::HttpExchange& exchange) { return ops_.Handle(exchange); });
    ops_.AddSource(gateway_.get());
  }
  if (auto listening = Listen(); !listening) return listening.error();
  if (logic_ != nullptr) {
    logic_->Start();
    if (relay_ != nullptr) {
      logic_->SetRelay(relay_.get());
      relay_->Attach(*logic_, logic_->incarnation());
    }
    if (gateway_ != nullptr) gateway_->SetLogic(logic_.get());
  }
  Announce();
  directory_->Listen([this] { OnDirectory(); });
  return true;
}

Result<bool, std::string> CellHost::Listen() {
  const HostOptions& o = options_;
  if (o.logic && !(o.gateway && o.relay)) {
    auto server = LogicServer::Create(node_, *logic_, o.cell, o.logic_listen, o.secret,
                                      o.link_limits, o.max_links);
    if (!server) {
      return "the logic server cannot listen on " + o.logic_listen.ToString() + ": " +
             Message(server.error());
    }
    logic_server_ = std::move(*server);
  }
  const Endpoint at = o.gateway ? o.http : o.ops;
  net::HttpService& service = o.gateway ? static_cast<net::HttpService&>(*gateway_) : ops_service_;
  auto http = net::HttpServer::Listen(node_, at, service, o.http_limits);
  if (!http) {
    return "cannot listen for HTTP on " + at.ToString() + ": " + Message(http.error());
  }
  http_ = std::move(*http);
  ops_.SetConnections([this] { return http_->Connections(); });
  return true;
}

void CellHost::Announce() {
  registry::Service s;
  s.name = options_.name;
  s.cell = options_.cell;
  s.ops_port = http_->local().port;
  s.incarnation = registry::NewId(node_.rng);
  if (logic_ != nullptr) s.claim = options_.claim;
  if (options_.gateway) {
    s.role = "gateway";
    s.endpoint = http_->local();
    directory_->Announce(s);
  }
  if (options_.relay) {
    s.role = "relay";
    s.endpoint = relay_->local();
    directory_->Announce(s);
  }
  if (logic_server_ != nullptr) {
    s.role = "logic";
    s.endpoint = logic_server_->local();
    directory_->Announce(s);
  }
}

void CellHost::OnDirectory() {
  LookForCopies();
  if (relay_ != nullptr) relay_->SetPeers(directory_->ByCell("relay"));
  if (options_.logic) return;
  const registry::Service* logic = directory_->Find("logic", options_.cell);
  if (logic == nullptr || logic->endpoint == linked_logic_) return;
  linked_logic_ = logic->endpoint;
  if (gateway_ != nullptr) {
    gateway_link_.reset();
    gateway_link_ = std::make_unique<LogicLink>(node_, *gateway_, options_.cell, linked_logic_,
                                                options_.secret, options_.link_limits);
  }
  if (relay_ != nullptr) {
    relay_link_.reset();
    relay_link_ = std::make_unique<RelayLogicLink>(node_, *relay_, options_.cell, linked_logic_,
                                                   options_.secret, options_.link_limits);
  }
}

// Who has claimed our cell under another id has taken it from us, or is about to hear that he may
// not: the registry says which.
void CellHost::LookForCopies() {
  if (logic_ == nullptr || options_.claim.id == 0) return;
  const auto& services = directory_->services();
  const bool other = std::any_of(services.begin(), services.end(), [this](const auto& s) {
    return s.cell == options_.cell && s.claim.id != 0 && s.claim.id != options_.claim.id;
  });
  if (other) directory_->RenewNow();
}

std::string CellHost::GatewayAddress(CellId cell) const {
  const registry::Service* gateway = directory_->Find("gateway", cell);
  return gateway == nullptr ? std::string() : gateway->endpoint.ToString();
}

void CellHost::Stop(std::function<void()> done) {
  http_->StopAccepting();
  directory_->Withdraw([this, done = std::move(done)]() mutable {
    const auto close = [this, done = std::move(done)] {
      if (gateway_ != nullptr) gateway_->SetLogic(nullptr);  // says goodbye to its connections
      done();
    };
    if (logic_ == nullptr) return close();
    logic_->Drain(close);
  });
}

}  // namespace baiwan::cell
