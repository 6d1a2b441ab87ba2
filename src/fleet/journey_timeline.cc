#include "fleet/journey_timeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "fleet/status.h"

namespace baiwan::fleet {
namespace {

void AddStep(const Journey& journey, Step step, stress::Timeline* timeline) {
  stress::TimelineEvent event{0, 0, stress::kStepEvent, NameOf(step), "", false};
  std::size_t done = 0;
  const auto& tasks = journey.of(step);
  for (const Task& task : tasks) {
    if (task.began_ms > 0 && (event.at_ms == 0 || task.began_ms < event.at_ms)) {
      event.at_ms = task.began_ms;
    }
    event.until_ms = std::max(event.until_ms, task.ended_ms);
    done += task.state == State::kDone ? 1 : 0;
  }
  if (event.at_ms == 0) return;  // it has not begun
  event.bad = StepIsOf(journey, step) == State::kFailed;
  event.what = fmt::format("{} of {} host{}", done, tasks.size(), tasks.size() == 1 ? "" : "s");
  if (event.bad) event.what += ", failed";
  if (!Settled(journey, step)) event.until_ms = 0;
  timeline->Add(std::move(event));
}

}  // namespace

void AddJourney(const Journey& journey, stress::Timeline* timeline) {
  for (std::size_t i = 0; i < kSteps; ++i) AddStep(journey, static_cast<Step>(i), timeline);
  for (const stress::TimelineEvent& event : journey.events) timeline->Add(event);
  for (const Notice& notice : journey.notices) {
    const std::string what = NoticeLine(notice);  // after the time of the day
    const auto text = what.find(' ');
    timeline->Add({notice.at_ms, 0, stress::kWarningEvent, "",
                   text == std::string::npos ? what : what.substr(text + 1), !notice.over});
  }
}

}  // namespace baiwan::fleet
