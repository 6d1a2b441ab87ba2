// The verification of stopped stores, step by step: of all cells, or of those of one host.
//
// Threads and failure: see verify.h.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "verify/boxes.h"
#include "verify/case.h"
#include "verify/cell_range.h"
#include "verify/owner.h"
#include "verify/store_check.h"
#include "verify/verify.h"

namespace baiwan::verify {

class Verification {
 public:
  // `own`: the cells whose stores these are; nothing: all of them. What is given outlives it.
  Verification(const VerifyOptions& options, std::optional<CellRange> own, VerifyReport& report);

  // False: there was nothing to begin with, and an error says why.
  bool Run();
  // What is known after Run.
  const Case& made() const { return case_; }
  const Census& census() const { return *census_; }

 private:
  void CheckStores();
  void CheckStore(std::uint32_t store, unsigned shards);
  void CheckTotals();
  void Take(BoxChecker& checker);
  std::unique_ptr<BoxChecker> MakeChecker();
  void Progress(std::uint64_t copies);

  const VerifyOptions& options_;
  const std::optional<CellRange> own_;
  VerifyReport& report_;
  const unsigned threads_;
  Case case_;
  std::unique_ptr<Census> census_;
  std::vector<std::optional<StoreOwner>> owners_;  // in the order of the stores
  std::atomic<std::uint64_t> copies_{0};
  std::mutex progress_mutex_;
  std::mutex report_mutex_;
};

}  // namespace baiwan::verify
