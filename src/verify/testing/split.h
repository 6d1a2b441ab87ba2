// The same stores verified as if they stood on several hosts: each host its share, then all joined.
//
// One thread. Failures are reported to GoogleTest.
#pragma once

#include <string>
#include <vector>

#include "verify/cell_range.h"
#include "verify/share.h"
#include "verify/testing/stress_stores.h"

namespace baiwan::verify::testing {

// Hosts, by their cells.
using Split = std::vector<CellRange>;

// Two hosts of half of the cells each, a large and a small one, and one for each cell.
std::vector<Split> Splits(std::uint32_t cells);

struct Shared {
  std::vector<std::string> paths;
  std::vector<VerifyReport> reports;
};
// Requires a store for each cell. Ledgers go to the host of cell 0.
Shared MakeShares(const StressStores& all, const VerifyOptions& options, const Split& split);

VerifyReport Join(const VerifyOptions& options, const std::vector<std::string>& shares);

// VerifyStores, and the same in shares, in each of the ways above: everything that both say is
// expected to be the same.
VerifyReport VerifyBothWays(const StressStores& all, const VerifyOptions& options);

}  // namespace baiwan::verify::testing
