// What can happen in a model world, drawn from a seed, and the mistakes that can be planted in it.
//
// A world is a handful of users in one to three cells, with disks, paths and clients that are all
// models; only mailbox::User is the real thing. The same plan gives the same run on every machine.
#pragma once

#include <cstdint>
#include <string>

#include "mailbox/user.h"

namespace baiwan::mailbox::testing {

// What the owner of Users could get wrong, or User itself; each must break a promise that the world
// checks. Planted in the model cell around User, never in it.
enum class Mistake : std::uint8_t {
  kNone,
  kForgottenDedup,       // a forward that was accepted before is accepted again
  kPairOffByOne,         // pair sequences begin at 0 on their way
  kEarlyRelease,         // a batch is released when it is handed over, not when it is durable
  kForgottenReforward,   // after a load, what is pending is not offered again
  kLostLogTail,          // a crash takes commits with it that were reported durable
  kEarlyAck,             // a forward is acknowledged as soon as it is accepted
  kGapIgnored,           // the sender does not listen to Gap
  kPendingNotRestored,   // a load takes everything for acknowledged
  kConflictNotCompared,  // old send ids are taken for repeats without a look into the outbox
  kAckNotJournalled,     // acknowledgements take effect, but do not reach the disk
  kReloadedInABatch,     // a user whose friend's store went back is replaced while a batch holds it
};
const char* Name(Mistake mistake);

struct Plan {
  std::uint64_t seed = 0;
  Mistake mistake = Mistake::kNone;

  std::uint32_t cells = 1;
  std::uint32_t users = 2;
  double friendship = 0.7;      // how likely two users are friends
  std::uint32_t messages = 10;  // that each client sends
  std::uint32_t steps = 400;    // of chaos, before the world calms down
  Limits limits;
  std::uint32_t credit = 4;   // forwards under way on a path
  double no_credit = 0;       // how likely a forward finds no credit all the same
  std::uint32_t commits = 1;  // that may be under way in a cell
  double voids = 0.1;         // of the send ids

  // How often, relative to each other, things happen in the chaos; 0: never.
  struct Weights {
    std::uint32_t client = 100;
    std::uint32_t deliver = 40;
    std::uint32_t seal = 12;
    std::uint32_t complete = 12;
    std::uint32_t read_back = 12;
    std::uint32_t connect = 6;
    std::uint32_t disconnect = 1;
    std::uint32_t late = 0;  // a frame that was sent once comes (again), from whichever session
    std::uint32_t swap = 0;  // two answers of one path change places
    std::uint32_t crash = 0;
    std::uint32_t start = 6;  // of a cell that crashed
    std::uint32_t fail = 0;   // of a commit
    std::uint32_t evict = 0;
    std::uint32_t audit = 0;
    std::uint32_t go_back = 0;  // the last cell's disk is replaced by an older copy of itself
  } weights;
  // A failed commit crashes its cell; otherwise only the users concerned are loaded again, and then
  // only audits find what their friends have sent meanwhile.
  bool fail_crashes = true;
  // Gaps are taken for the word of a store that may have gone back.
  bool may_rewind = false;
  // The last cell's disk may go back: its users only receive.
  bool store_goes_back() const { return weights.go_back > 0; }

  static Plan FromSeed(std::uint64_t seed, Mistake mistake = Mistake::kNone);
  // A plan in which the last cell's disk goes back now and then.
  static Plan WithStoreGoingBack(std::uint64_t seed);
};

struct Violation {
  std::string invariant;  // "I1" to "I5" of the promises in ARCHITECTURE.md
  std::string what;
};

}  // namespace baiwan::mailbox::testing
