// What can be said only when all boxes are known: what is missing at their ends, what one side of a
// pair has and the other has not, and what clients were told and is not there.
//
// Threads: Check is called for each user by one thread, for different users by several.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stress/ledger.h"
#include "verify/boxes.h"
#include "verify/store_check.h"

namespace baiwan::verify {

// The highest counters that any ledger has of a user; zeros if none has.
struct Told {
  Seq send_id = 0;
  Seq send_ack_id = 0;
};

class Totals {
 public:
  // `told` by user number, or empty. All of these outlive this.
  Totals(const Books& books, const Census& census, const std::vector<Told>& told, bool complete);

  // Adds to the findings of `boxes`.
  void Check(Population::Number n, BoxChecker& boxes) const;

 private:
  bool Readable(Population::Number n) const;
  void Missing(Population::Number n, BoxChecker& boxes) const;
  void Outbox(Population::Number n, BoxChecker& boxes) const;
  void Pairs(Population::Number n, BoxChecker& boxes) const;

  const Books& books_;
  const Census& census_;
  const std::vector<Told>& told_;
  const bool complete_;
  bool some_unread_ = false;
};

}  // namespace baiwan::verify
