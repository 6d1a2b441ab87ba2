#include <algorithm>

#include "fleet/check.h"
#include "fleet/layout.h"
#include "stress/estimate.h"

namespace baiwan::fleet {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kCell = 128 * kMiB;
constexpr std::uint64_t kUser = 512;
constexpr std::uint64_t kFriend = 64;
constexpr std::uint64_t kLoad = 32 * kMiB;
constexpr std::uint64_t kLoadFriend = 16;
constexpr std::uint64_t kForwarding = 64 * kMiB;
constexpr std::uint64_t kSystem = 256 * kMiB;  // disk: package, logs, results
// Making hosts, deploying, stopping, collecting and destroying; a host more costs the control
// host's time.
constexpr Nanos kSteps = 300 * kSecond;
constexpr Nanos kStepsPerHost = 3 * kSecond;

}  // namespace

HostNeeds NeedsOf(const FleetPlan& plan) {
  const stress::WorkloadSpec spec = WorkloadOf(plan);
  stress::WorkloadSpec one = spec;
  one.cells = 1;
  const std::uint64_t relations = stress::TotalRelations(one);
  HostNeeds most;
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    const Job job = JobOf(plan, i);
    HostNeeds needs{0, kSystem};
    if (job.has_store()) {
      needs.memory_bytes += kCell + kUser * spec.users_per_cell + kFriend * relations;
      needs.disk_bytes += stress::DiskOf(one, 1);
    } else {
      needs.memory_bytes += kForwarding * job.count;
    }
    if (job.has_load()) needs.memory_bytes += job.count * (kLoad + kLoadFriend * relations);
    most.memory_bytes = std::max(most.memory_bytes, needs.memory_bytes);
    most.disk_bytes = std::max(most.disk_bytes, needs.disk_bytes);
  }
  return most;
}

Nanos TimeNeeded(const FleetPlan& plan, const ProviderFacts& facts) {
  const std::uint32_t machines = facts.shared ? 1 : CellsOf(plan);
  return kSteps + plan.hosts.count * kStepsPerHost +
         stress::TimeFor(WorkloadOf(plan), static_cast<double>(plan.load.rate), machines);
}

}  // namespace baiwan::fleet
