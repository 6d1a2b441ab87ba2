#include "net/transport.h"

#include "net/backends.h"

namespace baiwan::net {

Result<std::unique_ptr<RealLoop>, std::string> RealLoop::Create(const LoopOptions& options) {
  if (options.backend == Backend::kEpoll) return CreateEpollLoop(options);
  auto loop = CreateUringLoop(options);
  if (loop.ok() || options.backend == Backend::kIoUring) return loop;
  return CreateEpollLoop(options);
}

}  // namespace baiwan::net
