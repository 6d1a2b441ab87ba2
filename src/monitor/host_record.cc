#include "monitor/host_record.h"

#include <algorithm>

#include "monitor/series.h"

namespace baiwan::monitor {
namespace {

class Reader final : public SeriesVisitor {
 public:
  void OnSample(const Sample& sample) override {
    const auto facts = HostFactsOf(sample.values);
    if (!facts) return;
    if (machines_.size() >= kMostHosts && machines_.count(facts->machine) == 0) return;
    KeepWorst(tracker_.Take(*facts), &machines_[facts->machine]);
    // Of a machine with several hosts one is enough.
    const auto [at, is_new] = first_.try_emplace(facts->machine, *facts);
    if (!is_new && at->second.name == facts->name) last_[facts->machine] = *facts;
  }

  HostRecord Take() {
    HostRecord record;
    double steal = 0;
    double all = 0;
    for (auto& [kernel, machine] : machines_) {
      machine.use.name = machine.name();
      const HostFacts& from = first_.at(kernel);
      const auto to = last_.find(kernel);
      if (to != last_.end()) {
        const auto rose = [](double before, double after) { return std::max(0.0, after - before); };
        const double stolen = rose(from.steal_s, to->second.steal_s);
        steal += stolen;
        all += stolen + rose(from.busy_s, to->second.busy_s) + rose(from.idle_s, to->second.idle_s);
      }
      record.machines.push_back(std::move(machine));
    }
    if (all > 0) record.steal_share = steal / all;
    std::sort(record.machines.begin(), record.machines.end(),
              [](const Machine& a, const Machine& b) { return a.hosts.front() < b.hosts.front(); });
    return record;
  }

 private:
  HostTracker tracker_;
  std::map<std::uint64_t, Machine> machines_;
  std::map<std::uint64_t, HostFacts> first_;
  std::map<std::uint64_t, HostFacts> last_;
};

}  // namespace

Result<HostRecord, std::string> ReadHostRecord(const std::string& series_path) {
  Reader reader;
  const auto unreadable = VisitSeries(series_path, reader);
  if (!unreadable) return unreadable.error();
  return reader.Take();
}

}  // namespace baiwan::monitor
