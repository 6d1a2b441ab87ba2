// What an operator should know of a run's hosts although nothing has failed: a trouble of some of
// them, told when it begins and when it is over.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace baiwan::fleet {

struct Notice {
  std::int64_t at_ms = 0;  // wall clock
  std::string kind;        // "steal", "memory", "disk", "network", "files"
  bool over = false;
  std::string text;                // what it is
  std::vector<std::string> hosts;  // worst first; parts of one machine are one: "control and 4 …"
  std::vector<std::string> values;  // of each, "34 %"; none when it is over

  bool operator==(const Notice&) const = default;
};

inline constexpr std::size_t kMaxNotices = 200;  // of a journey
// Adds to `all`; instead of what is beyond the limit, a last one says that there is more.
void AddNotices(std::vector<Notice>* all, std::vector<Notice> more);

//   warning: steal over 10 %: CPU is kept from them, as when burst credits are gone
//     worker-003 34 %, worker-004 22 %, worker-007 12 % and 2 others
std::string NoticeText(const Notice& notice);
// A summary with the last ones and their time of the day; empty without any.
std::string NoticesText(const std::vector<Notice>& notices);
// As one line, with its time of the day in UTC, for a report.
std::string NoticeLine(const Notice& notice);

}  // namespace baiwan::fleet
