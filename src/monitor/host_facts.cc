#include "monitor/host_facts.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/checksum.h"
#include "base/file.h"
#include "monitor/ethtool.h"
#include "monitor/machine.h"

namespace baiwan::monitor {
namespace {

class RealWorld final : public HostWorld {
 public:
  std::string Read(const std::string& path) override {
    auto text = ReadFile(path);
    return text ? std::move(*text) : std::string();
  }
  Space SpaceAt(const std::string& folder) override {
    struct statvfs about {};
    if (::statvfs(folder.c_str(), &about) != 0) return {};
    return {std::uint64_t{about.f_blocks} * about.f_frsize,
            std::uint64_t{about.f_bavail} * about.f_frsize};
  }
  std::map<std::string, std::uint64_t> NetworkCounters() override { return AllowanceCounters(); }
};

// "MemAvailable:   123 kB", in bytes.
std::uint64_t MemInfo(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string_view::npos) return 0;
  std::string_view rest = text.substr(at + name.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  std::uint64_t kib = 0;
  std::from_chars(rest.data(), rest.data() + rest.size(), kib);
  return kib << 10;
}

double Ticks(std::uint64_t ticks) {
  static const double per_second = static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  return static_cast<double>(ticks) / per_second;
}

// Exactly kept by a double, and never 0.
std::uint64_t NumberOf(std::string_view id) { return std::uint64_t{Crc32c(id)} + 1; }

std::uint64_t Whole(double value) {
  return value > 0 ? static_cast<std::uint64_t>(std::min(value, 9e15)) : 0;
}

}  // namespace

HostWorld& ThisHost() {
  static RealWorld world;
  return world;
}

std::string WrongHostName(std::string_view name) {
  const auto good = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-'; };
  if (name.size() <= kMostHostName && std::all_of(name.begin(), name.end(), good)) return "";
  return fmt::format("a host's name is made of letters, digits and -, at most {} of them",
                     kMostHostName);
}

HostFacts ReadHostFacts(HostWorld& world, const std::string& name, const std::string& folder) {
  HostFacts facts;
  facts.name = name;
  const std::string kernel = world.Read("/proc/sys/kernel/random/boot_id");
  facts.machine = NumberOf(kernel.empty() ? name : kernel);
  const CpuTimes cpu = ParseProcStat(world.Read("/proc/stat"));
  facts.cpus = cpu.cpus;
  facts.idle_s = Ticks(cpu.idle);
  facts.steal_s = Ticks(cpu.steal);
  facts.busy_s = Ticks(cpu.total - std::min(cpu.total, cpu.idle + cpu.steal));
  const std::string load = world.Read("/proc/loadavg");
  std::from_chars(load.data(), load.data() + load.size(), facts.load);
  const std::string memory = world.Read("/proc/meminfo");
  facts.memory = MemInfo(memory, "MemTotal:");
  facts.memory_available = MemInfo(memory, "MemAvailable:");
  const HostWorld::Space space = world.SpaceAt(folder);
  facts.disk = space.total;
  facts.disk_free = space.free;
  for (const auto& [allowance, count] : world.NetworkCounters()) {
    facts.exceeded[allowance] = static_cast<double>(count);
  }
  return facts;
}

void HostMetrics::WriteMetrics(MetricsSink& sink) const {
  const HostFacts f = ReadHostFacts(world_, name_, folder_);
  const auto number = [](std::uint64_t n) { return static_cast<double>(n); };
  sink.Gauge("host_machine", "kernel under this host", number(f.machine),
             fmt::format("host=\"{}\"", f.name));
  sink.Gauge("host_cpus", "processors", f.cpus);
  sink.Gauge("host_load", "runnable, last minute", f.load);
  const char* cpu = "host_cpu_seconds_total";
  const char* cpu_help = "of all processors";
  sink.Counter(cpu, cpu_help, f.busy_s, "mode=\"busy\"");
  sink.Counter(cpu, cpu_help, f.idle_s, "mode=\"idle\"");
  sink.Counter(cpu, cpu_help, f.steal_s, "mode=\"steal\"");
  const char* memory = "host_memory_bytes";
  sink.Gauge(memory, "of the host", number(f.memory), "state=\"total\"");
  sink.Gauge(memory, "of the host", number(f.memory_available), "state=\"available\"");
  const char* disk = "host_disk_bytes";
  sink.Gauge(disk, "under the run's folder", number(f.disk), "state=\"total\"");
  sink.Gauge(disk, "under the run's folder", number(f.disk_free), "state=\"free\"");
  for (const auto& [allowance, count] : f.exceeded) {
    sink.Counter("host_exceeded_total", "packets beyond the network allowance", count,
                 fmt::format("allowance=\"{}\"", allowance));
  }
}

std::optional<HostFacts> HostFactsOf(const Values& values) {
  HostFacts f;
  ForEachLabel(values, "host_machine", [&](std::string_view host, double machine) {
    f.name = host;
    f.machine = Whole(machine);
  });
  if (f.name.empty()) return std::nullopt;
  f.cpus = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(Whole(ValueOf(values, "host_cpus")), UINT32_MAX));
  f.load = ValueOf(values, "host_load");
  f.busy_s = ValueOf(values, "host_cpu_seconds_total{mode=\"busy\"}");
  f.idle_s = ValueOf(values, "host_cpu_seconds_total{mode=\"idle\"}");
  f.steal_s = ValueOf(values, "host_cpu_seconds_total{mode=\"steal\"}");
  f.memory = Whole(ValueOf(values, "host_memory_bytes{state=\"total\"}"));
  f.memory_available = Whole(ValueOf(values, "host_memory_bytes{state=\"available\"}"));
  f.disk = Whole(ValueOf(values, "host_disk_bytes{state=\"total\"}"));
  f.disk_free = Whole(ValueOf(values, "host_disk_bytes{state=\"free\"}"));
  ForEachLabel(values, "host_exceeded_total", [&](std::string_view allowance, double n) {
    f.exceeded[std::string(allowance)] = n;
  });
  return f;
}

}  // namespace baiwan::monitor
