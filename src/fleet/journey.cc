#include "fleet/journey.h"

#include <fmt/format.h>

#include <algorithm>

#include "fleet/plan.h"

namespace baiwan::fleet {
namespace {

constexpr std::int64_t kLongestPauseMs = 60'000;
constexpr std::int64_t kPauseOfCutMs = 5000;  // at most
// A way to a host that has held for so long is one: it fails within 10 s, or is found dead after 15
// s.
constexpr std::int64_t kHoldsMs = 30'000;
constexpr std::int64_t kFoundDeadMs = 15'000;

Step StepAt(std::size_t i) { return static_cast<Step>(i); }

// What is still done after giving up.
bool CleansUp(Step step) {
  return step == Step::kStop || step == Step::kCollect || step == Step::kReport ||
         step == Step::kDown;
}

Task* FindTask(Journey* journey, Step step, std::string_view host) {
  for (Task& task : journey->of(step)) {
    if (task.host == host) return &task;
  }
  return nullptr;
}

bool Begun(const Journey& journey, Step step, std::string_view host) {
  const Task* task = journey.Find(step, host);
  return task != nullptr && task->attempts + task->interruptions + task->cuts > 0;
}

// Whether `up` may have made anything, on any host: a provider's `down` goes by the run's name, so
// that one without anything of its own would destroy another operator's run of the same name.
bool MadeSomething(const Journey& journey) {
  const auto& tasks = journey.of(Step::kUp);
  return std::any_of(tasks.begin(), tasks.end(), [](const Task& task) {
    const bool refused = task.state == State::kFailed && task.failure.refused;
    return task.attempts + task.interruptions > (refused ? 1 : 0);
  });
}

bool HasHosts(const Journey& journey, std::string_view host) {
  return Begun(journey, Step::kUp, host) && MadeSomething(journey);
}

// Failed, and not to be tried again.
bool ForGood(const Journey& journey, const Task& task) {
  if (task.state != State::kFailed) return false;
  return task.failure.final || task.attempts >= journey.max_attempts;
}

// After giving up: whether the host has anything for this step.
bool HasWork(const Journey& journey, Step step, std::string_view host) {
  switch (step) {
    case Step::kStop:
      return Begun(journey, Step::kStart, host) || Begun(journey, Step::kRun, host);
    case Step::kCollect:
      return Begun(journey, Step::kDeploy, host);
    case Step::kReport:  // what went wrong is what a report is read for
      return Begun(journey, Step::kDeploy, host);
    case Step::kDown:
      return HasHosts(journey, host);
    default:
      return false;
  }
}

std::int64_t RetryAt(const Journey& journey, const Task& task) {
  std::int64_t pause = journey.retry_after_ms;
  if (task.failure.cut) return task.ended_ms + std::min(pause, kPauseOfCutMs);
  for (std::uint32_t i = 1; i < task.attempts && pause < kLongestPauseMs; ++i) pause *= 2;
  return task.ended_ms + std::min(pause, kLongestPauseMs);
}

// Ends what is under way and leaves out what has not begun, where `leave_out` says so.
template <class Fn>
void LeaveOut(Journey* journey, const std::string& why, std::int64_t now_ms, Fn leave_out) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    for (Task& task : journey->steps[i]) {
      if (!leave_out(StepAt(i), task)) continue;
      if (task.state == State::kUnderWay) {
        task.state = State::kFailed;
        task.ended_ms = now_ms;
        task.failure = {why, "", "", true};
      }
      if (task.state == State::kNotBegun) task.state = State::kSkipped;
      task.failure.final |= task.state == State::kFailed;  // with its own reason
    }
  }
}

void Tell(Journey* journey, stress::TimelineEvent event) {
  if (journey->events.size() >= kMaxEvents) return;
  if (journey->events.size() + 1 == kMaxEvents) event.what = "there is more than is told here";
  journey->events.push_back(std::move(event));
}

// What was said of the host last, and has not ended.
stress::TimelineEvent* Open(Journey* journey, std::string_view host) {
  for (auto at = journey->events.rbegin(); at != journey->events.rend(); ++at) {
    if (at->kind == stress::kHostEvent && at->who == host && at->until_ms == 0) return &*at;
  }
  return nullptr;
}

void IsCut(Journey* journey, Task* task, Step step, Failure failure, std::int64_t now_ms) {
  const bool again = task->cut_ms > 0 && !failure.reached;
  if (!again) {
    if (stress::TimelineEvent* before = Open(journey, task->host))
      before->until_ms = task->tried_ms;
    task->cut_ms =
        failure.reached ? std::max(task->tried_ms, now_ms - kFoundDeadMs) : task->tried_ms;
    Tell(journey, {task->cut_ms, 0, stress::kHostEvent, task->host,
                   fmt::format("cut off during {}: {}", NameOf(step), failure.why), true});
  }
  if (now_ms - task->cut_ms >= journey->cut_limit_ms) {
    failure.why =
        fmt::format("out of reach for {} s, and limits.cut is {} s: {}",
                    (now_ms - task->cut_ms) / 1000, journey->cut_limit_ms / 1000, failure.why);
    failure.final = true;
  } else {
    --task->attempts;
    ++task->cuts;
  }
  task->state = State::kFailed;
  task->ended_ms = now_ms;
  task->failure = std::move(failure);
}

void IsReached(Journey* journey, Task* task) {
  if (stress::TimelineEvent* cut = Open(journey, task->host)) {
    cut->until_ms = task->tried_ms;
    cut->what += "; reached again";
  }
  task->cut_ms = 0;
}

void SeeWhoIsReached(Journey* journey, std::int64_t now_ms) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    if (StepAt(i) == Step::kUp) continue;
    for (Task& task : journey->steps[i]) {
      const bool holds = task.state == State::kUnderWay && now_ms - task.tried_ms >= kHoldsMs;
      if (task.cut_ms > 0 && holds) IsReached(journey, &task);
    }
  }
}

void KeepBackLimit(Journey* journey, std::int64_t now_ms) {
  for (Task& task : journey->of(Step::kUp)) {
    if (task.cut_ms == 0 || task.state == State::kDone || task.failure.final) continue;
    if (now_ms - task.cut_ms < journey->back_limit_ms) continue;
    task.state = State::kFailed;
    task.ended_ms = now_ms;
    task.attempts = std::max<std::uint32_t>(task.attempts, 1);
    task.failure.why = fmt::format("not back {} s after it was lost, and limits.host_back is {} s",
                                   (now_ms - task.cut_ms) / 1000, journey->back_limit_ms / 1000);
    task.failure.final = true;
  }
}

std::string Reason(Step step, const Task& task) {
  return fmt::format("{} failed on {} after {} {}: {}", NameOf(step), task.host, task.attempts,
                     task.attempts == 1 ? "attempt" : "attempts", task.failure.why);
}

void GiveUpIfAHostFailedForGood(Journey* journey, std::int64_t now_ms) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    const Step step = StepAt(i);
    for (const Task& task : journey->of(step)) {
      if (!ForGood(*journey, task)) continue;
      const std::string why = Reason(step, task);
      if (journey->gave_up.empty()) return GiveUp(journey, why, now_ms);
      // Hosts that are still there cost money: that is told beside the first reason.
      if (step == Step::kDown && journey->gave_up.find(why) == std::string::npos) {
        journey->gave_up += "; " + why;
      }
    }
  }
}

void KeepDeadline(Journey* journey, std::int64_t now_ms) {
  const auto step = CurrentStep(*journey);
  if (journey->deadline_ms == 0 || now_ms < journey->deadline_ms || !step || *step == Step::kDown) {
    return;
  }
  GiveUp(journey, fmt::format("the deadline passed during {}", NameOf(*step)), now_ms);
  LeaveOut(journey, "the deadline passed", now_ms,
           [](Step s, const Task&) { return s != Step::kDown; });
}

}  // namespace

const char* NameOf(Step step) {
  constexpr std::array<const char*, kSteps> kNames = {"plan",   "package", "up",     "deploy",
                                                      "import", "start",   "run",    "stop",
                                                      "verify", "collect", "report", "down"};
  return kNames[static_cast<std::size_t>(step)];
}

std::optional<Step> StepNamed(std::string_view name) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    if (name == NameOf(StepAt(i))) return StepAt(i);
  }
  return std::nullopt;
}

const char* NameOf(State state) {
  constexpr std::array<const char*, 5> kNames = {"not begun", "under way", "done", "failed",
                                                 "skipped"};
  return kNames[static_cast<std::size_t>(state)];
}

const Task* Journey::Find(Step step, std::string_view host) const {
  for (const Task& task : of(step)) {
    if (task.host == host) return &task;
  }
  return nullptr;
}

Journey NewJourney(std::string run, const std::vector<std::string>& workers, std::int64_t now_ms) {
  Journey journey;
  journey.run = std::move(run);
  journey.began_ms = now_ms;
  for (std::size_t i = 0; i < kSteps; ++i) {
    const Step step = StepAt(i);
    const bool control = step != Step::kImport && step != Step::kRun;
    const bool alone = step == Step::kPlan || step == Step::kPackage || step == Step::kReport;
    if (control && step != Step::kDown) journey.of(step).push_back({kControl});
    for (const std::string& host : workers) {
      if (!alone) journey.of(step).push_back({host});
    }
    // The last one to go: everything is commanded from there.
    if (step == Step::kDown) journey.of(step).push_back({kControl});
  }
  return journey;
}

Action Next(Journey* journey, std::int64_t now_ms) {
  SeeWhoIsReached(journey, now_ms);
  KeepBackLimit(journey, now_ms);
  GiveUpIfAHostFailedForGood(journey, now_ms);
  KeepDeadline(journey, now_ms);
  const auto step = CurrentStep(*journey);
  if (!step) return {};
  Action action{Action::kWait, *step, {}, 0};
  for (const Task& task : journey->of(*step)) {
    bool now = task.state == State::kNotBegun;
    if (task.state == State::kFailed && !ForGood(*journey, task)) {
      const std::int64_t at = RetryAt(*journey, task);
      now = at <= now_ms;
      if (!now && (action.until_ms == 0 || at < action.until_ms)) action.until_ms = at;
    }
    if (now) action.hosts.push_back(task.host);
  }
  if (!action.hosts.empty()) action.kind = Action::kDo;
  return action;
}

bool Begin(Journey* journey, Step step, std::string_view host, std::int64_t now_ms) {
  Task* task = FindTask(journey, step, host);
  if (task == nullptr || CurrentStep(*journey) != step) return false;
  const bool again = task->state == State::kFailed && !ForGood(*journey, *task);
  if (task->state != State::kNotBegun && !again) return false;
  if (task->attempts + task->interruptions + task->cuts == 0) task->began_ms = now_ms;
  ++task->attempts;
  task->tried_ms = now_ms;
  task->state = State::kUnderWay;
  task->ended_ms = 0;
  return true;
}

bool Done(Journey* journey, Step step, std::string_view host, std::int64_t now_ms) {
  Task* task = FindTask(journey, step, host);
  if (task == nullptr || task->state != State::kUnderWay) return false;
  task->state = State::kDone;
  task->ended_ms = now_ms;
  if (task->cut_ms > 0 && step == Step::kUp) {
    if (stress::TimelineEvent* lost = Open(journey, host)) {
      lost->until_ms = now_ms;
      lost->what += "; made again";
    }
    task->cut_ms = 0;
  }
  if (task->cut_ms > 0) IsReached(journey, task);
  return true;
}

bool Fail(Journey* journey, Step step, std::string_view host, Failure failure,
          std::int64_t now_ms) {
  Task* task = FindTask(journey, step, host);
  if (task == nullptr || task->state != State::kUnderWay) return false;
  if (failure.log_tail.size() > kMaxLogTail) {
    failure.log_tail.erase(0, failure.log_tail.size() - kMaxLogTail);
  }
  // What cleans up does not wait: it is tried as often as anything else.
  if (failure.cut && !failure.final && journey->gave_up.empty()) {
    IsCut(journey, task, step, std::move(failure), now_ms);
    return true;
  }
  if (task->cut_ms > 0 && step != Step::kUp) IsReached(journey, task);
  task->state = State::kFailed;
  task->ended_ms = now_ms;
  task->failure = std::move(failure);
  Tell(journey, {now_ms, now_ms, stress::kHostEvent, task->host,
                 fmt::format("{} failed (attempt {} of {}): {}", NameOf(step), task->attempts,
                             journey->max_attempts, task->failure.why),
                 true});
  return true;
}

void Interrupted(Journey* journey, std::int64_t now_ms, bool tell) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    for (Task& task : journey->steps[i]) {
      // Since when a host was out of reach says nothing of the time in which nobody looked.
      if (StepAt(i) != Step::kUp) task.cut_ms = 0;
      if (task.state != State::kUnderWay) continue;
      if (std::exchange(tell, false)) {
        Tell(journey, {now_ms, now_ms, stress::kHostEvent, "controller",
                       fmt::format("began again during {}", NameOf(StepAt(i))), true});
      }
      --task.attempts;
      ++task.interruptions;
      task.state = State::kNotBegun;
      if (task.interruptions <= kMaxInterruptions) continue;
      task.state = State::kFailed;
      task.ended_ms = now_ms;
      task.failure = {
          fmt::format("the controller ended {} times during this step", task.interruptions), "", "",
          true};
    }
  }
}

bool HostLost(Journey* journey, std::string_view host, bool disk_kept, const std::string& why,
              std::int64_t now_ms) {
  Task* up = FindTask(journey, Step::kUp, host);
  const Task* collect = FindTask(journey, Step::kCollect, host);
  if (up == nullptr || up->state != State::kDone || collect == nullptr ||
      collect->state == State::kDone || Settled(*journey, Step::kCollect)) {
    return false;
  }
  const bool played = Settled(*journey, Step::kRun);
  std::string lost = fmt::format("lost: {}{}", why, disk_kept ? "" : ", with its disk");
  if (stress::TimelineEvent* cut = Open(journey, host)) {
    cut->what = std::move(lost);  // that is why it could not be reached
  } else {
    Tell(journey, {now_ms, 0, stress::kHostEvent, std::string(host), std::move(lost), true});
  }
  if (!disk_kept && Begun(*journey, Step::kImport, host)) {
    if (played) return false;
    GiveUp(journey, fmt::format("{} was lost with its store: {}", host, why), now_ms);
    return true;
  }
  for (const Step step : {Step::kUp, Step::kDeploy, Step::kImport, Step::kStart, Step::kRun,
                          Step::kStop, Step::kVerify, Step::kCollect}) {
    Task* task = FindTask(journey, step, host);
    if (task == nullptr) continue;
    // What it has come to is on its disk, but for what runs there.
    const bool undone = step == Step::kUp || (step == Step::kDeploy && !disk_kept) ||
                        (step == Step::kStart && !played);
    const bool cut =
        task->state == State::kFailed && task->failure.cut && !ForGood(*journey, *task);
    const bool again =
        cut || task->state == State::kUnderWay || (task->state == State::kDone && undone);
    if (!again) continue;
    task->cut_ms = step == Step::kUp ? now_ms : 0;
    if (cut) ++task->attempts;
    // As if it had failed now, so that attempts and pauses count.
    task->state = State::kFailed;
    task->ended_ms = now_ms;
    task->failure = {why, "", "", false};
  }
  return true;
}

void GiveUp(Journey* journey, const std::string& why, std::int64_t now_ms) {
  if (!journey->gave_up.empty()) return;
  journey->gave_up = why;
  Tell(journey, {now_ms, 0, stress::kEndEvent, "", why, true});
  LeaveOut(journey, "ended, because the journey was given up", now_ms,
           [journey](Step step, const Task& task) {
             return !CleansUp(step) || !HasWork(*journey, step, task.host);
           });
}

void DestroyAgain(Journey* journey) {
  for (Task& task : journey->of(Step::kDown)) {
    if (task.state != State::kFailed) continue;
    const std::string why = Reason(Step::kDown, task);
    for (const std::string& part : {"; " + why, why + "; ", why}) {
      const auto at = journey->gave_up.find(part);
      if (at == std::string::npos) continue;
      journey->gave_up.erase(at, part.size());
      break;
    }
    task.state = State::kNotBegun;
    task.attempts = task.interruptions = 0;
    task.failure.final = false;
  }
}

std::optional<Step> CurrentStep(const Journey& journey) {
  for (std::size_t i = 0; i < kSteps; ++i) {
    if (!Settled(journey, StepAt(i))) return StepAt(i);
  }
  return std::nullopt;
}

bool Settled(const Journey& journey, Step step) {
  const auto& tasks = journey.of(step);
  return std::all_of(tasks.begin(), tasks.end(), [&](const Task& task) {
    return task.state == State::kDone || task.state == State::kSkipped || ForGood(journey, task);
  });
}

std::vector<std::string> HostsLeft(const Journey& journey) {
  std::vector<std::string> left;
  for (const Task& task : journey.of(Step::kDown)) {
    if (task.state != State::kDone && HasHosts(journey, task.host)) left.push_back(task.host);
  }
  return left;
}

Outcome OutcomeOf(const Journey& journey) {
  if (CurrentStep(journey)) return Outcome::kUnderWay;
  const auto done = [](const auto& tasks) {
    return std::all_of(tasks.begin(), tasks.end(),
                       [](const Task& task) { return task.state == State::kDone; });
  };
  const bool all = std::all_of(journey.steps.begin(), journey.steps.end(), done);
  return all && journey.gave_up.empty() ? Outcome::kVerified : Outcome::kFailed;
}

bool HandedOver(const Journey& journey) { return Begun(journey, Step::kDeploy, kControl); }

}  // namespace baiwan::fleet
