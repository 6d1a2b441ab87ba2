// The health of a run's hosts, on its control host: what each host told before it was used, and
// from then on the monitor's record, which is read as it grows. So watching asks nobody anything
// that the monitor has not asked already.
//
// Threads: one. Failure: a record that cannot be read says nothing. Bounds: 4 MiB of the record a
// call.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fleet/host_watch.h"
#include "fleet/journey.h"
#include "monitor/series.h"

namespace baiwan::fleet {

// The beats of a monitor's record, one by one.
class HostBeats final : private monitor::SeriesVisitor {
 public:
  // Begins where the file ends now: what is before was for an earlier controller.
  explicit HostBeats(std::string series);
  std::vector<HostBeat> New();

 private:
  void OnSample(const monitor::Sample& sample) override;
  void OnBeat(const monitor::Beat& beat) override;

  struct Load {
    double messages = 0;
    double delivered = 0;
  };
  const std::string series_;
  std::uint64_t read_ = 0;
  std::string begun_;  // a line whose end has not come yet
  monitor::HostTracker tracker_;
  std::map<std::string, monitor::HostUse> hosts_;
  std::map<std::string, Load> loads_;  // of each load client
  std::vector<HostBeat> beats_;
};

class Health {
 public:
  Health(const FleetPlan& plan, std::string series, const std::vector<Notice>& told);

  // What a host told when the package had come to it. The reason why it cannot be used, or "".
  std::string Ready(const HostReady& host);
  // To be called often; looks once a second.
  std::vector<Notice> Look(const Journey& journey, std::int64_t now_ms);

 private:
  HostWatch watch_;
  HostBeats beats_;
  std::map<std::string, HostReady> ready_;  // not yet told of
  std::int64_t next_ms_ = 0;
};

}  // namespace baiwan::fleet
