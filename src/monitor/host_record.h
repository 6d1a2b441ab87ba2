// How the hosts of a run fared over all of it, from the monitor's record: of each machine the worst
// of each fact.
//
// Blocks. Failure: a sentence.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "monitor/host_use.h"

namespace baiwan::monitor {

struct HostRecord {
  std::vector<Machine> machines;  // in the order of their first hosts
  double steal_share = 0;         // of all CPU time of all machines, 0 … 1
};

Result<HostRecord, std::string> ReadHostRecord(const std::string& series_path);

}  // namespace baiwan::monitor
