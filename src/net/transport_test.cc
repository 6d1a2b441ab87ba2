// Bytes on their way: reading, writing, holding back. See also transport_end_test.cc.
#include <atomic>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

#include "net/testing/transport_fixture.h"

namespace baiwan::net {
namespace {

BAIWAN_ON_BOTH_BACKENDS(TransportTest);

TEST_P(TransportTest, WhatIsWrittenComesBackFromAnEcho) {
  Peer client, server;
  ConnectPair(client, server);
  server.on_data = [&](std::string_view data) {
    server.stream->Write(data);
    return data.size();
  };
  client.stream->Write("hello, ");
  client.stream->Output().append("world");
  EXPECT_EQ(client.stream->unsent(), 12u);
  ASSERT_TRUE(RunUntil([&] { return client.received.size() >= 12; }));
  EXPECT_EQ(client.received, "hello, world");
  EXPECT_EQ(client.stream->unsent(), 0u);
  EXPECT_EQ(client.stream->bytes_out(), 12u);
  EXPECT_EQ(client.stream->bytes_in(), 12u);
  EXPECT_EQ(client.stream->peer(), listener->local());
  EXPECT_EQ(server.stream->peer().host, "127.0.0.1");
  EXPECT_NE(server.stream->peer().port, 0);
}

TEST_P(TransportTest, HundredsOfWritesInATurnLeaveWithOneSend) {
  Peer client, server;
  ConnectPair(client, server);
  RunFor(5 * kMillisecond);
  const LoopStats before = loop->stats();
  loop->Post([&] {
    for (int i = 0; i < 500; ++i) client.stream->Write("0123456789");
  });
  ASSERT_TRUE(RunUntil([&] { return server.received.size() == 5000; }));
  RunFor(5 * kMillisecond);
  EXPECT_EQ(loop->stats().writes - before.writes, 1u);
  EXPECT_LE(loop->stats().reads - before.reads, 2u);
  EXPECT_EQ(loop->stats().bytes_out - before.bytes_out, 5000u);
  EXPECT_EQ(loop->stats().bytes_in - before.bytes_in, 5000u);
}

// Sends a known sequence as long as the other side takes it, and checks the one it receives.
struct Pump {
  static constexpr std::size_t kBytes = 64 << 20;
  static constexpr std::size_t kBlock = 64'000;  // no power of two: cuts fall anywhere

  Peer peer;
  Loop* loop = nullptr;
  std::string pattern;
  std::size_t sent = 0, taken = 0, most_unsent = 0;
  int pauses = 0;
  bool wrong = false;

  void Start(Loop& on) {
    loop = &on;
    for (std::size_t i = 0; i < 2 * kBlock; ++i) pattern.push_back(Byte(i % kBlock));
    peer.on_data = [this](std::string_view data) { return Take(data); };
    peer.on_writable = [this] { Fill(); };
    Fill();
  }
  static char Byte(std::size_t i) { return static_cast<char>((i * 2654435761u) >> 13); }
  void Fill() {
    while (sent < kBytes && peer.stream->unsent() <= (1 << 20)) {
      const std::size_t n = std::min(kBlock, kBytes - sent);
      peer.stream->Write(std::string_view(pattern).substr(sent % kBlock, n));
      sent += n;
    }
    most_unsent = std::max(most_unsent, peer.stream->unsent());
  }
  std::size_t Take(std::string_view data) {
    // Leaves a rest now and then, but not of the last, and stops now and then.
    const bool last = taken + data.size() == kBytes;
    const std::size_t use = data.size() % 7 == 3 && !last ? data.size() / 2 : data.size();
    std::size_t at = 0;
    while (at < use) {
      const std::size_t n = std::min(use - at, kBlock);
      if (std::memcmp(data.data() + at, pattern.data() + (taken + at) % kBlock, n) != 0) {
        wrong = true;
      }
      at += n;
    }
    const bool stop = taken / (4 << 20) != (taken + use) / (4 << 20);
    taken += use;
    if (stop) {
      ++pauses;
      peer.stream->PauseReading();
      loop->After(2 * kMillisecond, [this] { peer.stream->ResumeReading(); });
    }
    return use;
  }
};

TEST_P(TransportTest, LargeTransfersBothWaysArriveWholeUnderBackpressure) {
  Pump a, b;
  ConnectPair(a.peer, b.peer);
  a.Start(*loop);
  b.Start(*loop);
  ASSERT_TRUE(
      RunUntil([&] { return a.taken == Pump::kBytes && b.taken == Pump::kBytes; }, 60 * kSecond));
  for (const Pump* pump : {&a, &b}) {
    EXPECT_FALSE(pump->wrong);
    EXPECT_GE(pump->pauses, 15);
    EXPECT_LE(pump->most_unsent, (1u << 20) + Pump::kBlock);
    EXPECT_GT(pump->peer.writable, 0);
  }
}

TEST_P(TransportTest, FewAndSmallReceiveBuffersOnlySlowItDown) {
  LoopOptions options;
  options.buffers = 8;
  options.buffer_bytes = 256;
  options.ring_entries = 64;
  Start(options);
  std::string sent;
  for (int i = 0; i < 100'000; ++i) sent += std::to_string(i);
  std::vector<Peer> clients(50), servers(50);
  std::size_t accepted = 0, connected = 0;
  Listen([&](auto stream) { servers[accepted++].Own(std::move(stream)); });
  for (Peer& client : clients) {
    loop->transport().Connect(listener->local(), 5 * kSecond, [&](auto stream) {
      ASSERT_TRUE(stream.ok());
      ++connected;
      client.Own(std::move(*stream));
      client.stream->Write(sent);
    });
  }
  ASSERT_TRUE(RunUntil(
      [&] {
        for (const Peer& server : servers) {
          if (server.received.size() < sent.size()) return false;
        }
        return true;
      },
      30 * kSecond));
  EXPECT_EQ(connected, 50u);
  for (const Peer& server : servers) EXPECT_EQ(server.received, sent);
}

TEST_P(TransportTest, WhatIsLeftUnusedIsOfferedAgainWithMoreBehindIt) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  std::vector<std::string> records;
  server.on_data = [&](std::string_view data) {  // records of ten bytes
    std::size_t used = 0;
    for (; data.size() - used >= 10; used += 10) records.emplace_back(data.substr(used, 10));
    return used;
  };
  std::string all;
  for (int i = 1000; i < 1200; ++i) all += "record" + std::to_string(i);
  for (std::size_t at = 0; at < all.size(); at += 7) {
    client.Send(std::string_view(all).substr(at, 7));
    loop->RunOnce(at % 5 == 0 ? kMillisecond : 0);
  }
  ASSERT_TRUE(RunUntil([&] { return records.size() == 200; }));
  for (int i = 0; i < 200; ++i) EXPECT_EQ(records[i], "record" + std::to_string(1000 + i));
}

TEST_P(TransportTest, AHandlerThatLeavesTooMuchUnusedIsCutOff) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  std::size_t most = 0;
  server.on_data = [&](std::string_view data) {
    most = std::max(most, data.size());
    return std::size_t{0};
  };
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  server.stream->SetLimits({100'000, 1 << 20, 256 << 10});
  const std::string chunk(10'000, 'x');
  for (int i = 0; i < 10; ++i) client.Send(chunk);
  ASSERT_TRUE(RunUntil([&] { return most == 100'000; }));
  RunFor(5 * kMillisecond);
  EXPECT_FALSE(server.closed.has_value()) << "exactly the limit is allowed";
  client.Send("x");
  ASSERT_TRUE(RunUntil([&] { return server.closed.has_value(); }));
  EXPECT_EQ(*server.closed, NetError::kReadBufferFull);
}

TEST_P(TransportTest, APausedStreamTakesNothingAndThePeerFeelsIt) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  server.stream->PauseReading();
  RunFor(5 * kMillisecond);
  std::string sent;
  const std::string chunk(100'000, 'y');
  for (int idle = 0; idle < 20 && sent.size() < (200 << 20);) {
    const ssize_t n = client.Send(chunk, MSG_DONTWAIT);
    if (n > 0) sent.append(chunk, 0, static_cast<std::size_t>(n));
    idle = n > 0 ? 0 : idle + 1;
    loop->RunOnce(n > 0 ? 0 : kMillisecond);
  }
  EXPECT_LT(sent.size(), 200u << 20) << "the kernel's buffers are full long before";
  EXPECT_EQ(server.calls, 0);
  EXPECT_EQ(server.stream->bytes_in(), 0u);
  server.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return server.received.size() == sent.size(); }));
  EXPECT_EQ(server.received, sent);
}

TEST_P(TransportTest, WhatHadArrivedBeforeAPauseIsKeptForTheResume) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  server.on_data = [&](std::string_view data) {  // one byte at a time, then a rest
    server.received.append(data.substr(0, 1));
    server.stream->PauseReading();
    return std::size_t{1};
  };
  std::string sent;
  for (int i = 0; i < 3; ++i) {  // in one turn, in several buffers
    sent.append(std::string(40'000, static_cast<char>('a' + i)));
  }
  client.Send(sent);
  ASSERT_TRUE(RunUntil([&] { return server.calls == 1; }));
  RunFor(10 * kMillisecond);
  EXPECT_EQ(server.calls, 1) << "not called while paused";
  server.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return server.calls == 2; }));
  server.on_data = nullptr;
  server.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return server.received.size() == sent.size(); }));
  EXPECT_EQ(server.received, sent);
}

TEST_P(TransportTest, PausingAndResumingInOneTurnLosesNothing) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  std::size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    sent += static_cast<std::size_t>(client.Send("0123456789"));
    for (int j = i % 4; j > 0; --j) {
      server.stream->PauseReading();
      if (i % 3 == 0) loop->RunOnce(0);
      server.stream->ResumeReading();
    }
    loop->RunOnce(0);
  }
  ASSERT_TRUE(RunUntil([&] { return server.received.size() == sent; }));
}

TEST_P(TransportTest, ANewHandlerGetsWhatTheOldOneLeft) {
  Peer server, upgraded;
  ListenFor(server);
  RawSocket client(listener->local());
  server.on_data = [&](std::string_view) {
    server.stream->SetHandler(&upgraded);
    return std::size_t{5};
  };
  client.Send("HELLOframes");
  ASSERT_TRUE(RunUntil([&] { return !upgraded.received.empty(); }));
  EXPECT_EQ(upgraded.received, "frames");
}

TEST_P(TransportTest, OnWritableComesOnceAfterHighWaterAndNotWithoutIt) {
  Peer server;
  ListenFor(server);
  RawSocket client(listener->local());
  ASSERT_TRUE(RunUntil([&] { return server.stream != nullptr; }));
  server.stream->SetLimits({1 << 20, 4 << 20, 1 << 20});
  std::size_t unsent_when_told = 0;
  server.on_writable = [&] { unsent_when_told = server.stream->unsent(); };
  const auto drain = [&](std::size_t bytes) {
    std::size_t got = 0;
    return RunUntil([&] { return (got += client.Read().size()) >= bytes; });
  };
  server.stream->Write(std::string(4 << 20, 'x'));  // not above
  ASSERT_TRUE(drain(4 << 20));
  RunFor(5 * kMillisecond);
  EXPECT_EQ(server.writable, 0);

  server.stream->Write(std::string((16 << 20) + 1, 'x'));
  RunFor(20 * kMillisecond);
  EXPECT_GT(server.stream->unsent(), 4u << 20) << "more than the kernel takes";
  EXPECT_EQ(server.writable, 0);
  ASSERT_TRUE(drain((16 << 20) + 1));
  RunFor(5 * kMillisecond);
  EXPECT_EQ(server.writable, 1);
  EXPECT_LT(unsent_when_told, 1u << 20);

  // Above and below within one turn counts: a producer that saw it above waits for the call.
  server.stream->SetLimits({1 << 20, 1000, 500});
  server.stream->Write(std::string(2000, 'x'));
  ASSERT_TRUE(RunUntil([&] { return server.writable == 2; }));
}

TEST_P(TransportTest, OneBusyPeerDoesNotHoldUpTheOthers) {
  std::map<std::uint16_t, Peer> servers;
  Listen([&](auto stream) {
    Peer& server = servers[stream->peer().port];
    server.on_data = [&server](std::string_view data) {
      server.stream->Write(data.substr(0, 1));
      return data.size();
    };
    server.Own(std::move(stream));
  });
  RawSocket flood(listener->local()), quiet(listener->local());
  std::atomic<bool> stop{false};
  std::thread flooder([&] {
    const std::string chunk(1 << 20, 'f');
    while (!stop) {
      if (flood.Send(chunk, MSG_DONTWAIT) < 0) std::this_thread::yield();
    }
  });
  std::uint64_t most = 0;
  int answers = 0;
  const Nanos start = loop->clock().Monotonic();
  while (answers < 50 && loop->clock().Monotonic() - start < 5 * kSecond) {
    quiet.Send("?");
    const int expected = answers + 1;
    for (int turn = 0; turn < 100 && answers < expected; ++turn) {
      const std::uint64_t before = loop->stats().bytes_in;
      loop->RunOnce(kMillisecond);
      most = std::max(most, loop->stats().bytes_in - before);
      answers += static_cast<int>(quiet.Read().size());
      flood.Read();
    }
    ASSERT_EQ(answers, expected) << "not answered within 100 turns";
  }
  stop = true;
  flooder.join();
  EXPECT_EQ(answers, 50);
  EXPECT_LE(most, 4u << 20) << "bytes taken in one turn";
}

}  // namespace
}  // namespace baiwan::net
