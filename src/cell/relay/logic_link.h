// The logic server of this cell, as a relay in another process sees it: over a link.
//
// While the link is down the relay has no logic server, and says so to the other cells. Threads:
// one loop.
#pragma once

#include <memory>
#include <string>

#include "base/node_context.h"
#include "cell/ports.h"
#include "cell/relay/relay.h"
#include "net/link.h"

namespace baiwan::cell {

class RelayLogicLink final : public PeerPort, private net::LinkHandler {
 public:
  RelayLogicLink(NodeContext& node, Relay& relay, CellId cell, const Endpoint& logic,
                 const std::string& secret, const net::LinkLimits& limits);
  ~RelayLogicLink() override;

  void PathUp(CellId to, Incarnation peer) override;
  void PathDown(CellId to) override;
  void FromPeer(CellId from, std::string_view batch) override;
  void ReplyFromPeer(CellId from, std::string_view batch) override;

 private:
  void OnLinkUp(net::Link& link, const net::LinkIdentity& peer) override;
  void OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                   std::string_view payload) override;
  void OnLinkDown(net::Link& link, NetError error) override;

  Relay& relay_;
  std::unique_ptr<net::Link> link_;
};

}  // namespace baiwan::cell
