#include "net/backends.h"

namespace baiwan::net {

Result<std::unique_ptr<RealLoop>, std::string> CreateUringLoop(const LoopOptions&) {
  return std::string("io_uring is not built in");
}

}  // namespace baiwan::net
