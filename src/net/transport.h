// The machine's own loop and sockets.
//
// A RealLoop is one thread's event loop with its transport, over io_uring (multishot accept and
// receive into a ring of buffers, one submit a turn) or epoll. kAuto takes io_uring unless the
// kernel refuses it. Both behave alike; the tests run on both.
//
// Streams: after CloseAfterFlush, OnClosed tells kEof when everything is sent, kTimeout when the
// other side did not take it within flush_timeout. When the other side closes, what is written
// until the end of that turn, or until the handler is done (StreamHandler::OnEndOfInput), still
// goes out, in the same bounds, before OnClosed(kEof). Whatever a handler left unused is offered
// again when more comes, after ResumeReading, and to a new handler.
//
// Threads: create, Run and destroy on one thread; Post (while it lives) and Stop from any.
#pragma once

#include <cstdint>
#include <memory>

#include "base/loop.h"
#include "base/result.h"
#include "base/transport.h"

namespace baiwan::net {

enum class Backend : std::uint8_t { kAuto, kIoUring, kEpoll };

struct LoopOptions {
  Backend backend = Backend::kAuto;
  std::uint32_t ring_entries = 4096;
  std::uint32_t buffers = 1024;  // receive buffers shared by all streams of the loop
  std::uint32_t buffer_bytes = 16 << 10;
  std::size_t spare_bytes = 16 << 20;  // of output buffers that nobody uses, kept for the next
  int backlog = 4096;
  // Accepted sockets, until they are closed in full. While there are so many nothing is accepted,
  // and connections wait in the kernel's backlog: descriptors beyond belong to others.
  std::size_t max_accepted = 1'000'000;
  std::size_t max_lingering =
      1024;  // that wait for the other side to close; beyond: closed at once
  Nanos flush_timeout = 10 * kSecond;  // how long a closing stream may take to send the rest
  // How long Listen waits, blocking, for a port that is taken: the kernel lets go of the sockets of
  // a killed process only after its end, and this one may be that process's next life.
  Nanos port_within = 0;
};

struct LoopStats {
  std::uint64_t turns = 0;
  std::uint64_t reads = 0;  // completions or calls that brought bytes
  std::uint64_t writes = 0;
  std::uint64_t syscalls = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
};

class RealLoop : public Loop {
 public:
  // The error says why, e.g. that the kernel refuses io_uring.
  static Result<std::unique_ptr<RealLoop>, std::string> Create(const LoopOptions& options);

  // Until Stop. May be called again after it returned.
  virtual void Run() = 0;
  // One turn, waiting at most `wait` for something to do. For tests and tools.
  virtual void RunOnce(Nanos wait) = 0;
  virtual void Stop() = 0;
  virtual Transport& transport() = 0;
  virtual Backend backend() const = 0;
  virtual LoopStats stats() const = 0;
};

}  // namespace baiwan::net
