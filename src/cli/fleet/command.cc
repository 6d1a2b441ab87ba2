// `baiwan fleet`: the stress test across hosts.
#include "cli/commands.h"
#include "cli/fleet/fleet.h"

namespace baiwan::cli {

Command FleetCommand() {
  return {"fleet",
          "Runs the stress test across hosts: from nothing to a verified run and back to nothing.",
          "  baiwan fleet test --hosts 4 --users-per-host 1000\n"
          "  baiwan fleet plan --hosts 40 && baiwan fleet check plan.toml && baiwan fleet test "
          "--plan plan.toml\n",
          nullptr,
          {FleetTestCommand(),
           FleetPlanCommand(),
           FleetCheckCommand(),
           FleetStepCommand("up", "Makes the hosts of a plan, and stops there."),
           FleetStepCommand("deploy", "Goes on until the program is on every host."),
           FleetStepCommand("import", "Goes on until every host has loaded its users."),
           FleetStepCommand("start", "Goes on until every process serves."),
           FleetStepCommand("run", "Goes on until every message is delivered."),
           FleetStepCommand("stop", "Goes on until every process has stopped."),
           FleetStepCommand("verify", "Goes on until every message is verified."),
           FleetStepCommand("collect", "Goes on until results and logs are on the control host."),
           FleetStepCommand("report", "Goes on until the report is here."),
           FleetDownCommand(),
           FleetStatusCommand(),
           FleetListCommand(),
           FleetAttachCommand(),
           FleetResumeCommand(),
           FleetFilesCommand(),
           FleetControlCommand(),
           FleetFollowCommand(),
           FleetFactsCommand()}};
}

}  // namespace baiwan::cli
