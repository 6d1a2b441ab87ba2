#include "net/ws_codec.h"

#include <algorithm>
#include <cstring>

#include "net/utf8.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kKeepCapacity = 8 << 10;  // a larger buffer is given back after its message

bool IsControl(WsOpcode opcode) { return (static_cast<std::uint8_t>(opcode) & 8) != 0; }

bool IsKnown(WsOpcode opcode) {
  return opcode <= WsOpcode::kBinary || (opcode >= WsOpcode::kClose && opcode <= WsOpcode::kPong);
}

// The first bytes of a frame; `mask_bit` is 0x80 for a client's.
void AppendHead(std::string& out, WsOpcode opcode, std::size_t size, std::uint8_t mask_bit) {
  char head[10];
  std::size_t n = 0;
  head[n++] = static_cast<char>(0x80 | static_cast<std::uint8_t>(opcode));
  if (size < 126) {
    head[n++] = static_cast<char>(mask_bit | size);
  } else if (size <= 0xFFFF) {
    head[n++] = static_cast<char>(mask_bit | 126);
    head[n++] = static_cast<char>(size >> 8);
    head[n++] = static_cast<char>(size);
  } else {
    head[n++] = static_cast<char>(mask_bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) {
      head[n++] = static_cast<char>(static_cast<std::uint64_t>(size) >> shift);
    }
  }
  out.append(head, n);
}

}  // namespace

struct WsDecoder::Frame {
  bool final = false;
  bool reserved = false;
  bool masked = false;
  WsOpcode opcode = WsOpcode::kContinuation;
  std::uint64_t length = 0;  // of the payload
  std::uint32_t key = 0;
  std::size_t head = 0;  // bytes before the payload
};

WsDecoder::Event WsDecoder::Next(char** at, char* end) {
  data_ = {};
  if (used_message_) {
    used_message_ = false;
    message_.clear();
    if (message_.capacity() > kKeepCapacity) std::string().swap(message_);
  }
  for (;;) {
    Frame frame;
    const Event head = ParseHead(*at, end, &frame);
    if (head != Event::kMessage) return head;
    if (static_cast<std::uint64_t>(end - *at) - frame.head < frame.length) return Event::kNeedMore;
    char* const payload = *at + frame.head;
    const auto length = static_cast<std::size_t>(frame.length);
    if (frame.masked) WsMask(payload, length, frame.key);
    *at = payload + length;
    const std::string_view bytes(payload, length);
    switch (frame.opcode) {
      case WsOpcode::kPing:
        data_ = bytes;
        return Event::kPing;
      case WsOpcode::kPong:
        data_ = bytes;
        return Event::kPong;
      case WsOpcode::kClose:
        return TakeClose(bytes);
      default:
        break;
    }
    const Event event = TakeData(frame, bytes);
    if (event != Event::kNeedMore) return event;
  }
}

// kMessage: the head is whole and allowed.
WsDecoder::Event WsDecoder::ParseHead(const char* at, const char* end, Frame* frame) {
  const auto left = static_cast<std::size_t>(end - at);
  if (left < 2) return Event::kNeedMore;
  const auto byte = [at](std::size_t i) { return static_cast<std::uint8_t>(at[i]); };
  frame->final = (byte(0) & 0x80) != 0;
  frame->reserved = (byte(0) & 0x70) != 0;
  frame->opcode = static_cast<WsOpcode>(byte(0) & 0x0F);
  frame->masked = (byte(1) & 0x80) != 0;
  frame->length = byte(1) & 0x7F;
  const std::size_t more = frame->length < 126 ? 0 : frame->length == 126 ? 2 : 8;
  frame->head = 2 + more + (frame->masked ? 4 : 0);
  // What two bytes can tell is refused before the rest is waited for.
  if (const char* why = Violation(*frame)) return Fail(kWsProtocolError, why);
  if (left < 2 + more) return Event::kNeedMore;
  if (more > 0) {
    frame->length = 0;
    for (std::size_t i = 0; i < more; ++i) frame->length = frame->length << 8 | byte(2 + i);
    if (frame->length < (more == 2 ? 126u : 0x10000u) || frame->length >> 63 != 0) {
      return Fail(kWsProtocolError, "a frame's length is not in its shortest form");
    }
  }
  if (!IsControl(frame->opcode)) {
    const std::size_t before = in_message_ ? message_.size() : 0;
    if (frame->length > max_message_ - before) return Fail(kWsTooBig, "the message is too large");
  }
  if (left < frame->head) return Event::kNeedMore;
  if (frame->masked) std::memcpy(&frame->key, at + frame->head - 4, 4);
  return Event::kMessage;
}

const char* WsDecoder::Violation(const Frame& frame) const {
  if (frame.reserved) return "a reserved bit is set and no extension was agreed on";
  if (!IsKnown(frame.opcode)) return "the opcode is reserved";
  if (frame.masked != from_client_) {
    return from_client_ ? "a client's frames must be masked"
                        : "a server's frames must not be masked";
  }
  if (IsControl(frame.opcode)) {
    if (!frame.final) return "a control frame is fragmented";
    if (frame.length > kWsMaxControl) return "a control frame is longer than 125 bytes";
    return nullptr;
  }
  if (frame.opcode == WsOpcode::kContinuation) {
    return in_message_ ? nullptr : "a continuation without a beginning";
  }
  return in_message_ ? "a new message inside a fragmented one" : nullptr;
}

// kNeedMore: the frame was a fragment, and more of the message is to come.
WsDecoder::Event WsDecoder::TakeData(const Frame& frame, std::string_view payload) {
  if (frame.final && !in_message_) return Deliver(frame.opcode, payload);
  if (!in_message_) {
    in_message_ = true;
    fragmented_ = frame.opcode;
  }
  message_.append(payload);
  if (!frame.final) return Event::kNeedMore;
  in_message_ = false;
  used_message_ = true;
  return Deliver(fragmented_, message_);
}

WsDecoder::Event WsDecoder::Deliver(WsOpcode opcode, std::string_view data) {
  if (opcode == WsOpcode::kText && !IsUtf8(data)) {
    return Fail(kWsInvalidData, "a text message is not UTF-8");
  }
  opcode_ = opcode;
  data_ = data;
  return Event::kMessage;
}

WsDecoder::Event WsDecoder::TakeClose(std::string_view payload) {
  if (payload.empty()) {
    code_ = kWsNoCode;
    return Event::kClose;
  }
  if (payload.size() == 1) return Fail(kWsProtocolError, "a close frame with half a code");
  const auto high = static_cast<std::uint8_t>(payload[0]);
  const auto low = static_cast<std::uint8_t>(payload[1]);
  const auto code = static_cast<std::uint16_t>(high << 8 | low);
  if (!IsWsCloseCode(code)) return Fail(kWsProtocolError, "a close code that may not be sent");
  if (!IsUtf8(payload.substr(2))) return Fail(kWsInvalidData, "a close reason is not UTF-8");
  code_ = code;
  data_ = payload.substr(2);
  return Event::kClose;
}

WsDecoder::Event WsDecoder::Fail(std::uint16_t code, const char* why) {
  code_ = code;
  data_ = why;
  return Event::kFailed;
}

void WsMask(char* data, std::size_t size, std::uint32_t key) {
  const std::uint64_t wide = static_cast<std::uint64_t>(key) << 32 | key;
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + i, 8);
    word ^= wide;
    std::memcpy(data + i, &word, 8);
  }
  char bytes[8];
  std::memcpy(bytes, &wide, 8);
  for (std::size_t k = 0; i < size; ++i, ++k) data[i] = static_cast<char>(data[i] ^ bytes[k]);
}

void AppendWsFrame(std::string& out, WsOpcode opcode, std::string_view payload) {
  AppendHead(out, opcode, payload.size(), 0);
  out.append(payload);
}

void AppendMaskedWsFrame(std::string& out, WsOpcode opcode, std::string_view payload,
                         std::uint32_t key) {
  AppendHead(out, opcode, payload.size(), 0x80);
  char bytes[4];
  std::memcpy(bytes, &key, 4);
  out.append(bytes, 4);
  out.append(payload);
  WsMask(out.data() + (out.size() - payload.size()), payload.size(), key);
}

std::string WsClosePayload(std::uint16_t code, std::string_view reason) {
  std::string payload;
  if (!IsWsCloseCode(code)) return payload;
  payload.push_back(static_cast<char>(code >> 8));
  payload.push_back(static_cast<char>(code));
  std::size_t size = std::min(reason.size(), kWsMaxControl - 2);
  while (size < reason.size() && size > 0 && (reason[size] & 0xC0) == 0x80) --size;
  payload.append(reason.substr(0, size));
  return payload;
}

bool IsWsCloseCode(std::uint16_t code) {
  if (code >= 3000) return code <= 4999;
  return code >= 1000 && code <= 1014 && code != 1004 && code != kWsNoCode && code != kWsAbnormal;
}

}  // namespace baiwan::net
