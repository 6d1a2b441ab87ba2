// The sign of life that keeps a run's hosts alive: each host ends itself when its heartbeat file is
// too old (deploy/providers/README.md), so that hosts whose controller is gone do not cost for
// ever.
//
// Threads: called from one; it beats in one of its own, so that a controller that waits for its
// provider or draws a report is not taken for dead. One that stands still for longer than `trust`
// is. Failure: none that is told; a host that cannot be reached gets no beat, which is what the
// beat is for.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "fleet/tool.h"

namespace baiwan::fleet {

struct PulseOptions {
  Nanos silence = 0;  // after which hosts end themselves; 0: there is nothing to do
  std::string file;   // on each host, "/run/heartbeat"
  std::string ssh_key;
  std::string known_hosts;
  std::vector<std::string> workers;  // addresses
  std::string folder;                // for the streams of its tool
  Nanos trust = 300 * kSecond;       // longer than the controller ever waits without a call
};

class Pulse {
 public:
  explicit Pulse(PulseOptions options);
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;
  // The controller goes on. Three times within `silence` the file is touched here and, if
  // `workers`, on all of them. Does not block.
  void Beat(bool workers);

 private:
  void Run();

  const PulseOptions o_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  bool workers_ = false;
  Nanos trusted_until_ = 0;
  std::thread thread_;
};

}  // namespace baiwan::fleet
