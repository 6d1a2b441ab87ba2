// What each host of a plan is given and told: its configuration files, what its one service
// (`baiwan supervise`) runs, and the commands of the steps that run once.
//
// On a host everything is in one folder: config/NAME.toml, host.toml (the servers), load.toml (the
// load clients, a service of their own so that they start last and end first), and, made there,
// link.secret, logs, stores, ledgers, results, series.jsonl and verify.share. The secret is not
// made here: it travels with the files, mode 0600, and is in no plan.
//
// Pure; any thread. Requires a plan that CheckPlan found nothing wrong with.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "fleet/plan.h"

namespace baiwan::fleet {

struct HostPaths {
  std::string program = "/opt/baiwan/bin/baiwan";
  std::string folder = "/var/lib/baiwan";  // the run's folder on each host
};

using Argv = std::vector<std::string>;

struct HostFiles {
  std::string name;  // "control", "worker-007"
  std::string address;
  // By path relative to the folder.
  std::map<std::string, std::string> files;
  std::vector<std::string> folders;  // that must be there, relative as well
  std::vector<Argv> imports;         // each loads one store; any order, none in the control host
  Argv serve;                        // the service of the servers
  Argv ready;                        // whether another service than ours serves; may be empty
  Argv load;                         // the service of the load clients; may be empty
  Argv verify;                       // of its own share, when the servers have stopped; or empty
  std::string share;                 // what verify writes; relative; or empty
  std::vector<std::string> stores;   // relative
  std::vector<std::string> ledgers;  // likewise
  std::vector<std::string> collect;  // files and folders that are brought home; likewise
};

// The control host first, then the workers by number.
std::vector<HostFiles> FilesOf(const FleetPlan& plan, const HostPaths& paths);

// Puts the shares of all workers together and compares what they say of each other.
Argv JoinOf(const FleetPlan& plan, const HostPaths& paths, const std::vector<std::string>& shares);

// Processes that should be there while users play, for "alive of expected".
std::uint32_t ProcessesOf(const FleetPlan& plan);

}  // namespace baiwan::fleet
