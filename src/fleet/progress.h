// A journey as it goes on, for people: each failure and each notice when it comes, and a line for
// each step when it is settled.
//
//   plan      done            1 of 1           0.1 s
//   worker-002: deploy failed (attempt 1 of 3): no route to host
//   deploy    done           41 of 41         12.4 s
//
// Threads: one. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "fleet/journey.h"

namespace baiwan::fleet {

class Progress {
 public:
  // What has become known since the last call, a line each; the lines of a failure in one text.
  std::vector<std::string> News(const Journey& journey, std::int64_t now_ms);
  // The same as JSON documents: {"event": "failure", …}, {"event": "notice", …},
  // {"event": "step", …}.
  std::vector<std::string> NewsAsJson(const Journey& journey);

 private:
  struct New {
    std::vector<std::pair<Step, Task>> failures;
    std::vector<stress::TimelineEvent> over;  // a host's troubles that have ended
    std::vector<Notice> notices;
    std::vector<Step> settled;
  };
  New Take(const Journey& journey);

  std::map<std::pair<Step, std::string>, std::pair<std::uint32_t, std::string>> told_;
  std::set<Step> settled_;
  std::size_t notices_ = 0;  // told
  std::set<std::size_t> over_;
};

}  // namespace baiwan::fleet
