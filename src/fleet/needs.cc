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
constexpr std::uint64_t kControlMemory = 128 * kMiB;
constexpr std::uint64_t kSystem = 256 * kMiB;  // disk: package, logs, results
constexpr std::uint64_t kReserve = 1024 * kMiB;
constexpr std::uint64_t kReservePercent = 5;
// Making hosts, deploying, stopping, collecting and destroying; a host more costs the control
// host's time.
constexpr Nanos kSteps = 300 * kSecond;
constexpr Nanos kStepsPerHost = 3 * kSecond;

}  // namespace

std::uint64_t HostNeeds::reserve(std::uint64_t disk) const {
  return message_bytes == 0 ? 0 : std::max(kReserve, disk / 100 * kReservePercent);
}

std::uint64_t HostNeeds::least_disk(std::uint64_t disk) const {
  return message_bytes == 0 ? disk_bytes : reserve(disk) + message_bytes;
}

HostNeeds NeedsOf(const FleetPlan& plan, std::uint32_t worker) {
  stress::WorkloadSpec one = WorkloadOf(plan);
  one.cells = 1;
  const std::uint64_t relations = stress::TotalRelations(one);
  const Job job = JobOf(plan, worker);
  HostNeeds needs;
  needs.disk_bytes = kSystem;
  if (job.has_store()) {
    needs.memory_bytes += kCell + kUser * one.users_per_cell + kFriend * relations;
    needs.disk_bytes += stress::DiskOf(one, 1);
    needs.message_bytes = stress::DiskOf(one, 0);
  } else {
    needs.memory_bytes += kForwarding * job.count;
  }
  if (job.has_load()) needs.memory_bytes += job.count * (kLoad + kLoadFriend * relations);
  return needs;
}

HostNeeds NeedsOf(const FleetPlan& plan) {
  HostNeeds most;
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    const HostNeeds needs = NeedsOf(plan, i);
    most.memory_bytes = std::max(most.memory_bytes, needs.memory_bytes);
    most.disk_bytes = std::max(most.disk_bytes, needs.disk_bytes);
    most.message_bytes = std::max(most.message_bytes, needs.message_bytes);
  }
  return most;
}

HostNeeds ControlNeeds() { return {kControlMemory, kSystem, 0}; }

Nanos TimeNeeded(const FleetPlan& plan, const ProviderFacts& facts) {
  const std::uint32_t machines = facts.shared ? 1 : CellsOf(plan);
  return kSteps + plan.hosts.count * kStepsPerHost +
         stress::TimeFor(WorkloadOf(plan), static_cast<double>(plan.load.rate), machines);
}

}  // namespace baiwan::fleet
