// Did the load clients do what was planned? Without that, latency says nothing about the backend.
//
// In an open loop a message is *scheduled* when a user is there to take it, and *offered* when it
// is first handed to that user's connection. What is scheduled more than kOfferedWithin after its
// planned moment was late by the load client's own doing: its loop was late, or too few users were
// connected. It does not count as offered. What waits in a user's window, for its connection or for
// the pause that a backend asked for does count, since latency contains that wait; but where it
// goes on for long, the last message leaves after the planned end, and the offered rate is lower
// for it.
//
//   offered rate = offered in time / max(planned duration, time until the last left - kRateGrace)
//
// Below kLeastOffered of the planned rate, of any load client, latency is not valid. Neither is
// anything where connections were missing for want of local ports or descriptors.
//
// Pure.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/transport.h"
#include "stress/drive_result.h"

namespace baiwan::stress {

inline constexpr Nanos kOfferedWithin = 100 * kMillisecond;
inline constexpr Nanos kRateGrace = 20 * kMillisecond;
inline constexpr double kLeastOffered = 0.95;

struct RunOffer {
  double planned_per_s = 0;  // 0: closed loop; and so is `offered_per_s`
  double offered_per_s = 0;
  double loop_lag_p99_ms = 0;  // of the load clients' own loops
  double loop_lag_max_ms = 0;
  bool valid = true;
  std::string reason;  // why not, with the way out

  bool operator==(const RunOffer&) const = default;
};

// By name of the load client.
using DriveResults = std::vector<std::pair<std::string, DriveResult>>;
RunOffer OfferOf(const DriveResults& load_clients);

// "EADDRNOTAVAIL", "EMFILE": what a connection was not made for want of.
const char* ErrnoOf(NetError error);
// A sentence with the way out.
std::string WayOutOf(const std::string& errno_name);

}  // namespace baiwan::stress
