// Work to be run at a time, in the order of the times; among equal times, of setting.
//
// A binary heap whose entries know their place, so that cancelling costs O(log n) and leaves
// nothing behind: most timers guard against something that does not happen and are cancelled.
//
// Threads: one. Failure: none; an id that is not known (fired, cancelled, never given) is ignored.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"

namespace baiwan::net {

class TimerHeap {
 public:
  TimerId Add(Nanos due, std::function<void()> work);
  void Cancel(TimerId id);
  // Runs what is due at `now`. What that work itself adds (never earlier than `now`) waits for the
  // next call.
  void Run(Nanos now);
  // The earliest time, or -1 when empty.
  Nanos next_due() const { return heap_.empty() ? -1 : heap_.front().due; }
  std::size_t size() const { return heap_.size(); }
  // Forgets everything, without running it.
  void Clear();

 private:
  struct Entry {
    Nanos due;
    std::uint64_t order;
    std::uint32_t slot;
    bool Before(const Entry& other) const {
      return due != other.due ? due < other.due : order < other.order;
    }
  };
  struct Slot {
    std::function<void()> work;
    std::uint32_t generation = 1;
    std::uint32_t position = 0;  // in heap_
    bool used = false;
  };

  void Place(std::size_t position, const Entry& entry);
  void Up(std::size_t position, const Entry& entry);
  void Down(std::size_t position, const Entry& entry);
  // Takes the entry at `position` out of the heap and frees its slot.
  std::function<void()> Remove(std::size_t position);

  std::vector<Entry> heap_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
  std::uint64_t order_ = 0;
};

}  // namespace baiwan::net
