// Where a run stood still, from the monitor's record: no message reached a friend for kStall or
// more, of all users or of one load client's while others went on; and processes that did not
// answer.
//
// What is told lies between two looks that say the same, so a stall was at least as long, and until
// the next look at most. Looks are 1 s or 10 s apart (limits.monitor_interval), and more where
// processes do not answer.
//
// Reads the series file once; blocks. One thread. Failure: a sentence; then nothing is added.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "stress/timeline.h"

namespace baiwan::stress {

inline constexpr std::int64_t kStallMs = 10'000;
inline constexpr std::int64_t kSilenceMs = 5'000;

std::optional<std::string> AddStalls(const std::string& series_path, Timeline* timeline);

}  // namespace baiwan::stress
