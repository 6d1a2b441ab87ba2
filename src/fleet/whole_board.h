// The live board of a run, made whole: it knows only who answers, and load clients that have ended,
// as they should, answer nobody any more. Their users count as finished, and nobody misses them.
//
// Pure.
#pragma once

#include "fleet/journey.h"
#include "fleet/plan.h"
#include "monitor/board.h"

namespace baiwan::fleet {

// Users and messages of all cells, whoever has answered so far.
void MakeWhole(const FleetPlan& plan, const Journey& journey, monitor::BoardState* board);

}  // namespace baiwan::fleet
