// Kinds of simulated deployments, each for trouble that ordinary ones (ClusterOptions::FromSeed)
// never come to: many users with a backlog, too little memory, an older disk put back, damage.
//
// Pure. Failure: none.
#pragma once

#include <cstdint>

#include "sim/cluster.h"

namespace baiwan::sim {

// Thousands of users, whose cells do not reach each other until tens of thousands of messages wait.
ClusterOptions Crowd(std::uint64_t seed);
// So little memory that submissions are refused, in the process of the logic server or of the whole
// cell.
ClusterOptions ShortOfMemory(std::uint64_t seed);
// An older copy of a cell's disk is put back, once or more often.
ClusterOptions OlderDisks(std::uint64_t seed);
// Bits on the disks turn over.
ClusterOptions DamagedDisks(std::uint64_t seed);

}  // namespace baiwan::sim
