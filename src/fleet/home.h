// The folder of a run on its control host, from which the hosts are configured: what the step
// engine (deploy/ansible) is given.
//
//   HOME/plan.toml, journey.json       the plan, and where the run stands
//   HOME/hosts.json                    all hosts: addresses, what they get, what they run
//   HOME/hosts/NAME/…                  files that go below the run's folder on that host
//   HOME/service                       of another service than ours: copied to every host
//   HOME/link.secret                   mode 0600; made here, and nowhere else
//   HOME/shares, HOME/collected        what verify and collect bring home, by host
//   HOME/tools                         streams of the programs that were called
//   HOME/report                        the run folder (docs/run-folder.md)
//
// Threads: one; blocks. Failure: a sentence.
#pragma once

#include <optional>
#include <string>

#include "fleet/host_files.h"
#include "fleet/plan.h"

namespace baiwan::fleet {

struct HomeOptions {
  HostPaths paths;
  std::string package;          // the tarball; relative to the home, or absolute
  std::string ssh_key;          // of the run, on the control host
  std::string known_hosts;      // likewise
  std::string payload = "p2p";  // or "copy"
};

// May be repeated: a secret that is there stays.
std::optional<std::string> WriteHome(const FleetPlan& plan, const std::string& home,
                                     const HomeOptions& options);

}  // namespace baiwan::fleet
