// WebSocket (RFC 6455) as a state machine over bytes, and a connection made of it.
//
// The codec has no I/O and no clock. It takes hundreds of frames from one read in one pass, puts
// fragments together, unmasks in place, answers pings by itself, and holds peers to the RFC: a
// client's frames must be masked, a server's must not; no reserved bits or opcodes; control frames
// at most 125 bytes and whole; text must be UTF-8; the close handshake. What breaks a rule or a
// limit is closed with 1002, 1003, 1007, 1008 or 1009. No extensions are negotiated.
//
// Threads: the loop of the NodeContext.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/node_context.h"

namespace baiwan::net {

struct WsLimits {
  std::size_t max_message = 1 << 20;  // bytes, fragments together
  std::size_t max_unsent = 1 << 20;   // bytes; a reader slower than this is closed with 1013
  Nanos heartbeat = 240 * kSecond;    // a ping after this long without a byte from the peer, and
                                      // the end after twice as long; AWS drops idle ones at 350 s
  Nanos message_timeout = 10 * kSecond;  // from the first byte of a message or frame to its last
};

class WsHandler {
 public:
  virtual ~WsHandler() = default;
  // A whole message; `data` is valid during the call only.
  virtual void OnMessage(bool is_text, std::string_view data) = 0;
  // Several messages may come from one read: this follows the last of them.
  virtual void OnBatchEnd() {}
  // As StreamHandler::OnWritable.
  virtual void OnWritable() {}
  // Exactly once, unless the WebSocket is destroyed before. 1006: broke without a close frame.
  virtual void OnClosed(std::uint16_t code, std::string_view reason) = 0;
};

class WebSocket {
 public:
  virtual ~WebSocket() = default;  // closes at once
  virtual void SendBinary(std::string_view data) = 0;
  virtual void SendText(std::string_view data) = 0;
  // Starts the close handshake, bounded in time; OnClosed follows.
  virtual void Close(std::uint16_t code, std::string_view reason) = 0;
  virtual std::size_t unsent() const = 0;
  // No message more until it is resumed, also none of those that have been read already; those come
  // in a later turn then.
  virtual void PauseReading() = 0;
  virtual void ResumeReading() = 0;
  virtual const Endpoint& peer() const = 0;
};

// Connects and upgrades; the handler outlives the socket. `done` gets the socket or why not: a
// NetError, or kRefused with the server's HTTP status in `status` (e.g. 307 with `location`, 503).
struct WsConnectFailure {
  NetError error = NetError::kOther;
  int status = 0;
  std::string location;
  std::uint32_t retry_after_s = 0;
};
using WsConnectFn = std::function<void(Result<std::unique_ptr<WebSocket>, WsConnectFailure>)>;
void WsConnect(NodeContext& node, const Endpoint& to, std::string_view path, WsHandler* handler,
               const WsLimits& limits, Nanos timeout, WsConnectFn done);

}  // namespace baiwan::net
