// The frame types on links, between relays and between the processes of one cell; their payloads
// are in docs/formats.md.
#pragma once

#include <cstdint>

namespace baiwan::cell {

enum class LinkType : std::uint8_t {
  // relay ⇄ relay; the tag is the cell that speaks
  kForward = 1,  // a sender's batch
  kAnswer = 2,   // a receiver's batch
  kReady = 3,    // the logic server is there; payload: incarnation
  kNotReady = 4,
  // gateway → logic; the tag is the session
  kClientFrame = 16,   // user, ClientFrame
  kClientClosed = 17,  // user
  kClientPaused = 18,  // user, 0 or 1
  // logic → gateway
  kServerFrame = 19,  // ServerFrame
  kTaken = 20,        // no payload; see ClientPort::Taken
  // gateway → logic, likewise
  kClientCredit = 21,  // user, bytes of server frames that have been taken in
  // relay → logic; the tag is the other cell
  kPathUp = 32,  // incarnation
  kPathDown = 33,
  kFromPeer = 34,       // a sender's batch
  kFromPeerReply = 35,  // a receiver's batch
  // logic → relay
  kToPeer = 36,
  kToPeerReply = 37,
  kAccepting = 38,  // 0 or 1; see RelayPort::SetAccepting
};

// Bytes of server frames of one session under way to its gateway: with more it counts as a client
// that reads slowly. Credit comes back in words of this many bytes, at least.
inline constexpr std::uint64_t kSessionCredit = 256 << 10;
inline constexpr std::uint64_t kCreditWord = 64 << 10;

constexpr std::uint8_t Code(LinkType type) { return static_cast<std::uint8_t>(type); }

}  // namespace baiwan::cell
