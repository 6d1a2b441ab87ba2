// The counters that a network driver keeps beside the kernel's own, as `ethtool -S` shows them: an
// EC2 machine tells there how often it went beyond what its type allows (…_allowance_exceeded),
// which no other counter shows.
//
// Threads: safe from any. Failure: a driver that tells nothing has no counters. Bounds: 64
// interfaces, 4,096 counters of each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace baiwan::monitor {

// "bw_in" of bw_in_allowance_exceeded, over all interfaces.
std::map<std::string, std::uint64_t> AllowanceCounters();

// Those among an interface's counters, added to `sums`. Pure.
void AddAllowances(const std::vector<std::string>& names, const std::vector<std::uint64_t>& values,
                   std::map<std::string, std::uint64_t>* sums);

}  // namespace baiwan::monitor
