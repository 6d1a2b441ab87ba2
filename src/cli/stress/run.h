// A stress test on this machine, from nothing to a verified result: makes the run folder, imports,
// starts every process, watches them, stops them, verifies, reports.
//
// Threads: the main one; the processes are children of a supervisor, so that none outlives this
// one. Failure: every phase either goes well or says on standard error which process, or what,
// went wrong, with the last lines of its log.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/runtime.h"
#include "cli/stress/folder.h"
#include "cli/stress/outcome.h"
#include "cli/stress/plan.h"
#include "monitor/board_feed.h"
#include "monitor/board_screen.h"
#include "registry/client.h"
#include "stress/process_timeline.h"
#include "supervise/stop_signals.h"
#include "supervise/supervisor.h"

namespace baiwan::cli {

class StressRun {
 public:
  // `look` says what the machine has now.
  StressRun(const StressOptions& options, std::function<Machine()> look)
      : options_(options), look_(std::move(look)), machine_(look_()) {}

  // All of it; an exit code.
  int Run();

 private:
  enum class Wait { kYes, kFailed, kStopped, kTooLate };

  // One of the following, told in the timeline.
  template <class Work>
  bool Step(const char* name, Work work);
  bool Prepare();
  bool Import();
  bool StartServers();
  Wait PlayUsers();
  bool Stop();
  int Verify();
  int GiveUp();
  void TakeWhatHappened();
  void Report(const stress::RunResult& result);

  bool Write(const PlannedProcess& process);
  bool StartChild(const PlannedProcess& process);
  // Runs the loop and looks after signals and children until `done`.
  template <class Done>
  Wait Until(const Done& done, Nanos within);
  void OnEvent(const supervise::Event& event);
  void TellLog(const std::string& child);
  std::string LastWords(const std::string& child) const;
  void Say(const std::string& line);
  void ShowBoard();
  void LastBoard();
  void TellBoard();
  bool Fail(const std::string& sentence);

  const StressOptions& options_;
  const std::function<Machine()> look_;
  Machine machine_;
  supervise::StopSignals signals_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<RunFolder> folder_;
  StressPlan plan_;
  std::unique_ptr<registry::RegistryClient> directory_;
  std::unique_ptr<monitor::BoardFeed> board_;
  monitor::BoardScreen screen_{stderr};
  std::unique_ptr<supervise::Supervisor> supervisor_;
  std::mutex mutex_;
  std::string broken_;                 // the child that cannot go on, under mutex_
  std::vector<std::string> ended_;     // load clients that the board does not know of, likewise
  stress::ProcessTimeline processes_;  // likewise
  int exit_ = 0;
  Outcome outcome_;
  Nanos began_ = 0;
};

}  // namespace baiwan::cli
