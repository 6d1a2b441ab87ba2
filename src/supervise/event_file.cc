#include "supervise/event_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace baiwan::supervise {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 6> kNames = {"started",    "ready",   "exited",
                                               "restarting", "gave up", "killed"};

std::optional<KeptEvent> FromLine(std::string_view line) {
  const json in = json::parse(line, nullptr, false);
  if (!in.is_object()) return std::nullopt;
  try {
    KeptEvent event;
    in.at("ms").get_to(event.ms);
    in.at("child").get_to(event.child);
    in.at("asked").get_to(event.asked);
    in.at("success").get_to(event.success);
    in.at("text").get_to(event.text);
    const auto name = in.at("event").get<std::string>();
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      if (name != kNames[i]) continue;
      event.kind = static_cast<EventKind>(i);
      return event;
    }
  } catch (const json::exception&) {
  }
  return std::nullopt;
}

}  // namespace

KeptEvent Kept(const Event& event, std::int64_t ms) {
  KeptEvent kept{ms, event.kind, event.child, event.asked, false, ""};
  if (event.kind == EventKind::kExited) {
    kept.success = event.exit && event.exit->success();
    kept.text = event.exit ? event.exit->ToString() : event.text;
  }
  if (event.kind == EventKind::kGaveUp) kept.text = event.text;
  return kept;
}

std::optional<std::string> EventFile::Open(const std::string& path) {
  if (path.empty()) return std::nullopt;
  fd_ = UniqueFd(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  struct stat info {};
  if (!fd_ || ::fstat(fd_.get(), &info) != 0) {
    return fmt::format("cannot keep events in {}: {}", path, std::strerror(errno));
  }
  bytes_ = static_cast<std::uint64_t>(info.st_size);
  // A line that a crash has torn ends here.
  char last = '\n';
  if (info.st_size > 0 && ::pread(fd_.get(), &last, 1, info.st_size - 1) == 1 && last != '\n') {
    [[maybe_unused]] const auto n = ::write(fd_.get(), "\n", 1);
  }
  return std::nullopt;
}

void EventFile::Add(const KeptEvent& event) {
  if (!fd_ || bytes_ >= kMostEventBytes) return;
  const json out = {{"ms", event.ms},
                    {"child", event.child},
                    {"event", kNames[static_cast<std::size_t>(event.kind)]},
                    {"asked", event.asked},
                    {"success", event.success},
                    {"text", event.text}};
  const std::string line = out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  const ssize_t written = ::write(fd_.get(), line.data(), line.size());
  if (written > 0) bytes_ += static_cast<std::uint64_t>(written);
}

std::vector<KeptEvent> ReadEvents(const std::string& path) {
  std::vector<KeptEvent> events;
  const auto text = ReadFile(path, kMostEventBytes + (1 << 20));
  if (!text) return events;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\n', at), text->size());
    if (auto event = FromLine(std::string_view(*text).substr(at, end - at))) {
      events.push_back(std::move(*event));
    }
    at = end + 1;
  }
  return events;
}

}  // namespace baiwan::supervise
