#include "net/http_head.h"

#include <cstring>

namespace baiwan::net {

HeadScanner::Found HeadScanner::Scan(std::string_view data) {
  while (at_ < data.size()) {
    const void* feed = std::memchr(data.data() + at_, '\n', data.size() - at_);
    if (feed == nullptr) {
      at_ = data.size();
      break;
    }
    const auto feed_at = static_cast<std::size_t>(static_cast<const char*>(feed) - data.data());
    if (feed_at == line_start_ || data[feed_at - 1] != '\r') return Found::kBareLineFeed;
    const char first = data[line_start_];
    if (line_start_ > 0 && (first == ' ' || first == '\t')) return Found::kFolded;
    const bool empty_line = feed_at - 1 == line_start_;
    at_ = line_start_ = feed_at + 1;
    if (empty_line) return Found::kEnd;
  }
  return Found::kNotYet;
}

}  // namespace baiwan::net
