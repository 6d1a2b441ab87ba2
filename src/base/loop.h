// One thread's event loop, as the parts that run on it see it.
//
// A turn: take what sockets have, run posted work and due timers, call the turn hooks in the order
// in which they were added, then send what was written to streams, once per stream. So a hook sees
// everything that arrived in a turn, and what it writes leaves in the same turn.
//
// Threads: everything is for the loop's own thread, but Post, which any thread may call.
// Failure: Post after the loop has stopped drops the work. Callbacks must not throw.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"

namespace baiwan {

class TurnHook {
 public:
  virtual ~TurnHook() = default;
  virtual void OnTurnEnd() = 0;
};

using TimerId = std::uint64_t;  // 0 is never a timer

class Loop {
 public:
  virtual ~Loop() = default;

  virtual Clock& clock() = 0;
  // Runs `work` in a later turn of this loop. From any thread.
  virtual void Post(std::function<void()> work) = 0;
  // Runs `work` once, not before `delay` has passed.
  virtual TimerId After(Nanos delay, std::function<void()> work) = 0;
  // Forgets a timer; harmless when it has fired.
  virtual void Cancel(TimerId timer) = 0;
  virtual void AddTurnHook(TurnHook* hook) = 0;
  virtual void RemoveTurnHook(TurnHook* hook) = 0;
};

}  // namespace baiwan
