#include "stress/stalls.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "monitor/series.h"

namespace baiwan::stress {
namespace {

// Since when something has been as it is; told when that is over.
struct Span {
  std::int64_t from_ms = 0;
  std::int64_t until_ms = 0;

  std::int64_t length() const { return until_ms - from_ms; }
};

class Stalls final : public monitor::SeriesVisitor {
 public:
  explicit Stalls(Timeline* timeline) : timeline_(*timeline) {}

  void OnSample(const monitor::Sample& sample) override {
    const auto ms = static_cast<std::int64_t>(sample.ms);
    Seen& seen = seen_[sample.name];
    seen.there = true;
    if (!sample.error.empty()) {
      seen.silent.until_ms = ms;
      seen.answers = false;
      return;
    }
    if (!seen.answers) TellSilence(sample.name, &seen, ms);
    seen.answers = true;
    seen.silent = {ms, ms};
    const bool load =
        std::find(sample.roles.begin(), sample.roles.end(), "load") != sample.roles.end();
    if (load) TakeLoad(sample, &seen);
    if (!load) TakeServer(sample, &seen);
  }

  void OnBeat(const monitor::Beat& beat) override {
    const auto ms = static_cast<std::int64_t>(beat.ms);
    bool playing = false;
    bool gained = false;
    bool known = false;
    for (auto& [name, seen] : seen_) {
      if (!seen.there) seen.answers = true;  // it has left: it is not silent
      playing |= seen.load && seen.there && seen.started && !seen.finished;
      gained |= seen.gained;
      known |= seen.counts && seen.there && seen.answers;
    }
    if (!playing || gained || !known || still_.from_ms == 0) {
      TellStill("", still_, ms);
      still_ = {ms, ms};
    }
    still_.until_ms = ms;
    for (auto& [name, seen] : seen_) {
      // Where all stand still that is told once.
      const bool stands = seen.load && seen.there && seen.answers && seen.started &&
                          !seen.finished && !seen.gained && seen.still.from_ms > 0;
      if (!stands) {
        TellOne(name, seen.still, ms);
        seen.still = {ms, ms};
      }
      seen.still.until_ms = ms;
      seen.there = seen.gained = false;
    }
  }

  void End() {
    TellStill("", still_, still_.until_ms);
    for (auto& [name, seen] : seen_) {
      TellOne(name, seen.still, seen.still.until_ms);
      if (!seen.answers) TellSilence(name, &seen, 0);
    }
  }

 private:
  struct Seen {
    bool there = false;  // in this beat
    bool answers = true;
    bool counts = false;  // messages that have come to friends
    bool load = false;
    bool started = false;
    bool finished = false;
    bool gained = false;  // in this beat
    double delivered = 0;
    Span silent;  // since it answered last
    Span still;
  };

  static void TakeLoad(const monitor::Sample& sample, Seen* seen) {
    const double users = monitor::ValueOf(sample.values, "drive_users");
    const double finished = monitor::ValueOf(sample.values, "drive_users_finished_total");
    const double delivered = monitor::ValueOf(sample.values, "drive_delivered_total");
    seen->gained = delivered != seen->delivered || !seen->load;
    seen->delivered = delivered;
    seen->load = seen->counts = true;
    seen->started |= monitor::ValueOf(sample.values, "drive_users_started_total") > 0;
    seen->finished = users > 0 && finished >= users;
  }

  static void TakeServer(const monitor::Sample& sample, Seen* seen) {
    const double delivered = monitor::ValueOf(sample.values, "delivered_total");
    seen->gained = delivered != seen->delivered;
    seen->counts |= delivered > 0;
    seen->delivered = delivered;
  }

  // `over_ms`: the look that found it to be over. In between it may have gone on for some time.
  void TellStill(const std::string& who, const Span& span, std::int64_t over_ms) {
    if (over_ms - span.from_ms < kStallMs || span.length() < kStallMs / 2) return;
    timeline_.Add(
        {span.from_ms, span.until_ms, kStallEvent, who,
         fmt::format("0 messages/s for {:.0f} s", static_cast<double>(span.length()) / 1000),
         true});
    if (who.empty()) all_still_.push_back(span);
  }

  void TellOne(const std::string& name, const Span& span, std::int64_t over_ms) {
    if (still_.length() >= kStallMs / 2 && Covers(still_, span)) return;
    for (const Span& all : all_still_) {
      if (Covers(all, span)) return;
    }
    TellStill(name, span, over_ms);
  }
  // Most of it.
  static bool Covers(const Span& all, const Span& one) {
    const auto common = std::min(all.until_ms, one.until_ms) - std::max(all.from_ms, one.from_ms);
    return common * 10 >= one.length() * 8;
  }

  void TellSilence(const std::string& name, Seen* seen, std::int64_t again_ms) {
    const std::int64_t until = again_ms > 0 ? again_ms : seen->silent.until_ms;
    if (seen->silent.from_ms == 0 || until - seen->silent.from_ms < kSilenceMs) return;
    timeline_.Add({seen->silent.from_ms, until, kSilenceEvent, name,
                   again_ms > 0 ? "did not answer" : "did not answer any more", true});
  }

  Timeline& timeline_;
  std::map<std::string, Seen> seen_;
  Span still_;
  std::vector<Span> all_still_;
};

}  // namespace

std::optional<std::string> AddStalls(const std::string& series_path, Timeline* timeline) {
  Timeline found;
  Stalls stalls(&found);
  const auto unreadable = monitor::VisitSeries(series_path, stalls);
  if (!unreadable) return unreadable.error();
  stalls.End();
  for (TimelineEvent& event : found.Take()) timeline->Add(std::move(event));
  return std::nullopt;
}

}  // namespace baiwan::stress
