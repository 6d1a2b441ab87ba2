// One run of one child: starting it, asking after it, and taking leave of it.
//
// A child gets a process group of its own, /dev/null as input, its log as output, no other open
// file (but the one of ready.h, if asked for), default signal handling, and SIGKILL should the
// *thread* that started it end: so start children from a thread that lives as long as they may.
//
// Threads: one Process belongs to one thread. Failure: a sentence that names the program and the
// reason. Nothing throws. A Process that is destroyed while it runs is killed with its group.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "supervise/child_spec.h"

namespace baiwan::supervise {

// How a run ended.
struct Exit {
  bool by_signal = false;
  int code = 0;  // the exit code, or the signal
  Usage usage;   // of this run, as the kernel counted it

  bool success() const { return !by_signal && code == 0; }
  std::string ToString() const;  // "exited with code 3", "killed by signal 9 (Killed)"
};

class Process {
 public:
  // Returns when the program has been started, or could not be.
  static Result<std::unique_ptr<Process>, std::string> Start(const ChildSpec& spec);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  // Readable when the run has ended; -1 where the kernel has none: then call Reap now and then.
  int pidfd() const { return pidfd_.get(); }
  // Readable when the child has something to say about its readiness; -1 when it is done with that.
  int ready_fd() const { return ready_.get(); }
  // What the child told: nothing yet, or the text (may be empty). See ready.h.
  std::optional<std::string> ReadReady();

  // To the child's whole process group.
  void Signal(int signal);
  // How it ended, once it has; what is left of its process group is killed first.
  std::optional<Exit> Reap();
  // So far; zero where it cannot be read.
  Usage UsageSoFar() const;

 private:
  Process(pid_t pid, UniqueFd pidfd, UniqueFd ready);

  pid_t pid_;
  bool reaped_ = false;
  UniqueFd pidfd_;
  UniqueFd ready_;
  std::string ready_text_;
};

// Begins `path` anew if it is larger than `max_bytes`, keeping the old content in `<path>.1`.
void BoundLog(const std::string& path, std::uint64_t max_bytes);

}  // namespace baiwan::supervise
