// What a provider says of a plan before anything is made: the facts that the plan is checked
// against, and the price until its deadline.
//
// Threads: one. Failure: as the provider tells it. Mistakes of the plan are no failure but an
// answer; what the provider refuses beside them is one of these.
#pragma once

#include <optional>
#include <vector>

#include "fleet/check.h"
#include "fleet/journey.h"
#include "fleet/provider.h"
#include "stress/result.h"

namespace baiwan::fleet {

struct PlanAnswer {
  std::vector<ConfigError> errors;       // all of them; the budget last
  std::optional<stress::RunCost> price;  // not asked for where something else is wrong
  ProviderFacts facts;
};

// `known` is what the provider need not be asked for. Its two calls are given a minute each.
Result<PlanAnswer, Failure> CheckWithProvider(const ProviderAt& at, const FleetPlan& plan,
                                              const ProviderFacts& known);

}  // namespace baiwan::fleet
