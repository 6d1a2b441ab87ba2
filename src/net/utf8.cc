#include "net/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace baiwan::net {
namespace {

// The length of the well-formed sequence at `p`, of `left` > 0 bytes, or 0. RFC 3629, section 4.
std::size_t Sequence(const unsigned char* p, std::size_t left) {
  const unsigned char lead = p[0];
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return 0;
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (left < length) return 0;
  unsigned char least = 0x80;  // of the second byte
  unsigned char most = 0xBF;
  if (lead == 0xE0) least = 0xA0;  // overlong
  if (lead == 0xED) most = 0x9F;   // surrogates
  if (lead == 0xF0) least = 0x90;  // overlong
  if (lead == 0xF4) most = 0x8F;   // above U+10FFFF
  if (p[1] < least || p[1] > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((p[i] & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    std::uint64_t word = 0;
    while (end - p >= 8) {
      std::memcpy(&word, p, 8);
      if ((word & 0x8080808080808080ULL) != 0) break;
      p += 8;
    }
    if (p == end) break;
    const std::size_t length = Sequence(p, static_cast<std::size_t>(end - p));
    if (length == 0) return false;
    p += length;
  }
  return true;
}

}  // namespace baiwan::net
