// Checks every message of a stress test after the fact, in the stopped stores of all cells.
//
// What should stand there is a pure function of the workload: who sent what to whom, in which
// order, byte by byte. Every copy of every message, in outboxes and inboxes, is compared with it,
// and so are all counters, and what the load client was told (its ledgers). The decoding is the
// verifier's own (decode.h), so that a mistake of the writer is not read back by its own mistake.
//
// Threads: VerifyOptions::threads of its own; blocks until done. Memory: 8 + 16 bytes a relation,
// about 50 a user, 64 MiB a thread, and of each store that is open at the time (one per thread)
// what its write-ahead log holds. Failure: never quiet. What could not be read stands in
// VerifyReport::errors; mismatches are counted and the first ones listed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "stress/workload.h"
#include "verify/report.h"

namespace baiwan::verify {

struct VerifyOptions {
  stress::WorkloadSpec spec;
  std::string graph_file;            // the friend graph as text; empty: generated from `spec`
  std::vector<std::string> stores;   // folders; each may hold users of several cells
  std::vector<std::string> ledgers;  // of the load clients
  unsigned threads = 2;
  // Everything that the plan has should be there, and be acknowledged; false for a test that was
  // stopped: then only what is there, and what was told to clients, is checked.
  bool expect_complete = true;
  // Called now and then from one thread at a time; the total is that of the plan.
  std::function<void(std::uint64_t messages_done, std::uint64_t total)> progress;
};

VerifyReport VerifyStores(const VerifyOptions& options);

}  // namespace baiwan::verify
