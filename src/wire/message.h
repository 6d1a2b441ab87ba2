// A message as it stands in a box, and what can stand there instead of one.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace baiwan::wire {

enum class Box : std::uint8_t { kOut = 1, kIn = 2 };

enum class Kind : std::uint8_t {
  kText = 1,  // bytes from the sender to a friend
  kVoid = 2,  // a send id that was given up: no peer, no pair sequence, no body
};

enum class VoidReason : std::uint8_t {
  kNone = 0,
  kByClient = 1,   // the client asked for it
  kNotFriend = 2,  // it had become illegal by the time its turn came
  kLost = 3,       // this store was put back from a copy, and nobody has the message any more
};

// In an outbox `seq` is the send id and `peer` the receiver; in an inbox `seq` is the receive id
// and `peer` the sender. The body belongs to whoever made the message.
struct Message {
  Seq seq = 0;
  UserId peer = 0;
  Seq pair_seq = 0;
  Seq send_id = 0;
  std::uint64_t timestamp_ms = 0;  // when the sender's server numbered it; for people
  std::uint32_t checksum = 0;      // MessageChecksum
  Kind kind = Kind::kText;
  VoidReason reason = VoidReason::kNone;
  std::string_view body;
};

}  // namespace baiwan::wire
