// What the supervisor knows of one child, over all of its runs. Belongs to the supervisor's thread.
#pragma once

#include <algorithm>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "supervise/process.h"
#include "supervise/supervisor.h"

namespace baiwan::supervise {

inline constexpr Nanos kNever = std::numeric_limits<Nanos>::max();

struct Child {
  explicit Child(ChildSpec s) : spec(std::move(s)) {}

  bool ended() const {
    return state == State::kStopped || state == State::kExited || state == State::kGaveUp;
  }

  ChildSpec spec;
  State state = State::kStarting;
  std::unique_ptr<Process> process;  // while it runs
  std::uint32_t runs = 0;
  std::uint32_t row = 0;       // restarts in a row, for the backoff
  std::deque<Nanos> restarts;  // within the window
  Nanos started_at = 0;
  Nanos restart_delay = 0;
  Nanos restart_at = kNever;
  Nanos kill_at = kNever;
  bool killed = false;
  std::optional<Exit> last_exit;
  std::string ready_text;
  Usage past;  // of the runs that have ended
};

inline void Add(Usage& sum, const Usage& run) {
  sum.user_us += run.user_us;
  sum.system_us += run.system_us;
  sum.max_rss_kib = std::max(sum.max_rss_kib, run.max_rss_kib);
}

}  // namespace baiwan::supervise
