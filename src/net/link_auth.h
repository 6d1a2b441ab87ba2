// What the two sides of a link say and prove before any frame passes.
//
// The hello says who is there, in which version of the protocol, with a nonce. The proof is
// HMAC-SHA-256 (RFC 2104, FIPS 180-4) with the deployment's secret over the side's tag, both nonces
// and both hellos, so it cannot be replayed, reflected or carried over to other hellos.
//
// Pure, but for SystemNonce. Failure: see LinkFault.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/link.h"

namespace baiwan::net {

inline constexpr std::uint16_t kLinkVersion = 1;
inline constexpr std::size_t kLinkNonceBytes = 16;
inline constexpr std::size_t kLinkProofBytes = 32;
inline constexpr std::size_t kMaxLinkRole = 32;  // bytes of LinkIdentity::role
inline constexpr std::uint32_t kMaxHandshakePayload =
    128;  // bytes; more is not read before the proof

// Why a link ended that should not have. The numbers travel in refusals.
enum class LinkFault : std::uint8_t {
  kVersion = 1,
  kSecret = 2,
  kMalformed = 3,
  kTooLong = 4,
  kChecksum = 5,
  kUnexpected = 6,
  kTimeout = 7,
};
const char* Message(LinkFault fault);

using LinkNonce = std::array<unsigned char, kLinkNonceBytes>;
using LinkProof = std::array<unsigned char, kLinkProofBytes>;

enum class LinkSide : std::uint8_t { kDialer = 'D', kListener = 'L' };

std::string EncodeLinkHello(const LinkIdentity& self, const LinkNonce& nonce);
// The identity in a hello. The version is looked at first: what follows it may be of another form.
Result<LinkIdentity, LinkFault> DecodeLinkHello(std::string_view hello);

// `dialer` and `listener` are the hellos as they were sent.
LinkProof ProveLink(std::string_view secret, LinkSide side, std::string_view dialer,
                    std::string_view listener);
// In constant time.
bool SameProof(const LinkProof& expected, std::string_view got);

// Fills a nonce from the system's random numbers; ends the node if there are none.
void SystemNonce(NodeContext& node, unsigned char* nonce);

}  // namespace baiwan::net
