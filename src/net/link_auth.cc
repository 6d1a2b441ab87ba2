#include "net/link_auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/bytes.h"

namespace baiwan::net {
namespace {

// Where a hello of this version has its nonce: behind the version.
std::string_view NonceOf(std::string_view hello) { return hello.substr(2, kLinkNonceBytes); }

}  // namespace

const char* Message(LinkFault fault) {
  switch (fault) {
    case LinkFault::kVersion:
      return "the two sides speak different versions of the link protocol";
    case LinkFault::kSecret:
      return "the link secrets of the two sides differ";
    case LinkFault::kMalformed:
      return "the handshake is malformed; the other side may not be Baiwan";
    case LinkFault::kTooLong:
      return "a frame is longer than allowed";
    case LinkFault::kChecksum:
      return "a frame's checksum is wrong";
    case LinkFault::kUnexpected:
      return "a frame of a kind that may not come now";
    case LinkFault::kTimeout:
      return "the handshake took too long";
  }
  return "unknown fault";
}

std::string EncodeLinkHello(const LinkIdentity& self, const LinkNonce& nonce) {
  std::string hello;
  Writer writer(hello);
  writer.U16(kLinkVersion);
  writer.Bytes({reinterpret_cast<const char*>(nonce.data()), nonce.size()});
  writer.U32(self.cell);
  writer.U64(self.incarnation);
  writer.U64(self.table_version);
  writer.Sized(std::string_view(self.role).substr(0, kMaxLinkRole));
  return hello;
}

Result<LinkIdentity, LinkFault> DecodeLinkHello(std::string_view hello) {
  Reader reader(hello);
  const auto version = reader.U16();
  if (!reader.ok()) return LinkFault::kMalformed;
  if (version != kLinkVersion) return LinkFault::kVersion;
  LinkIdentity peer;
  reader.Bytes(kLinkNonceBytes);
  peer.cell = reader.U32();
  peer.incarnation = reader.U64();
  peer.table_version = reader.U64();
  peer.role = reader.Sized();
  const bool fits =
      reader.ok() && reader.done() && peer.role.size() <= kMaxLinkRole && peer.cell < kMaxCells;
  if (!fits) return LinkFault::kMalformed;
  for (const char c : peer.role) {  // it is going to be logged
    if (c < 0x21 || c > 0x7E) return LinkFault::kMalformed;
  }
  return peer;
}

LinkProof ProveLink(std::string_view secret, LinkSide side, std::string_view dialer,
                    std::string_view listener) {
  std::string text = "baiwan link ";
  Writer writer(text);
  writer.U8(static_cast<std::uint8_t>(side));
  writer.Bytes(NonceOf(dialer));
  writer.Bytes(NonceOf(listener));
  writer.Sized(dialer);
  writer.Sized(listener);
  LinkProof proof{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &size);
  return proof;
}

bool SameProof(const LinkProof& expected, std::string_view got) {
  return got.size() == expected.size() &&
         CRYPTO_memcmp(expected.data(), got.data(), expected.size()) == 0;
}

void SystemNonce(NodeContext& node, unsigned char* nonce) {
  if (RAND_bytes(nonce, static_cast<int>(kLinkNonceBytes)) == 1) return;
  node.fatal.Die("the system gives no random numbers, so links cannot prove who they are");
}

}  // namespace baiwan::net
