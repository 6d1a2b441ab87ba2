// Which hosts are in trouble, from what each tells of itself: before the load begins, and beat by
// beat while it goes on. Told by name once when it begins and once when it is over; hosts with the
// same trouble are told together, and parts of one machine as that.
//
//   trouble   begins                                           is over
//   steal     over 10 % of its CPU for 10 s                    under 5 % for 10 s
//   memory    under 10 % available for 10 s                    over 12 % for 10 s
//   disk      under 10 % free, or less than is still to come   over 12 %, and enough
//   network   beyond what its type of machine is allowed       not for 30 s
//   files     before the load: fewer than limits.open_files
//
// Never a flood: after a word about one kind of trouble, the next one about it waits for 30 s, then
// twice as long each time, up to 10 minutes, and says what has changed in between.
//
// Threads: one. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "fleet/check.h"
#include "fleet/host_ready.h"
#include "fleet/notice.h"
#include "fleet/plan.h"
#include "monitor/host_use.h"

namespace baiwan::fleet {

struct HostBeat {
  std::int64_t at_ms = 0;  // wall clock
  std::vector<monitor::HostUse> hosts;
  double done = 0;  // of all messages, 0 … 1
};

// Why the host cannot take its part of the run; empty: it can. Of a host that has nothing of the
// run yet.
std::string CannotBe(const HostNeeds& needs, const monitor::HostUse& use);

class HostWatch {
 public:
  // Goes on where `told`, of an earlier watch of this run, has ended.
  explicit HostWatch(const FleetPlan& plan, const std::vector<Notice>& told = {});

  std::vector<Notice> Before(const std::vector<HostReady>& hosts, std::int64_t now_ms);
  std::vector<Notice> Look(const HostBeat& beat);

  // Of the host with this name.
  const HostNeeds& needs(const std::string& host) const;

 private:
  enum class Level : std::uint8_t { kGood, kBetween, kBad };
  struct Finding {
    std::string name;  // the host, or "control and 4 others, one machine"
    Level level = Level::kGood;
    double badness = 0;  // worst first
    std::string value;
  };
  // By host, or by the first one of a machine: what that is called changes as hosts come and go.
  using Findings = std::map<std::string, Finding>;
  struct Seen {
    bool bad = false;
    std::int64_t since_ms = 0;  // bad or good
    std::string told_as;        // that it is bad; empty: it has not been told
    Finding last;
  };
  struct Kind {
    const char* name;
    const char* begins;
    const char* over;
    std::int64_t bad_for_ms;
    std::int64_t good_for_ms;
    std::map<std::string, Seen> seen;
    std::int64_t quiet_until_ms = 0;
    std::int64_t quiet_ms = 0;
  };

  Kind& Of(const char* name);
  void Take(Kind* kind, const Findings& findings, std::int64_t from_ms, std::int64_t now_ms);
  void Tell(Kind* kind, bool at_once, std::int64_t now_ms, std::vector<Notice>* notices);
  Findings Disks(const std::vector<monitor::HostUse>& hosts, double done, bool imported) const;

  std::uint32_t open_files_;
  std::map<std::string, HostNeeds> needs_;
  std::vector<Kind> kinds_;
  std::int64_t looked_ms_ = 0;
};

}  // namespace baiwan::fleet
