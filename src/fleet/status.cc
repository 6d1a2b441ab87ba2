#include "fleet/status.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::fleet {
namespace {

constexpr int kLogLines = 5;

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

std::string Failures(const Journey& journey) {
  std::string out;
  for (std::size_t i = 0; i < kSteps; ++i) {
    for (const Task& task : journey.steps[i]) {
      if (task.state != State::kFailed) continue;
      out += fmt::format("{}: {} failed (attempt {} of {}): {}\n", task.host,
                         NameOf(static_cast<Step>(i)), task.attempts, journey.max_attempts,
                         task.failure.why);
      if (!task.failure.command.empty()) out += "  command: " + task.failure.command + "\n";
      out += Tail(task.failure.log_tail);
    }
  }
  return out;
}

std::string StepLine(const Journey& journey, Step step, std::int64_t now_ms) {
  const auto& tasks = journey.of(step);
  std::size_t count[5] = {};
  std::int64_t began = 0;
  std::int64_t ended = 0;
  for (const Task& task : tasks) {
    ++count[static_cast<std::size_t>(task.state)];
    if (task.began_ms > 0 && (began == 0 || task.began_ms < began)) began = task.began_ms;
    ended = std::max(ended, task.ended_ms);
  }
  const auto of = [&](State state) { return count[static_cast<std::size_t>(state)]; };
  State state = State::kUnderWay;
  if (of(State::kDone) == tasks.size()) state = State::kDone;
  if (of(State::kSkipped) == tasks.size()) state = State::kSkipped;
  if (of(State::kNotBegun) == tasks.size()) state = State::kNotBegun;
  if (of(State::kFailed) > 0) state = State::kFailed;
  if (state == State::kUnderWay && Settled(journey, step)) state = State::kDone;
  std::string line = fmt::format("{:<9} {:<10} {:>4} of {:<4}", NameOf(step), NameOf(state),
                                 of(State::kDone), tasks.size());
  if (began > 0) {
    const bool going = of(State::kUnderWay) > 0;
    const auto ms = static_cast<double>((going ? now_ms : ended) - began);
    line += fmt::format(" {:>9.1f} s", std::max(0.0, ms / 1000));
  }
  for (const State s : {State::kFailed, State::kUnderWay, State::kSkipped}) {
    if (of(s) > 0 && of(s) < tasks.size()) line += fmt::format("   {} {}", of(s), NameOf(s));
  }
  while (line.back() == ' ') line.pop_back();
  return line + "\n";
}

}  // namespace

std::string StatusText(const Journey& journey, std::int64_t now_ms) {
  std::string out = Failures(journey);
  for (std::size_t i = 0; i < kSteps; ++i) {
    out += StepLine(journey, static_cast<Step>(i), now_ms);
  }
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
