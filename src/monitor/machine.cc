#include "monitor/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/file.h"

namespace baiwan::monitor {
namespace {

// Calls `each` with every line.
template <class F>
void ForLines(std::string_view text, F each) {
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    each(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// The value of "name : value" in the first line that begins with name.
std::string Field(std::string_view text, std::string_view name) {
  std::string found;
  ForLines(text, [&](std::string_view line) {
    if (!found.empty() || line.substr(0, name.size()) != name) return;
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const auto begin = line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string_view::npos) found = line.substr(begin);
  });
  return found;
}

}  // namespace

CpuTimes ParseProcStat(std::string_view text) {
  CpuTimes times;
  ForLines(text, [&](std::string_view line) {
    if (line.substr(0, 3) != "cpu" || line.size() < 5) return;
    if (line[3] != ' ') {
      ++times.cpus;
      return;
    }
    // user nice system idle iowait irq softirq steal; guest times are in user and nice already.
    std::uint64_t fields[8] = {};
    const char* at = line.data() + 3;
    const char* const end = line.data() + line.size();
    for (std::uint64_t& field : fields) {
      while (at < end && *at == ' ') ++at;
      const auto [next, error] = std::from_chars(at, end, field);
      if (error != std::errc()) break;
      at = next;
    }
    for (const std::uint64_t field : fields) times.total += field;
    times.idle = fields[3] + fields[4];
    times.steal = fields[7];
  });
  return times;
}

CpuTimes ReadCpuTimes() {
  const auto text = ReadFile("/proc/stat");
  return text ? ParseProcStat(*text) : CpuTimes{};
}

CpuUse Between(const CpuTimes& before, const CpuTimes& after) {
  if (after.total <= before.total) return {};
  const auto total = static_cast<double>(after.total - before.total);
  const auto share = [total](std::uint64_t from, std::uint64_t to) {
    return to <= from ? 0.0 : std::min(1.0, static_cast<double>(to - from) / total);
  };
  const double steal = share(before.steal, after.steal);
  return {std::max(0.0, 1 - share(before.idle, after.idle) - steal), steal};
}

MachineInfo ReadMachine() {
  MachineInfo info;
  info.cpus = static_cast<std::uint32_t>(std::max(0L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  if (const auto text = ReadFile("/proc/cpuinfo")) info.cpu = Field(*text, "model name");
  if (const auto text = ReadFile("/proc/meminfo")) {
    const std::string total = Field(*text, "MemTotal");
    std::uint64_t kib = 0;
    std::from_chars(total.data(), total.data() + total.size(), kib);
    info.memory_mib = kib >> 10;
  }
  utsname name{};
  if (::uname(&name) == 0) info.system = std::string(name.sysname) + " " + name.release;
  return info;
}

}  // namespace baiwan::monitor
