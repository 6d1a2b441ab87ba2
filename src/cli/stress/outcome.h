// What a run came to: put together from what its processes cost, what its load clients saw and what
// the verifier found.
//
// Threads: any. Failure: what cannot be read (a load client's result, the series file) is named
// among the result's problems.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/stress/plan.h"
#include "monitor/machine.h"
#include "stress/drive_result.h"
#include "stress/result.h"
#include "supervise/supervisor.h"
#include "verify/report.h"

namespace baiwan::cli {

struct Outcome {
  std::int64_t began_ms = 0;  // wall clock
  double import_seconds = 0;  // generation included
  double start_seconds = 0;
  double verify_seconds = 0;
  std::uint64_t own_cpu_us = 0;  // of the operator's process, while users played
  monitor::CpuTimes cpu_before;  // users played
  monitor::CpuTimes cpu_after;
  std::vector<supervise::ChildStatus> children;
  verify::VerifyReport verified;
  stress::DriveResults load;  // by name of the load client
  std::vector<std::string> problems;
  std::vector<stress::TimelineEvent> happened;  // steps and processes
};

// The load clients' results; `problems` gets what could not be read.
stress::DriveResults ReadDriveResults(const StressPlan& plan, const std::string& folder,
                                      std::vector<std::string>* problems);

// Of a run that did not come to its end: what it was asked to do, how far it came, as its load
// clients know, and what went wrong. Nothing of it is verified.
stress::RunResult ResultOfFailure(const StressOptions& options, const StressPlan& plan,
                                  const std::string& folder, const Outcome& outcome, int exit_code);

stress::RunResult ResultOf(const StressOptions& options, const StressPlan& plan,
                           const std::string& folder, const Outcome& outcome);

}  // namespace baiwan::cli
