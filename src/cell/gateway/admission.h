// Whose submissions a gateway takes when there is more work than can be done.
//
// Overload is measured by how long work waits before it is taken up, at the gateway or at the logic
// server, whichever is longer, averaged; the time that a commit takes is not in it, and neither is
// the time until the next commit. While the average is over the target, a growing share of the
// users is refused new submissions; below it the share shrinks again. Shedding goes by user,
// because a user's messages wait for each other: half of everybody's would be of use to nobody.
// What is shed is the newest, what comes in now; what was taken in completes. Which users it is
// changes every few seconds.
//
// Pure; one thread.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/ids.h"

namespace baiwan::cell {

struct AdmissionOptions {
  // Well above what clients that wait for their acknowledgements bring about: 200 users with 32
  // messages each in flight can make turns of 100 ms where four cells share two cores. Well below
  // the patience of clients. 0: everything is admitted.
  Nanos target = 500 * kMillisecond;
  Nanos interval = 100 * kMillisecond;  // between two looks
};

class Admission {
 public:
  explicit Admission(const AdmissionOptions& options) : options_(options) {}

  // An answer that needs no commit took this long, because the logic server was busy elsewhere.
  void Answered(Nanos after);
  // Once every interval: what waited in the gateway itself did so for `wait`.
  void Tick(Nanos wait);
  bool Admits(UserId user) const;

  double share_shed() const { return shed_; }  // of the users, 0 … kMostShed
  Nanos average_wait() const { return average_; }

 private:
  const AdmissionOptions options_;
  Nanos total_ = 0;  // since the last tick
  std::uint64_t samples_ = 0;
  Nanos average_ = 0;
  double shed_ = 0;
  std::uint64_t ticks_ = 0;
};

}  // namespace baiwan::cell
