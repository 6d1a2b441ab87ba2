#include "monitor/series.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace baiwan::monitor {
namespace {

using nlohmann::json;

std::string Quoted(std::string_view text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string Why(std::string_view what, const std::string& path) {
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
}

template <class T>
T Number(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<T>() : T{};
}
std::string Text(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Sample SampleOf(const json& object) {
  Sample sample;
  sample.ms = Number<std::uint64_t>(object, "ms");
  sample.name = Text(object, "process");
  sample.cell = Number<CellId>(object, "cell");
  if (const auto roles = object.find("roles"); roles != object.end() && roles->is_array()) {
    for (const json& role : *roles) {
      if (role.is_string()) sample.roles.push_back(role.get<std::string>());
    }
  }
  sample.ops = Text(object, "ops");
  sample.incarnation = Number<std::uint64_t>(object, "incarnation");
  sample.error = Text(object, "error");
  if (const auto values = object.find("values"); values != object.end() && values->is_object()) {
    for (const auto& [key, value] : values->items()) {
      if (value.is_number()) sample.values.emplace(key, value.get<double>());
    }
  }
  return sample;
}

Beat BeatOf(const json& object) {
  Beat beat;
  beat.ms = Number<std::uint64_t>(object, "ms");
  beat.alive = Number<std::uint32_t>(object, "alive");
  beat.expected = Number<std::uint32_t>(object, "expected");
  beat.fetched = Number<std::uint64_t>(object, "fetched");
  beat.fetched_per_s = Number<double>(object, "fetched_per_s");
  beat.busy = Number<double>(object, "busy");
  beat.steal = Number<double>(object, "steal");
  return beat;
}

}  // namespace

std::string ToLine(const SeriesHeader& header) {
  return fmt::format("{{\"baiwan_series\":{},\"ms\":{},\"interval_ms\":{}}}\n", header.version,
                     header.ms, header.interval_ms);
}

std::string ToLine(const Sample& sample) {
  std::string roles;
  for (const std::string& role : sample.roles) {
    roles += (roles.empty() ? "" : ",") + Quoted(role);
  }
  std::string line = fmt::format(
      "{{\"ms\":{},\"process\":{},\"cell\":{},\"roles\":[{}],\"ops\":{},"
      "\"incarnation\":{}",
      sample.ms, Quoted(sample.name), sample.cell, roles, Quoted(sample.ops), sample.incarnation);
  if (!sample.error.empty()) return line + ",\"error\":" + Quoted(sample.error) + "}\n";
  line += ",\"values\":{";
  bool first = true;
  for (const auto& [key, value] : sample.values) {
    if (value == 0) continue;
    line += fmt::format("{}{}:{}", first ? "" : ",", Quoted(key), value);
    first = false;
  }
  return line + "}}\n";
}

std::string ToLine(const Beat& beat) {
  return fmt::format(
      "{{\"ms\":{},\"alive\":{},\"expected\":{},\"fetched\":{},\"fetched_per_s\":{:.1f},"
      "\"busy\":{:.4f},\"steal\":{:.4f}}}\n",
      beat.ms, beat.alive, beat.expected, beat.fetched, beat.fetched_per_s, beat.busy, beat.steal);
}

bool VisitLine(std::string_view line, SeriesVisitor& visitor) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object()) return false;
  if (object.contains("baiwan_series")) {
    const SeriesHeader header{Number<std::uint32_t>(object, "baiwan_series"),
                              Number<std::uint64_t>(object, "ms"),
                              Number<std::uint64_t>(object, "interval_ms")};
    if (header.version != kSeriesVersion) return false;
    visitor.OnHeader(header);
  } else if (object.contains("process")) {
    visitor.OnSample(SampleOf(object));
  } else if (object.contains("alive")) {
    visitor.OnBeat(BeatOf(object));
  } else {
    return false;
  }
  return true;
}

Result<std::uint64_t, std::string> VisitSeries(const std::string& path, SeriesVisitor& visitor) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Why("read", path);
  std::uint64_t unreadable = 0;
  bool skipping = false;  // the rest of a line that is too long
  std::string pending;
  char buffer[64 << 10];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Why("read", path);
    if (n == 0) break;
    std::string_view data(buffer, static_cast<std::size_t>(n));
    for (auto end = data.find('\n'); end != std::string_view::npos; end = data.find('\n')) {
      pending += data.substr(0, end);
      data.remove_prefix(end + 1);
      if (skipping || (!pending.empty() && !VisitLine(pending, visitor))) ++unreadable;
      skipping = false;
      pending.clear();
    }
    pending += data;
    if (pending.size() > kMaxSeriesLine) {
      skipping = true;
      pending.clear();
    }
  }
  if (skipping || (!pending.empty() && !VisitLine(pending, visitor))) ++unreadable;
  return unreadable;
}

Result<std::unique_ptr<SeriesFile>, std::string> SeriesFile::Open(const std::string& path,
                                                                  std::uint64_t max_bytes) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  struct stat about {};
  if (!fd || ::fstat(fd.get(), &about) != 0) return Why("write", path);
  auto file = std::unique_ptr<SeriesFile>(new SeriesFile(path, max_bytes, std::move(fd)));
  file->bytes_ = static_cast<std::uint64_t>(about.st_size);
  char last = '\n';
  if (file->bytes_ > 0 && ::pread(file->fd_.get(), &last, 1, about.st_size - 1) != 1) {
    return Why("read", path);
  }
  file->torn_ = last != '\n';
  return file;
}

std::optional<std::string> SeriesFile::Append(std::string_view lines) {
  std::string with_end;
  if (torn_) {
    with_end = "\n" + std::string(lines);
    lines = with_end;
  }
  if (full_ || bytes_ + lines.size() > max_bytes_) {
    full_ = true;
    return fmt::format("{} has reached its limit of {} bytes: nothing more is recorded", path_,
                       max_bytes_);
  }
  while (!lines.empty()) {
    const ssize_t n = ::write(fd_.get(), lines.data(), lines.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Why("write", path_);
    bytes_ += static_cast<std::uint64_t>(n);
    torn_ = lines[static_cast<std::size_t>(n) - 1] != '\n';
    lines.remove_prefix(static_cast<std::size_t>(n));
  }
  return std::nullopt;
}

}  // namespace baiwan::monitor
