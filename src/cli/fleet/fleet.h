// What the commands of `baiwan fleet` share. Threads: the main one.
#pragma once

#include <optional>
#include <string>

#include "cli/args.h"
#include "fleet/check.h"
#include "fleet/plan.h"

namespace baiwan::cli {

Command FleetPlanCommand();
Command FleetCheckCommand();
Command FleetStatusCommand();
Command FleetListCommand();
Command FleetTestCommand();
Command FleetResumeCommand();
Command FleetAttachCommand();
// "up", "deploy" … "report": goes on until that step is done.
Command FleetStepCommand(const std::string& step, const std::string& summary);
Command FleetDownCommand();
// On the control host, called by the journey itself.
Command FleetControlCommand();
Command FleetFollowCommand();
Command FleetFilesCommand();
// On each host, called by the step deploy.
Command FleetFactsCommand();

struct FleetPlanOptions {
  fleet::FleetPlan plan;
  std::string memory;
  std::string budget;
  std::string out = "plan.toml";
};
// The arguments that make a plan, without --out.
void FleetPlanArgs(Args& args, FleetPlanOptions* o);
// Of these, what stands in the file where a plan is given as one; only its name may be another.
inline const std::vector<std::string> kFleetPlanArgs = {
    "--provider",     "--hosts",  "--users-per-host", "--rounds", "--type",
    "--architecture", "--memory", "--deadline",       "--budget"};
// Fills in what was not said, and checks that it can be read again.
std::optional<std::string> FinishPlan(FleetPlanOptions* o);

// What hosts on this machine would have; nothing where the plan's hosts are elsewhere.
void AddMachineFacts(const fleet::FleetPlan& plan, fleet::ProviderFacts* facts);
std::string ThisArchitecture();
// The folder `deploy` that belongs to this program: beside it in a package, or in the source tree
// that it was built in. Empty: there is none.
std::string DeployFolder();

}  // namespace baiwan::cli
