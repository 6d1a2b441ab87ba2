// A log of a process or node: lines with a level, for people and for the run folder.
//
// Threads: real logs take lines from any thread, and never make it wait. Failure: a line that
// cannot be written is dropped and counted. Nothing on the data path logs per message; refusals and
// the like are counted instead.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace baiwan {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct LogCounts {
  std::uint64_t dropped = 0;    // not read, or not to be written; of all logs of the process
  std::uint64_t throttled = 0;  // left out, because many of the same kind were written before
};

class Log {
 public:
  virtual ~Log() = default;
  virtual void Write(LogLevel level, std::string_view line) = 0;
  // A line of which there may be many of one kind; `kind` is its format.
  virtual void WriteKind(const void* kind, LogLevel level, std::string_view line) {
    static_cast<void>(kind);
    Write(level, line);
  }
  virtual LogCounts counts() const { return {}; }

  template <class... Args>
  void Info(fmt::format_string<Args...> f, Args&&... args) {
    Write(LogLevel::kInfo, fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void Warn(fmt::format_string<Args...> f, Args&&... args) {
    WriteKind(fmt::string_view(f).data(), LogLevel::kWarn,
              fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void Error(fmt::format_string<Args...> f, Args&&... args) {
    WriteKind(fmt::string_view(f).data(), LogLevel::kError,
              fmt::format(f, std::forward<Args>(args)...));
  }
};

// Lines to standard error (ProcessStderr), each with time, level and `name`, from `least` upwards;
// warnings and errors of one kind a few at once, then one a second.
std::unique_ptr<Log> MakeStderrLog(std::string name, LogLevel least = LogLevel::kInfo);
// A log that keeps nothing.
Log& NoLog();

}  // namespace baiwan
