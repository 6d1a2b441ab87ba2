// A WebSocket over a byte stream after its handshake; both sides.
//
//   open ──Close, or a violation──► closing ──the peer's close frame──► ended ──stream closed──►
//   gone
//     └──the peer's close frame────────────────────────────────────────►┘
//
// Closing and ended last at most kCloseTimeout. What arrives after a close frame was sent is
// dropped. A message or frame that is not complete in time ends the connection with 1008. A server
// ticks all of its connections from one timer (Tick); a client's connection, which has nobody to do
// that, has a timer of its own (TickByItself) that fires four times a heartbeat.
//
// Threads: the loop's. Failure: see WsHandler::OnClosed. Every callback may destroy the object.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/node_context.h"
#include "base/rng.h"
#include "net/held_bytes.h"
#include "net/lifetime.h"
#include "net/newcomers.h"
#include "net/websocket.h"
#include "net/ws_codec.h"

namespace baiwan::net {

class WsConnection;

// Keeps account of the WebSockets that it has to tick.
class WsRegistry {
 public:
  virtual void Forget(WsConnection* socket) = 0;
  // Its first whole message has come.
  virtual void Proved(WsConnection* socket) = 0;
  // For messages that are not there whole, of those who have sent one before or have not.
  virtual Share* incomplete(bool proved) = 0;

 protected:
  ~WsRegistry() = default;
};

class WsConnection final : public WebSocket, public Newcomer, private StreamHandler {
 public:
  static constexpr Nanos kCloseTimeout = 5 * kSecond;

  enum class Side : std::uint8_t { kServer, kClient };

  // Takes over the stream, whose handler it becomes. The registry, if any, forgets it at its end.
  WsConnection(NodeContext& node, std::unique_ptr<ByteStream> stream, Side side, WsHandler* handler,
               const WsLimits& limits, WsRegistry* registry);
  ~WsConnection() override;

  void SendBinary(std::string_view data) override { Send(WsOpcode::kBinary, data); }
  void SendText(std::string_view data) override { Send(WsOpcode::kText, data); }
  void Close(std::uint16_t code, std::string_view reason) override;
  std::size_t unsent() const override { return stream_ ? stream_->unsent() : 0; }
  void PauseReading() override;
  void ResumeReading() override;
  const Endpoint& peer() const override { return peer_; }

  // Sends a ping if nothing came for a heartbeat, ends the connection after two, and one whose
  // message does not come to its end. `now` may be coarse but never goes back.
  void Tick(Nanos now);
  void TickByItself();
  // What came behind the handshake in one read. Returns how many bytes it used.
  std::size_t Feed(std::string_view data) { return OnData(data); }
  // Ends the connection now; the handler is told in a later turn. The registry is not.
  void Orphan();
  void GiveWay() override;
  std::uint64_t bytes_in() const { return stream_ ? stream_->bytes_in() : 0; }
  std::uint64_t bytes_out() const { return stream_ ? stream_->bytes_out() : 0; }
  std::uint64_t messages_in() const { return messages_in_; }
  Lifetime::Token lifetime() const { return lifetime_.token(); }

  std::size_t registry_index = 0;  // the registry's own

 private:
  enum class State : std::uint8_t { kOpen, kClosing, kEnded, kGone };

  std::size_t OnData(std::string_view data) override;
  void OnWritable() override;
  void OnClosed(NetError error) override;

  bool TakeFrames(char** at, char* end, bool* any);
  void TookMessage();
  bool TooSlowToArrive(Nanos now);
  void Send(WsOpcode opcode, std::string_view data);
  void Append(WsOpcode opcode, std::string_view data);
  void CheckUnsent();
  void OnPeerClose(std::uint16_t code, std::string_view reason);
  // Sends a close frame and then ends the connection, without waiting for the peer's.
  void Fail(std::uint16_t code, std::string_view reason);
  void Note(std::uint16_t code, std::string_view reason);
  void End();
  void Gone();
  void StartCloseTimer();

  NodeContext& node_;
  const Side side_;
  State state_ = State::kOpen;
  bool paused_ = false;  // by the handler
  bool heard_ = true;    // something came since the last Tick
  bool pinged_ = false;  // and since then nothing came
  WsHandler* const handler_;
  WsRegistry* registry_;
  const WsLimits limits_;
  const Endpoint peer_;
  std::unique_ptr<ByteStream> stream_;
  WsDecoder decoder_;
  Rng masks_;
  Nanos quiet_since_ = 0;
  TimerId close_timer_ = 0;
  TimerId tick_timer_ = 0;
  std::uint64_t messages_in_ = 0;
  bool incomplete_ = false;        // part of a message or frame is there
  std::uint64_t completed_ = 0;    // messages, and control frames between them
  std::uint64_t begun_after_ = 0;  // completed_ when the tick first saw what is incomplete …
  Nanos incomplete_since_ = 0;     // … and when that was; 0: it saw nothing
  std::uint16_t close_code_ = 0;   // of the first close frame either way; 0: none yet
  std::string close_reason_;
  HeldBytes unsent_held_;
  HeldBytes unread_held_;
  TakingPace pace_;
  Lifetime lifetime_;
};

}  // namespace baiwan::net
