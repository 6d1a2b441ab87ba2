// Which cells are looked at: those of one host, or all.
//
// Pure; a value. Failure: a sentence that says what would be right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace baiwan::verify {

struct CellRange {
  CellId first = 0;
  CellId last = 0;  // included

  std::uint32_t count() const { return last - first + 1; }
  bool Holds(CellId cell) const { return first <= cell && cell <= last; }
  std::string ToString() const;  // "cell 3", "cells 3 to 5"
  bool operator==(const CellRange&) const = default;
};

// "3-5" or "3".
Result<CellRange, std::string> ParseCellRange(std::string_view text);

}  // namespace baiwan::verify
