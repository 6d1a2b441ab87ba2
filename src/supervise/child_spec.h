// What to run, and what to do when it ends.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace baiwan::supervise {

enum class Restart : std::uint8_t {
  kAlways,     // whatever it ended with
  kOnFailure,  // unless it exited with 0
  kNever,
};

struct ChildSpec {
  std::string name;               // unique in one supervisor
  std::vector<std::string> argv;  // argv[0]: a path, or a name that is looked up in PATH
  std::vector<std::pair<std::string, std::string>> env;  // on top of the supervisor's own
  // Takes the child's output and errors, appended; empty: they are dropped. When it has grown past
  // `log_max_bytes` it is copied to `<log_file>.1` and begun anew, so a child keeps at most twice
  // that (looked at once a second; lines written during the change-over may be lost).
  std::string log_file;
  std::uint64_t log_max_bytes = 64 << 20;

  Restart restart = Restart::kAlways;
  std::vector<int> final_codes;  // exit codes that another start would not change: none follows
  // The n-th restart in a row waits backoff_first × 2^(n-1), at most backoff_max, of which the last
  // half is random. A run longer than backoff_max begins a new row.
  Nanos backoff_first = 100 * kMillisecond;
  Nanos backoff_max = 5 * kSecond;
  // More restarts than this within the window, and the supervisor gives the child up.
  std::uint32_t max_restarts = 20;
  Nanos restart_window = 60 * kSecond;

  int stop_signal = SIGTERM;
  Nanos stop_deadline = 10 * kSecond;  // then SIGKILL
  // StopAll stops the highest stage first, and a lower one when all above it have ended.
  int stage = 0;

  // The child tells when it serves, see ready.h; until then it is kStarting.
  bool notifies_ready = false;
};

// CPU time and memory of one child over all of its runs.
struct Usage {
  std::uint64_t user_us = 0;
  std::uint64_t system_us = 0;
  std::uint64_t max_rss_kib = 0;  // the largest of its runs

  std::uint64_t cpu_us() const { return user_us + system_us; }
};

}  // namespace baiwan::supervise
