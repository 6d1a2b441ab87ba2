// What another process says at /metrics, read into numbers.
//
// Prometheus text format 0.0.4, as much of it as Baiwan's own processes write: one value a line,
// comments passed over. Only names that begin with "baiwan_" are taken, without that beginning.
//
// Pure. Failure: the other side may send anything: more than the limits, or a line that is no
// value, refuses the whole text with a sentence. Values that are no finite number are left out, and
// keys hold printable ASCII only, so that they can be shown on a terminal.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace baiwan::monitor {

struct MetricsLimits {
  std::size_t max_bytes = 1 << 20;
  std::size_t max_values = 4096;
  std::size_t max_key = 256;  // bytes of a name with its labels
};

// By name, with labels where there are any: `stored_total`, `refused_total{reason="window"}`.
using Values = std::map<std::string, double, std::less<>>;

Result<Values, std::string> ParseMetrics(std::string_view text, const MetricsLimits& limits = {});

// 0 if it is not there.
double ValueOf(const Values& values, std::string_view key);
// Over all labels of a name.
double SumOf(const Values& values, std::string_view name);
// Calls `each` with the label's value ("window") and the number, for every label of a name.
void ForEachLabel(const Values& values, std::string_view name,
                  const std::function<void(std::string_view label, double value)>& each);

// How much a counter rose between two looks; one that fell belongs to a process that began again.
inline double Increase(double before, double now) { return now >= before ? now - before : now; }

}  // namespace baiwan::monitor
