// The same verification without the stores: by reading every user's counters, outbox and inbox over
// HTTP, as clients do (GET /api/user/…, /api/c/outbox/…, /api/c/inbox/…).
//
// What the interface does not show is not checked: pair sequences, checksums, snapshots. Whoever
// reads an inbox moves its ClientReceiveId.
//
// Gateways: the entry may be the registry, which is asked for its list (GET /server), or any
// gateway, whose redirections (307) are followed and remembered.
//
// Threads: the calling one, with a loop of its own; blocks until done. Memory: as VerifyStores, and
// a page for each user read together. Failure: a user who cannot be read is tried kMostTries times,
// then an error in the report; nothing that depends on it is called lost. After kMostUnread of
// these the others are not tried any more.
#pragma once

#include "base/clock.h"
#include "base/transport.h"
#include "verify/verify.h"

namespace baiwan::verify {

inline constexpr std::uint32_t kMostAtATime = 1000;
inline constexpr unsigned kMostTries = 10;
inline constexpr unsigned kMostUnread = 20;

struct ApiOptions {
  VerifyOptions verify;  // without stores; `threads` is for the friend graph only
  Endpoint entry;
  std::uint32_t at_a_time = 64;            // users, 1 … kMostAtATime; each has a connection
  Nanos first_retry = 100 * kMillisecond;  // doubled each time, up to 5 s
};

VerifyReport VerifyThroughApi(const ApiOptions& options);

}  // namespace baiwan::verify
