// Verification across hosts, without bringing their stores together.
//
// Each host checks the stores of its own cells: every message in every box against the plan, which
// says by itself what should stand there. What it cannot say is whether both ends of a pair agree
// when the other end is elsewhere. So it writes a *share*: what it found, its totals, and three
// numbers for each friendship with a user of another host (docs/formats.md). Whoever has the shares
// of all hosts compares these numbers and adds everything up; the result is that of VerifyStores
// over all stores.
//
// A mismatch is called once: what is missing within a box, stands there twice, displaced or
// altered, and an outbox that ends too early, by the share of the user whose box it is; an inbox
// that ends before its pair does, by the share if both users are its own, else when shares are
// joined.
//
// Threads: VerifyOptions::threads and JoinOptions::threads of their own; both block until done.
// Memory of a share: as VerifyStores for the own cells, and about 60 bytes for each friendship with
// another host, whatever else there is; of joining: the friend graph of one cell a thread, 24 bytes
// for each of its friendships with other hosts, a bit a user. Of 40 cells with 25,000 users, 10 of
// 30 friends across: 140 MiB for the share of one cell, whose file has 0.75 MB; 42 MiB and 2 s to
// join. Failure: an error in the report, which has VerifyReport::no_result then, and exit code 2.
#pragma once

#include <string>
#include <vector>

#include "stress/workload.h"
#include "verify/cell_range.h"
#include "verify/report.h"
#include "verify/verify.h"

namespace baiwan::verify {

struct ShareOptions {
  VerifyOptions verify;  // without a graph file: only a generated graph can be shared out
  CellRange own;         // whose stores and ledgers these are
  std::string path;      // of the share; a former one there is removed first
};

// What these stores alone tell. The share holds it too, also if mismatches were found or a store
// could not be read to its end.
VerifyReport MakeShare(const ShareOptions& options);

struct JoinOptions {
  stress::WorkloadSpec spec;
  std::vector<std::string> shares;  // files; together of all cells, of each once
  bool expect_complete = true;      // as all of them were made
  unsigned threads = 2;
};

// `seconds` are those of the slowest share and of joining.
VerifyReport JoinShares(const JoinOptions& options);

}  // namespace baiwan::verify
