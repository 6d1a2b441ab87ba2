// The operator's part of a journey: the plan's check, the package, the hosts; and their end.
//
// Threads: one. Failure: in the reports of each host.
#pragma once

#include <functional>

#include "fleet/controller.h"
#include "fleet/provider.h"

namespace baiwan::fleet {

struct OperatorCrewOptions {
  ProviderAt provider;
  Argv package;  // makes the tarball
  std::function<std::optional<Failure>()> check;
};

class OperatorCrew : public Crew {
 public:
  OperatorCrew(const FleetPlan& plan, OperatorCrewOptions options);
  std::unique_ptr<Activity> Begin(Step step, const std::vector<std::string>& hosts,
                                  std::optional<Nanos> left) override;
  Nanos LimitOf(Step step) override;

 private:
  const FleetPlan& plan_;
  const OperatorCrewOptions o_;
};

}  // namespace baiwan::fleet
