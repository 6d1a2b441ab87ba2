#include "fleet/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "fleet/status.h"

namespace baiwan::fleet {
namespace {

std::string OverText(const stress::TimelineEvent& event) {
  return fmt::format("{}: after {}: {}", event.who,
                     stress::TimelineSpan(event.until_ms - event.at_ms), event.what);
}

}  // namespace

Progress::New Progress::Take(const Journey& journey) {
  New found;
  for (std::size_t i = 0; i < kSteps; ++i) {
    const auto step = static_cast<Step>(i);
    for (const Task& task : journey.of(step)) {
      if (task.state != State::kFailed) continue;
      // Each attempt once; a host that is lost fails again without one.
      const std::pair now = {task.attempts, task.failure.why};
      auto& told = told_[{step, task.host}];
      if (std::exchange(told, now) != now) found.failures.emplace_back(step, task);
    }
    if (!Settled(journey, step)) {
      settled_.erase(step);  // a lost host begins it anew
    } else if (StepIsOf(journey, step) != State::kSkipped && settled_.insert(step).second) {
      found.settled.push_back(step);
    }
  }
  for (std::size_t i = 0; i < journey.events.size(); ++i) {
    const stress::TimelineEvent& event = journey.events[i];
    const bool over = event.kind == stress::kHostEvent && event.until_ms > event.at_ms;
    if (over && over_.insert(i).second) found.over.push_back(event);
  }
  for (; notices_ < journey.notices.size(); ++notices_) {
    found.notices.push_back(journey.notices[notices_]);
  }
  return found;
}

std::vector<std::string> Progress::News(const Journey& journey, std::int64_t now_ms) {
  std::vector<std::string> lines;
  const New found = Take(journey);
  FailedTasks failed;
  for (const auto& [step, task] : found.failures) failed.emplace_back(step, &task);
  if (!failed.empty()) lines.push_back(FailuresText(journey, failed));
  for (const stress::TimelineEvent& event : found.over) lines.push_back(OverText(event) + "\n");
  for (const Notice& notice : found.notices) lines.push_back(NoticeText(notice));
  for (const Step step : found.settled) lines.push_back(StepText(journey, step, now_ms));
  return lines;
}

std::vector<std::string> Progress::NewsAsJson(const Journey& journey) {
  using nlohmann::json;
  std::vector<std::string> lines;
  const New found = Take(journey);
  for (const auto& [step, task] : found.failures) {
    const json line = {{"event", "failure"},
                       {"step", NameOf(step)},
                       {"host", task.host},
                       {"attempt", task.attempts},
                       {"of", journey.max_attempts},
                       {"why", task.failure.why},
                       {"command", task.failure.command},
                       {"log_tail", task.failure.log_tail}};
    lines.push_back(line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  }
  for (const stress::TimelineEvent& event : found.over) {
    const json line = {{"event", "notice"}, {"at_ms", event.until_ms}, {"kind", "host"},
                       {"over", true},      {"text", OverText(event)}, {"hosts", {event.who}}};
    lines.push_back(line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  }
  for (const Notice& notice : found.notices) {
    const json line = {{"event", "notice"},      {"at_ms", notice.at_ms}, {"kind", notice.kind},
                       {"over", notice.over},    {"text", notice.text},   {"hosts", notice.hosts},
                       {"values", notice.values}};
    lines.push_back(line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
  }
  for (const Step step : found.settled) {
    std::int64_t began = 0;
    std::int64_t ended = 0;
    std::size_t done = 0;
    for (const Task& task : journey.of(step)) {
      if (task.began_ms > 0 && (began == 0 || task.began_ms < began)) began = task.began_ms;
      ended = std::max(ended, task.ended_ms);
      done += task.state == State::kDone ? 1 : 0;
    }
    const json line = {{"event", "step"},
                       {"step", NameOf(step)},
                       {"state", NameOf(StepIsOf(journey, step))},
                       {"done", done},
                       {"of", journey.of(step).size()},
                       {"seconds", began > 0 ? static_cast<double>(ended - began) / 1000 : 0.0}};
    lines.push_back(line.dump() + "\n");
  }
  return lines;
}

}  // namespace baiwan::fleet
