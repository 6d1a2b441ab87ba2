// What hosts cost: the provider's estimate until the deadline, and the part of it that a run came
// to.
//
// Pure; any thread. Failure: a sentence.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/journey.h"
#include "fleet/money.h"
#include "stress/result.h"

namespace baiwan::fleet {

// From what a provider answers to `price`, which is for all hosts until `deadline`.
Result<stress::RunCost, std::string> ParseEstimate(std::string_view json, Nanos deadline);
std::string ToJson(const stress::RunCost& cost);
Result<stress::RunCost, std::string> CostFromJson(std::string_view json);

// Whatever is paid by time, for the time from the first `up` to the last `down`; the rest as it
// was estimated. Nothing if no host was ever made.
std::optional<stress::RunCost> ActualCost(const stress::RunCost& estimate, const Journey& journey);

// Why it is more than the budget; empty: it is not, or there is no limit. Hosts end themselves at
// the deadline, so that a run whose deadline is within the budget stays within it.
std::string OverBudget(const stress::RunCost& estimate, Cents budget, Nanos deadline);

// A line for each item, and their sum.
std::string CostText(const stress::RunCost& cost, std::string_view title);

}  // namespace baiwan::fleet
