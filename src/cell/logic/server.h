// A logic server in a process of its own: its gateways and its relay come over links.
//
// Each gateway that connects becomes a ClientPort, kept by its cell for good, so that answers under
// way when its link breaks go nowhere instead of astray; the relay becomes the RelayPort.
//
// Threads: one loop. Failure: a link that goes down takes its sessions, or all paths, with it.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/node_context.h"
#include "cell/logic/logic.h"
#include "net/link.h"

namespace baiwan::cell {

class LogicServer final : private net::LinkHandler, private RelayPort {
 public:
  static Result<std::unique_ptr<LogicServer>, NetError> Create(NodeContext& node, Logic& logic,
                                                               CellId cell, const Endpoint& at,
                                                               const std::string& secret,
                                                               const net::LinkLimits& limits,
                                                               std::uint32_t max_links);
  ~LogicServer() override;
  const Endpoint& local() const { return listener_->local(); }

 private:
  class Port;

  LogicServer(NodeContext& node, Logic& logic, const net::LinkLimits& limits);

  void OnLinkUp(net::Link& link, const net::LinkIdentity& peer) override;
  void OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                   std::string_view payload) override;
  void OnLinkWritable(net::Link& link) override;
  void OnLinkDown(net::Link& link, NetError error) override;
  void Send(CellId to, std::string_view batch) override;
  void Reply(CellId to, std::string_view batch) override;
  void SetAccepting(bool accepting) override;
  void FromGateway(Port& port, std::uint8_t type, std::uint64_t tag, std::string_view payload);
  void FromRelay(std::uint8_t type, std::uint64_t tag, std::string_view payload);

  NodeContext& node_;
  Logic& logic_;
  const net::LinkLimits limits_;
  std::map<CellId, std::unique_ptr<Port>> ports_;
  net::Link* relay_ = nullptr;
  std::set<CellId> paths_;  // up
  wire::ClientFrame frame_;
  std::unique_ptr<net::LinkListener> listener_;
};

}  // namespace baiwan::cell
