// Carries a journey out, or a part of it: begins each step on its hosts, watches what is under way,
// saves every change before and after, and stays within every limit.
//
// What a step does is its Crew's business: the operator's crew makes hosts and destroys them, the
// control host's crew does what lies between.
//
// Threads: one. Failure: what fails on a host is in the journey; RunJourney itself fails only where
// the state cannot be saved, since then nothing may be begun.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "fleet/journey.h"

namespace baiwan::fleet {

struct HostReport {
  std::string host;
  std::optional<Failure> failure;  // none: done
};

// A step under way on some hosts.
class Activity {
 public:
  virtual ~Activity() = default;  // ends what still runs
  // What has become known since the last call; does not block.
  virtual std::vector<HostReport> Poll() = 0;
  // Nothing more will come: hosts that were not reported are taken for failed.
  virtual bool ended() = 0;
};

class Crew {
 public:
  virtual ~Crew() = default;
  // `left`: until the journey's deadline, where it has one.
  virtual std::unique_ptr<Activity> Begin(Step step, const std::vector<std::string>& hosts,
                                          std::optional<Nanos> left) = 0;
  // How long a step may take on so many hosts; then it is ended, and has failed.
  virtual Nanos LimitOf(Step step) = 0;
  // Of hosts that should be up: those that are gone. Asked after failures, and now and then; may
  // block for seconds.
  struct Gone {
    std::string host;
    bool disk_kept = false;
    std::string why;
  };
  virtual std::vector<Gone> LookForLost() { return {}; }
};

struct ControllerOptions {
  Step first = Step::kPlan;  // of this controller's part; earlier ones belong to somebody else
  Step last = Step::kDown;   // the controller ends when it and all before it are settled
  std::string file;          // where the journey is saved
  Nanos look = 100 * kMillisecond;
  // How often it is looked for hosts that are gone while no step has said so: one whose own part is
  // done, or that has none, is missed by no other. 0: never.
  Nanos look_for_lost = 0;
  std::function<void(const Journey&)> on_change;  // after each save
  // Asked at every look: what should be told of the hosts. It is kept in the journey.
  std::function<std::vector<Notice>(const Journey&)> watch;
  std::function<bool()> stop;  // true: end now, and leave what is under way
};

// A sentence if the state cannot be saved; nothing otherwise, whatever became of the journey.
std::optional<std::string> RunJourney(Journey* journey, Crew& crew, const Clock& clock,
                                      const ControllerOptions& options);

// What does not need a tool: a function that was called at once.
std::unique_ptr<Activity> DoneAtOnce(const std::vector<std::string>& hosts,
                                     const std::optional<Failure>& failure);

}  // namespace baiwan::fleet
