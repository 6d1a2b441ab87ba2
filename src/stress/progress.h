// How far a load client was, over time: messages with the friends, by the wall clock. For the rate
// of a part of the run, so it is kept small, whatever the run takes: when it is full, every other
// sample goes, and later ones are taken half as often.
//
// One thread. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace baiwan::stress {

class Progress {
 public:
  struct Sample {
    std::uint64_t ms = 0;  // since 1970
    std::uint64_t delivered = 0;

    bool operator==(const Sample&) const = default;
  };
  static constexpr std::size_t kMost = 2048;

  // How long to wait between two samples.
  Nanos every() const { return every_; }
  // In the order of time; one that is not later than the last replaces it.
  void Add(const Sample& sample);
  // How many were delivered then: what lies between two samples came evenly.
  double At(std::uint64_t ms) const;
  const std::vector<Sample>& samples() const { return samples_; }

 private:
  Nanos every_ = 50 * kMillisecond;
  std::vector<Sample> samples_;
};

}  // namespace baiwan::stress
