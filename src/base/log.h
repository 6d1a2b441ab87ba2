// A log of a process or node: lines with a level, for people and for the run folder.
//
// Threads: real logs take lines from any thread. Failure: a line that cannot be written is dropped.
// Nothing on the data path logs per message; refusals and the like are counted instead.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>

namespace baiwan {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

class Log {
 public:
  virtual ~Log() = default;
  virtual void Write(LogLevel level, std::string_view line) = 0;

  template <class... Args>
  void Info(fmt::format_string<Args...> f, Args&&... args) {
    Write(LogLevel::kInfo, fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void Warn(fmt::format_string<Args...> f, Args&&... args) {
    Write(LogLevel::kWarn, fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void Error(fmt::format_string<Args...> f, Args&&... args) {
    Write(LogLevel::kError, fmt::format(f, std::forward<Args>(args)...));
  }
};

// Lines to standard error, each with time, level and `name`, from `least` upwards.
std::unique_ptr<Log> MakeStderrLog(std::string name, LogLevel least = LogLevel::kInfo);
// A log that keeps nothing.
Log& NoLog();

}  // namespace baiwan
