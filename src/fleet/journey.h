// Where a run stands on its way from a plan to nothing left: every step on every host, as a value
// that is saved after each change, so that whoever carries the journey out may die at any moment
// and the next one goes on from the file.
//
//   while (true) {
//     const Action action = Next(&journey, now);    // also decides to give up
//     if (action.kind == Action::kEnded) break;
//     for (host of action.hosts) Begin(&journey, action.step, host, now);
//     SaveJourney(path, journey);                   // before anything is done
//     … do it, then Done or Fail for each host, and SaveJourney again …
//   }
//
// The rules: a step begins when the one before it is settled on all hosts. What failed is tried
// again, after a pause that doubles, `max_attempts` times; then the journey gives up, names the
// host, stops, collects and reports where anything was deployed, and destroys what `up` has begun;
// but not where `up` was refused at once: what has the run's name then is somebody else's. Past the
// deadline it only destroys. What is done is never done again; what was under way when the
// controller died is, so each step must stand being repeated.
//
// Threads: a value; one thread at a time. Pure, but for SaveJourney and LoadJourney, which block.
// Failure: a change that does not fit the state is refused (false), and nothing has changed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/notice.h"
#include "stress/timeline.h"

namespace baiwan::fleet {

// `up` makes hosts, network and base software (steps 1 to 3 of the thirteen), `deploy` is 5 and 6,
// `start` also begins the watching (8).
enum class Step : std::uint8_t {
  kPlan,
  kPackage,
  kUp,
  kDeploy,
  kImport,
  kStart,
  kRun,
  kStop,
  kVerify,
  kCollect,
  kReport,
  kDown,
};
inline constexpr std::size_t kSteps = 12;
const char* NameOf(Step step);
std::optional<Step> StepNamed(std::string_view name);

enum class State : std::uint8_t { kNotBegun, kUnderWay, kDone, kFailed, kSkipped };
const char* NameOf(State state);

struct Failure {
  std::string why;
  std::string command;
  std::string log_tail;  // its last lines
  bool final = false;    // trying again would not help: a mismatch, say
  bool refused = false;  // at once, so that this attempt has changed nothing
  // The way to the host was lost, which is not the end of what runs there: not counted as an
  // attempt.
  bool cut = false;
  bool reached = false;  // cut: it had been there in between

  bool operator==(const Failure&) const = default;
};

// A step on a host.
struct Task {
  std::string host;
  State state = State::kNotBegun;
  std::uint32_t attempts = 0;       // begun, those cut short by the controller's end not counted
  std::uint32_t interruptions = 0;  // by that
  std::uint32_t cuts = 0;           // attempts that ended with the way to the host; not counted
  std::int64_t began_ms = 0;        // wall clock; of the first attempt
  std::int64_t tried_ms = 0;        // of the last one
  std::int64_t ended_ms = 0;
  std::int64_t cut_ms = 0;  // since when the host cannot be reached (of `up`: is lost); 0: it can
  Failure failure;          // the last one, also if it went well in the end

  bool operator==(const Task&) const = default;
};

inline constexpr std::uint32_t kMaxInterruptions = 20;  // of one task; then it counts as failed
inline constexpr std::size_t kMaxLogTail = 4096;        // bytes kept of a failure's log
inline constexpr std::size_t kMaxEvents = 500;          // of a journey

struct Journey {
  std::string run;
  std::uint32_t max_attempts = 3;
  std::int64_t retry_after_ms = 2000;  // before the second attempt; doubles, up to a minute
  std::int64_t began_ms = 0;
  std::int64_t deadline_ms = 0;  // 0: none
  // How long a host may be out of reach, and how long one may take to be back that was lost with
  // its disk kept, before the journey gives up.
  std::int64_t cut_limit_ms = 300'000;
  std::int64_t back_limit_ms = 600'000;
  std::string gave_up;          // why; empty: it has not
  std::vector<Notice> notices;  // of its hosts, in the order in which they were told
  // What went wrong on the way, and what became of it; steps and notices have their own.
  std::vector<stress::TimelineEvent> events;
  std::array<std::vector<Task>, kSteps> steps;

  std::vector<Task>& of(Step step) { return steps[static_cast<std::size_t>(step)]; }
  const std::vector<Task>& of(Step step) const { return steps[static_cast<std::size_t>(step)]; }
  const Task* Find(Step step, std::string_view host) const;

  bool operator==(const Journey&) const = default;
};

// plan, package and report happen on the control host, import and run on the workers, the rest on
// all of them. (Workers verify their own share, the control host puts the shares together.)
Journey NewJourney(std::string run, const std::vector<std::string>& workers, std::int64_t now_ms);

struct Action {
  enum Kind : std::uint8_t { kDo, kWait, kEnded };
  Kind kind = kEnded;
  Step step = Step::kPlan;
  std::vector<std::string> hosts;  // kDo
  std::int64_t until_ms = 0;  // kWait: look again then at the latest; 0: something is under way
};
// Gives up here, if it must (as HostLost may). What is under way then counts as failed, and the
// caller ends it; but what cleans up stays under way, and goes on.
Action Next(Journey* journey, std::int64_t now_ms);

bool Begin(Journey* journey, Step step, std::string_view host, std::int64_t now_ms);
bool Done(Journey* journey, Step step, std::string_view host, std::int64_t now_ms);
bool Fail(Journey* journey, Step step, std::string_view host, Failure failure, std::int64_t now_ms);
// By whoever takes over from a controller that died: what was under way is to be done again.
// `tell`: that is worth an event, if anything was.
void Interrupted(Journey* journey, std::int64_t now_ms, bool tell = false);
// A host went away after `up`, and before what it has is collected. With its disk it is brought up
// again, within its attempts, and started again until all users have played; without, only what
// comes before `import` can be repeated, and later the journey gives up, since messages are lost.
bool HostLost(Journey* journey, std::string_view host, bool disk_kept, const std::string& why,
              std::int64_t now_ms);
void GiveUp(Journey* journey, const std::string& why, std::int64_t now_ms);
// `down` is asked for once more: hosts that it has given up are tried again, as if for the first
// time, and are no reason any more for having given up.
void DestroyAgain(Journey* journey);

// The first step that is not settled; nothing if all are.
std::optional<Step> CurrentStep(const Journey& journey);
// Done, or skipped, or failed for good, on all hosts.
bool Settled(const Journey& journey, Step step);
// Hosts that `down` still has to destroy: everything that `up` has begun, even if it failed, unless
// it was refused at once.
std::vector<std::string> HostsLeft(const Journey& journey);

enum class Outcome : std::uint8_t { kUnderWay, kVerified, kFailed };
Outcome OutcomeOf(const Journey& journey);
// The control host has begun its part. It also does `up`, of workers that it lost.
bool HandedOver(const Journey& journey);

std::string ToJson(const Journey& journey);
Result<Journey, std::string> JourneyFromJson(std::string_view json);
// Replaces the file as a whole: after a crash it holds this state or the one before.
std::optional<std::string> SaveJourney(const std::string& path, const Journey& journey);
Result<Journey, std::string> LoadJourney(const std::string& path);

}  // namespace baiwan::fleet
