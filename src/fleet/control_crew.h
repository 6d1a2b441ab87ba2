// The control host's part of a journey: everything between `up` and `down`, by the step engine
// (deploy/ansible/README.md) and the program itself.
//
// Threads: one. Failure: in the reports of each host.
#pragma once

#include <functional>

#include "fleet/controller.h"
#include "fleet/home.h"
#include "fleet/host_ready.h"
#include "fleet/provider.h"

namespace baiwan::fleet {

struct ControlCrewOptions {
  std::string home;
  std::string engine;  // …/ansible/step
  ProviderAt provider;
  HostPaths paths;
  // Makes HOME/report from what was collected; the failure, or nothing.
  std::function<std::optional<Failure>()> report;
  // What a host told of itself before it is used: why it cannot be, or "".
  std::function<std::string(const HostReady&)> ready;
};

class ControlCrew : public Crew {
 public:
  ControlCrew(const FleetPlan& plan, ControlCrewOptions options);
  std::unique_ptr<Activity> Begin(Step step, const std::vector<std::string>& hosts,
                                  std::optional<Nanos> left) override;
  Nanos LimitOf(Step step) override;
  std::vector<Gone> LookForLost() override;

 private:
  const FleetPlan& plan_;
  const ControlCrewOptions o_;
};

// What a step may take at most on all hosts of the plan.
Nanos LimitOf(const FleetPlan& plan, Step step);

// How long a provider may take to describe the hosts: while a controller begins, which it does only
// with an answer, hosts hear nothing of it, and one question that hangs must not be their end.
Nanos DescribeWithin(const FleetPlan& plan);

// Where the join of all shares writes its report.
inline constexpr const char* kVerifyFile = "verify.json";

}  // namespace baiwan::fleet
