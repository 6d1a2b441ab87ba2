#include "stress/progress.h"

#include <algorithm>

namespace baiwan::stress {
namespace {

constexpr Nanos kLongest = 60 * kSecond;

}  // namespace

void Progress::Add(const Sample& sample) {
  if (!samples_.empty() && sample.ms <= samples_.back().ms) {
    samples_.back().delivered = std::max(samples_.back().delivered, sample.delivered);
    return;
  }
  if (samples_.size() >= kMost) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < samples_.size(); i += 2) samples_[kept++] = samples_[i];
    samples_.resize(kept);
    every_ = std::min(2 * every_, kLongest);
  }
  samples_.push_back(sample);
}

double Progress::At(std::uint64_t ms) const {
  if (samples_.empty()) return 0;
  const auto after =
      std::upper_bound(samples_.begin(), samples_.end(), ms,
                       [](std::uint64_t at, const Sample& sample) { return at < sample.ms; });
  if (after == samples_.begin()) return static_cast<double>(samples_.front().delivered);
  const Sample& a = *(after - 1);
  if (after == samples_.end()) return static_cast<double>(a.delivered);
  const Sample& b = *after;
  const double share = static_cast<double>(ms - a.ms) / static_cast<double>(b.ms - a.ms);
  const double gained = static_cast<double>(b.delivered) - static_cast<double>(a.delivered);
  return static_cast<double>(a.delivered) + share * gained;
}

}  // namespace baiwan::stress
