#include "net/link_framing.h"

#include <cstring>

#include "base/checksum.h"

namespace baiwan::net {

void AppendLinkFrame(std::string& out, std::uint8_t type, std::uint64_t tag,
                     std::string_view payload) {
  char head[kLinkFrameHead];
  const auto length = static_cast<std::uint32_t>(payload.size());
  std::memcpy(head, &length, 4);
  head[4] = static_cast<char>(type);
  std::memcpy(head + 5, &tag, 8);
  const std::size_t begin = out.size();
  out.append(head, sizeof head);
  out.append(payload);
  const std::uint32_t crc = Crc32c(std::string_view(out).substr(begin + 4));
  char tail[kLinkFrameTail];
  std::memcpy(tail, &crc, sizeof tail);
  out.append(tail, sizeof tail);
}

LinkDecoder::Event LinkDecoder::Next(std::string_view* data) {
  if (data->size() < 4) return Event::kNeedMore;
  const char* const at = data->data();
  std::uint32_t length = 0;
  std::memcpy(&length, at, 4);
  if (length > max_payload_) return Event::kTooLong;
  const std::size_t size = kLinkFrameHead + length + kLinkFrameTail;
  if (data->size() < size) return Event::kNeedMore;
  std::uint32_t crc = 0;
  std::memcpy(&crc, at + kLinkFrameHead + length, 4);
  if (Crc32c({at + 4, kLinkFrameHead - 4 + length}) != crc) return Event::kChecksum;
  type_ = static_cast<std::uint8_t>(at[4]);
  std::memcpy(&tag_, at + 5, 8);
  payload_ = {at + kLinkFrameHead, length};
  data->remove_prefix(size);
  return Event::kFrame;
}

}  // namespace baiwan::net
