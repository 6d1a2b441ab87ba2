#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <mutex>

#include "base/line_throttle.h"
#include "base/line_writer.h"

namespace baiwan {
namespace {

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// A line is a line, whatever a stranger's name in it holds.
std::string OnOneLine(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      out += "\\n";
    } else if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

class QueueSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    ProcessStderr().Write({line.data(), line.size()});
  }
  void flush_() override {}
};

class StderrLog final : public Log {
 public:
  StderrLog(std::string name, LogLevel least)
      : logger_(std::move(name), std::make_shared<QueueSink>()) {
    logger_.set_level(ToSpdlog(least));
    logger_.set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%e %l %n: %v", spdlog::pattern_time_type::local, ""));
    logger_.set_error_handler([](const std::string&) {});  // it would print by itself
  }

  void Write(LogLevel level, std::string_view line) override {
    const std::string text = OnOneLine(line);
    logger_.log(ToSpdlog(level), spdlog::string_view_t(text.data(), text.size()));
  }

  void WriteKind(const void* kind, LogLevel level, std::string_view line) override {
    std::unique_lock lock(mutex_);
    const auto left_out = throttle_.Admit(kind, SystemClock().Monotonic());
    lock.unlock();
    if (!left_out) return;
    if (*left_out == 0) return Write(level, line);
    Write(level, fmt::format("{} ({} more of the kind left out)", line, *left_out));
  }

  LogCounts counts() const override {
    const std::lock_guard lock(mutex_);
    return {ProcessStderr().dropped(), throttle_.left_out()};
  }

 private:
  spdlog::logger logger_;
  mutable std::mutex mutex_;
  LineThrottle throttle_;  // guarded by mutex_
};

class Nowhere final : public Log {
 public:
  void Write(LogLevel, std::string_view) override {}
};

}  // namespace

std::unique_ptr<Log> MakeStderrLog(std::string name, LogLevel least) {
  return std::make_unique<StderrLog>(std::move(name), least);
}

Log& NoLog() {
  static Nowhere log;
  return log;
}

}  // namespace baiwan
