// What the room on the disk means for this cell. See disk_reserve.h.
#include "base/units.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

const char* Meaning(DiskState state) {
  switch (state) {
    case DiskState::kRoom:
      return "taking everything";
    case DiskState::kNoSubmissions:
      return "refusing submissions";
    case DiskState::kNoDeliveries:
      return "refusing submissions, and taking nothing from other cells";
  }
  return "";
}

}  // namespace

void Logic::LookAtDisk() {
  const auto room = store_.disk();
  if (room) disk_free_ = room->free;
  const DiskState now = DiskStateOf(room, options_.disk_reserve, disk_);
  if (now != disk_) {
    node_.log.Write(now == DiskState::kRoom ? LogLevel::kInfo : LogLevel::kError,
                    fmt::format("cell {}: {} MiB are free on the disk: {}", options_.cell,
                                disk_free_ >> 20, Meaning(now)));
    const bool took = Takes();
    disk_ = now;
    TakingChanged(took);
  }
  disk_timer_ = node_.loop.After(options_.disk_look, [this] { LookAtDisk(); });
}

}  // namespace baiwan::cell
