#include "monitor/host_use.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::monitor {
namespace {

double Share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 1 : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

double HostUse::memory_share() const { return Share(memory_available, memory); }
double HostUse::disk_share() const { return Share(disk_free, disk); }

HostUse HostTracker::Take(const HostFacts& now) {
  HostUse use;
  use.name = now.name;
  use.machine = now.machine;
  use.cpus = now.cpus;
  use.load = now.load;
  use.memory = now.memory;
  use.memory_available = now.memory_available;
  use.disk = now.disk;
  use.disk_free = now.disk_free;
  const auto at = before_.find(now.name);
  if (at == before_.end() && before_.size() >= kMostHosts) return use;
  if (at != before_.end() && at->second.machine == now.machine) {
    const HostFacts& was = at->second;
    const auto rose = [](double before, double after) { return std::max(0.0, after - before); };
    const double busy = rose(was.busy_s, now.busy_s);
    const double steal = rose(was.steal_s, now.steal_s);
    const double all = busy + steal + rose(was.idle_s, now.idle_s);
    if (all > 0) {
      use.busy = busy / all;
      use.steal = steal / all;
    }
    for (const auto& [allowance, count] : now.exceeded) {
      const auto before = was.exceeded.find(allowance);
      const double more = rose(before == was.exceeded.end() ? 0 : before->second, count);
      if (more > 0) use.exceeded[allowance] = more;
    }
  }
  before_[now.name] = now;
  return use;
}

std::string Machine::name() const {
  if (hosts.empty()) return "";
  if (hosts.size() == 1) return hosts.front();
  return fmt::format("{} and {} other{}, one machine", hosts.front(), hosts.size() - 1,
                     hosts.size() == 2 ? "" : "s");
}

void KeepWorst(const HostUse& more, Machine* worst) {
  HostUse& w = worst->use;
  const auto at = std::lower_bound(worst->hosts.begin(), worst->hosts.end(), more.name);
  const bool first = worst->disk_host.empty();
  if (at == worst->hosts.end() || *at != more.name) worst->hosts.insert(at, more.name);
  if (!more.answers) return;
  w.machine = more.machine;
  w.cpus = std::max(w.cpus, more.cpus);
  w.busy = std::max(w.busy, more.busy);
  w.steal = std::max(w.steal, more.steal);
  w.load = std::max(w.load, more.load);
  if (first || more.memory_share() < w.memory_share()) {
    w.memory = more.memory;
    w.memory_available = more.memory_available;
  }
  if (first || more.disk_share() < w.disk_share()) {
    w.disk = more.disk;
    w.disk_free = more.disk_free;
    worst->disk_host = more.name;
  }
  for (const auto& [allowance, count] : more.exceeded) w.exceeded[allowance] += count;
}

std::vector<Machine> MachinesOf(const std::vector<HostUse>& hosts) {
  std::map<std::uint64_t, Machine> by_kernel;
  for (const HostUse& host : hosts) {
    KeepWorst(host, &by_kernel[host.machine]);
  }
  std::vector<Machine> machines;
  machines.reserve(by_kernel.size());
  for (auto& [kernel, machine] : by_kernel) {
    if (machine.disk_host.empty()) continue;
    machine.use.name = machine.name();
    machines.push_back(std::move(machine));
  }
  std::sort(machines.begin(), machines.end(),
            [](const Machine& a, const Machine& b) { return a.hosts.front() < b.hosts.front(); });
  return machines;
}

}  // namespace baiwan::monitor
