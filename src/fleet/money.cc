#include "fleet/money.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::fleet {
namespace {

constexpr std::string_view kUnit = " USD";
constexpr std::size_t kMostDigits = 7;

bool Digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<Cents, std::string> ParseMoney(std::string_view text) {
  const auto wrong = fmt::format("'{}' is not an amount like \"12.50 USD\"", text);
  if (text.size() <= kUnit.size() || text.substr(text.size() - kUnit.size()) != kUnit) return wrong;
  text.remove_suffix(kUnit.size());
  const auto dot = text.find('.');
  const std::string dollars(text.substr(0, dot));
  const std::string cents(dot == std::string_view::npos ? "00" : text.substr(dot + 1));
  if (!Digits(dollars) || !Digits(cents) || cents.size() != 2 || dollars.size() > kMostDigits) {
    return wrong;
  }
  return static_cast<Cents>(std::stoull(dollars) * 100 + std::stoull(cents));
}

std::string FormatMoney(Cents cents) {
  return fmt::format("{}.{:02} USD", cents / 100, cents % 100);
}

}  // namespace baiwan::fleet
