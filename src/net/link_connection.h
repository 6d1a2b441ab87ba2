// What dialed and accepted links share: one connection at a time, from its first byte to its end.
//
//   none ──Begin──► handshake ──both proofs──► up ──Close──► closing ──sent──► none
//                       └──────any fault, silence or end───────┴──────────────► none
//
// Threads: the loop's. Failure: see link.h. Every callback may destroy the object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/node_context.h"
#include "net/held_bytes.h"
#include "net/lifetime.h"
#include "net/link.h"
#include "net/link_framing.h"
#include "net/link_handshake.h"

namespace baiwan::net {

struct LinkSettings {
  LinkIdentity self;
  std::string secret;
  LinkLimits limits;
};

class LinkConnection : public Link, private StreamHandler {
 public:
  LinkConnection(NodeContext& node, const LinkSettings& settings, LinkSide side,
                 LinkHandler* handler);
  ~LinkConnection() override;

  bool up() const override { return phase_ == Phase::kUp; }
  void Send(std::uint8_t type, std::uint64_t tag, std::string_view payload) override;
  std::size_t unsent() const override { return stream_ ? stream_->unsent() : 0; }
  const LinkIdentity& peer_identity() const override { return peer_identity_; }
  std::uint64_t bytes_in() const override { return past_in_ + (stream_ ? stream_->bytes_in() : 0); }
  std::uint64_t bytes_out() const override {
    return past_out_ + (stream_ ? stream_->bytes_out() : 0);
  }
  std::uint64_t connection() const override { return connection_; }
  void Close() override;

 protected:
  // Starts the handshake over a fresh stream.
  void Begin(std::unique_ptr<ByteStream> stream);
  // The connection is over, and the handler has been told. May destroy the object.
  virtual void Ended() = 0;
  // Both sides have proved themselves; before the handler is told. False: there is no room for
  // another link.
  virtual bool Proved() { return true; }
  // Whether a line about this fault goes to the log.
  virtual bool MayLog(LinkFault fault) = 0;
  void Down(NetError error);

  NodeContext& node_;
  const LinkSettings& settings_;
  Lifetime lifetime_;

 private:
  enum class Phase : std::uint8_t { kNone, kHandshake, kUp, kClosing };
  static constexpr Nanos kCloseTimeout = 5 * kSecond;
  static constexpr int kSilentIntervals = 3;  // heartbeats without a byte until a link is down

  std::size_t OnData(std::string_view data) override;
  void OnWritable() override;
  void OnClosed(NetError error) override { Down(error); }

  bool TakeFrames(std::string_view* data);
  bool TakeHandshake();
  void GoUp();
  void Break(LinkFault fault, bool told_by_peer);
  void BeginClosing();
  void EndLater(NetError error);
  void SetTimer(Nanos delay, void (LinkConnection::*then)());
  void HandshakeTimedOut() { Break(LinkFault::kTimeout, false); }
  void CloseTimedOut() { Down(NetError::kTimeout); }
  void Heartbeat();

  const LinkSide side_;
  LinkHandler* const handler_;
  Phase phase_ = Phase::kNone;
  bool was_up_ = false;  // this connection, and the handler has not been told of its end
  bool heard_ = false;   // something came since the last heartbeat
  bool spoke_ = false;   // something was sent since then
  int silent_ = 0;       // heartbeats since something came
  std::unique_ptr<ByteStream> stream_;
  LinkDecoder decoder_;
  std::optional<LinkHandshake> handshake_;
  LinkIdentity peer_identity_;
  std::uint64_t connection_ = 0;
  std::uint64_t past_in_ = 0;
  std::uint64_t past_out_ = 0;
  TimerId timer_ = 0;
  HeldBytes held_unread_;
  HeldBytes held_unsent_;
};

}  // namespace baiwan::net
