// What a logic server counts. See MetricsSource.
#pragma once

#include <array>
#include <cstdint>

#include "wire/client.pb.h"

namespace baiwan::cell {

struct LogicCounters {
  std::uint64_t submits = 0;        // messages that clients submitted, repeats included
  std::uint64_t repeats = 0;        // of these, known already
  std::uint64_t stored = 0;         // messages made durable in an outbox
  std::uint64_t forwarded = 0;      // messages given to the friend's cell, repeats included
  std::uint64_t resent = 0;         // of these, not for the first time
  std::uint64_t delivered = 0;      // messages made durable in an inbox
  std::uint64_t duplicates = 0;     // forwards that were here already
  std::uint64_t gaps = 0;           // forwards that came before their turn and were dropped
  std::uint64_t acknowledged = 0;   // messages of ours that are known to be in the friend's store
  std::uint64_t offers = 0;         // pairs offered in new sessions
  std::uint64_t unknown_users = 0;  // notices that a friend's cell does not know the pair
  std::uint64_t diverged = 0;       // pairs stopped because two stores disagree
  std::uint64_t rewinds = 0;        // users gone back because a friend's store did
  std::uint64_t comparisons = 0;    // with other cells, of all pairs
  std::uint64_t returned = 0;       // messages that came back from friends' cells
  std::uint64_t lost = 0;           // numbers of this store that nobody has any more
  std::uint64_t pushed = 0;         // messages pushed to devices
  std::uint64_t reads = 0;          // pages of boxes read
  std::uint64_t loads = 0;          // users loaded
  std::uint64_t evictions = 0;
  std::uint64_t reorder_dropped = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t commits = 0;
  std::uint64_t commit_messages = 0;
  std::uint64_t commit_nanos = 0;  // from sealing to durable
  std::uint64_t wait_nanos = 0;  // how long the oldest work of each commit had waited for its seal
  std::array<std::uint64_t, wire::Reason_ARRAYSIZE> refused{};
};

}  // namespace baiwan::cell
