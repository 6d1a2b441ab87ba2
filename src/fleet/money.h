// Amounts of money in whole cents, as people write them: "12.50 USD".
//
// Pure; any thread. Failure: a sentence that says what would be right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace baiwan::fleet {

using Cents = std::uint64_t;

// Up to 1,000,000 USD, with no or two digits of cents.
Result<Cents, std::string> ParseMoney(std::string_view text);
std::string FormatMoney(Cents cents);

}  // namespace baiwan::fleet
