// The monitor's record of a run: every `interval` it looks at all processes of the deployment and
// appends what they say to a series file (series.h).
//
// Beats are on a fixed schedule; one that comes while the last look is not over is skipped. Times
// in the file are the wall clock's at the start, carried on by the monotonic one, so that a jump of
// the clock does not bend the curves.
//
// Threads: one loop. Failure: a process that cannot be asked is a sample that says so; a file that
// cannot be written is logged once, counted and shown at /status, and tried again at the next beat.
// Bounds: see PollOptions and `max_bytes`, beyond which nothing more is recorded.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/node_context.h"
#include "monitor/machine.h"
#include "monitor/processes.h"
#include "monitor/roll_call.h"
#include "monitor/series.h"

namespace baiwan::monitor {

struct CollectorOptions {
  std::string path;
  Nanos interval = 10 * kSecond;
  std::uint64_t max_bytes = 256ULL << 20;  // of the file
  std::uint32_t expected = 0;              // processes; 0: whoever has been seen
  PollOptions poll;
};

class Collector final : public MetricsSource {
 public:
  // Begins at once. The error is a sentence. `directory` outlives the collector.
  static Result<std::unique_ptr<Collector>, std::string> Create(
      NodeContext& node, const registry::Directory& directory, const CollectorOptions& options);
  ~Collector() override;

  // Takes a last look, so that the end of a run is in the file, and calls `done`.
  void Stop(std::function<void()> done);

  std::uint64_t beats() const { return beats_; }
  const Beat& last() const { return last_; }
  // Empty, or why nothing is being recorded.
  const std::string& trouble() const { return trouble_; }
  void WriteMetrics(MetricsSink& sink) const override;

 private:
  Collector(NodeContext& node, const registry::Directory& directory,
            const CollectorOptions& options, std::unique_ptr<SeriesFile> file);
  void Tick();
  void Look();
  void Looked(std::uint64_t ms, const std::vector<monitor::Look>& looks);
  void Write(const std::string& lines);
  std::uint64_t Millis() const;

  NodeContext& node_;
  const CollectorOptions options_;
  const std::unique_ptr<SeriesFile> file_;
  ProcessPoll poll_;
  RollCall roll_call_;
  const Nanos started_;
  const std::uint64_t started_ms_;
  CpuTimes cpu_;
  Nanos looked_at_ = 0;
  TimerId timer_ = 0;
  std::function<void()> stopped_;
  bool stopping_ = false;

  Beat last_;
  std::uint64_t beats_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t samples_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t fetched_ = 0;
  std::uint64_t write_errors_ = 0;
  std::string trouble_;
};

}  // namespace baiwan::monitor
