#include "net/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "net/link_auth.h"
#include "net/link_framing.h"
#include "net/testing/memory_transport.h"

namespace baiwan::net {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const std::string kSecret = "a secret of some length";
const LinkIdentity kRelay{"relay", 1, 100, 7};
const LinkIdentity kLogic{"logic", 2, 200, 8};

class Recorder final : public LinkHandler {
 public:
  void OnLinkUp(Link& link, const LinkIdentity& peer) override {
    ++ups;
    current = &link;
    identity = peer;
    EXPECT_TRUE(link.up());
    EXPECT_EQ(link.peer_identity(), peer);
    connections.push_back(link.connection());
    if (on_up) on_up(link);
  }
  void OnLinkFrame(Link& link, std::uint8_t type, std::uint64_t tag,
                   std::string_view payload) override {
    frames.push_back(std::to_string(type) + " " + std::to_string(tag) + " " + std::string(payload));
    if (on_frame) on_frame(link);
  }
  void OnLinkWritable(Link&) override { ++writable; }
  void OnLinkDown(Link& link, NetError why) override {
    ++downs;
    error = why;
    EXPECT_FALSE(link.up());
    current = nullptr;
    if (on_down) on_down(link);
  }
  int ups = 0;
  int downs = 0;
  int writable = 0;
  NetError error{};
  Link* current = nullptr;
  LinkIdentity identity;
  std::vector<std::uint64_t> connections;
  std::vector<std::string> frames;
  std::function<void(Link&)> on_up, on_frame, on_down;
};

class LinkTest : public ::testing::Test {
 protected:
  void Listen(const std::string& secret = kSecret, std::uint32_t max_links = 4096) {
    auto listening =
        LinkListener::Listen(world.node, at, kLogic, secret, &logic, limits, max_links);
    ASSERT_TRUE(listening);
    listener = std::move(*listening);
    at = listener->local();
  }
  void Dial(const std::string& secret = kSecret) {
    link = DialLink(world.node, at, kRelay, secret, &relay, limits);
    world.Settle();
  }
  void Up() {
    Listen();
    Dial();
    ASSERT_TRUE(link->up());
  }

  MemoryWorld world;
  LinkLimits limits;
  Endpoint at{"127.0.0.1", 0};
  Recorder relay;
  Recorder logic;
  std::unique_ptr<LinkListener> listener;
  std::unique_ptr<Link> link;
};

TEST_F(LinkTest, ComesUpAndCarriesFramesBothWays) {
  Up();
  EXPECT_EQ(relay.identity, kLogic);
  EXPECT_EQ(logic.identity, kRelay);
  link->Send(1, 42, "to logic");
  logic.current->Send(127, ~std::uint64_t{0}, std::string("\0b", 2));
  world.Settle();
  EXPECT_THAT(logic.frames, ElementsAre("1 42 to logic"));
  EXPECT_THAT(relay.frames, ElementsAre(std::string("127 18446744073709551615 \0b", 27)));
  EXPECT_EQ(link->bytes_out(), logic.current->bytes_in());
  EXPECT_GT(link->bytes_in(), 0u);
  EXPECT_THAT(world.log.lines, IsEmpty());
}

TEST_F(LinkTest, ComesUpInPiecesOfAnySize) {
  Listen();
  for (world.transport.read_bytes = 1; world.transport.read_bytes < 120;
       world.transport.read_bytes += 3) {
    Dial();
    ASSERT_TRUE(link->up()) << world.transport.read_bytes;
    logic.frames.clear();
    link->Send(1, 2, "abc");
    link->Send(1, 3, "");
    world.Settle();
    EXPECT_THAT(logic.frames, ElementsAre("1 2 abc", "1 3 "));
  }
}

TEST_F(LinkTest, FramesOfOneTurnLeaveWithOneWrite) {
  Up();
  const auto before = world.transport.writes();
  for (int i = 0; i < 500; ++i) link->Send(1, static_cast<std::uint64_t>(i), "payload");
  world.Settle();
  EXPECT_EQ(world.transport.writes() - before, 1u);
  EXPECT_EQ(logic.frames.size(), 500u);
}

TEST_F(LinkTest, AWrongSecretIsOneLineOnEachSide) {
  Listen();
  Dial("a secret, but another one");
  world.Advance(30 * kSecond);
  EXPECT_EQ(relay.ups + logic.ups + relay.downs + logic.downs, 0);
  int dialer_lines = 0;
  int listener_lines = 0;
  for (const std::string& line : world.log.lines) {
    EXPECT_THAT(line, HasSubstr("the link secrets of the two sides differ"));
    (line.find("link to ") == 0 ? dialer_lines : listener_lines) += 1;
  }
  EXPECT_EQ(dialer_lines, 1);
  EXPECT_GE(listener_lines, 1);
  EXPECT_LE(listener_lines, 31) << "at most one a second";
}

// A peer that speaks for itself.
class LinkPeerTest : public LinkTest {
 protected:
  std::string Frame(std::uint8_t type, std::string_view payload) {
    std::string out;
    AppendLinkFrame(out, type, 0, payload);
    return out;
  }
  std::string HelloWithVersion(std::uint16_t version) {
    std::string hello = EncodeLinkHello(kRelay, LinkNonce{});
    hello[0] = static_cast<char>(version);
    return hello;
  }
};

TEST_F(LinkPeerTest, AnotherVersionIsNamedInTheLog) {
  Listen();
  RawPeer peer(world, at);
  peer.Send(Frame(kLinkHelloType, HelloWithVersion(2)));
  world.Settle();
  EXPECT_TRUE(peer.closed);
  ASSERT_EQ(world.log.lines.size(), 1u);
  EXPECT_THAT(world.log.lines[0], HasSubstr("different versions"));
}

TEST_F(LinkPeerTest, NothingPassesBeforeTheProof) {
  Listen();
  for (const std::string& first :
       {Frame(1, "data"), Frame(kLinkProofType, std::string(32, 'x')),
        Frame(kLinkHeartbeatType, ""),
        Frame(kLinkHelloType, HelloWithVersion(1)) + Frame(1, "data"),
        Frame(kLinkHelloType, HelloWithVersion(1)) + Frame(kLinkProofType, std::string(32, 'x')) +
            Frame(1, "data"),
        Frame(kLinkHelloType, std::string(kMaxHandshakePayload + 1, 'x')),
        std::string("GET / HTTP/1.1\r\n"), std::string("\xff\xff\xff\x7f")}) {
    world.Advance(2 * kSecond);
    RawPeer peer(world, at);
    peer.Send(first);
    world.Settle();
    EXPECT_TRUE(peer.closed);
  }
  EXPECT_EQ(world.log.lines.size(), 8u);
  EXPECT_EQ(logic.ups, 0);
  EXPECT_THAT(logic.frames, IsEmpty());
}

TEST_F(LinkPeerTest, ASilentOrSlowHandshakeIsEnded) {
  Listen();
  RawPeer silent(world, at);
  RawPeer slow(world, at);
  const std::string hello = Frame(kLinkHelloType, HelloWithVersion(1));
  for (int i = 0; i < 9; ++i) {
    slow.Send(hello.substr(static_cast<std::size_t>(i), 1));
    world.Advance(kSecond / 2);
  }
  EXPECT_FALSE(silent.closed || slow.closed);
  world.Advance(kSecond);
  EXPECT_TRUE(silent.closed && slow.closed);
}

TEST_F(LinkPeerTest, HalfDoneHandshakesKeepNobodyOut) {
  limits.max_handshakes = 8;
  Listen(kSecret, 2);
  Dial();
  std::vector<std::unique_ptr<RawPeer>> silent;
  for (int i = 0; i < 50; ++i) {
    silent.push_back(std::make_unique<RawPeer>(world, at));
    if (i % 2 == 0) silent.back()->Send(Frame(kLinkHelloType, HelloWithVersion(1)));
    world.Settle();
  }
  for (std::size_t i = 0; i < silent.size(); ++i) EXPECT_EQ(silent[i]->closed, i < 42) << i;
  EXPECT_TRUE(link->up()) << "who has proved himself is not counted with them";
  Recorder second;
  const auto b = DialLink(world.node, at, kRelay, kSecret, &second, limits);
  world.Settle();
  EXPECT_TRUE(b->up());
  EXPECT_EQ(world.log.lines.size(), 1u) << "one line for all of them";
}

TEST_F(LinkPeerTest, ADialerGivesUpOnAPeerThatDoesNotSpeak) {
  std::vector<std::unique_ptr<ByteStream>> streams;
  struct Sink final : StreamHandler {
    std::size_t OnData(std::string_view data) override { return data.size(); }
    void OnClosed(NetError) override {}
  } sink;
  auto silent = world.transport.Listen(at, [&](std::unique_ptr<ByteStream> stream) {
    stream->SetHandler(&sink);
    streams.push_back(std::move(stream));
  });
  at = (*silent)->local();
  Dial();
  world.Advance(30 * kSecond);
  EXPECT_GE(streams.size(), 4u) << "it tries again";
  EXPECT_LE(streams.size(), 8u);
  EXPECT_EQ(world.log.lines.size(), 1u) << "and says so once";
  streams.clear();
}

TEST_F(LinkTest, NoFlippedBitOfAFramePassesAndTheLinkComesBack) {
  limits.backoff_max = limits.backoff_first = kMillisecond;
  Up();
  for (std::size_t byte = 0; byte < kLinkFrameHead + 5 + kLinkFrameTail; ++byte) {
    ASSERT_TRUE(link->up());
    logic.frames.clear();
    const int downs = logic.downs;
    world.transport.on_way = [&](std::string& bytes) {
      bytes[byte] ^= 0x10;
      world.transport.on_way = nullptr;
    };
    link->Send(1, 2, "hello");
    for (int i = 0; i < 10; ++i) link->Send(1, 3, std::string(1 << 20, 'x'));
    world.Advance(kSecond);
    EXPECT_EQ(logic.downs, downs + 1) << byte;
    EXPECT_THAT(logic.frames, IsEmpty()) << byte;
  }
  bool named = false;
  for (const std::string& line : world.log.lines) named |= line.find("checksum") != line.npos;
  EXPECT_TRUE(named);
}

TEST_F(LinkTest, AFrameLongerThanAllowedEndsTheLink) {
  Listen();
  limits.max_frame = 16 << 20;
  Dial();
  link->Send(1, 1, std::string((8 << 20) + 1, 'x'));
  world.Turn();
  world.Turn();
  EXPECT_EQ(logic.downs, 1);
  EXPECT_THAT(world.log.lines, ElementsAre(HasSubstr("longer than allowed")));
}

TEST_F(LinkTest, WhatALinkDoesNotCarryEndsIt) {
  Up();
  link->Send(1, 1, "before");
  link->Send(1, 1, std::string((8 << 20) + 1, 'x'));
  link->Send(1, 1, "after");
  EXPECT_EQ(relay.downs, 0);  // not from inside the call
  world.Turn();
  EXPECT_EQ(relay.downs, 1);
  EXPECT_THAT(logic.frames, Not(Contains(HasSubstr("after"))));
  EXPECT_EQ(world.log.lines.size(), 1u);
}

TEST_F(LinkTest, ConnectsAgainWhenTheListenerComesBack) {
  Up();
  link->Send(1, 1, "lost");
  listener.reset();
  world.Advance(10 * kSecond);
  EXPECT_EQ(relay.downs, 1);
  EXPECT_EQ(logic.downs, 0) << "a listener that goes calls nobody";
  EXPECT_FALSE(link->up());
  link->Send(1, 1, "dropped");
  Listen();
  world.Advance(2 * kSecond + kMillisecond);
  ASSERT_TRUE(link->up());
  link->Send(1, 1, "after");
  world.Settle();
  EXPECT_THAT(logic.frames, ElementsAre("1 1 after"));
  ASSERT_EQ(relay.connections.size(), 2u);
  EXPECT_NE(relay.connections[0], relay.connections[1]);
  EXPECT_THAT(world.log.lines, IsEmpty());
}

TEST_F(LinkTest, BacksOffWithJitterUpToItsMaximum) {
  Listen();
  listener.reset();
  Dial();
  std::vector<Nanos> delays;
  for (int i = 0; i < 200; ++i) {
    const Nanos before = world.clock.now;
    const Nanos due = world.loop.NextDue();
    ASSERT_GE(due, 0);
    delays.push_back(due - before);
    world.Advance(due - before);
  }
  EXPECT_LE(delays[0], 50 * kMillisecond);
  EXPECT_LE(delays[1], 100 * kMillisecond);
  EXPECT_LE(delays[2], 200 * kMillisecond);
  Nanos sum = 0;
  Nanos least = delays[10];
  for (std::size_t i = 10; i < delays.size(); ++i) {
    EXPECT_LE(delays[i], 2 * kSecond);
    sum += delays[i];
    least = std::min(least, delays[i]);
  }
  const Nanos mean = sum / 190;
  EXPECT_GT(mean, 800 * kMillisecond);
  EXPECT_LT(mean, 1200 * kMillisecond);
  EXPECT_LT(least, 200 * kMillisecond) << "full jitter begins at zero";
}

TEST_F(LinkTest, HeartbeatsKeepAnIdleLinkAndABlackHoleEndsIt) {
  Up();
  world.Advance(600 * kSecond);
  EXPECT_TRUE(link->up());
  EXPECT_EQ(logic.downs, 0);
  EXPECT_THAT(logic.frames, IsEmpty()) << "heartbeats are not for the handler";
  world.transport.swallow = true;
  world.Advance(14 * kSecond);
  EXPECT_EQ(relay.downs + logic.downs, 0);
  world.Advance(7 * kSecond);
  EXPECT_EQ(relay.downs, 1);
  EXPECT_EQ(logic.downs, 1);
  EXPECT_EQ(relay.error, NetError::kTimeout);
  world.transport.swallow = false;
  world.Advance(10 * kSecond);
  EXPECT_TRUE(link->up());
}

TEST_F(LinkTest, TellsWhenItsOutputIsLowAgain) {
  limits.high_water = 100'000;
  limits.low_water = 20'000;
  world.transport.window = 10'000;
  Up();
  // Everything waits for one turn's output, far above high water.
  for (int i = 0; i < 50; ++i) link->Send(1, 1, std::string(4000, 'x'));
  EXPECT_GT(link->unsent(), 200'000u);
  EXPECT_GT(world.budget.used(Account::kLinks), 0u);
  world.Settle();
  EXPECT_EQ(relay.writable, 1);
  EXPECT_EQ(link->unsent(), 0u);
  EXPECT_EQ(logic.frames.size(), 50u);
}

TEST_F(LinkTest, APeerThatLagsTooFarLosesTheLinkNotFromInsideSend) {
  limits.max_unsent = 100'000;
  Up();
  for (int i = 0; i < 200; ++i) link->Send(1, 1, std::string(1000, 'x'));
  EXPECT_EQ(relay.downs, 0);
  EXPECT_FALSE(link->up());
  EXPECT_LE(link->unsent(), 105'000u);
  world.Turn();
  EXPECT_EQ(relay.downs, 1);
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(LinkTest, CloseSendsWhatIsUnsentAndTellsLater) {
  Up();
  Link* accepted = logic.current;
  accepted->Send(1, 1, "goodbye");
  accepted->Close();
  EXPECT_EQ(logic.downs, 0);
  world.Settle();
  EXPECT_EQ(logic.downs, 1);
  EXPECT_EQ(relay.downs, 1);
  EXPECT_THAT(relay.frames, ElementsAre("1 1 goodbye"));
  world.Advance(kSecond);
  EXPECT_TRUE(link->up()) << "the dialer comes back";
}

TEST_F(LinkTest, MoreLinksThanAllowedAreNotTaken) {
  Listen(kSecret, 2);
  Dial();
  Recorder second, third;
  const auto b = DialLink(world.node, at, kRelay, kSecret, &second, limits);
  world.Settle();
  const auto c = DialLink(world.node, at, kRelay, kSecret, &third, limits);
  world.Settle();
  EXPECT_TRUE(link->up() && b->up());
  EXPECT_FALSE(c->up());
  link.reset();
  world.Advance(5 * kSecond);
  EXPECT_TRUE(c->up()) << "as soon as there is room";
}

TEST_F(LinkTest, MayBeDestroyedInEveryCallback) {
  for (const int when : {0, 1, 2}) {
    for (const bool dialer : {true, false}) {
      SCOPED_TRACE(std::to_string(when) + (dialer ? " dialer" : " listener"));
      Recorder mine, theirs;
      relay = mine;
      logic = theirs;
      const auto destroy = [&](Link&) {
        if (dialer) {
          link.reset();
        } else {
          listener.reset();
        }
      };
      Recorder& who = dialer ? relay : logic;
      if (when == 0) who.on_up = destroy;
      if (when == 1) who.on_frame = destroy;
      if (when == 2) who.on_down = destroy;
      Listen();
      Dial();
      if (when == 1) {
        Link* const sender = dialer ? logic.current : link.get();
        sender->Send(1, 1, "a");
        sender->Send(1, 2, "b");
        world.Settle();
        EXPECT_EQ(who.frames.size(), 1u);
      }
      if (when == 2) {
        world.transport.BreakAll();
        world.Settle();
        EXPECT_EQ(who.downs, 1);
      }
      world.Advance(10 * kSecond);
      link.reset();
      listener.reset();
      world.Settle();
      EXPECT_EQ(world.budget.used(), 0u);
    }
  }
}

TEST_F(LinkTest, SurvivesRandomChangesOnTheWay) {
  limits.backoff_max = limits.backoff_first = kMillisecond;
  Rng rng(9);
  Listen();
  Dial();
  world.transport.on_way = [&](std::string& bytes) {
    if (rng.Chance(0.02)) bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
  };
  int sent = 0;
  for (int round = 0; round < 2000; ++round) {
    world.transport.read_bytes = 1 + rng.Below(300);
    if (link->up()) {
      link->Send(1, 7, "the same payload");
      ++sent;
    }
    world.Advance(10 * kMillisecond);
  }
  for (const std::string& frame : logic.frames) ASSERT_EQ(frame, "1 7 the same payload");
  EXPECT_GT(static_cast<int>(logic.frames.size()), sent / 4);
  world.transport.on_way = nullptr;
  world.Advance(60 * kSecond);
  EXPECT_TRUE(link->up());
}

}  // namespace
}  // namespace baiwan::net
