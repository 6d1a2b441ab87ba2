#include "supervise/ready.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

namespace baiwan::supervise {

void NotifyReady(std::string_view text) {
  const char* variable = std::getenv(kReadyVariable);
  if (variable == nullptr) return;
  const int fd = std::atoi(variable);
  ::unsetenv(kReadyVariable);  // not for our own children
  if (fd <= 2) return;
  std::string line(text.substr(0, kMaxReadyText));
  line += '\n';
  std::string_view left = line;
  while (!left.empty()) {
    const ssize_t n = ::write(fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;  // the supervisor is gone, and we with it
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  ::close(fd);
}

}  // namespace baiwan::supervise
