#include "net/buffer_ring.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace baiwan::net {

BufferRing::~BufferRing() {
  if (ring_ != nullptr) munmap(ring_, mapped());
}

int BufferRing::Init(io_uring* ring, std::uint32_t buffers, std::uint32_t buffer_bytes) {
  count_ = 8;
  while (count_ < std::min<std::uint32_t>(buffers, 32'768)) count_ *= 2;
  buffer_bytes_ = std::clamp<std::uint32_t>(buffer_bytes, 256, 1 << 20);
  void* const map =
      mmap(nullptr, mapped(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return errno;
  ring_ = static_cast<io_uring_buf_ring*>(map);
  memory_ = static_cast<char*>(map) + std::size_t{count_} * sizeof(io_uring_buf);

  io_uring_buf_reg reg{};
  reg.ring_addr = reinterpret_cast<std::uintptr_t>(ring_);
  reg.ring_entries = count_;
  reg.bgid = kGroup;
  const int error = -io_uring_register_buf_ring(ring, &reg, 0);
  if (error != 0) return error;
  io_uring_buf_ring_init(ring_);
  for (std::uint32_t id = 0; id < count_; ++id) Add(id, id);
  io_uring_buf_ring_advance(ring_, static_cast<int>(count_));
  return 0;
}

}  // namespace baiwan::net
