#include "monitor/totals.h"

#include <fmt/format.h>

#include "monitor/series.h"

namespace baiwan::monitor {
namespace {

class Totals final : public SeriesVisitor {
 public:
  void OnSample(const Sample& sample) override {
    if (!sample.error.empty()) return;
    Last& last =
        last_[fmt::format("{}/{}/{}", fmt::join(sample.roles, "+"), sample.cell, sample.name)];
    if (last.incarnation != sample.incarnation) last.values.clear();
    last.incarnation = sample.incarnation;
    for (const auto& [key, value] : sample.values) {
      const std::string name = key.substr(0, key.find('{'));
      if (name.size() < 6 || name.compare(name.size() - 6, 6, "_total") != 0) continue;
      double& before = last.values[key];
      totals_[name] += Increase(before, value);
      before = value;
    }
  }
  std::map<std::string, double> Take() { return std::move(totals_); }

 private:
  struct Last {
    std::uint64_t incarnation = 0;
    Values values;
  };
  std::map<std::string, Last> last_;
  std::map<std::string, double> totals_;
};

}  // namespace

Result<std::map<std::string, double>, std::string> CounterTotals(const std::string& series_path) {
  Totals totals;
  const auto unreadable = VisitSeries(series_path, totals);
  if (!unreadable) return unreadable.error();
  return totals.Take();
}

}  // namespace baiwan::monitor
