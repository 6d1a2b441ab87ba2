#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

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

class StderrLog final : public Log {
 public:
  StderrLog(std::string name, LogLevel least)
      : logger_(std::move(name), std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_level(ToSpdlog(least));
    logger_.set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %n: %v");
    logger_.flush_on(spdlog::level::info);
  }
  void Write(LogLevel level, std::string_view line) override {
    logger_.log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  spdlog::logger logger_;
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
