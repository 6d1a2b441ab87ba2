// Lines to a descriptor whose reader may be slow, stopped or gone, as that of a log is.
//
// A thread of its own does the writing, so that whoever has something to say never waits: not for a
// full pipe, a held terminal or a bad disk. What waits to be written is bounded. What does not fit,
// or cannot be written, is dropped and counted, and a line in its place says how many were.
//
// The descriptor's flags stay as they are: O_NONBLOCK would be everybody's who shares it, a
// parent's terminal among them. A line has at most PIPE_BUF bytes, so that those of several
// processes on one pipe do not mix.
//
// Threads: any. The writing thread takes no signals. Failure: dropped() tells. With SIGPIPE not
// ignored a reader that is gone ends the process, as ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/clock.h"

namespace baiwan {

class LineWriter {
 public:
  static constexpr std::size_t kMaxBytes = 1 << 20;  // that wait to be written

  explicit LineWriter(int fd, std::size_t max_bytes = kMaxBytes);
  // Drops what waits; see Flush.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // Never waits. A line that is longer than a pipe takes at once is cut.
  void Write(std::string_view line);
  // One that is taken however much waits: the last words before the process ends itself.
  void WriteLast(std::string_view line);
  // Waits until everything is written or dropped; false if that takes longer than `within`.
  bool Flush(Nanos within);
  std::uint64_t dropped() const;

 private:
  struct State;
  void Add(std::string_view line, bool always);

  const std::shared_ptr<State> state_;  // also the thread's, which may outlive this object
};

// That of this process's standard error. What waits at a regular end of the process is given a
// second to get out.
LineWriter& ProcessStderr();
// Waits for it, if anything was ever written to it; a process that ends itself by _exit calls this
// before.
void FlushProcessStderr();

}  // namespace baiwan
