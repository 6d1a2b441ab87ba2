#include "mailbox/testing/plan.h"

#include "base/rng.h"

namespace baiwan::mailbox::testing {
namespace {

// One of: never, sometimes, often.
std::uint32_t Some(Rng& rng, std::uint32_t weight) {
  return weight * static_cast<std::uint32_t>(rng.Below(3));
}

}  // namespace

const char* Name(Mistake mistake) {
  switch (mistake) {
    case Mistake::kNone:
      return "none";
    case Mistake::kForgottenDedup:
      return "forgotten dedup";
    case Mistake::kPairOffByOne:
      return "pair sequence off by one";
    case Mistake::kEarlyRelease:
      return "reply released before its commit";
    case Mistake::kForgottenReforward:
      return "forgotten re-forward after restart";
    case Mistake::kLostLogTail:
      return "lost log tail";
    case Mistake::kEarlyAck:
      return "acknowledged before durable";
    case Mistake::kGapIgnored:
      return "gap ignored";
    case Mistake::kPendingNotRestored:
      return "pending messages not restored";
    case Mistake::kConflictNotCompared:
      return "repeats not compared";
    case Mistake::kAckNotJournalled:
      return "acknowledgements not journalled";
    case Mistake::kReloadedInABatch:
      return "user replaced while a batch holds it";
  }
  return "unknown";
}

Plan Plan::FromSeed(std::uint64_t seed, Mistake mistake) {
  Rng rng(Mix(seed, 1));
  Plan p;
  p.seed = seed;
  p.mistake = mistake;
  p.cells = 1 + static_cast<std::uint32_t>(rng.Below(3));
  p.users = 2 + static_cast<std::uint32_t>(rng.Below(4));
  p.friendship = 0.4 + 0.6 * rng.Unit();
  p.messages = 4 + static_cast<std::uint32_t>(rng.Below(20));
  p.steps = 100 + static_cast<std::uint32_t>(rng.Below(1000));
  p.limits.window_messages = 1 + static_cast<std::uint32_t>(rng.Below(12));
  p.limits.max_body = 8 + static_cast<std::uint32_t>(rng.Below(24));
  p.limits.window_bytes = p.limits.max_body * (1 + static_cast<std::uint32_t>(rng.Below(8)));
  p.limits.max_unacked = 2 + static_cast<std::uint32_t>(rng.Below(30));
  p.credit = 1 + static_cast<std::uint32_t>(rng.Below(8));
  p.no_credit = rng.Chance(0.5) ? 0.2 * rng.Unit() : 0;
  p.commits = 1 + static_cast<std::uint32_t>(rng.Below(3));
  p.voids = rng.Chance(0.5) ? 0.3 * rng.Unit() : 0;
  auto& w = p.weights;
  w.deliver = 20 + static_cast<std::uint32_t>(rng.Below(200));
  w.seal = 10 + static_cast<std::uint32_t>(rng.Below(60));
  w.complete = 10 + static_cast<std::uint32_t>(rng.Below(60));
  w.read_back = 10 + static_cast<std::uint32_t>(rng.Below(60));
  w.connect = 5 + static_cast<std::uint32_t>(rng.Below(60));
  w.start = 5 + static_cast<std::uint32_t>(rng.Below(60));
  w.disconnect = Some(rng, 3);
  w.late = Some(rng, 12);
  w.swap = Some(rng, 6);
  w.crash = Some(rng, 2);
  w.fail = Some(rng, 1);
  w.evict = Some(rng, 4);
  w.audit = Some(rng, 2);
  p.fail_crashes = rng.Chance(0.7);
  if (!p.fail_crashes) w.fail += 4;
  p.may_rewind = rng.Chance(0.2);
  return p;
}

Plan Plan::WithStoreGoingBack(std::uint64_t seed) {
  Plan p = FromSeed(seed);
  p.cells = 2 + static_cast<std::uint32_t>(seed % 2);
  p.users += 2;
  // Answers of a store that is no more must not reach the sender: the relay drops what is not of
  // the current session, and keeps the order within it.
  p.weights.late = p.weights.swap = 0;
  p.weights.go_back = 2;
  p.may_rewind = true;
  return p;
}

}  // namespace baiwan::mailbox::testing
