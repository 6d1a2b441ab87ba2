// What the load clients came to, in the result of the run.
#include <fmt/format.h>

#include "stress/result.h"

namespace baiwan::stress {

void TakeLoad(const DriveResults& load_clients, RunResult* r) {
  DriveResult all;
  for (const auto& [name, one] : load_clients) {
    all.Merge(one);
    if (!one.broken.empty()) r->problems.push_back(name + ": " + one.broken);
  }
  for (const auto& [code, count] : all.failures) {
    r->problems.push_back(
        fmt::format("{} submissions were refused with {}, which should not be: {}", count, code,
                    all.first_failure));
  }
  if (all.behind_ledger > 0) {
    r->problems.push_back(
        fmt::format("for {} users a server knew less than had been told before: messages were lost",
                    all.behind_ledger));
  }
  if (all.first_submit_ms > 0 && all.last_ack_ms > all.first_submit_ms) {
    r->phase_seconds.run = static_cast<double>(all.last_ack_ms - all.first_submit_ms) / 1000;
    r->rate_per_s = static_cast<double>(r->messages.acknowledged) / r->phase_seconds.run;
  }
  r->steady = SteadyOf(load_clients);
  for (const auto& [cell, count] : all.began_without) {
    r->warnings.push_back(
        fmt::format("the load client of {} was not there when {} others began", cell, count));
  }
  r->offer = OfferOf(load_clients);
  if (r->offer.planned_per_s > 0 && r->offer.valid) {
    r->latency_stored = LatencyOf(all.stored_latency);
    r->latency_delivered = LatencyOf(all.delivered_latency);
  }
  if (r->exit_code == 0 && !r->offer.valid) r->exit_code = kExitNotAsPlanned;
}

}  // namespace baiwan::stress
