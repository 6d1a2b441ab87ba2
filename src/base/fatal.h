// The one way a process ends itself: when going on would break a promise (a write that failed after
// it was counted on, a counter that cannot be). In a simulation it ends the simulated node instead.
#pragma once

#include <string_view>

namespace baiwan {

class Fatal {
 public:
  virtual ~Fatal() = default;
  // Says why and ends the node. A real process exits with code 70; a simulated one throws away the
  // node after the current callback, so callers must still return in good order.
  virtual void Die(std::string_view why) = 0;
};

Fatal& ProcessFatal();

}  // namespace baiwan
