// What one load client has seen, as a value that can be kept in a file and put together.
//
// A load client writes it down while it runs, so that killing it loses little; its next life
// begins with what it finds (Continue). Whoever has several load clients adds them up (Merge).
//
// Pure. Failure: FromJson gives a sentence.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/result.h"
#include "stress/progress.h"

namespace baiwan::stress {

struct DriveCounts {
  std::uint64_t users = 0;
  std::uint64_t users_started = 0;
  std::uint64_t users_stored = 0;    // all of whose messages are stored
  std::uint64_t users_finished = 0;  // all of whose messages are with the friends
  std::uint64_t users_failed = 0;    // that gave up after a refusal that should not have been
  std::uint64_t messages = 0;        // to be sent by all users together
  std::uint64_t stored = 0;          // known to be stored, whichever life of the client sent them
  std::uint64_t delivered = 0;       // known to be with the friends, likewise
  std::uint64_t submitted = 0;       // repeats included
  std::uint64_t repeated = 0;
  std::uint64_t presumed_lost = 0;  // of these, taken by the server and then not stored for long
  std::uint64_t connects = 0;
  std::uint64_t disconnects = 0;
  std::uint64_t polls = 0;
  std::uint64_t behind_ledger = 0;  // users for whom the server knew less than it had told
  // Open loop. See offer.h.
  std::uint64_t scheduled = 0;       // messages that were due
  std::uint64_t scheduled_late = 0;  // of these, so late that it was the load client's own doing
  std::uint64_t offered = 0;         // handed to a connection, repeats not included
  std::map<std::string, std::uint64_t> refused;   // by code
  std::map<std::string, std::uint64_t> failures;  // refusals that should not have been, by code
  std::map<std::string, std::uint64_t> downs;     // connections lost or not made, by reason
  std::map<std::string, std::uint64_t> began_without;  // cells that were not there at the start
  std::map<std::string, std::uint64_t> exhausted;      // not made for want of something, by errno
  std::string first_failure;                           // a sentence about it
  Nanos first_submit = 0;                              // monotonic; 0: none. Not kept, not merged
  Nanos last_ack = 0;
  Nanos first_due = 0;  // open loop: when the schedule began
  Nanos last_offer = 0;
};

struct DriveResult : DriveCounts {
  std::uint64_t first_submit_ms = 0;  // wall clock, since 1970; 0: none
  std::uint64_t last_ack_ms = 0;      // the last one that told something new
  std::uint64_t first_due_ms = 0;     // open loop: when the schedule began
  std::uint64_t last_offer_ms = 0;    // and when the last message went out for the first time
  double planned_rate = 0;            // messages a second; 0: closed loop
  std::string broken;                 // why it could not go on; empty: it could
  Histogram loop_lag;                 // how late its own loop was
  Progress progress;                  // of this one alone: Merge leaves it
  Histogram stored_latency;           // from the planned time; open loop only
  Histogram delivered_latency;

  std::string ToJson() const;
  static baiwan::Result<DriveResult, std::string> FromJson(std::string_view text);

  // Adds another load client's, of other users.
  void Merge(const DriveResult& other);
  // Adds an earlier life of the same load client: what it did is added, what is known of users and
  // messages is not doubled. (behind_ledger counts a user once in each life.)
  void Continue(const DriveResult& earlier);
};

}  // namespace baiwan::stress
