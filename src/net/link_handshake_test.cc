#include "net/link_handshake.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/rng.h"
#include "base/testing/temp_folder.h"
#include "net/link_framing.h"

namespace baiwan::net {
namespace {

using ::testing::HasSubstr;
using Step = LinkHandshake::Step;

const LinkIdentity kDialer{"relay", 3, 17, 5};
const LinkIdentity kListener{"logic", 4, 18, 6};

LinkNonce Nonce(unsigned char fill) {
  LinkNonce nonce;
  nonce.fill(fill);
  return nonce;
}

// Passes everything in `bytes` to `to`; the last step.
Step Pass(std::string* bytes, LinkHandshake& to, std::string* out) {
  LinkDecoder decoder(kMaxHandshakePayload);
  std::string_view rest = *bytes;
  Step step = Step::kGoOn;
  while (step == Step::kGoOn && decoder.Next(&rest) == LinkDecoder::Event::kFrame) {
    step = to.Take(decoder.type(), decoder.payload(), out);
  }
  bytes->clear();
  return step;
}

struct Pair {
  Pair(std::string_view dialer_secret, std::string_view listener_secret)
      : dialer(LinkSide::kDialer, kDialer, dialer_secret, Nonce(1)),
        listener(LinkSide::kListener, kListener, listener_secret, Nonce(2)) {
    dialer.Start(&to_listener);
    listener.Start(&to_dialer);
  }
  LinkHandshake dialer;
  LinkHandshake listener;
  std::string to_listener;
  std::string to_dialer;
};

TEST(LinkHandshake, TwoWhoShareASecretComeUpAndKnowEachOther) {
  Pair p("a secret that both know", "a secret that both know");
  EXPECT_TRUE(p.to_dialer.empty()) << "a listener does not begin";
  EXPECT_EQ(Pass(&p.to_listener, p.listener, &p.to_dialer), Step::kGoOn);
  EXPECT_EQ(Pass(&p.to_dialer, p.dialer, &p.to_listener), Step::kGoOn);
  EXPECT_EQ(Pass(&p.to_listener, p.listener, &p.to_dialer), Step::kUp);
  EXPECT_EQ(Pass(&p.to_dialer, p.dialer, &p.to_listener), Step::kUp);
  EXPECT_EQ(p.listener.peer(), kDialer);
  EXPECT_EQ(p.dialer.peer(), kListener);
}

TEST(LinkHandshake, TheSecretDoesNotTravelAndAListenerProvesNothingToStrangers) {
  const std::string secret = "a secret that both know";
  Pair p("another secret, a wrong one", secret);
  std::string all = p.to_listener;
  Pass(&p.to_listener, p.listener, &p.to_dialer);
  all += p.to_dialer;
  Pass(&p.to_dialer, p.dialer, &p.to_listener);
  all += p.to_listener;
  EXPECT_EQ(Pass(&p.to_listener, p.listener, &p.to_dialer), Step::kFailed);
  EXPECT_EQ(p.listener.fault(), LinkFault::kSecret);
  LinkDecoder decoder(kMaxHandshakePayload);
  std::string_view rest = p.to_dialer;
  ASSERT_EQ(decoder.Next(&rest), LinkDecoder::Event::kFrame);
  EXPECT_EQ(decoder.type(), kLinkRefusalType);
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(Pass(&p.to_dialer, p.dialer, &p.to_listener), Step::kFailed);
  EXPECT_EQ(p.dialer.fault(), LinkFault::kSecret);
  EXPECT_TRUE(p.dialer.refused());
  EXPECT_EQ(all.find(secret), std::string::npos);
}

TEST(LinkHandshake, AProofIsWorthNothingInAnotherPlace) {
  const std::string a = EncodeLinkHello(kDialer, Nonce(1));
  const std::string b = EncodeLinkHello(kListener, Nonce(2));
  const std::string secret(32, 's');
  const LinkProof proof = ProveLink(secret, LinkSide::kDialer, a, b);
  EXPECT_TRUE(proof == ProveLink(secret, LinkSide::kDialer, a, b));
  EXPECT_FALSE(proof == ProveLink(secret, LinkSide::kListener, a, b)) << "reflected";
  EXPECT_FALSE(proof == ProveLink(secret, LinkSide::kDialer, b, a));
  EXPECT_FALSE(proof ==
               ProveLink(secret, LinkSide::kDialer, a, EncodeLinkHello(kListener, Nonce(3))))
      << "replayed";
  LinkIdentity other = kDialer;
  other.cell = 9;
  EXPECT_FALSE(proof == ProveLink(secret, LinkSide::kDialer, EncodeLinkHello(other, Nonce(1)), b));
  EXPECT_FALSE(proof == ProveLink(std::string(31, 's'), LinkSide::kDialer, a, b));
}

TEST(LinkHandshake, AListenerThatKnowsTheHelloButNotTheSecretIsFoundOut) {
  Pair p("a secret that both know", "not that one, by any means");
  Pass(&p.to_listener, p.listener, &p.to_dialer);
  Pass(&p.to_dialer, p.dialer, &p.to_listener);
  std::string forged;
  AppendLinkFrame(forged, kLinkProofType, 0, std::string(kLinkProofBytes, 'x'));
  std::string reflected = p.to_listener;  // the dialer's own proof
  EXPECT_EQ(Pass(&reflected, p.dialer, &p.to_listener), Step::kFailed);
  Pair q("a secret that both know", "not that one, by any means");
  Pass(&q.to_listener, q.listener, &q.to_dialer);
  Pass(&q.to_dialer, q.dialer, &q.to_listener);
  EXPECT_EQ(Pass(&forged, q.dialer, &q.to_listener), Step::kFailed);
  EXPECT_EQ(q.dialer.fault(), LinkFault::kSecret);
}

TEST(LinkHandshake, AnotherVersionIsToldApartFromNonsense) {
  LinkHandshake listener(LinkSide::kListener, kListener, "secret secret secret", Nonce(2));
  std::string out;
  EXPECT_EQ(listener.Take(kLinkHelloType, std::string("\x02\x00 whatever comes then", 20), &out),
            Step::kFailed);
  EXPECT_EQ(listener.fault(), LinkFault::kVersion);
  EXPECT_FALSE(out.empty()) << "and told";
  LinkHandshake dialer(LinkSide::kDialer, kDialer, "secret secret secret", Nonce(1));
  EXPECT_EQ(Pass(&out, dialer, &out), Step::kFailed);
  EXPECT_EQ(dialer.fault(), LinkFault::kVersion);
}

TEST(LinkHandshake, NothingElseIsTakenBeforeTheProofs) {
  for (const int type : {0, 5, 127, 129, 131, 255}) {
    LinkHandshake listener(LinkSide::kListener, kListener, "secret secret secret", Nonce(2));
    std::string out;
    EXPECT_EQ(listener.Take(static_cast<std::uint8_t>(type), "x", &out), Step::kFailed) << type;
    EXPECT_EQ(listener.fault(), LinkFault::kUnexpected);
  }
  Pair p("secret secret secret", "secret secret secret");
  std::string hello = p.to_listener;
  EXPECT_EQ(Pass(&p.to_listener, p.listener, &p.to_dialer), Step::kGoOn);
  EXPECT_EQ(Pass(&hello, p.listener, &p.to_dialer), Step::kFailed) << "a second hello";
}

TEST(LinkHandshake, EveryFlippedBitOfAHelloOrProofIsNoticed) {
  for (int message = 0; message < 3; ++message) {
    for (std::size_t bit = 0;; ++bit) {
      Pair p("secret secret secret", "secret secret secret");
      std::string* const sent[] = {&p.to_listener, &p.to_dialer, &p.to_listener};
      LinkHandshake* const to[] = {&p.listener, &p.dialer, &p.listener};
      std::string* const out[] = {&p.to_dialer, &p.to_listener, &p.to_dialer};
      for (int i = 0; i < message; ++i) Pass(sent[i], *to[i], out[i]);
      LinkDecoder decoder(kMaxHandshakePayload);
      std::string_view rest = *sent[message];
      ASSERT_EQ(decoder.Next(&rest), LinkDecoder::Event::kFrame);
      std::string payload(decoder.payload());
      if (bit >= payload.size() * 8) break;
      payload[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      Step step = to[message]->Take(decoder.type(), payload, out[message]);
      for (int i = message + 1; i < 3 && step == Step::kGoOn; ++i)
        step = Pass(sent[i], *to[i], out[i]);
      EXPECT_EQ(step, Step::kFailed) << "message " << message << ", bit " << bit;
    }
  }
}

TEST(LinkHandshake, AHelloOfAnyBytesIsDecodedOrRefused) {
  Rng rng(5);
  const std::string good = EncodeLinkHello(kDialer, Nonce(1));
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(DecodeLinkHello(good.substr(0, size))) << size;
  }
  EXPECT_FALSE(DecodeLinkHello(good + "x"));
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (std::uint64_t n = rng.Below(5); n > 0; --n) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    const auto peer = DecodeLinkHello(bytes);
    EXPECT_TRUE(!peer || peer->role.size() <= kMaxLinkRole);
  }
  LinkIdentity evil = kDialer;
  evil.role = "line\nbreak";
  EXPECT_FALSE(DecodeLinkHello(EncodeLinkHello(evil, Nonce(1)))) << "it is going to be logged";
}

// ---- the secret's file

class LinkSecretTest : public ::testing::Test {
 protected:
  void Write(std::string_view content, mode_t mode = 0600) {
    std::ofstream(path, std::ios::trunc) << content;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  const TempFolder temp;
  const std::string folder = temp.path();
  const std::string path = folder + "/secret";
};

TEST_F(LinkSecretTest, IsReadFromAFileOfItsOwner) {
  Write("0123456789abcdef");
  EXPECT_EQ(*ReadLinkSecret(path), "0123456789abcdef");
  Write("0123456789abcdef\n", 0400);
  EXPECT_EQ(*ReadLinkSecret(path), "0123456789abcdef");
}

TEST_F(LinkSecretTest, IsRefusedWhereOthersMayReadItOrItIsTooShort) {
  for (const mode_t mode : {0640, 0604, 0660, 0610, 0666, 0700}) {
    Write("0123456789abcdef", mode);
    const auto secret = ReadLinkSecret(path);
    ASSERT_FALSE(secret) << mode;
    EXPECT_THAT(secret.error(), HasSubstr("chmod 600"));
  }
  Write("0123456789abcde\n");
  EXPECT_THAT(ReadLinkSecret(path).error(), HasSubstr("at least 16"));
  Write(std::string(5000, 'x'));
  EXPECT_THAT(ReadLinkSecret(path).error(), HasSubstr("longer than"));
  EXPECT_THAT(ReadLinkSecret(path + "_not_there").error(), HasSubstr("make one"));
  EXPECT_THAT(ReadLinkSecret(folder).error(), HasSubstr("not a file"));
}

TEST_F(LinkSecretTest, IsRefusedWhenItBelongsToAnother) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  Write("0123456789abcdef");
  ASSERT_EQ(chown(path.c_str(), 12345, 12345), 0);
  EXPECT_THAT(ReadLinkSecret(path).error(), HasSubstr("belongs to user 12345"));
}

}  // namespace
}  // namespace baiwan::net
