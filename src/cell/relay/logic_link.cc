#include "cell/relay/logic_link.h"

#include "base/bytes.h"
#include "cell/link_types.h"

namespace baiwan::cell {

RelayLogicLink::RelayLogicLink(NodeContext& node, Relay& relay, CellId cell, const Endpoint& logic,
                               const std::string& secret, const net::LinkLimits& limits)
    : relay_(relay),
      link_(net::DialLink(node, logic, {"relay", cell, 0, 0}, secret, this, limits)) {}

RelayLogicLink::~RelayLogicLink() { relay_.Detach(); }

void RelayLogicLink::PathUp(CellId to, Incarnation peer) {
  std::string payload;
  Writer(payload).U64(peer);
  link_->Send(Code(LinkType::kPathUp), to, payload);
}

void RelayLogicLink::PathDown(CellId to) { link_->Send(Code(LinkType::kPathDown), to, {}); }

void RelayLogicLink::FromPeer(CellId from, std::string_view batch) {
  link_->Send(Code(LinkType::kFromPeer), from, batch);
}

void RelayLogicLink::ReplyFromPeer(CellId from, std::string_view batch) {
  link_->Send(Code(LinkType::kFromPeerReply), from, batch);
}

void RelayLogicLink::OnLinkUp(net::Link&, const net::LinkIdentity& peer) {
  relay_.Attach(*this, peer.incarnation);
}

void RelayLogicLink::OnLinkDown(net::Link&, NetError) { relay_.Detach(); }

void RelayLogicLink::OnLinkFrame(net::Link&, std::uint8_t type, std::uint64_t tag,
                                 std::string_view payload) {
  const auto cell = static_cast<CellId>(tag);
  if (type == Code(LinkType::kToPeer)) relay_.Send(cell, payload);
  if (type == Code(LinkType::kToPeerReply)) relay_.Reply(cell, payload);
  if (type == Code(LinkType::kAccepting)) relay_.SetAccepting(Reader(payload).U8() != 0);
}

}  // namespace baiwan::cell
