#include "verify/cell_range.h"

#include <fmt/format.h>

#include <charconv>

namespace baiwan::verify {
namespace {

bool ParseCell(std::string_view text, CellId* cell) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, *cell);
  return error == std::errc{} && at == end && *cell < kMaxCells;
}

}  // namespace

std::string CellRange::ToString() const {
  return first == last ? fmt::format("cell {}", first) : fmt::format("cells {} to {}", first, last);
}

Result<CellRange, std::string> ParseCellRange(std::string_view text) {
  const auto dash = text.find('-');
  CellRange range;
  const bool good = ParseCell(text.substr(0, dash), &range.first) &&
                    ParseCell(dash == text.npos ? text : text.substr(dash + 1), &range.last) &&
                    range.first <= range.last;
  if (good) return range;
  return fmt::format("'{}' is no range of cells: say FIRST-LAST, both from 0 to {}", text,
                     kMaxCells - 1);
}

}  // namespace baiwan::verify
