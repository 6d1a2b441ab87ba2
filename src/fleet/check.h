// Check before starting: whether a plan fits together, and fits what its provider has. Everything
// that would only show as a low count on a board, an hour later and for money, is refused here.
// What it costs is the provider's to say: plan_check.h.
//
// Pure; any thread. Failure: every mistake found, each with the key of the plan and the way out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fleet/plan.h"

namespace baiwan::fleet {

// What is known of a provider's hosts of the plan's type.
struct ProviderFacts {
  std::uint32_t cores = 1;
  std::uint64_t memory_bytes = 0;  // 0: not known
  std::uint64_t disk_bytes = 0;    // free; 0: not known
  bool shared = false;             // all hosts are parts of one machine, and share all of these
  std::uint32_t open_files = 1'048'576;  // the most that a process may be allowed
  std::string architecture = "x86_64";
  std::vector<std::string> packages = {"x86_64"};  // architectures that the program is built for
  // Tools and rights that are not there, each a sentence with the way out.
  std::vector<std::string> missing;
};

// What a host needs, about.
struct HostNeeds {
  std::uint64_t memory_bytes = 0;
  std::uint64_t disk_bytes = 0;     // with what its store needs at most beside messages
  std::uint64_t message_bytes = 0;  // of these, what messages and friends come to in any case

  // Of a disk of this size, what the store keeps free (store.disk_reserve, which plans leave at its
  // default): with less it takes no messages.
  std::uint64_t reserve(std::uint64_t disk) const;
  // With less than this free, the run cannot come to its end.
  std::uint64_t least_disk(std::uint64_t disk) const;

  bool operator==(const HostNeeds&) const = default;
};
// Memory: for each cell 128 MiB for the program and RocksDB, and for each user 512 bytes and 64 a
// friend; for each load client 32 MiB and 16 bytes a friend; for a gateway or relay 64 MiB. Four
// cells of 1,000 users with 30 friends take 50 to 125 MiB for a cell and 25 MiB for a load client.
HostNeeds NeedsOf(const FleetPlan& plan, std::uint32_t worker);
// The largest of the plan's workers.
HostNeeds NeedsOf(const FleetPlan& plan);
// Of the control host: registry, monitor, controller and step engine; results and logs of all.
HostNeeds ControlNeeds();
// From `up` to `down`.
Nanos TimeNeeded(const FleetPlan& plan, const ProviderFacts& facts);

// All that is wrong; the `key` of each names a value of the plan, or is empty where it is not in
// the plan. Never reads what an earlier mistake made senseless, nor judges by facts that are not
// known.
std::vector<ConfigError> CheckPlan(const FleetPlan& plan, const ProviderFacts& facts);

}  // namespace baiwan::fleet
