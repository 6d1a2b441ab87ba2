// Sizes and durations as people write them: "256KiB", "10s".
//
// Pure; safe from any thread. Failure: a Result with a sentence that says what would be right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace baiwan {

// A whole number with B, KiB, MiB, GiB or TiB behind it; a bare number is bytes. Decimal units (KB,
// MB) are refused, because half of their readers mean the binary ones. Up to 2^63 - 1.
Result<std::uint64_t, std::string> ParseBytes(std::string_view text);
// In the largest unit that needs no fraction: 262144 is "256KiB", 1000 is "1000B".
std::string FormatBytes(std::uint64_t bytes);

// Numbers with ns, us, ms, s, m or h behind them, added up: "250ms", "1.5s", "1m30s". Never
// negative; up to 100 years; a bare number is refused, but for "0".
Result<Nanos, std::string> ParseDuration(std::string_view text);
// In the largest unit that needs no fraction: 90 s is "90s", 2 h is "2h".
std::string FormatDuration(Nanos duration);

}  // namespace baiwan
