// Baiwan's own protocol as a target: /v1/connect, binary frames with many messages each.
//
// A gateway that does not serve the user says who does, and is believed until a connection there
// fails. Threads and failure: as target.h.
#pragma once

#include <functional>
#include <memory>

#include "base/node_context.h"
#include "net/websocket.h"
#include "stress/target.h"

namespace baiwan::stress {

// Where the user's gateway is now; nothing if nobody knows yet.
using GatewayFor = std::function<bool(UserId, Endpoint*)>;

class WsTarget final : public Target {
 public:
  WsTarget(NodeContext& node, GatewayFor gateway, std::uint32_t messages_per_frame)
      : node_(node), gateway_(std::move(gateway)), per_frame_(messages_per_frame) {}
  // A client is destroyed or connected again only outside of its callbacks.
  std::unique_ptr<TargetClient> MakeClient(UserId user, TargetListener* listener) override;
  bool pushes() const override { return true; }

 private:
  class Client;
  NodeContext& node_;
  GatewayFor gateway_;
  std::uint32_t per_frame_;
};

}  // namespace baiwan::stress
