// Small files of tools and start-up code: read whole, replaced whole.
//
// Not for the data path: every call blocks. Threads: safe from any, on different paths. Failure: a
// sentence with the path and the system's reason.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace baiwan {

// A file descriptor that is closed with its owner.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset();

 private:
  int fd_ = -1;
};

// The whole file; refused if it is larger than `max_bytes`.
Result<std::string, std::string> ReadFile(const std::string& path,
                                          std::size_t max_bytes = 16 << 20);

// After a crash at any moment `path` holds either its old content or all of `content`: writes a
// file beside it, syncs that, renames it over `path`, syncs the folder. The error, or nothing.
std::optional<std::string> ReplaceFile(const std::string& path, std::string_view content);

}  // namespace baiwan
