// What a stress test will take, about: for whoever decides beforehand whether there is enough of
// it.
//
// Pure; any thread.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "stress/workload.h"

namespace baiwan::stress {

// Disk of a run whose users are spread over so many stores: messages in two boxes, the friend
// graph, and for each store the logs it keeps and the tables it is rewriting.
std::uint64_t DiskOf(const WorkloadSpec& spec, std::uint64_t stores);

// Time that the run phase is given, with room to spare: ten minutes, and its messages at `rate` a
// second, all cells together; 0: at the slowest rate of a closed loop that is still waited for, on
// each of `machines`.
Nanos TimeFor(const WorkloadSpec& spec, double rate, std::uint32_t machines = 1);

}  // namespace baiwan::stress
