// Messages that are used again and again, to save their allocations.
//
// Clear keeps the memory of the largest value that each part of a message ever had, so a message
// with many parts comes to hold many times what was ever in it. So one that held something large is
// made anew. One thread. Failure: none.
#pragma once

#include <cstddef>

namespace baiwan::wire {

inline constexpr std::size_t kReusedPart = 1 << 10;     // bytes of one body in a batch
inline constexpr std::size_t kReusedBatch = 512 << 10;  // bytes of a batch of cells
inline constexpr std::size_t kReusedFrame = 16 << 10;   // bytes of a frame of a client

template <class Message>
void ClearReused(Message* message, bool held_much) {
  if (held_much) {
    *message = Message();
  } else {
    message->Clear();
  }
}

}  // namespace baiwan::wire
