// The two backends of RealLoop; see LoopCore for what they share.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "net/transport.h"

namespace baiwan::net {

Result<std::unique_ptr<RealLoop>, std::string> CreateEpollLoop(const LoopOptions& options);
// The error says what the kernel lacks or forbids.
Result<std::unique_ptr<RealLoop>, std::string> CreateUringLoop(const LoopOptions& options);

}  // namespace baiwan::net
