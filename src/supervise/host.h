// What `baiwan supervise --config host.toml` does: reads which processes a host runs, and runs them
// until it is asked to stop.
//
//   stop_within = "30s"              # for all of them together
//   usage = "usage.json"             # what the children cost, kept over all lives of this process
//   events = "events.jsonl"          # what became of the children, appended; see event_file.h
//   [[child]]
//   name = "registry"
//   command = ["baiwan", "registry", "--config", "registry.toml"]
//   log = "logs/registry.log"        # appended; without it, output is dropped
//   log_max = "64MiB"
//   env = { TZ = "UTC" }
//   restart = "always"               # or "on-failure", "never"
//   final = [2]                      # exit codes that another start would not change
//   backoff_first = "100ms"
//   backoff_max = "5s"
//   max_restarts = 20                # within restart_window; then it is given up
//   restart_window = "60s"
//   stop_signal = "TERM"             # or INT, HUP, QUIT, KILL, USR1, USR2
//   stop_deadline = "10s"            # then SIGKILL
//   stage = 0                        # higher ones stop first
//   ready = false                    # it tells when it serves, see ready.h
//
// Everything but name and command has the default of ChildSpec. Threads: the main one. Failure:
// mistakes in the file are told all at once, each with its place and the fix.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/log.h"
#include "supervise/child_spec.h"
#include "supervise/stop_signals.h"

namespace baiwan::supervise {

struct HostPlan {
  Nanos stop_within = 30 * kSecond;
  std::string usage;                // file; empty: none
  std::string events;               // likewise
  std::vector<ChildSpec> children;  // at most 1,000; started in this order
};

// `name` stands for the file in errors.
Result<HostPlan, std::vector<ConfigError>> ParseHostPlan(std::string_view toml,
                                                         std::string_view name);
Result<HostPlan, std::vector<ConfigError>> LoadHostPlan(const std::string& path);

// Starts all children and waits for a stop signal, or until all have ended for good; then stops
// what still runs. A second signal kills them at once. Returns an exit code: 0; 2 if a child could
// not be started, was given up, or did not stop in time, and the log says which; else the lowest of
// the final codes with which children have ended.
int RunHost(const HostPlan& plan, StopSignals& signals, Log& log);

}  // namespace baiwan::supervise
