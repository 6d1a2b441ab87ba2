// Ctrl-C and its relatives as something to wait for, instead of a handler that may do nothing.
//
// Make one at the beginning of main: it blocks SIGINT, SIGTERM and SIGHUP for the calling thread
// and every thread started after it. Destroying it lets them through again (in the calling thread).
#pragma once

#include <signal.h>

#include "base/clock.h"
#include "base/file.h"

namespace baiwan::supervise {

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // Readable when a signal has come: for poll.
  int fd() const { return fd_.get(); }
  // The next signal, or 0 if none comes `within` this time.
  int Wait(Nanos within);

 private:
  sigset_t before_;
  UniqueFd fd_;
};

}  // namespace baiwan::supervise
