#include "cell/gateway/admission.h"

#include <algorithm>

#include "base/rng.h"

namespace baiwan::cell {
namespace {

constexpr double kWeight = 0.2;       // of the newest interval in the average
constexpr double kMore = 0.1;         // shed in addition after an interval over the target
constexpr double kLess = 0.05;        // and less after one below it
constexpr double kMostShed = 0.9;     // somebody always gets through, or nothing would be measured
constexpr std::uint64_t kTurns = 50;  // ticks until it is other users' turn

}  // namespace

void Admission::Answered(Nanos after) {
  total_ += std::max<Nanos>(after, 0);
  ++samples_;
}

void Admission::Tick(Nanos wait) {
  ++ticks_;
  // Not one average of both: many quick answers would hide how late they were begun.
  const Nanos answers = samples_ == 0 ? 0 : total_ / static_cast<Nanos>(samples_);
  const Nanos newest = std::max<Nanos>(wait, answers);
  total_ = 0;
  samples_ = 0;
  average_ += static_cast<Nanos>(kWeight * static_cast<double>(newest - average_));
  const bool over = options_.target > 0 && average_ > options_.target;
  shed_ = std::clamp(shed_ + (over ? kMore : -kLess), 0.0, kMostShed);
}

bool Admission::Admits(UserId user) const {
  if (shed_ <= 0) return true;
  const double place = static_cast<double>(Mix(user, ticks_ / kTurns) >> 11) * 0x1.0p-53;
  return place >= shed_;
}

}  // namespace baiwan::cell
