#include "fleet/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace baiwan::fleet {
namespace {

constexpr int kLogLines = 5;
constexpr std::ptrdiff_t kMostNames = 4;

// The last lines, each behind a bar.
std::string Tail(const std::string& log) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < log.size();) {
    const auto end = std::min(log.find('\n', at), log.size());
    if (end > at) lines.push_back(log.substr(at, end - at));
    at = end + 1;
  }
  std::string out;
  const auto from = lines.size() > kLogLines ? lines.size() - kLogLines : 0;
  for (std::size_t i = from; i < lines.size(); ++i) out += "  | " + lines[i] + "\n";
  return out;
}

FailedTasks AllFailed(const Journey& journey) {
  FailedTasks failed;
  for (std::size_t i = 0; i < kSteps; ++i) {
    for (const Task& task : journey.steps[i]) {
      if (task.state == State::kFailed) failed.emplace_back(static_cast<Step>(i), &task);
    }
  }
  return failed;
}

bool Same(const std::pair<Step, const Task*>& a, const std::pair<Step, const Task*>& b) {
  return a.first == b.first && a.second->attempts == b.second->attempts &&
         a.second->failure == b.second->failure;
}

std::string NamesOf(const std::vector<std::string>& hosts) {
  if (hosts.size() <= static_cast<std::size_t>(kMostNames))
    return fmt::format("{}", fmt::join(hosts, ", "));
  const std::vector<std::string> first(hosts.begin(), hosts.begin() + kMostNames);
  return fmt::format("{} and {} others", fmt::join(first, ", "),
                     hosts.size() - static_cast<std::size_t>(kMostNames));
}

struct Tally {
  std::array<std::size_t, 5> count{};
  std::int64_t began = 0;
  std::int64_t ended = 0;

  explicit Tally(const std::vector<Task>& tasks) {
    for (const Task& task : tasks) {
      ++count[static_cast<std::size_t>(task.state)];
      if (task.began_ms > 0 && (began == 0 || task.began_ms < began)) began = task.began_ms;
      ended = std::max(ended, task.ended_ms);
    }
  }
  std::size_t of(State state) const { return count[static_cast<std::size_t>(state)]; }
};

}  // namespace

std::string FailuresText(const Journey& journey, const FailedTasks& failed) {
  std::string out;
  std::vector<bool> told(failed.size(), false);
  for (std::size_t i = 0; i < failed.size(); ++i) {
    if (told[i]) continue;
    std::vector<std::string> hosts;
    for (std::size_t j = i; j < failed.size(); ++j) {
      if (told[j] || !Same(failed[i], failed[j])) continue;
      told[j] = true;
      hosts.push_back(failed[j].second->host);
    }
    const auto& [step, task] = failed[i];
    if (task->failure.cut && !task->failure.final && journey.gave_up.empty()) {
      out +=
          fmt::format("{}: cut off during {}, tried again for {} s (limits.cut): {}\n",
                      NamesOf(hosts), NameOf(step), journey.cut_limit_ms / 1000, task->failure.why);
      continue;
    }
    out += fmt::format("{}: {} failed (attempt {} of {}): {}\n", NamesOf(hosts), NameOf(step),
                       task->attempts, journey.max_attempts, task->failure.why);
    if (!task->failure.command.empty()) out += "  command: " + task->failure.command + "\n";
    out += Tail(task->failure.log_tail);
  }
  return out;
}

State StepIsOf(const Journey& journey, Step step) {
  const auto& tasks = journey.of(step);
  const Tally tally(tasks);
  if (tally.of(State::kFailed) > 0) return State::kFailed;
  for (const State state : {State::kDone, State::kSkipped, State::kNotBegun}) {
    if (tally.of(state) == tasks.size()) return state;
  }
  return Settled(journey, step) ? State::kDone : State::kUnderWay;
}

std::string StepText(const Journey& journey, Step step, std::int64_t now_ms) {
  const auto& tasks = journey.of(step);
  const Tally tally(tasks);
  std::string line =
      fmt::format("{:<9} {:<10} {:>4} of {:<4}", NameOf(step), NameOf(StepIsOf(journey, step)),
                  tally.of(State::kDone), tasks.size());
  if (tally.began > 0) {
    const bool going = tally.of(State::kUnderWay) > 0;
    const auto ms = static_cast<double>((going ? now_ms : tally.ended) - tally.began);
    line += fmt::format(" {:>9.1f} s", std::max(0.0, ms / 1000));
  }
  for (const State s : {State::kFailed, State::kUnderWay, State::kSkipped}) {
    if (tally.of(s) > 0 && tally.of(s) < tasks.size()) {
      line += fmt::format("   {} {}", tally.of(s), NameOf(s));
    }
  }
  while (line.back() == ' ') line.pop_back();
  return line + "\n";
}

std::string StatusText(const Journey& journey, std::int64_t now_ms) {
  std::string out = FailuresText(journey, AllFailed(journey));
  for (std::size_t i = 0; i < kSteps; ++i) {
    out += StepText(journey, static_cast<Step>(i), now_ms);
  }
  out += NoticesText(journey.notices);
  const auto left = HostsLeft(journey);
  switch (OutcomeOf(journey)) {
    case Outcome::kVerified:
      return out + "verified, and everything is destroyed\n";
    case Outcome::kFailed:
      out += fmt::format("failed: {}\n", journey.gave_up);
      if (!left.empty()) out += fmt::format("STILL THERE: {}\n", fmt::join(left, ", "));
      return out;
    case Outcome::kUnderWay:
      if (!journey.gave_up.empty()) out += fmt::format("giving up: {}\n", journey.gave_up);
      return out;
  }
  return out;
}

}  // namespace baiwan::fleet
