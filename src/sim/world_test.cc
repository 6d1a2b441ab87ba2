// Crashes, half-open peers, partitions, pauses, and that a seed is a run.
#include "sim/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/chaos.h"
#include "sim/seeds.h"

namespace baiwan::sim {
namespace {

struct Idle final : Program {};

// Listens on port 7 and keeps what comes; answers every read with as many dots if told so.
class Server final : public Program {
 public:
  struct Peer final : StreamHandler {
    explicit Peer(Server& server) : s(server) {}
    std::size_t OnData(std::string_view data) override {
      s.got += data;
      if (s.echo) stream->Write(std::string(data.size(), '.'));
      return data.size();
    }
    void OnClosed(NetError error) override { s.ends.push_back(error); }
    Server& s;
    std::unique_ptr<ByteStream> stream;
  };

  explicit Server(Node& node) {
    auto made = node.context().transport.Listen({node.ip(), 7}, [this](auto stream) {
      peers.push_back(std::make_unique<Peer>(*this));
      peers.back()->stream = std::move(stream);
      peers.back()->stream->SetHandler(peers.back().get());
    });
    listener = std::move(*made);
  }

  bool echo = true;
  std::string got;
  std::vector<NetError> ends;
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Peer>> peers;
};

class Client final : public Program, public StreamHandler {
 public:
  Client(Node& node, const Endpoint& server) : node_(node), server_(server) { Dial(); }
  void Dial() {
    stream.reset();
    node_.context().transport.Connect(server_, kSecond, [this](auto made) {
      if (!made.ok()) {
        refusals.push_back(made.error());
        return;
      }
      stream = std::move(*made);
      stream->SetHandler(this);
      up = true;
    });
  }
  std::size_t OnData(std::string_view data) override {
    got += data;
    return data.size();
  }
  void OnClosed(NetError error) override {
    ends.push_back(error);
    up = false;
  }

  std::unique_ptr<ByteStream> stream;
  bool up = false;
  std::string got;
  std::vector<NetError> ends;
  std::vector<NetError> refusals;

 private:
  Node& node_;
  const Endpoint server_;
};

class TwoNodes {
 public:
  explicit TwoNodes(std::uint64_t seed)
      : world(seed),
        server(world.AddNode("server", [](Node& n) { return std::make_unique<Server>(n); })),
        client(world.AddNode("client", [this](Node& n) {
          return std::make_unique<Client>(n, Endpoint{server.ip(), 7});
        })) {}
  Server& S() { return static_cast<Server&>(*server.program()); }
  Client& C() { return static_cast<Client&>(*client.program()); }
  void Connect() {
    ASSERT_EQ(world.RunUntil([this] { return C().up && !S().peers.empty(); }, 5 * kSecond),
              Ran::kHolds);
  }
  bool Until(const std::function<bool()>& holds, Nanos limit = 60 * kSecond) {
    return world.RunUntil(holds, limit) == Ran::kHolds;
  }

  World world;
  Node& server;
  Node& client;
};

TEST(SimCrash, AKilledProcessIsToldToItsPeersAndRefusesUntilItIsBack) {
  std::set<NetError> seen;
  for (const std::uint64_t seed : Seeds(30)) {
    TwoNodes t(seed);
    t.Connect();
    t.world.Crash(t.server);
    EXPECT_FALSE(t.server.up());
    ASSERT_TRUE(t.Until([&] { return !t.C().ends.empty(); }, kSecond)) << t.world.Describe();
    seen.insert(t.C().ends[0]);
    t.C().Dial();
    ASSERT_TRUE(t.Until([&] { return !t.C().refusals.empty(); }, kSecond));
    EXPECT_EQ(t.C().refusals[0], NetError::kRefused);
    t.world.Restart(t.server, kMillisecond);
    ASSERT_TRUE(t.Until([&] { return t.server.up(); }));
    EXPECT_EQ(t.server.lives(), 2U);
    t.C().Dial();
    t.Connect();
  }
  EXPECT_EQ(seen, (std::set<NetError>{NetError::kEof, NetError::kReset}));
}

TEST(SimCrash, AfterALossOfPowerThePeerLearnsOfItOnlyByWriting) {
  for (const std::uint64_t seed : Seeds(30)) {
    TwoNodes t(seed);
    t.Connect();
    t.world.Crash(t.server, CrashMode::kPower);
    t.world.Restart(t.server, 100 * kMillisecond);
    t.world.RunFor(3600 * kSecond);
    EXPECT_TRUE(t.C().ends.empty()) << "half open: nobody told it";
    t.C().stream->Write("anybody there?");
    ASSERT_TRUE(t.Until([&] { return t.C().ends.size() == 1; }, kSecond)) << t.world.Describe();
    EXPECT_EQ(t.C().ends[0], NetError::kReset);
  }
}

TEST(SimCrash, AHostWithoutPowerAnswersNobody) {
  TwoNodes t(1);
  t.Connect();
  t.world.Crash(t.server, CrashMode::kPower);
  t.C().stream->Write("anybody there?");
  ASSERT_TRUE(t.Until([&] { return t.C().ends.size() == 1; }, 25 * kSecond));
  EXPECT_EQ(t.C().ends[0], NetError::kTimeout);
  t.C().Dial();
  ASSERT_TRUE(t.Until([&] { return !t.C().refusals.empty(); }));
  EXPECT_EQ(t.C().refusals[0], NetError::kTimeout);
}

// Its destructor does everything that a shutdown would do.
class Flusher final : public Program, public StreamHandler {
 public:
  Flusher(Node& node, std::unique_ptr<ByteStream> s) : node_(node), stream(std::move(s)) {}
  ~Flusher() override {
    store::WriteSet writes;
    writes.puts.push_back({store::Space::kLog, "goodbye", "x"});
    node_.kv().Commit(writes, [](store::KvError) { ADD_FAILURE(); });
    EXPECT_NE(node_.kv().CommitNow(writes), store::KvError::kNone);
    node_.context().loop.Post([] { ADD_FAILURE(); });
    node_.context().loop.After(0, [] { ADD_FAILURE(); });
    node_.context().transport.Connect({"10.0.0.1", 7}, kSecond, [](auto) { ADD_FAILURE(); });
    if (stream) {
      stream->Write("goodbye");
      stream->CloseAfterFlush();
    }
    node_.context().log.Info("goodbye");
  }
  std::size_t OnData(std::string_view data) override { return data.size(); }
  void OnClosed(NetError) override { ADD_FAILURE() << "a dead node is told nothing"; }

 private:
  Node& node_;

 public:
  std::unique_ptr<ByteStream> stream;
};

TEST(SimCrash, NothingThatADestructorDoesHappens) {
  for (const std::uint64_t seed : Seeds(50)) {
    World world(seed);
    Node& server = world.AddNode("server", [](Node& n) { return std::make_unique<Server>(n); });
    Node& node =
        world.AddNode("flusher", [](Node& n) { return std::make_unique<Flusher>(n, nullptr); });
    auto& flusher = static_cast<Flusher&>(*node.program());
    node.context().transport.Connect({server.ip(), 7}, kSecond, [&](auto made) {
      flusher.stream = std::move(*made);
      flusher.stream->SetHandler(&flusher);
    });
    auto& s = static_cast<Server&>(*server.program());
    ASSERT_EQ(world.RunUntil([&] { return flusher.stream && !s.peers.empty(); }, kSecond),
              Ran::kHolds);
    world.Crash(node);
    world.RunFor(kSecond);
    EXPECT_EQ(s.got, "");
    ASSERT_EQ(s.ends.size(), 1U);
    EXPECT_TRUE(node.disk().contents()[1].empty());
  }
}

TEST(SimCrash, AFatalEndsTheNodeAfterTheCallback) {
  World world(1);
  Node& node = world.AddNode("node", [](Node&) { return std::make_unique<Idle>(); });
  bool returned = false;
  bool next = false;
  node.Post([&] {
    node.context().fatal.Die("cannot go on");
    returned = true;
  });
  node.Post([&] { next = true; });
  world.RunFor(kMillisecond);
  EXPECT_TRUE(returned);
  EXPECT_FALSE(next);
  EXPECT_FALSE(node.up());
  EXPECT_EQ(node.last_words(), "cannot go on");
}

TEST(SimCrash, ANodeThatEndsItselfIsStartedAgainBySupervision) {
  WorldOptions options;
  options.min_restart = kMillisecond;
  options.max_restart = 5 * kMillisecond;
  World world(1, options);
  Node& node = world.AddNode("node", [](Node& n) -> std::unique_ptr<Program> {
    if (n.lives() == 2) return nullptr;  // cannot start, the second time
    if (n.lives() == 3) n.context().fatal.Die("while booting");
    return std::make_unique<Idle>();
  });
  world.Crash(node);
  ASSERT_EQ(world.RunUntil([&] { return node.up(); }, kSecond), Ran::kHolds);
  EXPECT_EQ(node.lives(), 4U);
}

TEST(SimCrash, ACrashMayComeBetweenAnyTwoStepsOfATurn) {
  std::set<int> lengths;
  for (const std::uint64_t seed : Seeds(60)) {
    World world(seed);
    Node& node = world.AddNode("node", [](Node&) { return std::make_unique<Idle>(); });
    int ran = 0;
    for (int i = 0; i < 10; ++i) node.Post([&] { ++ran; });
    node.CrashAfter(world.rng().Below(11), CrashMode::kProcess);
    world.RunFor(kMillisecond);
    lengths.insert(ran);
  }
  EXPECT_GE(lengths.size(), 9U);
}

TEST(SimCrash, WhatAKilledProcessHadSentArrivesUpToSomePlace) {
  std::set<std::size_t> lengths;
  for (const std::uint64_t seed : Seeds(60)) {
    TwoNodes t(seed);
    t.Connect();
    const std::string sent(40'000, 'x');
    t.C().stream->Write(sent);
    t.world.RunFor(100 * kMicrosecond);
    t.world.Crash(t.client);
    ASSERT_TRUE(t.Until([&] { return t.S().ends.size() == 1; }));
    EXPECT_LE(t.S().got.size(), sent.size());
    lengths.insert(t.S().got.size());
  }
  EXPECT_GT(lengths.size(), 5U);
}

TEST(SimNetwork, APartitionHoldsBytesBackUntilItIsHealed) {
  for (const std::uint64_t seed : Seeds(30)) {
    TwoNodes t(seed);
    t.Connect();
    t.world.network().Partition(t.server.id(), t.client.id());
    t.C().stream->Write("held back");
    t.world.RunFor(10 * kSecond);
    EXPECT_EQ(t.S().got, "");
    t.world.network().Heal(t.server.id(), t.client.id());
    ASSERT_TRUE(t.Until([&] { return t.C().got.size() == 9; }, 2 * kSecond)) << t.world.Describe();
    EXPECT_EQ(t.S().got, "held back");
    EXPECT_TRUE(t.C().ends.empty());
  }
}

TEST(SimNetwork, APartitionThatLastsEndsTheConnectionOfWhoeverWrites) {
  TwoNodes t(1);
  t.Connect();
  t.world.network().Partition(t.server.id(), t.client.id());
  t.C().stream->Write("lost");
  ASSERT_TRUE(t.Until([&] { return t.C().ends.size() == 1; }, 25 * kSecond));
  EXPECT_EQ(t.C().ends[0], NetError::kTimeout);
  EXPECT_TRUE(t.S().ends.empty()) << "the other side is half open";
  t.world.network().HealAll();
  t.S().peers[0]->stream->Write("hello?");
  ASSERT_TRUE(t.Until([&] { return t.S().ends.size() == 1; }, kSecond));
  EXPECT_EQ(t.S().ends[0], NetError::kReset);
}

TEST(SimNetwork, OneWayBlocksCarryTheOtherWay) {
  TwoNodes t(2);
  t.Connect();
  t.world.network().Block(t.server.id(), t.client.id());
  t.C().stream->Write("ping");
  t.world.RunFor(kSecond);
  EXPECT_EQ(t.S().got, "ping");
  EXPECT_EQ(t.C().got, "");
  t.world.network().HealAll();
  ASSERT_TRUE(t.Until([&] { return t.C().got == "...."; }, kSecond));
}

TEST(SimNetwork, ABrokenConnectionIsResetAtBothEnds) {
  for (const std::uint64_t seed : Seeds(30)) {
    TwoNodes t(seed);
    t.Connect();
    t.C().stream->Write(std::string(30'000, 'x'));
    t.world.RunFor(200 * kMicrosecond);
    t.world.network().BreakAllOf(t.client.id(), BreakMode::kReset);
    ASSERT_TRUE(t.Until([&] { return t.S().ends.size() == 1 && t.C().ends.size() == 1; }));
    EXPECT_EQ(t.S().ends[0], NetError::kReset);
    EXPECT_EQ(t.C().ends[0], NetError::kReset);
    EXPECT_EQ(t.world.network().connections(), 0U);
  }
}

// Sends the numbers 0, 1, 2 … over one connection after the other, and checks what it gets, which
// is the same from others.
class Counting final : public Program {
 public:
  Counting(Node& node, int& wrong, std::uint64_t& bytes)
      : node_(node), wrong_(wrong), bytes_(bytes) {
    auto made = node.context().transport.Listen({node.ip(), 7},
                                                [this](auto stream) { Add(std::move(stream)); });
    listener_ = std::move(*made);
    Tick();
  }

 private:
  struct Peer final : StreamHandler {
    Peer(Counting& o, std::unique_ptr<ByteStream> s) : owner(o), stream(std::move(s)) {
      stream->SetHandler(this);
    }
    std::size_t OnData(std::string_view data) override {
      for (std::size_t at = 0; at + 4 <= data.size(); at += 4) {
        std::uint32_t number = 0;
        std::memcpy(&number, data.data() + at, 4);
        if (number != got++) ++owner.wrong_;
      }
      owner.bytes_ += data.size() / 4 * 4;
      return data.size() / 4 * 4;
    }
    void OnClosed(NetError) override { over = true; }
    Counting& owner;
    std::unique_ptr<ByteStream> stream;
    std::uint32_t sent = 0;
    std::uint32_t got = 0;
    bool over = false;
  };

  void Add(std::unique_ptr<ByteStream> stream) {
    peers_.push_back(std::make_unique<Peer>(*this, std::move(stream)));
  }
  void Tick() {
    Rng& rng = node_.context().rng;
    node_.loop().After(Between(rng, kMillisecond, 20 * kMillisecond), [this] { Tick(); });
    peers_.erase(
        std::remove_if(peers_.begin(), peers_.end(), [](const auto& p) { return p->over; }),
        peers_.end());
    if (peers_.size() < 4) {
      const Endpoint to{"10.0.0." + std::to_string(1 + rng.Below(3)), 7};
      node_.context().transport.Connect(to, kSecond, [this](auto made) {
        if (made.ok()) Add(std::move(*made));
      });
    }
    for (const auto& peer : peers_) {
      if (peer->stream->unsent() > 50'000) continue;
      for (std::uint64_t n = rng.Below(2000); n > 0; --n, ++peer->sent) {
        peer->stream->Write({reinterpret_cast<const char*>(&peer->sent), 4});
      }
      if (rng.Chance(0.02)) peer->stream->CloseAfterFlush();
    }
  }

  Node& node_;
  int& wrong_;
  std::uint64_t& bytes_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

TEST(SimNetwork, WhateverBreaksWhatArrivesIsABeginningOfWhatWasSent) {
  std::uint64_t bytes = 0;
  for (const std::uint64_t seed : Seeds(60)) {
    World world(seed);
    int wrong = 0;
    std::vector<Node*> nodes;
    for (const char* name : {"a", "b", "c"}) {
      nodes.push_back(&world.AddNode(
          name, [&](Node& n) { return std::make_unique<Counting>(n, wrong, bytes); }));
    }
    ChaosOptions options = ChaosOptions::Swarm(seed);
    options.max_gap = 60 * kMillisecond;
    Chaos chaos(world, options, nodes);
    chaos.Start();
    world.RunFor(3 * kSecond);
    ASSERT_EQ(wrong, 0) << world.Describe();
  }
  EXPECT_GT(bytes, 1'000'000U);
}

TEST(SimNetwork, ASilentConnectionPassesNothingAndTellsNobody) {
  TwoNodes t(4);
  t.Connect();
  t.world.network().BreakOne(BreakMode::kSilent);
  t.world.RunFor(100 * kSecond);
  EXPECT_TRUE(t.C().ends.empty());
  t.C().stream->Write("?");
  ASSERT_TRUE(t.Until([&] { return t.C().ends.size() == 1; }, 25 * kSecond));
  EXPECT_TRUE(t.S().ends.empty());
  EXPECT_EQ(t.S().got, "");
}

TEST(SimNetwork, ARefusingHostRefuses) {
  TwoNodes t(5);
  t.world.network().RefuseConnections(t.server.id(), true);
  ASSERT_TRUE(t.Until([&] { return t.C().refusals.size() == 1; }));
  t.world.network().RefuseConnections(t.server.id(), false);
  t.C().Dial();
  t.Connect();
}

TEST(SimNetwork, BandwidthIsALimit) {
  WorldOptions options;
  options.node.network.bandwidth = 100'000;
  World world(1, options);
  Node& server = world.AddNode("server", [](Node& n) { return std::make_unique<Server>(n); });
  Node& client = world.AddNode("client", [&](Node& n) {
    return std::make_unique<Client>(n, Endpoint{server.ip(), 7});
  });
  auto& c = static_cast<Client&>(*client.program());
  ASSERT_EQ(world.RunUntil([&] { return c.up; }, kSecond), Ran::kHolds);
  const Nanos start = world.now();
  c.stream->Write(std::string(200'000, 'x'));
  auto& s = static_cast<Server&>(*server.program());
  ASSERT_EQ(world.RunUntil([&] { return s.got.size() == 200'000; }, 60 * kSecond), Ran::kHolds);
  EXPECT_GE(world.now() - start, 2 * kSecond);
  EXPECT_LE(world.now() - start, 4 * kSecond);
}

TEST(SimWorld, APausedNodeDoesNothingAndThenGoesOn) {
  TwoNodes t(6);
  t.Connect();
  t.world.Pause(t.server, kSecond);
  t.C().stream->Write("wake up");
  t.world.RunFor(900 * kMillisecond);
  EXPECT_EQ(t.S().got, "");
  ASSERT_TRUE(t.Until([&] { return t.C().got.size() == 7; }, kSecond));
}

TEST(SimWorld, ClocksOfNodesDifferAndNeverGoBack) {
  NodeOptions skewed;
  skewed.max_skew_ppm = 100'000;
  World world(8);
  Node& a = world.AddNode("a", skewed, [](Node&) { return std::make_unique<Idle>(); });
  Node& b = world.AddNode("b", skewed, [](Node&) { return std::make_unique<Idle>(); });
  const Nanos start_a = a.clock().Monotonic();
  const Nanos start_b = b.clock().Monotonic();
  Nanos last = start_a;
  for (int i = 0; i < 10'000; ++i) {
    world.RunFor(1 + static_cast<Nanos>(world.rng().Below(1000)));
    EXPECT_GE(a.clock().Monotonic(), last);
    last = a.clock().Monotonic();
  }
  world.RunFor(10 * kSecond);
  EXPECT_NE(a.clock().Monotonic() - start_a, b.clock().Monotonic() - start_b);
  const auto wall = a.clock().WallMillis();
  a.clock().JumpWall(-3'600'000);
  EXPECT_EQ(a.clock().WallMillis(), wall - 3'600'000);
  bool fired = false;
  const Nanos set = b.clock().Monotonic();
  b.loop().After(5 * kSecond, [&] { fired = true; });
  ASSERT_EQ(world.RunUntil([&] { return fired; }, 20 * kSecond), Ran::kHolds);
  EXPECT_GE(b.clock().Monotonic() - set, 5 * kSecond);
  EXPECT_LE(b.clock().Monotonic() - set, 5 * kSecond + kMillisecond);
}

TEST(SimWorld, RunsAreBoundedInEvents) {
  WorldOptions options;
  options.max_events = 1000;
  World world(1, options);
  Node& node = world.AddNode("node", [](Node&) { return std::make_unique<Idle>(); });
  std::function<void()> again = [&] { node.Post(again); };
  again();
  EXPECT_EQ(world.RunFor(1000 * kSecond), Ran::kEvents);
}

// A busy scenario with every fault; returns the hash of everything that happened.
std::uint64_t BusyRun(std::uint64_t seed) {
  TwoNodes t(seed);
  Chaos chaos(t.world, {}, {&t.server, &t.client});
  chaos.Start();
  for (int i = 0; i < 200; ++i) {
    if (t.client.up() && t.C().up) {
      t.C().stream->Write(std::string(t.world.rng().Below(5000), 'x'));
    } else if (t.client.up()) {
      t.C().Dial();
    }
    if (t.server.up()) {
      store::WriteSet writes;
      writes.puts.push_back({store::Space::kLog, std::to_string(i), "v"});
      t.server.kv().Commit(writes, [](store::KvError) {});
    }
    t.world.RunFor(20 * kMillisecond);
  }
  chaos.Stop();
  t.world.RunFor(kSecond);
  EXPECT_GT(chaos.faults(), 5U);
  EXPECT_TRUE(t.server.up() && t.client.up());
  return t.world.trace().hash();
}

TEST(SimWorld, TheSameSeedIsTheSameRunAndAnotherIsNot) {
  std::set<std::uint64_t> hashes;
  const auto seeds = Seeds(20);
  for (const std::uint64_t seed : seeds) {
    const std::uint64_t hash = BusyRun(seed);
    EXPECT_EQ(BusyRun(seed), hash) << "seed " << seed;
    hashes.insert(hash);
  }
  EXPECT_EQ(hashes.size(), seeds.size());
}

TEST(SimWorld, AFailureNamesItsSeedAndShowsTheLastEvents) {
  TwoNodes t(4711);
  t.Connect();
  t.world.Crash(t.server);
  const std::string text = t.world.Describe();
  EXPECT_NE(text.find("seed 4711"), std::string::npos);
  EXPECT_NE(text.find("server       crash"), std::string::npos);
  EXPECT_NE(text.find("client       connect"), std::string::npos);
}

}  // namespace
}  // namespace baiwan::sim
