// What a stress test on this machine consists of: which processes, with which settings, in which
// order, and what they will need. Nothing is started here.
//
// Pure but for reading nothing: facts about the machine come in. Failure: a sentence with the way
// out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/transport.h"
#include "stress/driver.h"
#include "stress/workload.h"
#include "supervise/child_spec.h"

namespace baiwan::cli {

struct StressOptions {
  stress::WorkloadSpec spec;
  stress::DriveOptions drive;
  double rate = 0;  // of all cells together; 0: closed loop
  std::string protocol = "ws";
  std::string layout = "cell";  // a process per cell; "role": per role; "single": one
  std::string runs = "runs";    // folder of run folders
  bool keep = false;            // the stores of earlier runs too
  bool json = false;
  bool no_report = false;
  Nanos deadline = 0;  // of the run phase; 0: from the number of messages
  std::uint32_t registry_port = 0;
  Nanos monitor_interval = kSecond;
  std::vector<std::string> sets;  // settings for every process
};

struct Machine {
  std::uint32_t cores = 1;
  std::uint64_t memory_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  std::uint64_t disk_total_bytes = 0;
  std::uint64_t open_files = 1024;
  std::string program;  // the path of this program
};

struct PlannedProcess {
  std::string role;      // registry, cell, gateway, logic, relay, monitor, load, import
  std::string settings;  // its configuration file, TOML
  supervise::ChildSpec child;
};

struct StressPlan {
  std::vector<PlannedProcess> imports;  // any order, each ends by itself
  PlannedProcess registry;
  std::vector<PlannedProcess> servers;
  PlannedProcess monitor;
  std::vector<PlannedProcess> loads;
  std::vector<std::string> stores;   // folders of RocksDB
  std::vector<std::string> ledgers;  // files
  std::uint64_t disk_bytes = 0;      // that the run will need, about
  Nanos deadline = 0;                // of the run phase
  std::uint32_t processes = 0;       // that should be there while users play
  Endpoint registry_at;
};

// What is wrong with the options themselves, or nothing.
std::optional<std::string> CheckOptions(const StressOptions& options, const Machine& machine);

// `folder` is the run's folder, `registry` where the registry will listen.
Result<StressPlan, std::string> MakePlan(const StressOptions& options, const Machine& machine,
                                         const std::string& folder, const Endpoint& registry);

}  // namespace baiwan::cli
