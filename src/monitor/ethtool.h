// The counters that a network driver keeps beside the kernel's own, as `ethtool -S` shows them: an
// EC2 machine tells there how often it went beyond what its type allows (…_allowance_exceeded),
// which no other counter shows.
//
// Threads: safe from any. Failure: a driver that tells nothing has no counters. Bounds: 64
// interfaces; a driver with more than 4,096 counters is not asked for them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace baiwan::monitor {

// "bw_in" of bw_in_allowance_exceeded, over all interfaces.
std::map<std::string, std::uint64_t> AllowanceCounters();

// What the driver of an interface counts, in its own order; nothing if it tells nothing.
using DriverCounters = std::vector<std::pair<std::string, std::uint64_t>>;
DriverCounters DriverCountersOf(const std::string& interface);
// Likewise, where `ask` takes the kernel's place: one command (SIOCETHTOOL) to one interface, whose
// answer is written behind the command's head; false: refused.
using EthtoolFn = std::function<bool(const std::string& interface, void* command)>;
DriverCounters DriverCountersOf(const std::string& interface, const EthtoolFn& ask);

// Those of allowances among them, added to `sums`. Pure.
void AddAllowances(const DriverCounters& counters, std::map<std::string, std::uint64_t>* sums);

}  // namespace baiwan::monitor
