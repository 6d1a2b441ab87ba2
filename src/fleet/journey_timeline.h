// A journey as what happened, by the clock: its steps, what went wrong on the way and what became
// of it, and what was told of its hosts.
//
// Pure.
#pragma once

#include "fleet/journey.h"
#include "stress/timeline.h"

namespace baiwan::fleet {

void AddJourney(const Journey& journey, stress::Timeline* timeline);

}  // namespace baiwan::fleet
