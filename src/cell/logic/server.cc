#include "cell/logic/server.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/planted.h"
#include "cell/link_types.h"
#include "wire/reuse.h"

namespace baiwan::cell {

// A gateway that comes back counts its connections from the beginning. What is still under way to
// those of its former link must not reach whoever has their numbers now, so they differ in here.
//
// What is under way to each session is counted: one that has too much counts as slow until its
// gateway has taken that in, so that a gateway that stood still is not given more than it can pass
// on. So does the link as a whole.
class LogicServer::Port final : public ClientPort {
 public:
  Port(Logic& logic, const net::LinkLimits& limits) : logic_(logic), limits_(limits) {}

  void ToClient(SessionId session, const wire::ServerFrame& frame) override {
    if (link_ == nullptr || (session >> kTagBits) != links_) return;
    frame.SerializeToString(&encoded_);
    link_->Send(Code(LinkType::kServerFrame), session & kTagMask, encoded_);
    if (Flow* flow = FlowOf(session)) {
      flow->under_way += encoded_.size();
      Changed(session, *flow);
    }
  }
  void Taken(SessionId session) override {
    if (link_ == nullptr || (session >> kTagBits) != links_) return;
    link_->Send(Code(LinkType::kTaken), session & kTagMask, {});
  }
  bool Clogged() const override { return link_ != nullptr && link_->unsent() > limits_.high_water; }

  // What the gateway says of a session.
  void Opened(SessionId session, UserId user) {
    const std::uint32_t place = session & kPlaceMask;
    if (place >= flows_.size()) flows_.resize(place + std::size_t{1});
    Flow& flow = flows_[place];
    if (flow.session != session) flow = {session, user, 0, false, false};
  }
  void Paused(SessionId session, bool paused) {
    Flow* flow = FlowOf(session);
    if (flow == nullptr) return;
    flow->slow = paused;
    Changed(session, *flow);
  }
  void Credited(SessionId session, std::uint64_t bytes) {
    Flow* flow = FlowOf(session);
    if (flow == nullptr) return;
    flow->under_way -= std::min(flow->under_way, bytes);
    Changed(session, *flow);
  }
  void Closed(SessionId session) {
    if (Flow* flow = FlowOf(session)) *flow = {};
  }

  SessionId SessionOf(std::uint64_t tag) const {
    return (tag & kTagMask) | (SessionId{links_} << kTagBits);
  }
  void SetLink(net::Link* link) {
    link_ = link;
    flows_.clear();
    if (link != nullptr) ++links_;
  }
  net::Link* link() const { return link_; }

 private:
  static constexpr int kTagBits = 48;
  static constexpr std::uint64_t kTagMask = (std::uint64_t{1} << kTagBits) - 1;

  struct Flow {
    SessionId session = 0;  // 0: none
    UserId user = 0;
    std::uint64_t under_way = 0;  // bytes
    bool slow = false;            // so says the gateway
    bool paused = false;          // so have we said
  };

  Flow* FlowOf(SessionId session) {
    const std::uint32_t place = session & kPlaceMask;
    return place < flows_.size() && flows_[place].session == session ? &flows_[place] : nullptr;
  }
  // `flow` may be gone afterwards.
  void Changed(SessionId session, Flow& flow) {
    // Once it has too much it waits for half, or it would be told with every frame.
    const std::uint64_t limit = flow.paused ? kSessionCredit / 2 : kSessionCredit;
    const bool paused = flow.slow || flow.under_way > limit;
    if (paused == flow.paused) return;
    flow.paused = paused;
    logic_.SessionPaused(*this, session, flow.user, paused);
  }

  Logic& logic_;
  const net::LinkLimits limits_;
  net::Link* link_ = nullptr;
  std::uint16_t links_ = 0;
  std::vector<Flow> flows_;  // by place
  std::string encoded_;
};

Result<std::unique_ptr<LogicServer>, NetError> LogicServer::Create(NodeContext& node, Logic& logic,
                                                                   CellId cell, const Endpoint& at,
                                                                   const std::string& secret,
                                                                   const net::LinkLimits& limits,
                                                                   std::uint32_t max_links) {
  std::unique_ptr<LogicServer> server(new LogicServer(node, logic, limits));
  auto listener = net::LinkListener::Listen(node, at, {"logic", cell, logic.incarnation(), 0},
                                            secret, server.get(), limits, max_links);
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  return server;
}

LogicServer::LogicServer(NodeContext& node, Logic& logic, const net::LinkLimits& limits)
    : node_(node), logic_(logic), limits_(limits) {}

LogicServer::~LogicServer() { logic_.SetRelay(nullptr); }

void LogicServer::OnLinkUp(net::Link& link, const net::LinkIdentity& peer) {
  if (peer.role == "relay") {
    if (relay_ != nullptr) relay_->Close();  // an older connection of the same relay
    if (Planted("paths-outlive-relay")) return;
    for (const CellId cell : paths_) logic_.PathDown(cell);
    paths_.clear();
    relay_ = &link;
    logic_.SetRelay(this);
  } else if (peer.role == "gateway") {
    auto& port = ports_[peer.cell];
    if (port == nullptr) port = std::make_unique<Port>(logic_, limits_);
    if (port->link() != nullptr) {
      port->link()->Close();
      logic_.PortClosed(*port);
    }
    port->SetLink(&link);
  } else {
    node_.log.Error("a {} of cell {} has connected to a logic server", peer.role, peer.cell);
    link.Close();
  }
}

void LogicServer::OnLinkDown(net::Link& link, NetError) {
  if (&link == relay_) {
    relay_ = nullptr;
    logic_.SetRelay(nullptr);
    for (const CellId cell : paths_) logic_.PathDown(cell);
    paths_.clear();
    return;
  }
  for (auto& [cell, port] : ports_) {
    if (port->link() != &link) continue;
    port->SetLink(nullptr);
    logic_.PortClosed(*port);
  }
}

void LogicServer::OnLinkWritable(net::Link& link) {
  for (auto& [cell, port] : ports_) {
    if (port->link() == &link) logic_.PortWritable(*port);
  }
}

void LogicServer::OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                              std::string_view payload) {
  if (&link == relay_) return FromRelay(type, tag, payload);
  const auto port = ports_.find(link.peer_identity().cell);
  if (port != ports_.end() && port->second->link() == &link) {
    FromGateway(*port->second, type, tag, payload);
  }
}

void LogicServer::FromGateway(Port& port, std::uint8_t type, std::uint64_t tag,
                              std::string_view payload) {
  Reader in(payload);
  const UserId user = in.Varint();
  const std::string_view rest = payload.substr(in.position());
  const SessionId session = port.SessionOf(tag);
  switch (static_cast<LinkType>(type)) {
    case LinkType::kClientFrame:
      if (!frame_.ParseFromArray(rest.data(), static_cast<int>(rest.size()))) return;
      port.Opened(session, user);
      logic_.FromClient(port, session, user, frame_);
      if (rest.size() > wire::kReusedFrame) wire::ClearReused(&frame_, true);
      return;
    case LinkType::kClientClosed:
      port.Closed(session);
      return logic_.SessionClosed(port, session, user);
    case LinkType::kClientPaused:
      return port.Paused(session, in.U8() != 0);
    case LinkType::kClientCredit:
      return port.Credited(session, in.Varint());
    default:
      node_.log.Warn("a gateway sent a frame of unknown type {}", type);
  }
}

void LogicServer::FromRelay(std::uint8_t type, std::uint64_t tag, std::string_view payload) {
  const auto cell = static_cast<CellId>(tag);
  switch (static_cast<LinkType>(type)) {
    case LinkType::kPathUp:
      paths_.insert(cell);
      return logic_.PathUp(cell, Reader(payload).U64());
    case LinkType::kPathDown:
      paths_.erase(cell);
      return logic_.PathDown(cell);
    case LinkType::kFromPeer:
      return logic_.FromPeer(cell, payload);
    case LinkType::kFromPeerReply:
      return logic_.ReplyFromPeer(cell, payload);
    default:
      node_.log.Warn("the relay sent a frame of unknown type {}", type);
  }
}

void LogicServer::Send(CellId to, std::string_view batch) {
  if (relay_ != nullptr) relay_->Send(Code(LinkType::kToPeer), to, batch);
}

void LogicServer::Reply(CellId to, std::string_view batch) {
  if (relay_ != nullptr) relay_->Send(Code(LinkType::kToPeerReply), to, batch);
}

void LogicServer::SetAccepting(bool accepting) {
  std::string payload;
  Writer(payload).U8(accepting ? 1 : 0);
  if (relay_ != nullptr) relay_->Send(Code(LinkType::kAccepting), 0, payload);
}

}  // namespace baiwan::cell
