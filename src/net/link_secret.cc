#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "net/link.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kLeastSecret = 16;    // bytes
constexpr std::size_t kLargestFile = 4096;  // bytes

}  // namespace

Result<std::string, std::string> ReadLinkSecret(const std::string& path) {
  using Answer = Result<std::string, std::string>;
  const auto wrong = [&](std::string_view why) {
    return Answer::Failure(fmt::format("link secret '{}': {}", path, why));
  };
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) {
    return wrong(
        fmt::format("{}; make one with: (umask 077; head -c 32 /dev/urandom | base64 > '{}')",
                    std::strerror(errno), path));
  }
  struct stat about = {};
  if (fstat(file.get(), &about) != 0) return wrong(std::strerror(errno));
  if (!S_ISREG(about.st_mode)) return wrong("not a file");
  if (about.st_uid != geteuid()) {
    return wrong(fmt::format("belongs to user {}, but this process runs as {}; give it to {}",
                             about.st_uid, geteuid(), geteuid()));
  }
  if ((about.st_mode & 0177) != 0) {
    return wrong(fmt::format("others can use it (mode {:04o}); run: chmod 600 '{}'",
                             about.st_mode & 07777, path));
  }
  char content[kLargestFile + 1];
  std::size_t size = 0;
  while (size < sizeof content) {
    const ssize_t got = read(file.get(), content + size, sizeof content - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return wrong(std::strerror(errno));
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kLargestFile) return wrong(fmt::format("longer than {} bytes", kLargestFile));
  std::string secret(content, size);
  if (!secret.empty() && secret.back() == '\n') secret.pop_back();
  if (!secret.empty() && secret.back() == '\r') secret.pop_back();
  if (secret.size() < kLeastSecret) {
    return wrong(
        fmt::format("{} bytes long, but at least {} are needed", secret.size(), kLeastSecret));
  }
  return secret;
}

}  // namespace baiwan::net
