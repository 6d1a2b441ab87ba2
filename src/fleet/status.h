// A journey for people: what went wrong first, then a line for each step.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fleet/journey.h"

namespace baiwan::fleet {

//   worker-002: deploy failed (attempt 2 of 3): no route to host
//     command: ssh 10.0.2.22 …
//     | last lines of its log
//   plan      done            1 of 1     0.1 s
//   deploy    failed          3 of 5    12.4 s   1 failed
//   …
//   2 warnings, 1 going on
//     18:03:04  steal over 10 %: …
//               worker-003 34 %
//   failed: deploy failed on worker-002 after 3 attempts: no route to host
std::string StatusText(const Journey& journey, std::int64_t now_ms);

// Its parts, each ending with a newline.
std::string StepText(const Journey& journey, Step step, std::int64_t now_ms);
// Hosts that failed for the same reason are named together.
using FailedTasks = std::vector<std::pair<Step, const Task*>>;
std::string FailuresText(const Journey& journey, const FailedTasks& failed);
// Of a step as a whole.
State StepIsOf(const Journey& journey, Step step);

}  // namespace baiwan::fleet
