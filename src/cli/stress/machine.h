// What this machine has: the facts that plans are checked against.
//
// Any thread. Failure: what cannot be found out is 0, or the default of Machine.
#pragma once

#include <string>

#include "cli/stress/plan.h"

namespace baiwan::cli {

// The disk is that of `folder`, which need not be there yet.
Machine ThisMachine(const std::string& folder);

}  // namespace baiwan::cli
