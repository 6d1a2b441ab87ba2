#include "stress/offer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace baiwan::stress {
namespace {

constexpr std::size_t kNamed = 4;

double OfferedBy(const DriveResult& r) {
  if (r.scheduled == 0) return 0;
  const double planned_seconds = static_cast<double>(r.scheduled) / r.planned_rate;
  const std::uint64_t ms = r.last_offer_ms > r.first_due_ms ? r.last_offer_ms - r.first_due_ms : 0;
  const double grace = static_cast<double>(kRateGrace) / kSecond;
  const double seconds = std::max(planned_seconds, static_cast<double>(ms) / 1000 - grace);
  const std::uint64_t in_time = r.offered - std::min(r.offered, r.scheduled_late);
  return std::min(r.planned_rate, static_cast<double>(in_time) / seconds);
}

// Who is to be helped: the load client, or the backend that did not take more.
bool LateByItself(const DriveResult& r) {
  return static_cast<double>(r.scheduled_late) >
         (1 - kLeastOffered) / 2 * static_cast<double>(r.scheduled);
}

std::string Names(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + names[i];
  }
  if (names.size() > kNamed) text += fmt::format(" and {} more", names.size() - kNamed);
  return text;
}

std::string Shortage(const DriveResults& clients) {
  std::map<std::string, std::uint64_t> missing;
  std::map<std::string, std::vector<std::string>> whom;
  for (const auto& [name, result] : clients) {
    for (const auto& [what, count] : result.exhausted) {
      missing[what] += count;
      whom[what].push_back(name);
    }
  }
  std::string text;
  for (const auto& [what, count] : missing) {
    text += fmt::format("{}{} connections of {} were not made: {}", text.empty() ? "" : "; ", count,
                        Names(whom[what]), WayOutOf(what));
  }
  return text;
}

std::string TooLittle(const RunOffer& offer, const DriveResults& clients) {
  std::vector<std::string> late;
  std::vector<std::string> held;
  for (const auto& [name, r] : clients) {
    const double offered = OfferedBy(r);
    if (r.planned_rate <= 0 || offered >= kLeastOffered * r.planned_rate) continue;
    (LateByItself(r) ? late : held)
        .push_back(fmt::format("{} ({:.0f} %)", name, 100 * offered / r.planned_rate));
  }
  if (late.empty() && held.empty()) return "";
  std::string text = fmt::format(
      "the load clients offered {:.0f} of {:.0f} messages/s planned, {:.1f} %, and each should "
      "offer {:.0f} %",
      offer.offered_per_s, offer.planned_per_s, 100 * offer.offered_per_s / offer.planned_per_s,
      100 * kLeastOffered);
  if (!late.empty()) {
    text += fmt::format(
        "; late by their own doing: {}: lower the rate, or give the load clients "
        "more processors, users at a time or hosts",
        Names(late));
  }
  if (!held.empty()) {
    text += fmt::format("; the backend did not take more from: {}: lower the rate", Names(held));
  }
  return text;
}

}  // namespace

RunOffer OfferOf(const DriveResults& clients) {
  RunOffer offer;
  Histogram lag;
  for (const auto& [name, r] : clients) {
    lag.Merge(r.loop_lag);
    if (r.planned_rate <= 0) continue;
    offer.planned_per_s += r.planned_rate;
    offer.offered_per_s += OfferedBy(r);
  }
  offer.loop_lag_p99_ms = static_cast<double>(lag.Quantile(0.99)) / kMillisecond;
  offer.loop_lag_max_ms = static_cast<double>(lag.max()) / kMillisecond;
  offer.reason = Shortage(clients);
  const std::string too_little = TooLittle(offer, clients);
  if (!offer.reason.empty() && !too_little.empty()) offer.reason += "; ";
  offer.reason += too_little;
  offer.valid = offer.reason.empty();
  return offer;
}

const char* ErrnoOf(NetError error) {
  return error == NetError::kTooManyFiles ? "EMFILE" : "EADDRNOTAVAIL";
}

std::string WayOutOf(const std::string& name) {
  if (name == "EMFILE") {
    return "out of file descriptors (EMFILE): raise `ulimit -n`, or lower --concurrency";
  }
  return "out of local ports (EADDRNOTAVAIL): widen net.ipv4.ip_local_port_range, play fewer users "
         "at a time or on more hosts (more source addresses), or keep connections (--protocol ws)";
}

}  // namespace baiwan::stress
