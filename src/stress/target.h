// What the load client drives: a chat backend, through its public protocol.
//
// One small interface, so that another backend can be driven and verified with the same load: a
// Target makes a Client for each user that is playing; a Client connects, submits, and tells its
// Listener what the backend said. Everything is at-least-once: a Client may lose its connection at
// any time (OnDown), after which the driver connects again and goes on from the counters.
//
// Threads: one loop. A listener may destroy its client only from outside its callbacks.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/transport.h"

namespace baiwan::stress {

struct TargetMessage {
  Seq send_id = 0;
  UserId receiver = 0;
  std::string_view body;
};

struct TargetCounters {
  Seq send_id = 0;      // stored up to here
  Seq send_ack_id = 0;  // with the friends up to here
  Seq receive_id = 0;
};

struct TargetRefusal {
  Seq send_id = 0;        // 0: everything of this user
  int status = 0;         // as of HTTP
  std::string code;       // e.g. "window"
  Nanos retry_after = 0;  // 429, 503, 504: when to repeat the same content; else 0
};

class TargetListener {
 public:
  virtual ~TargetListener() = default;
  // Connected, and told where this user stands. Once for each Connect that succeeds.
  virtual void OnUp(const TargetCounters& counters) = 0;
  // Cumulative; may repeat. Also whenever there is room again for Submit.
  virtual void OnAcknowledged(const TargetCounters& counters) = 0;
  virtual void OnRefused(const TargetRefusal& refusal) = 0;
  // The connection is gone, or never was; connect again after `retry_after` (0: as you like).
  // `error`: what the network said, where it did; else NetError{}.
  virtual void OnDown(std::string_view why, Nanos retry_after, NetError error) = 0;
};

class TargetClient {
 public:
  virtual ~TargetClient() = default;  // closes at once
  // Also again, after OnDown. OnUp or OnDown follows, in a later turn.
  virtual void Connect() = 0;
  // How many messages can be given to Submit now: at most `messages_per_frame` of the target, less
  // where the protocol takes one at a time. 0: wait for a callback.
  virtual std::size_t room() const = 0;
  // Bodies are copied. Only with room.
  virtual void Submit(const std::vector<TargetMessage>& messages) = 0;
  // Asks for the counters now; OnAcknowledged follows. May take up the room.
  virtual void Poll() = 0;
};

class Target {
 public:
  virtual ~Target() = default;
  virtual std::unique_ptr<TargetClient> MakeClient(UserId user, TargetListener* listener) = 0;
  // Whether acknowledgements come by themselves; else the driver polls.
  virtual bool pushes() const = 0;
};

}  // namespace baiwan::stress
