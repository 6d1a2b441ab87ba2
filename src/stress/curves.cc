#include "stress/curves.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "monitor/host_use.h"
#include "monitor/series.h"

namespace baiwan::stress {
namespace {

using monitor::Beat;
using monitor::Sample;
using monitor::SeriesHeader;

// A panel draws how fast `counters` rise together; with `per`, by how much for each step of that.
struct PanelSpec {
  const char* title;
  std::array<const char*, 2> counters;
  const char* per = nullptr;
  double scale = 1;
};
struct PictureSpec {
  const char* file;
  const char* title;
  const char* about;
  std::vector<PanelSpec> panels;
};

const std::vector<PictureSpec>& Specs() {
  static const std::vector<PictureSpec> specs = {
      {"gateway",
       "Gateway",
       "What clients ask of the gateways.",
       {{"HTTP requests a second", {"gateway_requests_total"}},
        {"WebSocket frames a second, both ways",
         {"gateway_frames_in_total", "gateway_frames_out_total"}}}},
      {"messages",
       "Chat messages",
       "Sent: durable in the sender's outbox. Received: durable in the friend's inbox. "
       "Acknowledged: the sender's cell knows it.",
       {{"sent a second", {"stored_total"}},
        {"received a second", {"delivered_total"}},
        {"acknowledged a second", {"acknowledged_total"}}}},
      {"relay",
       "Relay",
       "What travels between cells.",
       {{"batches out a second", {"relay_batches_out_total"}},
        {"MB out a second", {"relay_bytes_out_total"}, nullptr, 1e-6}}},
      {"logic",
       "Logic",
       "What the logic servers take in and pass on, and how long work waits for a commit.",
       {{"submissions a second", {"submits_total"}},
        {"forwards a second", {"forwarded_total"}},
        {"wait before a commit, ms", {"queue_wait_seconds_total"}, "commits_total", 1000}}},
      {"store",
       "Store",
       "Conflicts are messages that came a second time or before their turn.",
       {{"reads a second", {"reads_total", "loads_total"}},
        {"messages written a second", {"commit_messages_total"}},
        {"commits a second", {"commits_total"}},
        {"conflicts a second", {"duplicates_total", "gaps_total"}}}}};
  return specs;
}

class Builder final : public monitor::SeriesVisitor {
 public:
  Builder() {
    for (const PictureSpec& picture : Specs()) {
      for (const PanelSpec& panel : picture.panels) panels_.push_back({panel, {}});
    }
  }

  void OnHeader(const SeriesHeader& header) override { interval_ms_ = header.interval_ms; }

  void OnSample(const Sample& sample) override {
    if (times_.empty() || sample.ms > times_.back()) times_.push_back(sample.ms);
    if (sample.ms != times_.back()) return;  // a clock that went back between two monitors
    if (hosts_.size() < monitor::kMostHosts) {
      hosts_.insert(sample.ops.substr(0, sample.ops.rfind(':')));
    }
    if (!sample.error.empty()) {
      ++failed_;
      return;
    }
    std::string id = sample.name + "/" + std::to_string(sample.cell);
    for (const std::string& role : sample.roles) id += "/" + role;
    Counted now{sample.ms, sample.incarnation, {}};
    for (const Drawn& drawn : panels_) now.counters.push_back(Read(drawn.spec, sample.values));
    Counted& before = before_[id];
    if (before.counters.empty()) {
      // What it counted since it began, if that was no longer ago than a look or two.
      const double uptime = monitor::ValueOf(sample.values, "process_uptime_seconds");
      if (uptime > 0 && uptime * 1000 <= 2.0 * static_cast<double>(interval_ms_)) {
        before.ms = sample.ms - static_cast<std::uint64_t>(uptime * 1000);
        before.counters.resize(now.counters.size());
      }
    }
    if (!before.counters.empty()) Add(sample.cell, before, now);
    before = std::move(now);
  }

  void OnBeat(const Beat& beat) override { beats_.push_back(beat); }

  Curves Build(std::uint64_t unreadable) const;

 private:
  struct Count {
    double counted = 0;
    double per = 0;
  };
  struct Counted {
    std::uint64_t ms = 0;
    std::uint64_t incarnation = 0;
    std::vector<Count> counters;  // by panel
  };
  struct Drawn {
    PanelSpec spec;
    std::map<CellId, std::vector<Count>> cells;  // rates, by index in times_
  };

  static Count Read(const PanelSpec& spec, const monitor::Values& values) {
    Count count;
    for (const char* name : spec.counters) {
      if (name != nullptr) count.counted += monitor::ValueOf(values, name);
    }
    if (spec.per != nullptr) count.per = monitor::ValueOf(values, spec.per);
    return count;
  }

  void Add(CellId cell, const Counted& before, const Counted& now) {
    if (now.ms <= before.ms) return;
    const double seconds = static_cast<double>(now.ms - before.ms) / 1000;
    const bool again = before.incarnation != 0 && now.incarnation != before.incarnation;
    const auto rate = [&](double was, double is) {
      return (again ? is : monitor::Increase(was, is)) / seconds;
    };
    // The beats in between that it did not answer get the same.
    std::size_t first = times_.size() - 1;
    while (first > 0 && times_[first - 1] > before.ms) --first;
    for (std::size_t panel = 0; panel < panels_.size(); ++panel) {
      const Count& was = before.counters[panel];
      const Count& is = now.counters[panel];
      const double counted = rate(was.counted, is.counted);
      const double per = rate(was.per, is.per);
      if (is.counted == 0 && panels_[panel].cells.count(cell) == 0) continue;
      std::vector<Count>& rates = panels_[panel].cells[cell];
      rates.resize(times_.size());
      for (std::size_t i = first; i < times_.size(); ++i) {
        rates[i].counted += counted;
        rates[i].per += per;
      }
    }
  }

  static double Value(const PanelSpec& spec, const Count& count) {
    if (spec.per == nullptr) return count.counted * spec.scale;
    return count.per > 0 ? count.counted / count.per * spec.scale : 0;
  }

  // The first time that shows something, and one past the last.
  std::pair<std::size_t, std::size_t> Active() const {
    std::size_t first = times_.size();
    std::size_t end = 0;
    for (const Drawn& drawn : panels_) {
      for (const auto& [cell, rates] : drawn.cells) {
        for (std::size_t i = 0; i < rates.size(); ++i) {
          if (rates[i].counted <= 0) continue;
          first = std::min(first, i);
          end = std::max(end, i + 1);
        }
      }
    }
    return {first, end};
  }

  Panel Draw(const Drawn& drawn, std::size_t first, std::size_t end) const;

  std::uint64_t interval_ms_ = 10'000;
  std::vector<std::uint64_t> times_;
  std::map<std::string, Counted> before_;
  std::vector<Drawn> panels_;
  std::vector<Beat> beats_;
  std::set<std::string> hosts_;
  std::uint64_t failed_ = 0;
};

// A rate belongs to the time before the look that brought it, so a curve begins one look earlier.
Panel Builder::Draw(const Drawn& drawn, std::size_t first, std::size_t end) const {
  Panel panel;
  panel.title = drawn.spec.title;
  panel.mean = drawn.spec.per != nullptr;
  const std::uint64_t zero =
      first > 0 ? times_[first - 1] : times_[first] - std::min(times_[first], interval_ms_);
  const auto at = [&](std::size_t i) { return static_cast<double>(times_[i] - zero) / 1000; };
  std::vector<Count> sum(end);
  for (const auto& [cell, rates] : drawn.cells) {
    std::vector<Point>& points = panel.cells[cell];
    points.push_back({0, Value(drawn.spec, first < rates.size() ? rates[first] : Count{})});
    for (std::size_t i = first; i < end; ++i) {
      const Count rate = i < rates.size() ? rates[i] : Count{};
      points.push_back({at(i), Value(drawn.spec, rate)});
      sum[i].counted += rate.counted;
      sum[i].per += rate.per;
    }
  }
  if (panel.cells.empty()) return panel;
  panel.sum.push_back({0, Value(drawn.spec, sum[first])});
  for (std::size_t i = first; i < end; ++i) panel.sum.push_back({at(i), Value(drawn.spec, sum[i])});
  return panel;
}

Curves Builder::Build(std::uint64_t unreadable) const {
  Curves curves;
  curves.unreadable = unreadable;
  curves.failed = failed_;
  curves.beats = beats_.size();
  curves.hosts = static_cast<std::uint32_t>(hosts_.size());
  const auto [first, end] = Active();
  auto next = panels_.begin();
  for (const PictureSpec& spec : Specs()) {
    Picture picture{spec.file, spec.title, spec.about, {}};
    for (std::size_t i = 0; i < spec.panels.size(); ++i, ++next) {
      if (first < end) picture.panels.push_back(Draw(*next, first, end));
    }
    curves.pictures.push_back(std::move(picture));
  }
  std::optional<std::uint32_t> least;
  for (const Beat& beat : beats_) {
    curves.steal_most = std::max(curves.steal_most, beat.steal);
    curves.fetched_per_s += beat.fetched_per_s / static_cast<double>(beats_.size());
    if (first >= end || beat.ms < times_[first] || beat.ms > times_[end - 1]) continue;
    least = std::min(least.value_or(beat.alive), beat.alive);
    curves.expected = std::max(curves.expected, beat.expected);
  }
  curves.alive_least = least.value_or(0);
  return curves;
}

}  // namespace

Result<Curves, std::string> ReadCurves(const std::string& series_path) {
  Builder builder;
  const auto unreadable = monitor::VisitSeries(series_path, builder);
  if (!unreadable) return unreadable.error();
  return builder.Build(*unreadable);
}

}  // namespace baiwan::stress
