#include "fleet/host_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace baiwan::fleet {
namespace {

using monitor::HostUse;
using monitor::Machine;

constexpr double kStealOver = 0.05;
constexpr double kMemoryOver = 0.12;
constexpr double kDiskOver = 0.12;
constexpr std::int64_t kHoldMs = 10'000;  // shorter is chance: a compaction, a neighbour's cron
constexpr std::int64_t kNetworkOverMs = 30'000;
constexpr std::int64_t kQuietMs = 30'000;
constexpr std::int64_t kMostQuietMs = 600'000;
constexpr double kGiB = 1024.0 * 1024 * 1024;

std::string Percent(double share) { return fmt::format("{:.0f} %", share * 100); }
std::string Size(std::uint64_t bytes) {
  if (static_cast<double>(bytes) < kGiB) return fmt::format("{} MiB", bytes >> 20);
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / kGiB);
}

}  // namespace

std::string CannotBe(const HostNeeds& needs, const HostUse& use) {
  if (use.memory > 0 && use.memory_available < needs.memory_bytes) {
    return fmt::format(
        "{} of memory are available and its part of the run needs about {}: end what else runs "
        "there, take larger hosts, or lower hosts.users_per_host",
        Size(use.memory_available), Size(needs.memory_bytes));
  }
  const std::uint64_t least = needs.least_disk(use.disk);
  if (use.disk > 0 && use.disk_free < least) {
    const std::uint64_t kept = needs.reserve(use.disk);
    return fmt::format(
        "{} of disk are free and its part of the run needs {}{}: make room, take larger disks, or "
        "lower hosts.users_per_host or workload.rounds",
        Size(use.disk_free), Size(least - kept),
        kept > 0 ? fmt::format(", beside the {} that store.disk_reserve keeps", Size(kept)) : "");
  }
  return "";
}

HostWatch::HostWatch(const FleetPlan& plan, const std::vector<Notice>& told)
    : open_files_(plan.limits.open_files) {
  needs_[kControl] = IsOther(plan) ? HostNeeds{} : ControlNeeds();
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    needs_[WorkerName(i)] = IsOther(plan) ? HostNeeds{} : NeedsOf(plan, i);
  }
  kinds_ = {
      {"steal",
       "steal over 10 %: CPU is kept from them, as when burst credits are gone",
       "steal is under 5 % again",
       kHoldMs,
       kHoldMs,
       {}},
      {"memory",
       "under 10 % of memory available",
       "over 12 % of memory available again",
       kHoldMs,
       kHoldMs,
       {}},
      {"disk", "the disk is running out", "there is room on the disk again", 0, 0, {}},
      {"network",
       "beyond the network allowance of their type: packets wait or are dropped",
       "within the network allowance again",
       0,
       kNetworkOverMs,
       {}},
      {"files", "a process may open fewer files than limits.open_files", "", 0, 0, {}},
  };
  for (const Notice& notice : told) {
    for (Kind& kind : kinds_) {
      if (notice.kind != kind.name) continue;
      for (const std::string& host : notice.hosts) {
        Seen& seen = kind.seen[host.substr(0, host.find(' '))];
        seen.bad = !notice.over;
        seen.told_as = notice.over ? "" : host;
        seen.since_ms = notice.at_ms;
      }
    }
  }
}

const HostNeeds& HostWatch::needs(const std::string& host) const {
  static const HostNeeds none;
  const auto at = needs_.find(host);
  return at == needs_.end() ? none : at->second;
}

HostWatch::Kind& HostWatch::Of(const char* name) {
  return *std::find_if(kinds_.begin(), kinds_.end(),
                       [&](const Kind& kind) { return std::strcmp(kind.name, name) == 0; });
}

// Hosts of one kernel with disks of the same size are taken to share one, which has to hold what
// comes to all of them.
HostWatch::Findings HostWatch::Disks(const std::vector<HostUse>& hosts, double done,
                                     bool imported) const {
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<Machine, std::uint64_t>> disks;
  for (const HostUse& host : hosts) {
    if (host.disk == 0) continue;
    auto& [disk, to_come] = disks[{host.machine, host.disk}];
    monitor::KeepWorst(host, &disk);
    const HostNeeds& n = needs(host.name);
    to_come += imported ? static_cast<std::uint64_t>(static_cast<double>(n.message_bytes) *
                                                     std::clamp(1 - done, 0.0, 1.0))
                        : n.disk_bytes;
  }
  Findings findings;
  for (const auto& [key, one] : disks) {
    const auto& [disk, to_come] = one;
    const HostUse& use = disk.use;
    if (disk.disk_host.empty()) continue;  // nobody answers
    std::uint64_t kept = 0;                // by any store on it; the control host has none
    for (const std::string& host : disk.hosts) {
      kept = std::max(kept, needs(host).reserve(use.disk));
    }
    const bool enough = to_come == 0 || use.disk_free >= kept + to_come;
    Finding& found = findings[disk.hosts.front()];
    found.name = disk.name();
    found.level = !enough || use.disk_share() < monitor::kLeastDisk ? Level::kBad
                  : use.disk_share() < kDiskOver                    ? Level::kBetween
                                                                    : Level::kGood;
    found.badness = 1 - use.disk_share();
    found.value = enough ? fmt::format("{} free", Percent(use.disk_share()))
                         : fmt::format("{} free, {} to come and {} kept free", Size(use.disk_free),
                                       Size(to_come), Size(kept));
  }
  return findings;
}

void HostWatch::Take(Kind* kind, const Findings& findings, std::int64_t from_ms,
                     std::int64_t now_ms) {
  for (const auto& [host, found] : findings) {
    Seen& seen = kind->seen[host];
    const bool first = seen.since_ms == 0;
    const bool bad =
        found.level == Level::kBad || (found.level == Level::kBetween && seen.bad && !first);
    if (first || bad != seen.bad) seen.since_ms = std::min(from_ms, now_ms);
    seen.bad = bad;
    seen.last = found;
  }
}

void HostWatch::Tell(Kind* kind, bool at_once, std::int64_t now_ms, std::vector<Notice>* notices) {
  std::vector<Seen*> begun;
  std::vector<Seen*> over;
  for (auto& [host, seen] : kind->seen) {
    const std::int64_t lasted = now_ms - seen.since_ms;
    const bool told = !seen.told_as.empty();
    if (seen.bad && !told && (at_once || lasted >= kind->bad_for_ms)) {
      begun.push_back(&seen);
    } else if (!seen.bad && told && lasted >= kind->good_for_ms) {
      over.push_back(&seen);
    }
  }
  if ((begun.empty() && over.empty()) || (!at_once && now_ms < kind->quiet_until_ms)) return;
  kind->quiet_ms = std::clamp(kind->quiet_ms * 2, kQuietMs, kMostQuietMs);
  kind->quiet_until_ms = now_ms + kind->quiet_ms;
  std::stable_sort(begun.begin(), begun.end(),
                   [](const Seen* a, const Seen* b) { return a->last.badness > b->last.badness; });
  if (!begun.empty()) {
    Notice& notice = notices->emplace_back();
    notice.at_ms = now_ms;
    notice.kind = kind->name;
    notice.text = kind->begins;
    for (Seen* seen : begun) {
      notice.hosts.push_back(seen->last.name);
      notice.values.push_back(seen->last.value);
      seen->told_as = seen->last.name;
    }
  }
  if (over.empty()) return;
  Notice& notice = notices->emplace_back();
  notice.at_ms = now_ms;
  notice.kind = kind->name;
  notice.over = true;
  notice.text = kind->over;
  for (Seen* seen : over) notice.hosts.push_back(std::exchange(seen->told_as, ""));
}

std::vector<Notice> HostWatch::Before(const std::vector<HostReady>& hosts, std::int64_t now_ms) {
  std::vector<HostUse> uses;
  Findings files;
  for (const HostReady& host : hosts) {
    uses.push_back(host.use);
    if (host.open_files == 0) continue;
    files[host.use.name] = {
        host.use.name, host.open_files < open_files_ ? Level::kBad : Level::kGood,
        1.0 / static_cast<double>(host.open_files), fmt::format("{}", host.open_files)};
  }
  Findings steal;
  Findings memory;
  for (const Machine& machine : monitor::MachinesOf(uses)) {
    const HostUse& u = machine.use;
    steal[machine.hosts.front()] = {u.name,
                                    u.steal > monitor::kMostSteal ? Level::kBad : Level::kGood,
                                    u.steal, Percent(u.steal)};
    const double left = u.memory_share();
    memory[machine.hosts.front()] = {
        u.name, left < monitor::kLeastMemory ? Level::kBad : Level::kGood, 1 - left, Percent(left)};
  }
  std::vector<Notice> notices;
  const auto tell = [&](const char* kind, const Findings& findings) {
    Take(&Of(kind), findings, now_ms, now_ms);
    Tell(&Of(kind), true, now_ms, &notices);
  };
  tell("steal", steal);
  tell("memory", memory);
  tell("disk", Disks(uses, 0, false));
  tell("files", files);
  return notices;
}

std::vector<Notice> HostWatch::Look(const HostBeat& beat) {
  const std::int64_t from = looked_ms_ == 0 ? beat.at_ms : looked_ms_;
  looked_ms_ = beat.at_ms;
  Findings steal;
  Findings memory;
  Findings network;
  for (const Machine& machine : monitor::MachinesOf(beat.hosts)) {
    const HostUse& u = machine.use;
    steal[machine.hosts.front()] = {u.name,
                                    u.steal > monitor::kMostSteal ? Level::kBad
                                    : u.steal > kStealOver        ? Level::kBetween
                                                                  : Level::kGood,
                                    u.steal, Percent(u.steal)};
    const double left = u.memory_share();
    memory[machine.hosts.front()] = {u.name,
                                     left < monitor::kLeastMemory ? Level::kBad
                                     : left < kMemoryOver         ? Level::kBetween
                                                                  : Level::kGood,
                                     1 - left, Percent(left)};
  }
  for (const HostUse& host : beat.hosts) {
    if (!host.answers) continue;
    Finding& found = network[host.name];
    found.name = host.name;
    for (const auto& [allowance, count] : host.exceeded) {
      found.level = Level::kBad;
      if (count <= found.badness) continue;
      found.badness = count;
      found.value = fmt::format("{} +{:.0f}", allowance, count);
    }
  }
  std::vector<Notice> notices;
  const auto tell = [&](const char* kind, const Findings& findings) {
    Take(&Of(kind), findings, from, beat.at_ms);
    Tell(&Of(kind), false, beat.at_ms, &notices);
  };
  tell("steal", steal);
  tell("memory", memory);
  tell("disk", Disks(beat.hosts, beat.done, true));
  tell("network", network);
  return notices;
}

}  // namespace baiwan::fleet
