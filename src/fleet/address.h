// IPv4 addresses and ranges, as numbers that can be counted through.
//
// Pure; any thread. Failure: a sentence that says what would be right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace baiwan::fleet {

using Address = std::uint32_t;  // 10.0.1.11 is 0x0A00010B

// Four numbers from 0 to 255, without leading zeros.
Result<Address, std::string> ParseAddress(std::string_view text);
std::string FormatAddress(Address address);

// "10.0.1.0/24": 2^(32-24) addresses from the first on.
struct Range {
  Address first = 0;
  std::uint32_t bits = 32;  // that are the same for all of them

  std::uint64_t size() const { return std::uint64_t{1} << (32 - bits); }
  Address last() const { return static_cast<Address>(first + (size() - 1)); }
  bool Holds(Address address) const { return address >= first && address <= last(); }
  bool Holds(const Range& other) const { return Holds(other.first) && Holds(other.last()); }
  bool Overlaps(const Range& other) const { return Holds(other.first) || other.Holds(first); }
  std::string ToString() const;
  bool operator==(const Range&) const = default;
};
// Refused if the address is not the first of its range.
Result<Range, std::string> ParseRange(std::string_view text);

// Why no host may have this address of a subnet; empty if one may. Clouds keep the first four and
// the last of each subnet for themselves (network, router, names, future use, broadcast), and we do
// so everywhere, so that one plan fits all providers.
std::string Reserved(const Range& subnet, Address address);

}  // namespace baiwan::fleet
