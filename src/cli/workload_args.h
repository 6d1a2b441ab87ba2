// The arguments that name a workload: the same for every command that needs one.
#pragma once

#include "cli/args.h"
#include "stress/workload.h"

namespace baiwan::cli {

// --cells --users-per-cell --friends-in-cell --friends-cross --messages-per-friend --rounds
// --body-bytes --seed
void WorkloadArgs(Args& args, stress::WorkloadSpec* spec);

}  // namespace baiwan::cli
