// Keeps a kind of line from filling a log: a few at once, then one a second. Whoever can make a
// process complain (a stranger who knocks, a broken neighbour) can do so as often as he likes.
//
// Threads: one at a time. Failure: none; what is left out is counted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/clock.h"

namespace baiwan {

class LineThrottle {
 public:
  static constexpr std::int64_t kAtOnce = 20;
  static constexpr Nanos kAnother = kSecond;

  // Nothing: leave this line out. Else how many of its kind were left out since the last one.
  // `kind` is anything that a kind has for its own; there are few.
  std::optional<std::uint64_t> Admit(const void* kind, Nanos now) {
    auto [it, is_new] = kinds_.try_emplace(kind, Kind{kAtOnce, now, 0});
    Kind& k = it->second;
    const std::int64_t more = (now - k.counted_at) / kAnother;
    if (more > 0) {
      k.left = std::min(kAtOnce, k.left + more);
      k.counted_at += more * kAnother;
    }
    if (k.left == 0) {
      ++k.left_out;
      ++left_out_;
      return std::nullopt;
    }
    --k.left;
    return std::exchange(k.left_out, 0);
  }
  std::uint64_t left_out() const { return left_out_; }

 private:
  struct Kind {
    std::int64_t left;
    Nanos counted_at;
    std::uint64_t left_out;
  };
  std::map<const void*, Kind> kinds_;
  std::uint64_t left_out_ = 0;
};

}  // namespace baiwan
