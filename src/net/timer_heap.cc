#include "net/timer_heap.h"

#include <utility>

namespace baiwan::net {

TimerId TimerHeap::Add(Nanos due, std::function<void()> work) {
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot].work = std::move(work);
  slots_[slot].used = true;
  heap_.emplace_back();
  Up(heap_.size() - 1, Entry{due, order_++, slot});
  return (static_cast<TimerId>(slots_[slot].generation) << 32) | slot;
}

void TimerHeap::Cancel(TimerId id) {
  const auto slot = static_cast<std::uint32_t>(id);
  if (slot >= slots_.size() || !slots_[slot].used || slots_[slot].generation != id >> 32) return;
  // The work is destroyed last, at the end of this function: its destructor may come back here.
  const std::function<void()> work = Remove(slots_[slot].position);
}

void TimerHeap::Run(Nanos now) {
  // What is added meanwhile is due at `now` at the earliest and ordered behind its equals, so a new
  // entry in front means that no older one is due.
  const std::uint64_t first_new = order_;
  while (!heap_.empty() && heap_.front().due <= now && heap_.front().order < first_new) {
    const std::function<void()> work = Remove(0);
    work();
  }
}

void TimerHeap::Clear() {
  heap_.clear();
  free_.clear();
  const auto dropped = std::exchange(slots_, {});
}

void TimerHeap::Place(std::size_t position, const Entry& entry) {
  heap_[position] = entry;
  slots_[entry.slot].position = static_cast<std::uint32_t>(position);
}

void TimerHeap::Up(std::size_t position, const Entry& entry) {
  while (position > 0) {
    const std::size_t parent = (position - 1) / 2;
    if (!entry.Before(heap_[parent])) break;
    Place(position, heap_[parent]);
    position = parent;
  }
  Place(position, entry);
}

void TimerHeap::Down(std::size_t position, const Entry& entry) {
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1].Before(heap_[child])) ++child;
    if (!heap_[child].Before(entry)) break;
    Place(position, heap_[child]);
    position = child;
  }
  Place(position, entry);
}

std::function<void()> TimerHeap::Remove(std::size_t position) {
  Slot& slot = slots_[heap_[position].slot];
  std::function<void()> work = std::move(slot.work);
  slot.work = nullptr;
  slot.used = false;
  ++slot.generation;
  free_.push_back(heap_[position].slot);

  const Entry last = heap_.back();
  heap_.pop_back();
  if (position < heap_.size()) {
    if (position > 0 && last.Before(heap_[(position - 1) / 2])) {
      Up(position, last);
    } else {
      Down(position, last);
    }
  }
  return work;
}

}  // namespace baiwan::net
