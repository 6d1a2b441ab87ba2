// WebSocket frames in and out of bytes (RFC 6455, section 5), without I/O, clock and randomness.
//
// The decoder takes one message after the other out of a buffer, as many as it holds; a message of
// one frame is unmasked where it lies and not copied. It holds the peer to the RFC and says with
// which close code a violation is to be answered. The encoder appends to a buffer of the caller.
//
// Threads: one. Failure: after kFailed, and after kClose, there is nothing more to take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace baiwan::net {

enum class WsOpcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

// RFC 6455, section 7.4.1.
inline constexpr std::uint16_t kWsNormal = 1000;
inline constexpr std::uint16_t kWsGoingAway = 1001;
inline constexpr std::uint16_t kWsProtocolError = 1002;
inline constexpr std::uint16_t kWsUnsupportedData = 1003;
inline constexpr std::uint16_t kWsNoCode = 1005;    // never sent
inline constexpr std::uint16_t kWsAbnormal = 1006;  // never sent
inline constexpr std::uint16_t kWsInvalidData = 1007;
inline constexpr std::uint16_t kWsPolicy = 1008;
inline constexpr std::uint16_t kWsTooBig = 1009;
inline constexpr std::uint16_t kWsTryAgainLater = 1013;

inline constexpr std::size_t kWsMaxControl = 125;  // bytes of a control frame's payload
inline constexpr std::size_t kWsMaxFrameHead = 14;

class WsDecoder {
 public:
  enum class Event : std::uint8_t { kNeedMore, kMessage, kPing, kPong, kClose, kFailed };

  // A client's frames must be masked and a server's must not. `max_message` in bytes.
  WsDecoder(bool from_client, std::size_t max_message)
      : from_client_(from_client), max_message_(max_message) {}

  // Takes the next event out of [*at, end) and moves *at past what it used. kNeedMore: what is left
  // is an incomplete frame; call again with it and more behind it.
  Event Next(char** at, char* end);

  // Of a message, ping, pong, or the reason of a close; valid until the next call.
  std::string_view data() const { return data_; }
  bool is_text() const { return opcode_ == WsOpcode::kText; }
  // kClose: the peer's code, or kWsNoCode; kFailed: the code to answer with.
  std::uint16_t code() const { return code_; }
  std::size_t held_bytes() const { return message_.capacity(); }
  bool in_message() const { return in_message_; }  // fragments have come, and the last has not

 private:
  struct Frame;
  Event ParseHead(const char* at, const char* end, Frame* frame);
  const char* Violation(const Frame& frame) const;
  Event TakeData(const Frame& frame, std::string_view payload);
  Event TakeClose(std::string_view payload);
  Event Deliver(WsOpcode opcode, std::string_view data);
  Event Fail(std::uint16_t code, const char* why);

  const bool from_client_;
  const std::size_t max_message_;
  bool in_message_ = false;  // the first fragments of a message are in message_
  bool used_message_ = false;
  WsOpcode opcode_ = WsOpcode::kBinary;  // of the last message delivered
  WsOpcode fragmented_ = WsOpcode::kBinary;
  std::uint16_t code_ = 0;
  std::string_view data_;
  std::string message_;
};

// XORs with the four bytes of `key` in memory order, eight bytes at a time (section 5.3).
void WsMask(char* data, std::size_t size, std::uint32_t key);

void AppendWsFrame(std::string& out, WsOpcode opcode, std::string_view payload);
void AppendMaskedWsFrame(std::string& out, WsOpcode opcode, std::string_view payload,
                         std::uint32_t key);
// The payload of a close frame; a reason too long for a control frame is cut, between characters.
std::string WsClosePayload(std::uint16_t code, std::string_view reason);
// Whether a peer may send this code in a close frame (section 7.4).
bool IsWsCloseCode(std::uint16_t code);

}  // namespace baiwan::net
