// What a part under test needs of the world, on a real loop: sockets on loopback, the real clock,
// and budgets that no test exhausts. The test itself turns the loop.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/budget.h"
#include "base/fatal.h"
#include "base/log.h"
#include "base/node_context.h"
#include "base/rng.h"
#include "net/transport.h"

namespace baiwan::net::testing {

// A fixture derives from it, so that what the fixture owns is gone before the loop is.
class RealNode {
 protected:
  RealNode() = default;
  ~RealNode() = default;

  // Turns the loop until it holds: true. False if that takes longer than it may.
  bool RunUntil(const std::function<bool()>& holds, Nanos within = 20 * kSecond) {
    const Nanos until = loop_->clock().Monotonic() + within;
    while (!holds()) {
      if (loop_->clock().Monotonic() > until) return false;
      loop_->RunOnce(5 * kMillisecond);
    }
    return true;
  }
  void RunFor(Nanos how_long) {
    RunUntil([] { return false; }, how_long);
    // On a busy machine all of the time may have gone by without a turn.
    for (int turn = 0; turn < 10; ++turn) loop_->RunOnce(0);
  }

  const std::unique_ptr<RealLoop> loop_ = std::move(*RealLoop::Create({}));
  Rng rng_{1};
  Budget budget_{256 << 20};
  NodeContext node_{*loop_,  loop_->transport(), loop_->clock(), rng_,
                    budget_, ProcessFatal(),     NoLog()};
};

}  // namespace baiwan::net::testing
