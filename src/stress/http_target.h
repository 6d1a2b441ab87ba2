// The source's own interface as a target: one GET for each message on a kept connection, counters
// by asking for the user, as the source's client does it. One request at a time.
//
// A 200 says that a message was taken, not that it is stored: a server that dies may forget it, and
// a kept connection that the server closed is made again without anybody noticing. So whoever uses
// this has to see from the counters what was lost.
//
// A gateway that does not serve the user answers 307, which is followed. Threads and failure: as
// target.h.
#pragma once

#include <memory>

#include "base/node_context.h"
#include "net/http.h"
#include "stress/target.h"
#include "stress/ws_target.h"

namespace baiwan::stress {

class HttpTarget final : public Target {
 public:
  HttpTarget(NodeContext& node, GatewayFor gateway) : node_(node), gateway_(std::move(gateway)) {}
  std::unique_ptr<TargetClient> MakeClient(UserId user, TargetListener* listener) override;
  bool pushes() const override { return false; }

 private:
  class Client;
  NodeContext& node_;
  GatewayFor gateway_;
};

// Percent-encodes everything but letters, digits and "-._~" (RFC 3986, unreserved).
void AppendPercentEncoded(std::string_view bytes, std::string* out);

}  // namespace baiwan::stress
