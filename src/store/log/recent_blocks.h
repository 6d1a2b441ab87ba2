// The newest blocks of a stream, in memory: those under way, because they cannot be read from the
// engine yet, and then as many as fit, because what has just come is what is asked for.
//
// One thread. Bounded in bytes and number, but for the blocks that are not durable yet: their
// number is bounded by the commits that the owner has under way.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"

namespace baiwan::store {

class RecentBlocks {
 public:
  static constexpr std::size_t kMaxBlocks = 4096;

  explicit RecentBlocks(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  // Positions rise by one from call to call.
  void Add(Lsn lsn, std::string_view block) {
    if (blocks_.empty()) first_ = lsn;
    blocks_.emplace_back(block);
    bytes_ += block.size();
  }
  // Blocks up to `lsn` can be read from the engine.
  void SetDurable(Lsn lsn) {
    durable_ = std::max(durable_, lsn);
    while (!blocks_.empty() && first_ <= durable_ &&
           (bytes_ > max_bytes_ || blocks_.size() > kMaxBlocks)) {
      bytes_ -= blocks_.front().size();
      blocks_.pop_front();
      ++first_;
    }
  }
  // The commit that begins at `lsn` failed: it and what followed it never happened.
  void DropFrom(Lsn lsn) {
    while (!blocks_.empty() && first_ + blocks_.size() > lsn) {
      bytes_ -= blocks_.back().size();
      blocks_.pop_back();
    }
  }
  // Null if it is not kept. Valid until the next call of another function.
  const std::string* Find(Lsn lsn) const {
    return lsn >= first_ && lsn - first_ < blocks_.size() ? &blocks_[lsn - first_] : nullptr;
  }

 private:
  const std::size_t max_bytes_;
  std::deque<std::string> blocks_;
  Lsn first_ = 0;
  Lsn durable_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace baiwan::store
