// What can be said only when all boxes are known: what is missing at their ends, what one side of a
// pair has and the other has not, and what clients were told and is not there.
//
// Pairs of which only one side is own are left to whoever has both: see CheckPair.
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

// What is known of the messages of one user to a friend, at both ends.
struct PairEnds {
  UserId sender = 0;
  UserId receiver = 0;
  Seq sent = 0;
  Seq acked = 0;
  Seq received = 0;
  bool sender_read = false;  // all that there is of him
  bool receiver_read = false;
};
// `per_pair`: what the plan has; all of it should be there if `complete`.
void CheckPair(const PairEnds& ends, Seq per_pair, bool complete, Findings* findings);

class Totals {
 public:
  // `told` by user number, or empty. All of these outlive this.
  Totals(const Books& books, const Census& census, const std::vector<Told>& told, bool complete);

  // Adds to the findings of `boxes`. The user is own.
  void Check(Population::Number n, BoxChecker& boxes) const;

 private:
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
