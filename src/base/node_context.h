// The world of one node, as seen by everything that runs in it.
//
// Nothing else is global: many nodes can run in one simulated process, each with its own clock,
// network and fate. The members outlive the roles that use them.
#pragma once

#include "base/budget.h"
#include "base/clock.h"
#include "base/fatal.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/rng.h"
#include "base/transport.h"

namespace baiwan {

struct NodeContext {
  Loop& loop;
  Transport& transport;
  Clock& clock;
  Rng& rng;
  Budget& budget;
  Fatal& fatal;
  Log& log;
};

}  // namespace baiwan
