// What the processes of a host have cost, as a file: for whoever counts a run's CPU when they are
// gone.
//
//   {"version": 1, "children": [{"name": "cell-3", "user_us": 1, "system_us": 2, "max_rss_kib": 3,
//   "runs": 1}]}
//
// Threads: one. Failure: a sentence; a file that cannot be read counts as none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "supervise/supervisor.h"

namespace baiwan::supervise {

struct KeptUsage {
  Usage usage;
  std::uint64_t runs = 0;
};
using UsageByName = std::map<std::string, KeptUsage>;

Result<UsageByName, std::string> ReadUsage(const std::string& path);

// Adds to what earlier lives of the supervisor have left in the file.
class UsageFile {
 public:
  static constexpr Nanos kEvery = 5 * kSecond;  // what a killed supervisor forgets

  explicit UsageFile(std::string path);  // empty: nothing is kept
  std::optional<std::string> Keep(const std::vector<ChildStatus>& children);
  // Once in kEvery: time to Keep. Asking what children cost is not free.
  bool Due();

 private:
  const std::string path_;
  UsageByName earlier_;
  Nanos next_ = 0;
};

}  // namespace baiwan::supervise
