#include "net/link_handshake.h"

#include <utility>

#include "net/link_framing.h"

namespace baiwan::net {
namespace {

std::string_view Bytes(const LinkProof& proof) {
  return {reinterpret_cast<const char*>(proof.data()), proof.size()};
}

}  // namespace

LinkHandshake::LinkHandshake(LinkSide side, const LinkIdentity& self, std::string_view secret,
                             const LinkNonce& nonce)
    : side_(side), secret_(secret), hello_(EncodeLinkHello(self, nonce)) {}

void LinkHandshake::Start(std::string* out) {
  if (side_ == LinkSide::kDialer) AppendLinkFrame(*out, kLinkHelloType, 0, hello_);
}

LinkHandshake::Step LinkHandshake::Take(std::uint8_t type, std::string_view payload,
                                        std::string* out) {
  if (type == kLinkRefusalType && payload.size() == 1) {
    const auto reason = static_cast<LinkFault>(payload[0]);
    refused_ = true;
    fault_ = reason == LinkFault::kVersion || reason == LinkFault::kSecret ? reason
                                                                           : LinkFault::kMalformed;
    return Step::kFailed;
  }
  if (type == kLinkHelloType && awaits_ == Awaits::kHello) return TakeHello(payload, out);
  if (type == kLinkProofType && awaits_ == Awaits::kProof) return TakeProof(payload, out);
  return Fail(LinkFault::kUnexpected, out);
}

LinkHandshake::Step LinkHandshake::TakeHello(std::string_view hello, std::string* out) {
  auto peer = DecodeLinkHello(hello);
  if (!peer) return Fail(peer.error(), out);
  peer_ = std::move(*peer);
  peer_hello_.assign(hello);
  awaits_ = Awaits::kProof;
  if (side_ == LinkSide::kListener) {
    AppendLinkFrame(*out, kLinkHelloType, 0, hello_);
  } else {
    AppendLinkFrame(*out, kLinkProofType, 0, Bytes(Proof(side_)));
  }
  return Step::kGoOn;
}

LinkHandshake::Step LinkHandshake::TakeProof(std::string_view proof, std::string* out) {
  const LinkSide other = side_ == LinkSide::kDialer ? LinkSide::kListener : LinkSide::kDialer;
  if (!SameProof(Proof(other), proof)) return Fail(LinkFault::kSecret, out);
  awaits_ = Awaits::kNothing;
  if (side_ == LinkSide::kListener) AppendLinkFrame(*out, kLinkProofType, 0, Bytes(Proof(side_)));
  return Step::kUp;
}

LinkProof LinkHandshake::Proof(LinkSide side) const {
  const bool dialer = side_ == LinkSide::kDialer;
  return ProveLink(secret_, side, dialer ? hello_ : peer_hello_, dialer ? peer_hello_ : hello_);
}

LinkHandshake::Step LinkHandshake::Fail(LinkFault fault, std::string* out) {
  awaits_ = Awaits::kNothing;
  fault_ = fault;
  if (fault == LinkFault::kVersion || fault == LinkFault::kSecret) {
    const char reason = static_cast<char>(fault);
    AppendLinkFrame(*out, kLinkRefusalType, 0, {&reason, 1});
  }
  return Step::kFailed;
}

}  // namespace baiwan::net
