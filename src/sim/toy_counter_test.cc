// Does the simulated world find mistakes? A toy protocol with one promise, run under chaos: clients
// number their additions, the server commits before it acknowledges, and whoever loses a connection
// sends again what is not known to be stored. "Acknowledged means there, once, after any crash."
// Right, it holds for hundreds of seeds; with any one mistake planted, some seed shows it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "sim/chaos.h"
#include "sim/seeds.h"
#include "sim/world.h"

namespace baiwan::sim {
namespace {

using store::KvError;
using store::Space;

enum class Mistake {
  kNone,
  kAckBeforeCommit,     // the server answers at once
  kForgetToResend,      // the client goes on with new numbers after a reconnect
  kTrustSilence,        // the client waits for ever on a connection that died silently
  kNoDeduplication,     // the server adds whatever comes
  kAckAfterFailedSync,  // the server does not look at the commit's error
};

constexpr std::uint64_t kAdditions = 40;  // of each client
constexpr std::uint16_t kPort = 7;

// Frames both ways: kind, client, number. 'h'ello and 'a'dd to the server; 'o'k up to number back.
struct Frame {
  static constexpr std::size_t kBytes = 17;
  char kind = 0;
  std::uint64_t client = 0;
  std::uint64_t number = 0;

  std::string Encode() const {
    std::string bytes;
    Writer writer(bytes);
    writer.U8(static_cast<std::uint8_t>(kind));
    writer.U64(client);
    writer.U64(number);
    return bytes;
  }
};

template <class Fn>
std::size_t ForEachFrame(std::string_view data, const Fn& each) {
  Reader reader(data);
  while (reader.left() >= Frame::kBytes) {
    Frame frame;
    frame.kind = static_cast<char>(reader.U8());
    frame.client = reader.U64();
    frame.number = reader.U64();
    if (!each(frame)) break;
  }
  return reader.position();
}

// What a server's disk says: client → (highest number, how many additions).
struct Stored {
  std::uint64_t last = 0;
  std::uint64_t count = 0;
};

std::string KeyOf(std::uint64_t client) { return fmt::format("client{:04}", client); }

Stored Parse(std::string_view value) {
  Reader reader(value);
  Stored stored;
  stored.last = reader.U64();
  stored.count = reader.U64();
  return stored;
}

class Server final : public Program {
 public:
  Server(Node& node, Mistake mistake) : node_(node), mistake_(mistake) {
    node.kv().ScanNow(Space::kLog, "", "", [this](std::string_view key, std::string_view value) {
      std::uint64_t client = 0;
      std::from_chars(key.data() + 6, key.data() + key.size(), client);
      applied_[client] = Parse(value);
      durable_[client] = applied_[client].last;
      return true;
    });
    auto made = node.context().transport.Listen({node.ip(), kPort}, [this](auto stream) {
      const std::uint64_t id = ++last_peer_;
      peers_[id] = std::make_unique<Peer>(*this, id, std::move(stream));
    });
    listener_ = std::move(*made);
  }

 private:
  struct Peer final : StreamHandler {
    Peer(Server& s, std::uint64_t i, std::unique_ptr<ByteStream> b)
        : server(s), id(i), stream(std::move(b)) {
      stream->SetHandler(this);
    }
    std::size_t OnData(std::string_view data) override {
      return ForEachFrame(data, [this](const Frame& frame) {
        server.OnFrame(*this, frame);
        return true;
      });
    }
    void OnClosed(NetError) override { server.peers_.erase(id); }
    void Ack(std::uint64_t client, std::uint64_t number) const {
      stream->Write(Frame{'o', client, number}.Encode());
    }
    Server& server;
    const std::uint64_t id;
    std::unique_ptr<ByteStream> stream;
  };

  void OnFrame(Peer& peer, const Frame& frame) {
    if (frame.kind == 'h') return peer.Ack(frame.client, durable_[frame.client]);
    Stored& stored = applied_[frame.client];
    const bool next = frame.number == stored.last + 1;
    if (!next && mistake_ != Mistake::kNoDeduplication) return;  // old, or after something lost
    stored.last = std::max(stored.last, frame.number);
    ++stored.count;
    std::string value;
    Writer writer(value);
    writer.U64(stored.last);
    writer.U64(stored.count);
    store::WriteSet writes;
    writes.puts.push_back({Space::kLog, KeyOf(frame.client), value});
    if (mistake_ == Mistake::kAckBeforeCommit) peer.Ack(frame.client, frame.number);
    node_.kv().Commit(std::move(writes), [this, frame, id = peer.id](KvError error) {
      if (error != KvError::kNone && mistake_ != Mistake::kAckAfterFailedSync) {
        node_.context().fatal.Die("commit failed");
        return;
      }
      durable_[frame.client] = std::max(durable_[frame.client], frame.number);
      const auto at = peers_.find(id);
      if (at != peers_.end()) at->second->Ack(frame.client, frame.number);
    });
  }

  Node& node_;
  const Mistake mistake_;
  std::map<std::uint64_t, Stored> applied_;
  std::map<std::uint64_t, std::uint64_t> durable_;
  std::uint64_t last_peer_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Peer>> peers_;
  std::unique_ptr<Listener> listener_;
};

// What a client's user knows; it survives the client's crashes (a person with a notebook).
struct Notebook {
  std::uint64_t sent = 0;   // numbers given out
  std::uint64_t acked = 0;  // told to be stored
};

class Client final : public Program, public StreamHandler {
 public:
  Client(Node& node, std::uint64_t id, Endpoint server, Notebook& notebook, Mistake mistake)
      : node_(node), id_(id), server_(std::move(server)), notebook_(notebook), mistake_(mistake) {
    Dial();
    Tick();
  }

  std::size_t OnData(std::string_view data) override {
    return ForEachFrame(data, [this](const Frame& frame) {
      notebook_.acked = std::max(notebook_.acked, frame.number);
      heard_ = node_.clock().Monotonic();
      if (std::exchange(fresh_, false) && mistake_ != Mistake::kForgetToResend) {
        for (std::uint64_t n = frame.number + 1; n <= notebook_.sent; ++n) Add(n);
      }
      return true;
    });
  }
  void OnClosed(NetError) override {
    stream_.reset();
    node_.context().loop.After(10 * kMillisecond, [this] { Dial(); });
  }

 private:
  static constexpr Nanos kSilence = 3 * kSecond;

  void Dial() {
    node_.context().transport.Connect(server_, kSecond, [this](auto made) {
      if (!made.ok()) {
        node_.context().loop.After(20 * kMillisecond, [this] { Dial(); });
        return;
      }
      stream_ = std::move(*made);
      stream_->SetHandler(this);
      stream_->Write(Frame{'h', id_, 0}.Encode());
      fresh_ = true;
      heard_ = node_.clock().Monotonic();
    });
  }
  void Add(std::uint64_t n) { stream_->Write(Frame{'a', id_, n}.Encode()); }
  void Tick() {
    const Nanos pause = Between(node_.context().rng, kMillisecond, 40 * kMillisecond);
    node_.context().loop.After(pause, [this] { Tick(); });
    if (stream_ == nullptr || fresh_) {
      if (stream_ != nullptr) Heartbeat();
      return;
    }
    if (notebook_.sent < kAdditions && notebook_.sent < notebook_.acked + 8) {
      Add(++notebook_.sent);
    }
    Heartbeat();
  }
  void Heartbeat() {
    if (notebook_.acked >= notebook_.sent && !fresh_) return;
    if (mistake_ == Mistake::kTrustSilence) return;
    if (node_.clock().Monotonic() - heard_ > kSilence) OnClosed(NetError::kTimeout);
  }

  Node& node_;
  const std::uint64_t id_;
  const Endpoint server_;
  Notebook& notebook_;
  const Mistake mistake_;
  std::unique_ptr<ByteStream> stream_;
  bool fresh_ = false;  // connected, and not told yet how far the server is
  Nanos heard_ = 0;
};

// Empty if all is well; else what is wrong, and how to see it.
std::string RunToy(World& world, Mistake mistake) {
  constexpr std::uint64_t kClients = 3;
  Node& server =
      world.AddNode("server", [mistake](Node& n) { return std::make_unique<Server>(n, mistake); });
  std::vector<Notebook> notebooks(kClients);
  std::vector<Node*> nodes = {&server};
  for (std::uint64_t c = 0; c < kClients; ++c) {
    nodes.push_back(&world.AddNode(fmt::format("client{}", c), [&, c, mistake](Node& n) {
      return std::make_unique<Client>(n, c, Endpoint{server.ip(), kPort}, notebooks[c], mistake);
    }));
  }
  Chaos chaos(world, ChaosOptions::Swarm(world.seed()), nodes);
  chaos.Start();
  const auto complain = [&](std::uint64_t client, std::string_view what) {
    const Notebook& book = notebooks[client];
    return fmt::format("client {}: {} (sent {}, acked {})\n{}", client, what, book.sent, book.acked,
                       world.Describe());
  };
  const auto check = [&]() -> std::string {
    for (std::uint64_t c = 0; c < kClients; ++c) {
      const auto& disk = server.disk().contents()[static_cast<std::size_t>(Space::kLog)];
      const auto at = disk.find(KeyOf(c));
      const Stored stored = at == disk.end() ? Stored{} : Parse(at->second);
      if (stored.last < notebooks[c].acked) return complain(c, "acknowledged, and lost");
      if (stored.count != stored.last) return complain(c, "added twice, or skipped");
    }
    return {};
  };
  const Nanos end = 4 * kSecond;
  while (world.now() < end) {
    world.RunFor(50 * kMillisecond);
    if (auto wrong = check(); !wrong.empty()) return wrong;
  }
  chaos.Stop();
  const auto finished = [&] {
    for (const Notebook& book : notebooks) {
      if (book.acked < kAdditions) return false;
    }
    return true;
  };
  const Ran ran = world.RunUntil(finished, 120 * kSecond);
  if (auto wrong = check(); !wrong.empty()) return wrong;
  if (ran == Ran::kHolds) return {};
  return fmt::format("never finished: {}\n{}", Name(ran), world.Describe());
}

std::string RunToy(std::uint64_t seed, Mistake mistake) {
  World world(seed);
  return RunToy(world, mistake);
}

TEST(ToyCounter, AcknowledgedMeansThereOnceAfterAnyCrash) {
  for (const std::uint64_t seed : Seeds(300)) {
    const std::string wrong = RunToy(seed, Mistake::kNone);
    ASSERT_TRUE(wrong.empty()) << wrong;
  }
}

// So that a seed from one machine shows the same there and elsewhere. A change of the simulator is
// a change of this number; two compilers, or two builds, that differ in it are a mistake. Mostly it
// is two draws in one expression, whose order is the compiler's choice.
TEST(ToyCounter, ASeedIsTheSameRunWhateverCompiledIt) {
  std::uint64_t all = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World world(seed);
    RunToy(world, Mistake::kNone);
    all = Mix(all, world.trace().hash());
  }
  EXPECT_EQ(all, 0xF44B'6D7E'68B3'40B4ULL);
}

// The rarest mistake, TrustSilence, shows in 31 of 10,000 seeds (the others in 551 and more):
// whatever becomes of single seeds when the simulator changes, so many miss it once in millions of
// times.
constexpr std::uint64_t kPlantedSeeds = 5000;

class Planted : public ::testing::TestWithParam<std::pair<const char*, Mistake>> {};

TEST_P(Planted, MistakeIsFoundWithinABoundedNumberOfSeeds) {
  const auto found = FirstFailure(
      kPlantedSeeds, [](std::uint64_t seed) { return RunToy(seed, GetParam().second); });
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(RunToy(*found, GetParam().second), RunToy(*found, GetParam().second)) << "it replays";
  RecordProperty("seed", std::to_string(*found));
}

INSTANTIATE_TEST_SUITE_P(ToyCounter, Planted,
                         ::testing::Values(std::pair{"AckBeforeCommit", Mistake::kAckBeforeCommit},
                                           std::pair{"ForgetToResend", Mistake::kForgetToResend},
                                           std::pair{"TrustSilence", Mistake::kTrustSilence},
                                           std::pair{"NoDeduplication", Mistake::kNoDeduplication},
                                           std::pair{"AckAfterFailedSync",
                                                     Mistake::kAckAfterFailedSync}),
                         [](const auto& param) { return param.param.first; });

}  // namespace
}  // namespace baiwan::sim
