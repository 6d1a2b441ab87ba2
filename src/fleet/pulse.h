// The sign of life that keeps a run's hosts alive: each host ends itself when its heartbeat file is
// too old (deploy/providers/README.md), so that hosts whose controller is gone do not cost for
// ever.
//
// Threads: one. Failure: none that is told; a host that cannot be reached gets no beat, which is
// what the beat is for.
#pragma once

#include <memory>
#include <string>
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
};

class Pulse {
 public:
  explicit Pulse(PulseOptions options);
  // To be called often: three times within `silence` it touches the file here and, if `workers`,
  // on all of them. Does not block.
  void Beat(bool workers);

 private:
  const PulseOptions o_;
  Nanos next_ = 0;
  std::unique_ptr<Tool> tool_;
};

}  // namespace baiwan::fleet
