// Time, as a seam: timeouts, lingers, audits and display ask a Clock; correctness never does.
#pragma once

#include <cstdint>

namespace baiwan {

using Nanos = std::int64_t;  // durations and monotonic instants
inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back within a process; its zero means nothing.
  virtual Nanos Monotonic() const = 0;
  // Milliseconds since 1970, for people: may jump.
  virtual std::uint64_t WallMillis() const = 0;
};

// The machine's clocks. Safe from any thread.
Clock& SystemClock();

}  // namespace baiwan
