// The receive buffers that all streams of an io_uring loop share (io_uring_register_buf_ring(3)).
//
// The kernel takes a buffer when bytes have come, not while it waits for them, so that ten thousand
// idle streams need none. Memory that is never used is never touched.
//
// Threads: one. Failure: Init returns an errno. When the kernel finds no buffer it ends the receive
// with ENOBUFS; as soon as some have been given back it may be started again.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>

namespace baiwan::net {

class BufferRing {
 public:
  static constexpr int kGroup = 0;

  BufferRing() = default;
  ~BufferRing();
  BufferRing(const BufferRing&) = delete;
  BufferRing& operator=(const BufferRing&) = delete;

  // An errno, 0 if all is well. `buffers` is rounded up to a power of two (at most 32,768). The
  // memory must outlive the ring.
  int Init(io_uring* ring, std::uint32_t buffers, std::uint32_t buffer_bytes);
  const char* At(std::uint32_t id) const { return memory_ + std::size_t{id} * buffer_bytes_; }
  // The buffer is the kernel's again.
  void GiveBack(std::uint32_t id) {
    Add(id, 0);
    io_uring_buf_ring_advance(ring_, 1);
  }

 private:
  void Add(std::uint32_t id, std::uint32_t offset) {
    io_uring_buf_ring_add(ring_, memory_ + std::size_t{id} * buffer_bytes_, buffer_bytes_,
                          static_cast<std::uint16_t>(id), io_uring_buf_ring_mask(count_),
                          static_cast<int>(offset));
  }
  std::size_t mapped() const {
    return std::size_t{count_} * (sizeof(io_uring_buf) + buffer_bytes_);
  }

  std::uint32_t count_ = 0;
  std::uint32_t buffer_bytes_ = 0;
  io_uring_buf_ring* ring_ = nullptr;  // at the beginning of the mapping …
  char* memory_ = nullptr;             // … and the buffers behind it
};

}  // namespace baiwan::net
