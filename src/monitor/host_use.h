// How hosts fare between two looks, and which of them are parts of one machine: those share
// processors and memory, so what is said of these is said once.
//
// Threads: one. Pure. Bounds: kMostHosts hosts are known, others are passed over.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "monitor/host_facts.h"

namespace baiwan::monitor {

inline constexpr std::size_t kMostHosts = 4096;

// From here on a host is in trouble. Steal: at a tenth, rates and latencies are the cloud's, not
// the program's. Memory and disk: what is left is gone in a burst (a memory table and a compaction
// take hundreds of MiB), and a disk this full is slow before it is full.
inline constexpr double kMostSteal = 0.10;
inline constexpr double kLeastMemory = 0.10;
inline constexpr double kLeastDisk = 0.10;

struct HostUse {
  std::string name;
  std::uint64_t machine = 0;
  std::uint32_t cpus = 0;
  double busy = 0;   // of all CPU time since the look before, 0 … 1; steal is not in it
  double steal = 0;  // 0 … 1
  double load = 0;
  std::uint64_t memory = 0;  // bytes
  std::uint64_t memory_available = 0;
  std::uint64_t disk = 0;
  std::uint64_t disk_free = 0;
  std::map<std::string, double> exceeded;  // since the look before; those that rose
  bool answers = true;                     // else this is the last that is known

  double memory_share() const;  // available, 0 … 1; 1 where nothing is known
  double disk_share() const;    // free, likewise
};

class HostTracker {
 public:
  // The first look at a host, and the one after its start, know nothing of its CPU.
  HostUse Take(const HostFacts& now);

 private:
  std::map<std::string, HostFacts> before_;
};

// Several hosts on one kernel, or a host that has one of its own.
struct Machine {
  std::vector<std::string> hosts;  // sorted
  HostUse use;                     // the worst of each fact; exceeded: their sum
  std::string disk_host;           // whose disk that is; empty: nobody has answered

  // "worker-003", or "control and 40 others, one machine"
  std::string name() const;
};
// In the order of their first hosts. Who does not answer is only named, and a machine of which
// nobody does is left out.
std::vector<Machine> MachinesOf(const std::vector<HostUse>& hosts);
// `more` into `worst`, which is of the same machine; of a host that does not answer only its name.
void KeepWorst(const HostUse& more, Machine* worst);

}  // namespace baiwan::monitor
