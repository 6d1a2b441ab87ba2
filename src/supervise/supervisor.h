// Runs the processes of one host: starts them, restarts those that end, stops all of them in order
// and in bounded time, and counts what they cost.
//
//   Supervisor supervisor({.on_event = Print});
//   if (auto error = supervisor.Start(spec)) return Fail(*error);
//   supervisor.WaitReady(10 * kSecond);
//   ...
//   auto report = supervisor.StopAll(30 * kSecond);
//
// Threads: the functions may be called from any thread, also from the event callback (where those
// that wait say what they do instead). A thread of the supervisor's own does the work; events come
// on it, one at a time, and must not block for long.
//
// Failure: a child that cannot be started the first time is an error of Start; later it counts as a
// failed run. No child outlives the supervisor: its destructor stops and kills them, and if this
// process dies, even by SIGKILL, the kernel kills every child (PR_SET_PDEATHSIG). That last rule
// does not reach the children's own children; StopAll does, unless they left the process group.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervise/child_spec.h"
#include "supervise/process.h"

namespace baiwan::supervise {

enum class State : std::uint8_t {
  kStarting,  // runs, has not yet said that it is ready (only with notifies_ready)
  kRunning,
  kWaiting,   // for its next restart
  kStopping,  // got its stop signal
  kStopped,   // was asked to
  kExited,    // by itself, and its policy says not to restart
  kGaveUp,    // too many restarts
};
const char* Name(State state);

struct ChildStatus {
  std::string name;
  State state = State::kStarting;
  pid_t pid = 0;           // 0: does not run
  std::uint32_t runs = 0;  // how often it was started
  Nanos up_for = 0;        // of the present run
  Nanos restart_in = 0;    // when kWaiting
  std::optional<Exit> last_exit;
  std::string ready_text;  // of the present run
  Usage usage;             // all runs; the present one so far
};

enum class EventKind : std::uint8_t { kStarted, kReady, kExited, kRestarting, kGaveUp, kKilled };

struct Event {
  EventKind kind = EventKind::kStarted;
  std::string child;
  pid_t pid = 0;
  Nanos delay = 0;           // kRestarting: in how long
  std::optional<Exit> exit;  // kExited; nothing if it could not be started again
  bool asked = false;        // kExited: it had been asked to stop
  std::string text;          // for people: "logic-0 killed by signal 9 (Killed)"
};

struct StopReport {
  std::vector<std::string> killed;  // did not stop before their deadline
  std::vector<std::string> stuck;   // do not even die: in an uninterruptible system call
};

class Supervisor {
 public:
  struct Options {
    std::function<void(const Event&)> on_event;
    std::uint64_t jitter_seed = 0;  // 0: this process's number and the time
  };
  explicit Supervisor(Options options);
  ~Supervisor();  // as StopAll(10 s)
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Returns why it could not be started, or nothing. A name that has ended for good may be used
  // again: its runs and usage go on. Refused once StopAll has begun.
  std::optional<std::string> Start(const ChildSpec& spec);
  // True when every child that notifies its readiness runs and has done so, and no child has been
  // given up; false after `within`, or as soon as one is given up. Not from the event callback.
  bool WaitReady(Nanos within);
  // Waits until the child has ended for good. Nothing if it has not `within` this time, or there is
  // no such child. Not from the event callback.
  std::optional<ChildStatus> WaitEnd(const std::string& name, Nanos within);

  // Asks a child to stop, with its deadline; it is not restarted. False if there is none.
  bool Stop(const std::string& name);
  // Sends any signal to a running child; what happens then is up to its restart policy.
  bool Signal(const std::string& name, int signal);
  // Stops every child, stage by stage, each with its own deadline, all within `within`; after that
  // every child is killed. From the event callback it only begins, and the report is empty.
  StopReport StopAll(Nanos within);

  std::vector<ChildStatus> Snapshot();  // in the order of Start

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace baiwan::supervise
