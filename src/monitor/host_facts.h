// How the host under a process is: processors, memory, disk, and what its cloud holds back. Small
// cloud machines run out of credit and seem to hang, and nothing in a process's own counters says
// so. One process of each host is given the host's name (`process.host`) and tells these facts at
// its /metrics beside its own, so that nothing is counted twice and nothing more has to be asked.
//
//   baiwan_host_machine{host="worker-007"}        which kernel runs under it, a number: hosts with
//                                                 the same one are parts of one machine
//   baiwan_host_cpus, baiwan_host_load            of the last minute
//   baiwan_host_cpu_seconds_total{mode=…}         busy, idle, steal
//   baiwan_host_memory_bytes{state=…}             total, available
//   baiwan_host_disk_bytes{state=…}               total, free; of the run's folder
//   baiwan_host_exceeded_total{allowance=…}       packets held up or dropped, where EC2 tells it
//
// Threads: one at a time. Failure: what the system does not say is 0 or left out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "monitor/metrics_text.h"

namespace baiwan::monitor {

struct HostFacts {
  std::string name;
  std::uint64_t machine = 0;
  std::uint32_t cpus = 0;
  double busy_s = 0;  // CPU seconds since the machine started
  double idle_s = 0;
  double steal_s = 0;
  double load = 0;
  std::uint64_t memory = 0;  // bytes
  std::uint64_t memory_available = 0;
  std::uint64_t disk = 0;
  std::uint64_t disk_free = 0;             // for users other than root
  std::map<std::string, double> exceeded;  // by allowance, "bw_in"; empty: not told

  bool operator==(const HostFacts&) const = default;
};

// What facts are read from.
class HostWorld {
 public:
  virtual ~HostWorld() = default;
  virtual std::string Read(const std::string& path) = 0;  // empty: cannot be
  struct Space {
    std::uint64_t total = 0;
    std::uint64_t free = 0;
  };
  virtual Space SpaceAt(const std::string& folder) = 0;
  virtual std::map<std::string, std::uint64_t> NetworkCounters() = 0;
};
// The world of this process.
HostWorld& ThisHost();

inline constexpr std::size_t kMostHostName = 64;
// What is wrong with it as a label; empty: nothing.
std::string WrongHostName(std::string_view name);

// `folder`: whose disk counts.
HostFacts ReadHostFacts(HostWorld& world, const std::string& name, const std::string& folder);

class HostMetrics final : public MetricsSource {
 public:
  HostMetrics(std::string name, std::string folder, HostWorld& world = ThisHost())
      : name_(std::move(name)), folder_(std::move(folder)), world_(world) {}
  void WriteMetrics(MetricsSink& sink) const override;

 private:
  const std::string name_;
  const std::string folder_;
  HostWorld& world_;
};

// What HostMetrics told; nothing from a process that does not speak for its host.
std::optional<HostFacts> HostFactsOf(const Values& values);

}  // namespace baiwan::monitor
