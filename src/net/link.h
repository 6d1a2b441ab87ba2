// A link: framed, checked, authenticated bytes between two Baiwan processes.
//
// Frame (docs/formats.md): length, type, tag, payload, CRC-32C. Frames sent in one turn leave with
// one system call; hundreds in one read are handled in one pass. Both sides prove that they know
// the deployment's link secret before any frame passes (HMAC-SHA-256 over both sides' nonces and
// hellos); the secret itself never travels. The frames themselves are checked, not encrypted.
//
// Threads: the loop of the NodeContext. Failure: a wrong proof, version, length, checksum or
// deployment ends the connection with a line in the log that says which; nothing else does. A
// dialer connects again with exponential backoff and full jitter, for ever, until destroyed. What
// was queued when a link went down is dropped: recovery is the business of the rules above.
// Heartbeats: an idle link sends one; a link from which nothing came for three intervals is down.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/node_context.h"

namespace baiwan::net {

// Where a link gets the 16 bytes that no handshake had before.
using LinkNonceFn = void (*)(NodeContext& node, unsigned char* nonce);

struct LinkLimits {
  std::uint32_t max_frame = 8 << 20;   // bytes of payload; both sides of a deployment use the same
  std::size_t high_water = 4 << 20;    // bytes unsent, see LinkHandler::OnLinkWritable
  std::size_t low_water = 1 << 20;     // bytes unsent
  std::size_t max_unsent = 256 << 20;  // bytes; a peer that lags so far behind loses the link
  Nanos heartbeat = 5 * kSecond;
  Nanos connect_timeout = 3 * kSecond;
  Nanos backoff_first = 50 * kMillisecond;
  Nanos backoff_max = 2 * kSecond;
  Nanos handshake_timeout = 5 * kSecond;
  // Accepted connections whose handshake is under way; the one that has waited longest makes room
  // for the next. Links that are up are counted apart.
  std::uint32_t max_handshakes = 1024;
  // Null: the system's random bytes. A simulation, which has to repeat itself, brings its own.
  LinkNonceFn nonce = nullptr;
};

// Who is at one end, told in the hello.
struct LinkIdentity {
  std::string role;  // "gateway", "logic", "relay"
  CellId cell = 0;
  Incarnation incarnation = 0;
  std::uint64_t table_version = 0;  // of the placement table
  bool operator==(const LinkIdentity&) const = default;
};

// Reads a secret from a file that only its owner may read (mode 0600 or stricter, at least 16
// bytes). A line end behind it does not count. The error says what to do.
Result<std::string, std::string> ReadLinkSecret(const std::string& path);

class Link;

class LinkHandler {
 public:
  virtual ~LinkHandler() = default;
  virtual void OnLinkUp(Link& link, const LinkIdentity& peer) = 0;
  // `tag` is the sender's to use: a cell, a session. `payload` is valid during the call only.
  virtual void OnLinkFrame(Link& link, std::uint8_t type, std::uint64_t tag,
                           std::string_view payload) = 0;
  // unsent() had passed high_water and is below low_water again.
  virtual void OnLinkWritable(Link&) {}
  // After OnLinkUp only. An accepted link is destroyed by its listener after this call.
  virtual void OnLinkDown(Link& link, NetError error) = 0;
};

class Link {
 public:
  virtual ~Link() = default;
  virtual bool up() const = 0;
  // Dropped if the link is not up; more than LinkLimits::max_frame ends it later. `type` 0 … 127.
  virtual void Send(std::uint8_t type, std::uint64_t tag, std::string_view payload) = 0;
  virtual std::size_t unsent() const = 0;
  virtual const LinkIdentity& peer_identity() const = 0;  // while up
  virtual const Endpoint& peer() const = 0;
  virtual std::uint64_t bytes_in() const = 0;
  virtual std::uint64_t bytes_out() const = 0;
  // Different for every connection of this process.
  virtual std::uint64_t connection() const = 0;
  // For the owner of an accepted link; OnLinkDown follows in a later turn.
  virtual void Close() = 0;
};

// Keeps a link to one address. The handler outlives it.
std::unique_ptr<Link> DialLink(NodeContext& node, const Endpoint& to, const LinkIdentity& self,
                               std::string secret, LinkHandler* handler, const LinkLimits& limits);

class LinkListener {
 public:
  static Result<std::unique_ptr<LinkListener>, NetError> Listen(
      NodeContext& node, const Endpoint& at, const LinkIdentity& self, std::string secret,
      LinkHandler* handler, const LinkLimits& limits, std::uint32_t max_links = 4096);
  virtual ~LinkListener() = default;  // closes every accepted link, without OnLinkDown
  virtual const Endpoint& local() const = 0;
};

}  // namespace baiwan::net
