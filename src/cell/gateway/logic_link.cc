#include "cell/gateway/logic_link.h"

#include "base/bytes.h"
#include "cell/link_types.h"
#include "wire/reuse.h"

namespace baiwan::cell {

LogicLink::LogicLink(NodeContext& node, Gateway& gateway, CellId cell, const Endpoint& logic,
                     const std::string& secret, const net::LinkLimits& limits)
    : gateway_(gateway),
      link_(net::DialLink(node, logic, {"gateway", cell, 0, 0}, secret, this, limits)) {}

LogicLink::~LogicLink() { gateway_.SetLogic(nullptr); }

void LogicLink::FromClient(ClientPort&, SessionId session, UserId user,
                           const wire::ClientFrame& frame) {
  encoded_.clear();
  Writer(encoded_).Varint(user);
  frame.AppendToString(&encoded_);
  link_->Send(Code(LinkType::kClientFrame), session, encoded_);
}

void LogicLink::SessionClosed(ClientPort&, SessionId session, UserId user) {
  encoded_.clear();
  Writer(encoded_).Varint(user);
  link_->Send(Code(LinkType::kClientClosed), session, encoded_);
}

void LogicLink::SessionPaused(ClientPort&, SessionId session, UserId user, bool paused) {
  encoded_.clear();
  Writer w(encoded_);
  w.Varint(user);
  w.U8(paused ? 1 : 0);
  link_->Send(Code(LinkType::kClientPaused), session, encoded_);
}

void LogicLink::PortClosed(ClientPort&) {}

void LogicLink::OnLinkUp(net::Link&, const net::LinkIdentity&) { gateway_.SetLogic(this); }

void LogicLink::OnLinkDown(net::Link&, NetError) { gateway_.SetLogic(nullptr); }

void LogicLink::OnLinkFrame(net::Link&, std::uint8_t type, std::uint64_t tag,
                            std::string_view payload) {
  if (type == Code(LinkType::kTaken)) return gateway_.Taken(tag);
  if (type != Code(LinkType::kServerFrame)) return;
  if (!frame_.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return;
  gateway_.ToClient(tag, frame_);
  if (payload.size() > wire::kReusedFrame) wire::ClearReused(&frame_, true);
  UserId user = 0;
  const std::uint64_t came = gateway_.Came(tag, payload.size(), &user);
  if (came == 0) return;
  encoded_.clear();
  Writer w(encoded_);
  w.Varint(user);
  w.Varint(came);
  link_->Send(Code(LinkType::kClientCredit), tag, encoded_);
}

}  // namespace baiwan::cell
