#include "fleet/address.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace baiwan::fleet {
namespace {

std::optional<std::uint32_t> Whole(std::string_view text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool zeros = text.size() > 1 && text[0] == '0';
  if (text.empty() || zeros || error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value <= max ? std::optional(value) : std::nullopt;
}

}  // namespace

Result<Address, std::string> ParseAddress(std::string_view text) {
  Address address = 0;
  std::string_view rest = text;
  for (int part = 0; part < 4; ++part) {
    const auto dot = part < 3 ? rest.find('.') : rest.size();
    const auto value = Whole(rest.substr(0, dot), 255);
    if (dot == std::string_view::npos || !value) {
      return fmt::format("'{}' is not an IPv4 address like 10.0.1.11", text);
    }
    address = address << 8 | *value;
    rest.remove_prefix(part < 3 ? dot + 1 : dot);
  }
  return address;
}

std::string FormatAddress(Address a) {
  return fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

std::string Range::ToString() const { return fmt::format("{}/{}", FormatAddress(first), bits); }

Result<Range, std::string> ParseRange(std::string_view text) {
  const auto slash = text.find('/');
  const auto first = ParseAddress(text.substr(0, slash));
  const auto bits =
      slash == std::string_view::npos ? std::nullopt : Whole(text.substr(slash + 1), 32);
  if (!first || !bits) return fmt::format("'{}' is not a range like 10.0.1.0/24", text);
  const Range range{*first, *bits};
  if (*first % range.size() != 0) {
    const auto begin = static_cast<Address>(*first - *first % range.size());
    return fmt::format("'{}' does not begin at the first address of a range: write {}", text,
                       Range{begin, *bits}.ToString());
  }
  return range;
}

std::string Reserved(const Range& subnet, Address address) {
  if (!subnet.Holds(address)) return "";
  if (address == subnet.last()) return "the last address of a subnet is for broadcast";
  switch (address - subnet.first) {
    case 0:
      return "the first address of a subnet is its name";
    case 1:
      return "the second address of a subnet is its router's";
    case 2:
    case 3:
      return "the third and fourth address of a subnet are kept by clouds for names and later use";
    default:
      return "";
  }
}

}  // namespace baiwan::fleet
