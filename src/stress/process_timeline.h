// What became of processes, from what their supervisors told: each end that nobody had asked for,
// until the process serves again.
//
// Threads: one. Pure. Bounds: those of Timeline; of each process one end is open at a time.
#pragma once

#include <map>
#include <string>

#include "stress/timeline.h"
#include "supervise/event_file.h"

namespace baiwan::stress {

class ProcessTimeline {
 public:
  // `host` is told with the processes' names; empty: there is only one.
  explicit ProcessTimeline(std::string host = "") : host_(std::move(host)) {}

  // In the order in which they came.
  void Take(const supervise::KeptEvent& event);
  // All of it, at the end.
  void AddTo(Timeline* timeline);

 private:
  struct Process {
    bool up = false;
    bool open = false;  // `end` has not been handed on
    TimelineEvent end;
  };

  void Close(Process* process);
  TimelineEvent Of(const supervise::KeptEvent& event, const std::string& what) const;

  const std::string host_;
  std::map<std::string, Process> processes_;
  Timeline ends_;
};

}  // namespace baiwan::stress
