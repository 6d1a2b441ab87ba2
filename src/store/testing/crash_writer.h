// A process that commits without end, so that a test can kill it: what it was told is durable, it
// says; what it said must be found.
//
// Every commit carries one message of each of kCrashUsers users, so after any crash all of them
// have the same number, and it is no lower than the last one said. A writer that is started again
// on the same folder goes on from what it finds there.
#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"

namespace baiwan::store::testing {

inline constexpr UserId kCrashUsers = 20;

std::string CrashBody(UserId user, Seq seq);

// The child: says each durable commit's number as 8 bytes on standard output. Never returns in good
// order: ends with a code that says what went wrong.
int RunCrashWriter(const std::string& path);

// The parent: starts this program as a writer on `path`, lets it say `least` commits, kills it, and
// returns the number that it said last; 0: it did not come so far.
std::uint64_t KillWriterAfter(const std::string& path, std::uint64_t least);

}  // namespace baiwan::store::testing
