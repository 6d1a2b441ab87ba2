// A full disk is handled before it is full: below a reserve nothing new is taken from clients,
// below half of it nothing from other cells either, so that acknowledgements and snapshots still
// fit. What is refused or waits is not lost: clients repeat it, and other cells have it on their
// disks.
//
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "store/engine/kv.h"

namespace baiwan::cell {

// The larger of both counts.
struct DiskReserve {
  std::uint64_t bytes = 1ULL << 30;
  std::uint32_t percent = 5;  // of the disk
};

enum class DiskState : std::uint8_t { kRoom = 0, kNoSubmissions, kNoDeliveries };

// Where the disk cannot be asked there is room. `was`: what was not taken before is taken again
// only when an eighth more than the mark is free, or a disk that stands at it would change its mind
// with every look.
inline DiskState DiskStateOf(const std::optional<store::DiskRoom>& room, const DiskReserve& reserve,
                             DiskState was) {
  if (!room) return DiskState::kRoom;
  const std::uint64_t mark = std::max(reserve.bytes, room->total / 100 * reserve.percent);
  const auto below = [&](std::uint64_t limit, DiskState state) {
    return room->free < (was >= state ? limit + limit / 8 : limit);
  };
  if (below(mark / 2, DiskState::kNoDeliveries)) return DiskState::kNoDeliveries;
  if (below(mark, DiskState::kNoSubmissions)) return DiskState::kNoSubmissions;
  return DiskState::kRoom;
}

}  // namespace baiwan::cell
