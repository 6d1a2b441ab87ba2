// How a part of the program tells its counters to whoever asks (/metrics, the monitor).
//
// A part keeps plain numbers of its own and lists them here when asked; names exist in one place,
// beside the number. Names are Prometheus names without the "baiwan_" prefix; counters end in
// "_total". One thread: the loop that owns the numbers.
#pragma once

#include <cstdint>
#include <string_view>

namespace baiwan {

class MetricsSink {
 public:
  virtual ~MetricsSink() = default;
  // `label` is empty or one `name="value"` pair, e.g. `reason="window"`.
  virtual void Counter(std::string_view name, std::string_view help, double value,
                       std::string_view label = {}) = 0;
  virtual void Gauge(std::string_view name, std::string_view help, double value,
                     std::string_view label = {}) = 0;
};

class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  virtual void WriteMetrics(MetricsSink& sink) const = 0;
};

}  // namespace baiwan
