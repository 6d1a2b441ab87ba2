// The run folder (docs/run-folder.md) of a run across hosts, put together on the control host from
// what `verify` and `collect` brought home.
//
// Threads: one; blocks. Failure: a sentence; what is missing is named among the result's problems.
#pragma once

#include <optional>
#include <string>

#include "fleet/journey.h"
#include "fleet/plan.h"

namespace baiwan::cli {

std::optional<std::string> MakeFleetReport(const fleet::FleetPlan& plan,
                                           const fleet::Journey& journey, const std::string& home);

// Of another service than ours: report/report.txt.
inline constexpr const char* kServiceReport = "report.txt";
std::optional<std::string> MakeServiceReport(const fleet::FleetPlan& plan,
                                             const fleet::Journey& journey,
                                             const std::string& home);

}  // namespace baiwan::cli
