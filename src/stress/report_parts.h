// What the parts of a run's page share. Everything from files is escaped; numbers stand in columns
// that line up. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "stress/report.h"

namespace baiwan::stress::report_internal {

extern const char* const kStyle;

std::string Escaped(std::string_view text);
std::string Whole(double value);
std::string Whole(std::uint64_t value);
std::string Fixed(double value);
std::string Mib(double mib);
std::string MibOf(std::uint64_t bytes);
std::string Percent(double share);

// Its numbers, beside those of `other` where there is one, which may be null: cards.
std::string Numbers(const RunResult& run, const ReportRun* other);
// What happened, by the clock; empty without events.
std::string TimelineHtml(const RunResult& run);

}  // namespace baiwan::stress::report_internal
