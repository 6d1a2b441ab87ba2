// The part of a run in which all load clients play: from the moment when the last one has begun to
// the moment when the first one has all its messages with the friends. A rate over the whole run
// counts hosts that begin late and stragglers at the end as if the backend had been slow; a rate
// over this window does not.
//
// Pure.
#pragma once

#include <optional>

#include "stress/offer.h"

namespace baiwan::stress {

struct RunSteady {
  double seconds = 0;
  double rate_per_s = 0;        // messages that reached the friends meanwhile
  double begins_apart_s = 0;    // from the first one's first message to the last one's
  double ends_apart_s = 0;      // from the first one's last acknowledgement to the last one's
  std::string first_to_finish;  // load clients by name
  std::string last_to_finish;

  bool operator==(const RunSteady&) const = default;
};
// Nothing if there was no such moment.
std::optional<RunSteady> SteadyOf(const DriveResults& load_clients);

}  // namespace baiwan::stress
