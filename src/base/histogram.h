// A histogram of durations with bounded relative error, of fixed size, for percentiles.
//
// Buckets are log-linear (as in HdrHistogram): 64 per doubling, so a value is known within 1.6 %.
// From 1 µs to about 19 hours in 1 µs units; longer ones count as the longest. One thread.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/clock.h"

namespace baiwan {

class Histogram {
 public:
  void Add(Nanos nanos, std::uint64_t count = 1) {
    const auto micros = static_cast<std::uint64_t>(nanos <= 0 ? 0 : nanos / kMicrosecond);
    buckets_[Index(micros)] += count;
    count_ += count;
    if (nanos > max_) max_ = nanos;
  }
  void Merge(const Histogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    if (other.max_ > max_) max_ = other.max_;
  }
  std::uint64_t count() const { return count_; }
  Nanos max() const { return max_; }
  // The value that `quantile` (0 … 1) of all values do not exceed; 0 if there are none.
  Nanos Quantile(double quantile) const {
    if (count_ == 0) return 0;
    auto left = static_cast<std::uint64_t>(quantile * static_cast<double>(count_));
    if (left >= count_) left = count_ - 1;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (left < buckets_[i]) {
        const Nanos value = static_cast<Nanos>(UpperEnd(i)) * kMicrosecond;
        return value < max_ ? value : max_;
      }
      left -= buckets_[i];
    }
    return max_;
  }

  // For storing: buckets by index, and the largest value of a bucket in microseconds.
  static constexpr std::size_t kBuckets = std::size_t{64} * 31;
  std::uint64_t bucket(std::size_t index) const { return buckets_[index]; }
  // Puts back what was stored: so many in a bucket, and the largest value of all, or a bound.
  void Restore(std::size_t index, std::uint64_t count, Nanos max) {
    buckets_[index] += count;
    count_ += count;
    if (max > max_) max_ = max;
  }
  static std::uint64_t UpperEnd(std::size_t index) {
    if (index < 128) return index;
    const std::size_t shift = index / 64 - 1;
    return ((64 + index % 64 + 1) << shift) - 1;
  }
  static std::size_t Index(std::uint64_t micros) {
    if (micros < 128) return static_cast<std::size_t>(micros);
    const auto shift = static_cast<std::size_t>(std::bit_width(micros)) - 7;
    const std::size_t index = (shift + 1) * 64 + ((micros >> shift) & 63);
    return index < kBuckets ? index : kBuckets - 1;
  }

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  Nanos max_ = 0;
};

}  // namespace baiwan
