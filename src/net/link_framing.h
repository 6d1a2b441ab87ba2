// Frames of a link in and out of bytes (docs/formats.md, "Link frames"), without I/O or clock.
//
//   u32 length of the payload, u8 type, u64 tag, payload, u32 CRC-32C of type, tag and payload
//
// All little endian. Types 0 … 127 are the users' of links, 128 and above are the link's own.
//
// Threads: one. Failure: after kTooLong or kChecksum there is no telling where the next frame
// begins; the connection has to end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace baiwan::net {

inline constexpr std::size_t kLinkFrameHead = 13;
inline constexpr std::size_t kLinkFrameTail = 4;

inline constexpr std::uint8_t kFirstReservedType = 128;
inline constexpr std::uint8_t kLinkHelloType = 128;
inline constexpr std::uint8_t kLinkProofType = 129;
inline constexpr std::uint8_t kLinkRefusalType = 130;
inline constexpr std::uint8_t kLinkHeartbeatType = 131;

void AppendLinkFrame(std::string& out, std::uint8_t type, std::uint64_t tag,
                     std::string_view payload);

class LinkDecoder {
 public:
  enum class Event : std::uint8_t { kNeedMore, kFrame, kTooLong, kChecksum };

  explicit LinkDecoder(std::uint32_t max_payload) : max_payload_(max_payload) {}
  void set_max_payload(std::uint32_t bytes) { max_payload_ = bytes; }

  // Takes the next frame from the front of `data`. kNeedMore: what is left is an incomplete frame;
  // call again with it and more behind it.
  Event Next(std::string_view* data);
  // Of the last frame; the payload lies in what Next was given.
  std::uint8_t type() const { return type_; }
  std::uint64_t tag() const { return tag_; }
  std::string_view payload() const { return payload_; }

 private:
  std::uint32_t max_payload_;
  std::uint8_t type_ = 0;
  std::uint64_t tag_ = 0;
  std::string_view payload_;
};

}  // namespace baiwan::net
