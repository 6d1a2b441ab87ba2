#include "cell/logic/server.h"

#include "base/bytes.h"
#include "cell/link_types.h"

namespace baiwan::cell {

class LogicServer::Port final : public ClientPort {
 public:
  void ToClient(SessionId session, const wire::ServerFrame& frame) override {
    if (link == nullptr) return;
    frame.SerializeToString(&encoded_);
    link->Send(Code(LinkType::kServerFrame), session, encoded_);
  }
  net::Link* link = nullptr;

 private:
  std::string encoded_;
};

Result<std::unique_ptr<LogicServer>, NetError> LogicServer::Create(NodeContext& node, Logic& logic,
                                                                   CellId cell, const Endpoint& at,
                                                                   const std::string& secret,
                                                                   const net::LinkLimits& limits) {
  std::unique_ptr<LogicServer> server(new LogicServer(node, logic));
  auto listener = net::LinkListener::Listen(node, at, {"logic", cell, logic.incarnation(), 0},
                                            secret, server.get(), limits);
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  return server;
}

LogicServer::~LogicServer() { logic_.SetRelay(nullptr); }

void LogicServer::OnLinkUp(net::Link& link, const net::LinkIdentity& peer) {
  if (peer.role == "relay") {
    if (relay_ != nullptr) relay_->Close();  // an older connection of the same relay
    for (const CellId cell : paths_) logic_.PathDown(cell);
    paths_.clear();
    relay_ = &link;
    logic_.SetRelay(this);
  } else if (peer.role == "gateway") {
    auto& port = ports_[peer.cell];
    if (port == nullptr) port = std::make_unique<Port>();
    if (port->link != nullptr) {
      port->link->Close();
      logic_.PortClosed(*port);
    }
    port->link = &link;
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
    if (port->link != &link) continue;
    port->link = nullptr;
    logic_.PortClosed(*port);
  }
}

void LogicServer::OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                              std::string_view payload) {
  if (&link == relay_) return FromRelay(type, tag, payload);
  const auto port = ports_.find(link.peer_identity().cell);
  if (port != ports_.end() && port->second->link == &link) {
    FromGateway(*port->second, type, tag, payload);
  }
}

void LogicServer::FromGateway(Port& port, std::uint8_t type, std::uint64_t tag,
                              std::string_view payload) {
  Reader in(payload);
  const UserId user = in.Varint();
  const std::string_view rest = payload.substr(in.position());
  switch (static_cast<LinkType>(type)) {
    case LinkType::kClientFrame:
      if (!frame_.ParseFromArray(rest.data(), static_cast<int>(rest.size()))) return;
      return logic_.FromClient(port, tag, user, frame_);
    case LinkType::kClientClosed:
      return logic_.SessionClosed(port, tag, user);
    case LinkType::kClientPaused:
      return logic_.SessionPaused(port, tag, user, in.U8() != 0);
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

}  // namespace baiwan::cell
