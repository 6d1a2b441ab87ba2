// What counters came to over a whole run: over all processes, all labels of a name, and all lives
// of a process that was killed in between.
//
// What a killed process counted behind its last look is not known, so a total is a lower bound.
// Reads the series file once. One thread. Failure: a sentence.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace baiwan::monitor {

// By name, without labels: "resent_total".
Result<std::map<std::string, double>, std::string> CounterTotals(const std::string& series_path);

}  // namespace baiwan::monitor
