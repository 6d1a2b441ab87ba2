#include "stress/timeline.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::stress {

void Timeline::Add(TimelineEvent event) {
  const Key key = {event.kind, event.who};
  // Steps are few, and nobody could read the rest without them.
  const bool room =
      event.kind == kStepEvent || (events_.size() < kMost && count_[key] < kMostOfOne);
  if (room) {
    ++count_[key];
    events_.push_back(std::move(event));
    return;
  }
  const Key where = events_.size() < kMost || left_out_.count(key) > 0 ? key : Key{event.kind, ""};
  LeftOut& left = left_out_[where];
  if (left.count++ == 0) left.from_ms = event.at_ms;
  left.from_ms = std::min(left.from_ms, event.at_ms);
  left.until_ms = std::max({left.until_ms, event.at_ms, event.until_ms});
}

std::vector<TimelineEvent> Timeline::Take() {
  for (const auto& [key, left] : left_out_) {
    events_.push_back({left.from_ms, left.until_ms, key.first, key.second,
                       fmt::format("{} more like this", left.count), true});
  }
  left_out_.clear();
  count_.clear();
  std::stable_sort(events_.begin(), events_.end(),
                   [](const auto& a, const auto& b) { return a.at_ms < b.at_ms; });
  return std::exchange(events_, {});
}

std::string TimelineSpan(std::int64_t ms) {
  ms = std::max<std::int64_t>(ms, 0);
  if (ms < 10'000) return fmt::format("{:.1f} s", static_cast<double>(ms) / 1000);
  const std::int64_t seconds = (ms + 500) / 1000;
  if (seconds < 120) return fmt::format("{} s", seconds);
  return fmt::format("{} min {} s", seconds / 60, seconds % 60);
}

std::string TimelineText(const std::vector<TimelineEvent>& events, std::int64_t began_ms) {
  std::string text;
  for (const TimelineEvent& e : events) {
    const std::string lasted =
        e.until_ms > e.at_ms ? TimelineSpan(e.until_ms - e.at_ms) : std::string();
    text +=
        fmt::format("{:>9.1f} s  {:>12}  {}{}{}\n", static_cast<double>(e.at_ms - began_ms) / 1000,
                    lasted, e.who, e.who.empty() || e.what.empty() ? "" : ": ", e.what);
  }
  return text;
}

}  // namespace baiwan::stress
