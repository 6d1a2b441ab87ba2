// The names of things, and their limits.
//
// Every number that crosses a border of the program is one of these. They are plain integers, so
// that records and frames can hold them as they are; the limits below are checked where a number
// comes in from outside, and nowhere else.
#pragma once

#include <cstdint>

namespace baiwan {

using UserId = std::uint64_t;       // 1 … kMaxUserId
using CellId = std::uint32_t;       // 0 … kMaxCells - 1
using PartitionId = std::uint32_t;  // 0 … partitions of the deployment - 1
using Epoch = std::uint64_t;        // rises with every change of a partition's owner
using Incarnation = std::uint64_t;  // rises with every start of a process on the same store
using Seq = std::uint64_t;  // send ids, receive ids, pair sequences: 1, 2, 3 …; 0 is "none"
using Lsn = std::uint64_t;  // position of a block in a commit stream; 0 is "none"

inline constexpr UserId kMaxUserId = 999'999'999'999'999'999;  // 18 digits
inline constexpr std::uint32_t kMaxCells = 1024;
inline constexpr std::uint32_t kMaxPartitions = 65536;
// A pair's sequence is kept in 32 bits in memory; a pair that reaches this refuses to go on.
inline constexpr Seq kMaxPairSeq = 0xFFFF'FFF0;

}  // namespace baiwan
