// The handshake of a link as a state machine over frames, without I/O, clock and randomness.
//
//   dialer                          listener
//     ├─ hello ──────────────────────►│ version?
//     │◄────────────────────── hello ─┤
//     ├─ proof ──────────────────────►│ secret?  then up
//     │◄────────────────────── proof ─┤
//     up, if the secret is right
//
// The dialer proves itself first, so a listener proves nothing to strangers. Who finds the other
// wrong in version or secret says so in a refusal before it closes: for the log, not for rules.
//
// Threads: one. Failure: Step::kFailed, and fault() says why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "net/link_auth.h"

namespace baiwan::net {

class LinkHandshake {
 public:
  enum class Step : std::uint8_t { kGoOn, kUp, kFailed };

  LinkHandshake(LinkSide side, const LinkIdentity& self, std::string_view secret,
                const LinkNonce& nonce);

  // What is to be sent before anything has come.
  void Start(std::string* out);
  // Takes one frame and appends what is to be sent, also when it failed.
  Step Take(std::uint8_t type, std::string_view payload, std::string* out);
  const LinkIdentity& peer() const { return peer_; }  // known from the hello, true once kUp
  LinkFault fault() const { return fault_; }
  // The fault was told by the other side.
  bool refused() const { return refused_; }

 private:
  enum class Awaits : std::uint8_t { kHello, kProof, kNothing };

  Step TakeHello(std::string_view hello, std::string* out);
  Step TakeProof(std::string_view proof, std::string* out);
  Step Fail(LinkFault fault, std::string* out);
  LinkProof Proof(LinkSide side) const;

  const LinkSide side_;
  const std::string secret_;
  const std::string hello_;
  std::string peer_hello_;
  Awaits awaits_ = Awaits::kHello;
  LinkIdentity peer_;
  LinkFault fault_ = LinkFault::kMalformed;
  bool refused_ = false;
};

}  // namespace baiwan::net
