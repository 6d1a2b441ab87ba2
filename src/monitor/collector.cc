#include "monitor/collector.h"

#include <algorithm>

namespace baiwan::monitor {

Result<std::unique_ptr<Collector>, std::string> Collector::Create(
    NodeContext& node, const registry::Directory& directory, const CollectorOptions& options) {
  auto file = SeriesFile::Open(options.path, options.max_bytes);
  if (!file) return file.error();
  return std::unique_ptr<Collector>(new Collector(node, directory, options, std::move(*file)));
}

Collector::Collector(NodeContext& node, const registry::Directory& directory,
                     const CollectorOptions& options, std::unique_ptr<SeriesFile> file)
    : node_(node),
      options_(options),
      file_(std::move(file)),
      poll_(node, directory, options.poll),
      roll_call_(options.expected),
      started_(node.clock.Monotonic()),
      started_ms_(node.clock.WallMillis()),
      cpu_(ReadCpuTimes()) {
  Write(ToLine(SeriesHeader{kSeriesVersion, started_ms_,
                            static_cast<std::uint64_t>(options.interval / kMillisecond)}));
  looked_at_ = started_;
  Tick();
}

Collector::~Collector() { node_.loop.Cancel(timer_); }

std::uint64_t Collector::Millis() const {
  return started_ms_ +
         static_cast<std::uint64_t>((node_.clock.Monotonic() - started_) / kMillisecond);
}

void Collector::Tick() {
  const Nanos since = node_.clock.Monotonic() - started_;
  timer_ = node_.loop.After(options_.interval - since % options_.interval, [this] { Tick(); });
  if (poll_.busy()) {
    ++skipped_;
    return;
  }
  Look();
}

void Collector::Look() {
  poll_.Start(
      [this, ms = Millis()](const std::vector<monitor::Look>& looks) { Looked(ms, looks); });
}

void Collector::Looked(std::uint64_t ms, const std::vector<monitor::Look>& looks) {
  roll_call_.Take(looks);
  std::string lines;
  Beat beat;
  beat.ms = ms;
  for (const monitor::Look& look : looks) {
    const Process& p = look.process;
    beat.fetched += look.bytes;
    ++samples_;
    if (!look.error.empty()) ++failed_;
    lines += ToLine(Sample{ms, p.name, p.cell, p.roles, p.ops.ToString(), p.incarnation, look.error,
                           look.values});
  }
  const Nanos now = node_.clock.Monotonic();
  const CpuTimes cpu = ReadCpuTimes();
  const CpuUse use = Between(cpu_, cpu);
  beat.alive = roll_call_.alive();
  beat.expected = roll_call_.expected();
  // The last look comes early: it is no more than one beat's worth all the same.
  beat.fetched_per_s = static_cast<double>(beat.fetched) * kSecond /
                       static_cast<double>(std::max(now - looked_at_, options_.interval));
  beat.busy = use.busy;
  beat.steal = use.steal;
  cpu_ = cpu;
  looked_at_ = now;
  fetched_ += beat.fetched;
  ++beats_;
  last_ = beat;
  Write(lines + ToLine(beat));
  if (!stopping_) return;
  if (stopped_) std::exchange(stopped_, nullptr)();
}

void Collector::Write(const std::string& lines) {
  const auto wrong = file_->Append(lines);
  if (wrong) {
    ++write_errors_;
    if (trouble_.empty()) node_.log.Error("{}", *wrong);
  }
  trouble_ = wrong.value_or("");
}

void Collector::Stop(std::function<void()> done) {
  node_.loop.Cancel(timer_);
  stopped_ = std::move(done);
  stopping_ = true;
  if (!poll_.busy()) Look();  // else the one under way is the last
}

void Collector::WriteMetrics(MetricsSink& sink) const {
  sink.Gauge("monitor_services_alive", "processes that answered at the last beat", last_.alive);
  sink.Gauge("monitor_services_expected", "processes that should", last_.expected);
  sink.Gauge("monitor_fetch_bytes_per_second", "bytes of metrics fetched, over the last beat",
             last_.fetched_per_s);
  sink.Counter("monitor_fetched_bytes_total", "bytes of metrics fetched",
               static_cast<double>(fetched_));
  sink.Counter("monitor_beats_total", "looks at all processes", static_cast<double>(beats_));
  sink.Counter("monitor_beats_skipped_total", "beats that came while a look was not over",
               static_cast<double>(skipped_));
  sink.Counter("monitor_samples_total", "processes asked", static_cast<double>(samples_));
  sink.Counter("monitor_samples_failed_total", "processes that did not answer well",
               static_cast<double>(failed_));
  sink.Counter("monitor_write_errors_total", "beats that could not be recorded",
               static_cast<double>(write_errors_));
  sink.Gauge("monitor_series_bytes", "size of the series file",
             static_cast<double>(file_->bytes()));
}

}  // namespace baiwan::monitor
