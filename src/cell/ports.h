// How the three roles of a cell know each other: by these interfaces and nothing else.
//
// Two roles in one process call each other through them directly; in separate processes a proxy on
// each side carries the same calls over a link. A role's code does not know which. Everything is
// batched: a frame holds many submissions, a peer batch many forwards.
//
// A port outlives every logic server that has heard of it (a gateway whose link went down keeps its
// port, and comes back to it). Threads: all on one loop. An answer may come before the call
// returns, so whoever asks has noted down before that it did.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace baiwan::wire {
class ClientFrame;
class ServerFrame;
}  // namespace baiwan::wire

namespace baiwan::cell {

// Names a connection of a gateway; unique within one ClientPort for its lifetime, never 0. A
// gateway uses 48 bits, of which the low ones are a place, from 1 on, that no other connection of
// its has at the same time; where it is elsewhere the rest says which of its links the connection
// came over.
using SessionId = std::uint64_t;
inline constexpr int kPlaceBits = 24;
inline constexpr std::uint32_t kPlaceMask = (1U << kPlaceBits) - 1;

// A gateway, as the logic server sees it.
class ClientPort {
 public:
  virtual ~ClientPort() = default;
  // Dropped if the session is gone.
  virtual void ToClient(SessionId session, const wire::ServerFrame& frame) = 0;
  // A frame's `read`, or its `get_user`, has been dealt with: once for each. Until then it takes
  // up memory here, so a gateway has no more than a few of each session on their way.
  virtual void Taken(SessionId) {}
  // Has so much on its way to clients that nothing long should be begun; see PortWritable.
  virtual bool Clogged() const { return false; }
};

// A logic server, as gateways see it.
class LogicPort {
 public:
  virtual ~LogicPort() = default;
  // A frame of the client of `user`. A frame with a request_id needs no Connect before it, and is
  // answered once by a frame with that id; the frame is read before this returns.
  virtual void FromClient(ClientPort& from, SessionId session, UserId user,
                          const wire::ClientFrame& frame) = 0;
  virtual void SessionClosed(ClientPort& from, SessionId session, UserId user) = 0;
  // The client reads slower (or again fast enough): pushes stop (or go on).
  virtual void SessionPaused(ClientPort& from, SessionId session, UserId user, bool paused) = 0;
  // The gateway was clogged, and is no more.
  virtual void PortWritable(ClientPort&) {}
  // The gateway itself is gone, with all its sessions.
  virtual void PortClosed(ClientPort& from) = 0;
};

// A relay, as the logic server sees it. `Send` carries what a sender's cell says (forwards,
// offers), `Reply` what a receiver's cell answers (acks, gaps, notices, credit). Batches travel as
// the bytes of a wire::PeerBatch: a relay passes them on unread.
class RelayPort {
 public:
  virtual ~RelayPort() = default;
  // Dropped if the path is down (PathDown was, or will be, told).
  virtual void Send(CellId to, std::string_view batch) = 0;
  // Dropped if `to` has no connection here; it will offer again when it has.
  virtual void Reply(CellId to, std::string_view batch) = 0;
  // Whether this cell takes what other cells send (it does until it says otherwise). While it does
  // not, their paths to it are down, so that what they have for it waits on their disks.
  virtual void SetAccepting(bool accepting) = 0;
};

// A logic server, as its relay sees it.
class PeerPort {
 public:
  virtual ~PeerPort() = default;
  // A new session with the logic server of cell `to`: nothing sent before can be counted on.
  virtual void PathUp(CellId to, Incarnation peer) = 0;
  virtual void PathDown(CellId to) = 0;
  virtual void FromPeer(CellId from, std::string_view batch) = 0;
  virtual void ReplyFromPeer(CellId from, std::string_view batch) = 0;
};

}  // namespace baiwan::cell
