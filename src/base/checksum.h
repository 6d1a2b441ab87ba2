// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the one checksum of frames, sections and messages.
//
// Uses the processor's instruction where there is one. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/ids.h"

namespace baiwan {

// Continues `crc` (0 to begin) over `data`.
std::uint32_t Crc32c(std::string_view data, std::uint32_t crc = 0);

// The checksum that a message carries from the gateway that took it in to the verifier that proves
// it: over sender, receiver, send id (little endian, 8 bytes each) and body. A void has receiver 0.
std::uint32_t MessageChecksum(UserId sender, UserId receiver, Seq send_id, std::string_view body);

namespace internal {
std::uint32_t Crc32cPortable(std::string_view data, std::uint32_t crc);  // for tests and old CPUs
}

}  // namespace baiwan
