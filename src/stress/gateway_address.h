// Where a client connects: the gateway that is known for its user, or the one that another gateway
// has pointed to.
#pragma once

#include <optional>
#include <string_view>

#include "base/transport.h"
#include "stress/ws_target.h"

namespace baiwan::stress {

// "http://host:port/path" (or "ws://"); nothing if it is no such address.
std::optional<Endpoint> EndpointOfUrl(std::string_view url);

class GatewayAddress {
 public:
  static constexpr int kMostHops = 3;  // from gateway to gateway until the user is served

  // The next one to try; false if nobody is known.
  bool Next(const GatewayFor& gateway, UserId user, Endpoint* out) const {
    if (!pointed_to_) return gateway(user, out);
    *out = *pointed_to_;
    return true;
  }
  // The gateway says that `to` serves the user. False if that is no address, or the pointing goes
  // round in circles.
  bool PointTo(const std::optional<Endpoint>& to) {
    if (!to || hops_ >= kMostHops) return false;
    ++hops_;
    pointed_to_ = to;
    return true;
  }
  void Worked() { hops_ = 0; }
  void Failed() {
    hops_ = 0;
    pointed_to_.reset();
  }

 private:
  std::optional<Endpoint> pointed_to_;
  int hops_ = 0;
};

}  // namespace baiwan::stress
