// The logic server of this cell, as a gateway in another process sees it: over a link.
//
// While the link is down the gateway has no logic server (SetLogic(nullptr)); the dialer tries
// again for ever. Threads: one loop.
#pragma once

#include <memory>
#include <string>

#include "base/node_context.h"
#include "cell/gateway/gateway.h"
#include "cell/ports.h"
#include "net/link.h"

namespace baiwan::cell {

class LogicLink final : public LogicPort, private net::LinkHandler {
 public:
  LogicLink(NodeContext& node, Gateway& gateway, CellId cell, const Endpoint& logic,
            const std::string& secret, const net::LinkLimits& limits);
  ~LogicLink() override;

  void FromClient(ClientPort& from, SessionId session, UserId user,
                  const wire::ClientFrame& frame) override;
  void SessionClosed(ClientPort& from, SessionId session, UserId user) override;
  void SessionPaused(ClientPort& from, SessionId session, UserId user, bool paused) override;
  void PortClosed(ClientPort& from) override;

 private:
  void OnLinkUp(net::Link& link, const net::LinkIdentity& peer) override;
  void OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                   std::string_view payload) override;
  void OnLinkDown(net::Link& link, NetError error) override;

  Gateway& gateway_;
  std::string encoded_;
  wire::ServerFrame frame_;
  std::unique_ptr<net::Link> link_;
};

}  // namespace baiwan::cell
