// Bytes that are kept together and dropped together: the bodies of one commit, say.
//
// Views stay valid until Clear, which keeps the first chunks for the next use. One thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace baiwan {

class Arena {
 public:
  explicit Arena(std::size_t chunk_bytes = 64 << 10) : chunk_bytes_(chunk_bytes) {}

  std::string_view Copy(std::string_view data) {
    if (data.empty()) return {};
    if (data.size() > left_) Grow(data.size());
    char* at = next_;
    std::memcpy(at, data.data(), data.size());
    next_ += data.size();
    left_ -= data.size();
    used_ += data.size();
    return {at, data.size()};
  }
  std::size_t used() const { return used_; }
  void Clear() {
    big_.clear();
    at_chunk_ = 0;
    left_ = used_ = 0;
    if (chunks_.size() > kKeep) chunks_.resize(kKeep);
  }

 private:
  static constexpr std::size_t kKeep = 64;

  void Grow(std::size_t need) {
    if (need > chunk_bytes_) {
      big_.push_back(std::make_unique<char[]>(need));
      next_ = big_.back().get();
      left_ = need;
      return;
    }
    if (at_chunk_ == chunks_.size()) chunks_.push_back(std::make_unique<char[]>(chunk_bytes_));
    next_ = chunks_[at_chunk_++].get();
    left_ = chunk_bytes_;
  }

  const std::size_t chunk_bytes_;
  std::vector<std::unique_ptr<char[]>> chunks_;
  std::vector<std::unique_ptr<char[]>> big_;
  std::size_t at_chunk_ = 0;
  char* next_ = nullptr;
  std::size_t left_ = 0;
  std::size_t used_ = 0;
};

}  // namespace baiwan
