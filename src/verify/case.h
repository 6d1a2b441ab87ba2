// What a verification begins with, whatever it reads: everybody who should be there, empty books,
// and what clients were told.
//
// Threads: one; the result is used as its parts say. Failure: errors in the report; false if there
// is nothing to begin with.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "verify/boxes.h"
#include "verify/population.h"
#include "verify/report.h"
#include "verify/totals.h"
#include "verify/verify.h"

namespace baiwan::verify {

struct Case {
  Population people;
  std::unique_ptr<Books> books;
  std::vector<Told> told;  // by own user's number; empty without ledgers
};

// `own`: the cells that are looked at, of a generated workload; nothing: everybody.
bool Prepare(const VerifyOptions& options, std::optional<CellRange> own, Case* made,
             VerifyReport* report);
// Own users, relations, what they have sent and know to be delivered: after the last check.
void CountUsers(const Case& made, const Census& census, VerifyReport* report);

}  // namespace baiwan::verify
