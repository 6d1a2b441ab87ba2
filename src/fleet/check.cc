#include "fleet/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "fleet/layout.h"

namespace baiwan::fleet {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSpareFiles = 1024;  // of a process: tables, logs, links
constexpr std::uint32_t kLastPort = 65'535;
constexpr Nanos kLeastSilence = 15 * kSecond;

std::uint64_t InMiB(std::uint64_t bytes) { return (bytes + kMiB - 1) / kMiB; }
Nanos Minutes(Nanos time) { return (time + 60 * kSecond - 1) / (60 * kSecond); }

class Checker {
 public:
  Checker(const FleetPlan& plan, const ProviderFacts& facts) : p_(plan), f_(facts) {}

  std::vector<ConfigError> Run() {
    const std::string run = WrongRunName(p_.run);
    if (!run.empty()) Wrong("run", run);
    for (const std::string& missing : f_.missing) Wrong("", missing);
    Architecture();
    Addresses();
    Silence();
    const std::string roles = WrongRoles(p_);
    if (!roles.empty()) Wrong("roles.layout", roles);
    if (IsOther(p_)) return std::move(errors_);  // what it needs is not known
    PortsOf(ListeningOnControl(p_), "the control host");
    if (roles.empty()) WorkersPorts();
    Files();
    MemoryOfHosts();
    // How many cells there are, and what they need, follows from what was found right so far.
    if (!roles.empty() || !Workload()) return std::move(errors_);
    MemoryForUsers();
    Disk();
    Time();
    return std::move(errors_);
  }

 private:
  void Wrong(std::string key, std::string what) {
    errors_.push_back({"", std::move(key), std::move(what)});
  }

  void Architecture() {
    if (p_.hosts.architecture != f_.architecture) {
      Wrong("hosts.architecture",
            fmt::format("the plan says {}, and hosts of type '{}' are {}: change one of them",
                        p_.hosts.architecture, p_.hosts.type, f_.architecture));
    }
    const auto& built = f_.packages;
    if (std::find(built.begin(), built.end(), p_.hosts.architecture) == built.end()) {
      Wrong("hosts.architecture",
            fmt::format("there is no package for {}, only for {}: build one there, or take hosts "
                        "of another type",
                        p_.hosts.architecture, fmt::join(built, ", ")));
    }
  }

  // Subnets first: addresses are looked up in those that are right.
  void Addresses() {
    const Range vpc = *ParseRange(p_.network.vpc);
    std::vector<Range> subnets;
    for (const std::string& text : p_.network.subnets) {
      const Range subnet = *ParseRange(text);
      if (!vpc.Holds(subnet)) {
        Wrong("network.subnets",
              fmt::format("{} is not in {}: choose a part of network.vpc", text, p_.network.vpc));
      }
      for (const Range& other : subnets) {
        if (!subnet.Overlaps(other)) continue;
        Wrong("network.subnets", fmt::format("{} and {} overlap: give each addresses of its own",
                                             other.ToString(), text));
      }
      subnets.push_back(subnet);
    }
    const Address control = ControlAddress(p_);
    HostAddress("network.control", control, subnets);
    const Range* home = HostAddress("network.workers_from", WorkerAddress(p_, 0), subnets);
    if (home == nullptr) return;
    const Address first = WorkerAddress(p_, 0);
    const std::uint64_t room = std::uint64_t{home->last()} - first;  // the last one is reserved
    if (p_.hosts.count > room) {
      Wrong("hosts.count",
            fmt::format("{} workers from {} on, and {} has room for {}: begin earlier, or take a "
                        "larger subnet",
                        p_.hosts.count, FormatAddress(first), home->ToString(), room));
    }
    if (control >= first && control - first < p_.hosts.count) {
      Wrong("network.control", fmt::format("{} is also the address of {}: move one of them",
                                           p_.network.control, WorkerName(control - first)));
    }
  }

  // The subnet that it is in; null, and an error, if no host may have it.
  const Range* HostAddress(const char* key, Address address, const std::vector<Range>& subnets) {
    for (const Range& subnet : subnets) {
      if (!subnet.Holds(address)) continue;
      const std::string reserved = Reserved(subnet, address);
      if (reserved.empty()) return &subnet;
      Wrong(key, fmt::format("{} in {}: {}", FormatAddress(address), subnet.ToString(),
                             reserved + "; take one from the fifth on"));
      return nullptr;
    }
    Wrong(key, fmt::format("{} is in none of the subnets {}: choose another, or add its subnet",
                           FormatAddress(address), fmt::join(p_.network.subnets, ", ")));
    return nullptr;
  }

  void WorkersPorts() {
    std::vector<std::string> seen;
    for (std::uint32_t i = 0; i < p_.hosts.count; ++i) {
      const Job job = JobOf(p_, i);
      // Hosts that do the same have the same ports.
      const std::string same = fmt::format("{} {}", job.role, job.count);
      if (std::find(seen.begin(), seen.end(), same) != seen.end()) continue;
      seen.push_back(same);
      PortsOf(ListeningFor(p_, job), WorkerName(i));
    }
  }

  void PortsOf(const std::vector<Listening>& all, const std::string& host) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Listening& b = all[i];
      if (b.first + b.count - 1 > kLastPort) {
        Wrong(b.key, fmt::format("{} ports from {} on {} go beyond {}: begin lower", b.count,
                                 b.first, host, kLastPort));
      }
      for (std::size_t j = 0; j < i; ++j) {
        const Listening& a = all[j];
        if (a.first >= b.first + b.count || b.first >= a.first + a.count) continue;
        Wrong(b.key, fmt::format("port {} on {} is taken by {}: give one of them another",
                                 std::max(a.first, b.first), host, a.key));
      }
    }
  }

  void Files() {
    if (p_.limits.open_files > f_.open_files) {
      Wrong("limits.open_files",
            fmt::format("{} is more than the {} that a process may have there: lower it",
                        p_.limits.open_files, f_.open_files));
    }
    if (p_.limits.open_files < kSpareFiles + 2 * std::uint64_t{p_.load.concurrency}) {
      Wrong("load.concurrency",
            fmt::format("{} users at a time need {} open files, and limits.open_files is {}: raise "
                        "that, or lower this to {}",
                        p_.load.concurrency, kSpareFiles + 2 * std::uint64_t{p_.load.concurrency},
                        p_.limits.open_files, (p_.limits.open_files - kSpareFiles) / 2));
    }
  }

  bool Workload() {
    const std::size_t before = errors_.size();
    const stress::WorkloadSpec spec = WorkloadOf(p_);
    if (spec.cells > spec.partitions) {
      Wrong("workload.partitions", fmt::format("{} partitions cannot be shared by {} cells: raise "
                                               "it to at least {}",
                                               spec.partitions, spec.cells, spec.cells));
    }
    if (spec.friends_in_cell + spec.friends_cross == 0) {
      Wrong("workload.friends_in_cell", "nobody has a friend, so nothing would be sent: raise it");
    } else {
      // With as many partitions as it takes, so that what has been said is not said again.
      stress::WorkloadSpec rest = spec;
      rest.partitions = std::max(rest.partitions, rest.cells);
      for (std::string& wrong : stress::AllMistakes(rest)) Wrong("workload", std::move(wrong));
    }
    if (p_.load.rate > 0 && p_.load.rate < spec.cells) {
      Wrong("load.rate", fmt::format("{} is less than one message a second for each of {} cells: "
                                     "raise it, or take 0",
                                     p_.load.rate, spec.cells));
    }
    return errors_.size() == before;
  }

  void MemoryForUsers() {
    const std::uint64_t needed = NeedsOf(p_).memory_bytes;
    if (needed <= p_.limits.memory) return;
    Wrong("limits.memory",
          fmt::format("{} users of a host need about {} MiB (from their number, their friends, "
                      "and what its processes take), and the limit is {} MiB: raise it, or lower "
                      "hosts.users_per_host",
                      p_.hosts.users_per_host, InMiB(needed), p_.limits.memory / kMiB));
  }

  // What is not known, since something else is missing that has been said, is not judged.
  void MemoryOfHosts() {
    if (f_.memory_bytes == 0) return;
    const std::uint64_t hosts = f_.shared ? p_.hosts.count + std::uint64_t{1} : 1;
    const std::uint64_t usable = f_.memory_bytes / 10 * 8;  // the rest is the system's
    if (hosts * p_.limits.memory <= usable) return;
    Wrong("limits.memory",
          fmt::format("{} × {} MiB is more than the {} MiB that {} has for it: lower it to {} "
                      "MiB, {}",
                      hosts, p_.limits.memory / kMiB, usable / kMiB,
                      f_.shared ? "the machine" : "a host", usable / hosts / kMiB,
                      f_.shared ? "or take fewer hosts" : "or take larger hosts"));
  }

  void Disk() {
    const std::uint64_t hosts = f_.shared ? p_.hosts.count : 1;
    const std::uint64_t needed = hosts * NeedsOf(p_).disk_bytes;
    if (f_.disk_bytes == 0 || needed <= f_.disk_bytes) return;
    Wrong("hosts.users_per_host",
          fmt::format("{} with {} users each need about {} MiB of disk, and {} MiB are free: lower "
                      "it or workload.rounds, or make room",
                      hosts == 1 ? "hosts" : fmt::format("{} hosts", hosts),
                      p_.hosts.users_per_host, InMiB(needed), f_.disk_bytes / kMiB));
  }

  void Silence() {
    if (p_.limits.silence > 0 && p_.limits.silence < kLeastSilence) {
      Wrong(
          "limits.silence",
          fmt::format("{} is less than a controller may need to begin again: take at least {}, or "
                      "0s for never",
                      FormatDuration(p_.limits.silence), FormatDuration(kLeastSilence)));
    }
  }

  void Time() {
    const Nanos time = TimeNeeded(p_, f_);
    if (time > p_.deadline) {
      Wrong("deadline",
            fmt::format("the run is given about {} minutes, and everything is destroyed "
                        "after {}: raise it to \"{}m\", or send less",
                        Minutes(time), FormatDuration(p_.deadline), Minutes(time)));
    }
  }

  const FleetPlan& p_;
  const ProviderFacts& f_;
  std::vector<ConfigError> errors_;
};

}  // namespace

std::vector<ConfigError> CheckPlan(const FleetPlan& plan, const ProviderFacts& facts) {
  return Checker(plan, facts).Run();
}

}  // namespace baiwan::fleet
