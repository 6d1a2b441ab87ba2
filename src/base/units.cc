#include "base/units.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace baiwan {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t size;
};

// From the largest, so that formatting takes the first that divides.
constexpr Unit kByteUnits[] = {{"TiB", std::int64_t{1} << 40},
                               {"GiB", std::int64_t{1} << 30},
                               {"MiB", std::int64_t{1} << 20},
                               {"KiB", std::int64_t{1} << 10},
                               {"B", 1}};
constexpr Unit kTimeUnits[] = {{"h", 3600 * kSecond}, {"m", 60 * kSecond},  {"s", kSecond},
                               {"ms", kMillisecond},  {"us", kMicrosecond}, {"ns", 1}};
constexpr Nanos kLongest = 100LL * 365 * 24 * 3600 * kSecond;

template <std::size_t N>
const Unit* Find(const Unit (&units)[N], std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

template <std::size_t N>
std::string Format(const Unit (&units)[N], std::int64_t value) {
  for (const Unit& unit : units) {
    if (value % unit.size == 0) return fmt::format("{}{}", value / unit.size, unit.name);
  }
  return {};  // the last unit is 1
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

Result<std::uint64_t, std::string> ParseBytes(std::string_view text) {
  const std::string wrong = fmt::format("'{}' is not a size like 64KiB or 2GiB", text);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) return wrong + ": too large";
  if (error != std::errc{}) return wrong;
  const std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  const Unit* unit = Find(kByteUnits, name.empty() ? "B" : name);
  if (unit == nullptr) return wrong + ": the units are B, KiB, MiB, GiB and TiB";
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (number > most / static_cast<std::uint64_t>(unit->size)) return wrong + ": too large";
  return number * static_cast<std::uint64_t>(unit->size);
}

std::string FormatBytes(std::uint64_t bytes) {
  if (bytes == 0) return "0B";
  return Format(kByteUnits, static_cast<std::int64_t>(bytes));
}

Result<Nanos, std::string> ParseDuration(std::string_view text) {
  const std::string wrong = fmt::format("'{}' is not a duration like 250ms, 10s or 5m", text);
  if (text == "0") return Nanos{0};
  double sum = 0;
  if (text.empty() || text.size() > 64) return wrong;
  while (!text.empty()) {
    if (!IsDigit(text.front())) return wrong;
    double number = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc{}) return wrong;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t letters = 0;
    while (letters < text.size() && !IsDigit(text[letters])) ++letters;
    const Unit* unit = Find(kTimeUnits, text.substr(0, letters));
    if (unit == nullptr) return wrong + ": the units are ns, us, ms, s, m and h";
    text.remove_prefix(letters);
    sum += number * static_cast<double>(unit->size);
    if (!(sum <= static_cast<double>(kLongest))) return wrong + ": too long";
  }
  return static_cast<Nanos>(std::llround(sum));
}

std::string FormatDuration(Nanos duration) {
  if (duration == 0) return "0s";
  return Format(kTimeUnits, duration);
}

}  // namespace baiwan
