// What base/loop.h and base/transport.h promise, checked on the simulated transport under many
// seeds. The tests see only a Loop and a Transport for each of two sides, so the same ones run on
// the machine's own sockets: what a role finds in the simulated world it finds in the real one.
#include "sim/transport_contract.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/world.h"

namespace baiwan::sim {
namespace {

struct Idle final : Program {};

class SimPair final : public Pair {
 public:
  explicit SimPair(std::uint64_t seed) : world_(seed) {
    for (const char* name : {"server", "client"}) {
      world_.AddNode(name, [](Node&) { return std::make_unique<Idle>(); });
    }
  }
  Loop& loop(int side) override { return world_.nodes()[side]->loop(); }
  Transport& transport(int side) override { return world_.nodes()[side]->transport(); }
  Endpoint ListenAddress() override { return {world_.nodes()[0]->ip(), 0}; }
  bool RunUntil(const std::function<bool()>& holds) override {
    return world_.RunUntil(holds, 60 * kSecond) == Ran::kHolds;
  }
  void RunFor(Nanos how_long) override { world_.RunFor(how_long); }
  std::size_t MoreThanKernelsHold() override { return 1 << 20; }
  std::string Describe() override { return world_.Describe(); }

 private:
  World world_;
};

std::string Pattern(std::size_t size, std::uint64_t seed = 7) {
  Rng rng(seed);
  std::string s(size, '\0');
  for (char& c : s) c = static_cast<char>(rng.Next());
  return s;
}

TEST_P(TransportContract, BytesArriveInOrderBothWays) {
  ConnectBoth();
  const std::string up = Pattern(900'000, 1);
  const std::string down = Pattern(700'000, 2);
  for (std::size_t at = 0; at < up.size(); at += 3000) {
    client_.stream->Write(std::string_view(up).substr(at, 3000));
  }
  server_.stream->Output() += down;
  Expect([&] { return server_.got.size() >= up.size() && client_.got.size() >= down.size(); });
  EXPECT_EQ(server_.got, up);
  EXPECT_EQ(client_.got, down);
  EXPECT_EQ(server_.stream->bytes_in(), up.size());
  EXPECT_EQ(client_.stream->bytes_out(), up.size());
  EXPECT_EQ(client_.stream->unsent(), 0U);
}

TEST_P(TransportContract, WhatAHandlerLeavesComesAgainWithMoreBehindIt) {
  ConnectBoth();
  std::string used;
  std::string left;
  server_.on_data = [&](std::string_view data) -> std::size_t {
    EXPECT_EQ(data.substr(0, left.size()), left);
    EXPECT_GT(data.size(), left.size());
    const std::size_t n = data.size() / 1000 * 1000;
    used += data.substr(0, n);
    left = data.substr(n);
    return n;
  };
  const std::string sent = Pattern(200'000);
  client_.stream->Write(sent);
  Expect([&] { return used.size() == sent.size(); });
  EXPECT_EQ(used, sent);
}

TEST_P(TransportContract, LeftoversOfAPauseComeAgainAfterIt) {
  ConnectBoth();
  int calls = 0;
  server_.on_data = [&](std::string_view data) -> std::size_t {
    if (data.size() < 10) return 0;
    if (++calls == 1) {
      server_.stream->PauseReading();
      return 4;
    }
    server_.got = data;
    return data.size();
  };
  client_.stream->Write("0123456789");
  Expect([&] { return calls == 1; });
  server_.on_data = [&](std::string_view data) -> std::size_t {
    server_.got = data;
    return data.size();
  };
  pair_->RunFor(20 * kMillisecond);
  EXPECT_EQ(server_.got, "");
  server_.stream->ResumeReading();
  Expect([&] { return server_.got == "456789"; });
}

TEST_P(TransportContract, LeavingTooMuchUnusedCutsTheStreamOff) {
  ConnectBoth();
  StreamLimits limits;
  limits.max_unread = 10'000;
  server_.stream->SetLimits(limits);
  server_.on_data = [](std::string_view) { return std::size_t{0}; };
  client_.stream->Write(Pattern(50'000));
  Expect([&] { return server_.closes == 1 && client_.closes == 1; });
  EXPECT_EQ(server_.error, NetError::kReadBufferFull);
}

TEST_P(TransportContract, DestroyingAStreamClosesItForThePeerOnly) {
  ConnectBoth();
  client_.stream.reset();
  Expect([&] { return server_.closes == 1; });
  EXPECT_EQ(server_.error, NetError::kEof);
  pair_->RunFor(50 * kMillisecond);
  EXPECT_EQ(client_.closes, 0);
  EXPECT_EQ(server_.closes, 1);
  server_.stream->Write("into the void");
  pair_->RunFor(50 * kMillisecond);
  EXPECT_EQ(server_.closes, 1);
}

TEST_P(TransportContract, DestroyingAStreamDropsWhatIsUnsent) {
  ConnectBoth();
  client_.stream->Write("never sent");
  client_.stream.reset();
  Expect([&] { return server_.closes == 1; });
  EXPECT_EQ(server_.got, "");
}

TEST_P(TransportContract, CloseAfterFlushSendsEverythingFirst) {
  ConnectBoth();
  const std::string sent = Pattern(pair_->MoreThanKernelsHold());
  server_.stream->PauseReading();
  client_.stream->Write(sent);
  client_.stream->CloseAfterFlush();
  client_.stream->Write("too late");
  pair_->RunFor(50 * kMillisecond);
  EXPECT_EQ(client_.closes, 0);
  server_.stream->ResumeReading();
  Expect([&] { return server_.closes == 1 && client_.closes == 1; });
  EXPECT_EQ(server_.got, sent);
  EXPECT_EQ(server_.error, NetError::kEof);
}

TEST_P(TransportContract, CloseAfterFlushSurvivesAPeerThatIsStillTalking) {
  ConnectBoth();
  client_.stream->Write(Pattern(300'000));
  Expect([&] { return server_.reads > 0; });
  server_.stream->Write("HTTP/1.1 413 too much");
  server_.stream->CloseAfterFlush();
  const int reads = server_.reads;
  Expect([&] { return client_.closes == 1 && server_.closes == 1; });
  EXPECT_EQ(client_.got, "HTTP/1.1 413 too much");
  EXPECT_EQ(server_.reads, reads) << "a stream that closes reads nothing more";
}

TEST_P(TransportContract, WhoHasStillToAnswerIsNotEndedBefore) {
  ConnectBoth();
  server_.answers = true;
  client_.stream->Write("a question");
  client_.stream->CloseAfterFlush();
  Expect([&] { return server_.ends == 1; });
  EXPECT_EQ(server_.got, "a question");
  pair_->RunFor(50 * kMillisecond);
  EXPECT_EQ(server_.closes, 0);
  server_.stream->Write("an answer");
  server_.stream->CloseAfterFlush();
  Expect([&] { return server_.closes == 1; });
  EXPECT_EQ(server_.error, NetError::kEof);
  EXPECT_EQ(server_.ends, 1);
}

TEST_P(TransportContract, StreamsMayGoInTheirOwnCallbacks) {
  Listen();
  // In the callback of connecting: the peer sees it come and go.
  pair_->transport(1).Connect(listener_->local(), kSecond, [](auto made) {
    ASSERT_TRUE(made.ok());
    made->reset();
  });
  Expect([&] { return server_.closes == 1; });
  server_.stream.reset();
  // In OnData.
  Dial();
  Expect([&] { return server_.stream && client_.stream; });
  server_.on_data = [&](std::string_view data) -> std::size_t {
    server_.stream.reset();
    return data.size();
  };
  client_.stream->Write("hello");
  Expect([&] { return client_.closes == 1; });
  EXPECT_EQ(server_.closes, 1);
  // In OnClosed, of both.
  client_.stream.reset();
  server_.on_data = nullptr;
  server_.closes = client_.closes = 0;
  Dial();
  Expect([&] { return server_.stream && client_.stream; });
  server_.on_closed = [&] { server_.stream.reset(); };
  client_.on_closed = [&] { client_.stream.reset(); };
  server_.stream->CloseAfterFlush();
  Expect([&] { return !server_.stream && !client_.stream; });
  EXPECT_EQ(server_.closes, 1);
  EXPECT_EQ(client_.closes, 1);
}

TEST_P(TransportContract, AStreamMayGoInTheCallbackOfAnother) {
  ConnectBoth();
  End other;
  auto first = std::move(server_.stream);
  End old(std::move(first));
  old.on_data = [&](std::string_view data) -> std::size_t {
    server_.stream.reset();
    return data.size();
  };
  End second;
  pair_->transport(1).Connect(listener_->local(), kSecond,
                              [&](auto made) { second.Take(std::move(*made)); });
  Expect([&] { return server_.stream && second.stream; });
  // Both have something in the same turn or not, in either order: each must be served or gone.
  client_.stream->Write("a");
  second.stream->Write("b");
  Expect([&] { return second.closes == 1; });
  EXPECT_EQ(server_.closes, 0);
}

TEST_P(TransportContract, AReaderWhoStopsIsFeltByTheWriter) {
  ConnectBoth();
  StreamLimits limits;
  limits.high_water = 100'000;
  limits.low_water = 20'000;
  client_.stream->SetLimits(limits);
  server_.stream->PauseReading();
  const std::string sent = Pattern(pair_->MoreThanKernelsHold());
  client_.stream->Write(sent);
  pair_->RunFor(100 * kMillisecond);
  EXPECT_GT(client_.stream->unsent(), limits.high_water);
  EXPECT_EQ(client_.writables, 0);
  EXPECT_EQ(server_.got, "");
  server_.stream->ResumeReading();
  Expect([&] { return client_.writables > 0; });
  EXPECT_EQ(client_.writables, 1);
  EXPECT_LT(client_.stream->unsent(), limits.low_water);
  Expect([&] { return server_.got.size() == sent.size(); });
  EXPECT_TRUE(server_.got == sent);
}

TEST_P(TransportContract, AWriterAboveHighWaterIsAlwaysToldToGoOn) {
  ConnectBoth();
  StreamLimits limits;
  limits.high_water = 1000;
  limits.low_water = 500;
  client_.stream->SetLimits(limits);
  int rounds = 0;
  // Fits into the kernel at once; whoever stopped at unsent() > high_water still needs the call.
  const auto write = [&] {
    if (++rounds <= 20) client_.stream->Write(std::string(1500, 'x'));
  };
  client_.on_writable = write;
  write();
  Expect([&] { return server_.got.size() == 30'000; });
}

TEST_P(TransportContract, NobodyListeningIsRefused) {
  Listen();
  const Endpoint gone = listener_->local();
  listener_.reset();
  bool called = false;
  bool returned = false;
  pair_->transport(1).Connect(gone, 5 * kSecond, [&](auto made) {
    EXPECT_TRUE(returned) << "in a later turn";
    EXPECT_FALSE(made.ok());
    EXPECT_EQ(made.error(), NetError::kRefused);
    called = true;
  });
  returned = true;
  Expect([&] { return called; });
}

TEST_P(TransportContract, AnAddressThatIsNoneIsUnreachable) {
  bool called = false;
  bool returned = false;
  pair_->transport(1).Connect({"not an address", 1}, 5 * kSecond, [&](auto made) {
    EXPECT_TRUE(returned);
    EXPECT_FALSE(made.ok());
    EXPECT_EQ(made.error(), NetError::kUnreachable);
    called = true;
  });
  returned = true;
  Expect([&] { return called; });
}

TEST_P(TransportContract, APortHasOneListenerAtATime) {
  Listen();
  EXPECT_NE(listener_->local().port, 0);
  const auto nothing = [](std::unique_ptr<ByteStream>) {};
  const auto second = pair_->transport(0).Listen(listener_->local(), nothing);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error(), NetError::kAddressInUse);
  const Endpoint at = listener_->local();
  listener_.reset();
  pair_->RunFor(kMillisecond);
  EXPECT_TRUE(pair_->transport(0).Listen(at, nothing).ok());
}

TEST_P(TransportContract, APausedListenerAcceptsLater) {
  Listen();
  listener_->Pause();
  pair_->RunFor(kMillisecond);
  Dial();
  Expect([&] { return client_.stream != nullptr; });
  client_.stream->Write("early");
  pair_->RunFor(50 * kMillisecond);
  EXPECT_EQ(server_.stream, nullptr);
  listener_->Resume();
  Expect([&] { return server_.got == "early"; });
}

TEST_P(TransportContract, ANewHandlerTakesOver) {
  ConnectBoth();
  client_.stream->Write("one");
  Expect([&] { return server_.got == "one"; });
  End next;
  server_.stream->SetHandler(&next);
  client_.stream->Write("two");
  Expect([&] { return next.got == "two"; });
  EXPECT_EQ(server_.got, "one");
}

TEST_P(TransportContract, ANewHandlerGetsWhatTheOldOneLeft) {
  ConnectBoth();
  End next;
  server_.on_data = [&](std::string_view data) -> std::size_t {
    if (data.size() < 13) return 0;
    server_.stream->SetHandler(&next);  // as an upgrade does, in the middle of its bytes
    return 7;
  };
  client_.stream->Write("upgradeand on");
  Expect([&] { return next.got == "and on"; });
}

TEST_P(TransportContract, PostsRunInOrderInALaterTurn) {
  std::vector<int> order;
  bool nested_is_later = false;
  pair_->loop(0).Post([&] {
    bool returned = false;
    pair_->loop(0).Post([&, still = &returned] {
      (void)still;
      order.push_back(3);
      nested_is_later = true;
    });
    returned = true;
    order.push_back(1);
  });
  pair_->loop(0).Post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  Expect([&] { return nested_is_later; });
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_P(TransportContract, TimersFireOnceNotTooEarlyAndNotWhenCancelled) {
  Loop& loop = pair_->loop(0);
  const Nanos start = loop.clock().Monotonic();
  std::vector<std::pair<int, Nanos>> fired;
  const auto fire = [&](int which) { fired.emplace_back(which, loop.clock().Monotonic() - start); };
  loop.After(30 * kMillisecond, [&] { fire(3); });
  loop.After(10 * kMillisecond, [&] { fire(1); });
  const TimerId cancelled = loop.After(20 * kMillisecond, [&] { fire(2); });
  loop.After(10 * kMillisecond, [&] { loop.Cancel(cancelled); });
  const TimerId gone = loop.After(0, [&] { fire(0); });
  Expect([&] { return fired.size() == 3; });
  pair_->RunFor(50 * kMillisecond);
  ASSERT_EQ(fired.size(), 3U);
  EXPECT_EQ(fired[0].first, 0);
  EXPECT_EQ(fired[1].first, 1);
  EXPECT_GE(fired[1].second, 10 * kMillisecond);
  EXPECT_EQ(fired[2].first, 3);
  EXPECT_GE(fired[2].second, 30 * kMillisecond);
  loop.Cancel(gone);  // harmless
}

class Hook final : public TurnHook {
 public:
  explicit Hook(std::function<void()> what) : what_(std::move(what)) {}
  void OnTurnEnd() override { what_(); }

 private:
  const std::function<void()> what_;
};

TEST_P(TransportContract, HooksRunInOrderAfterEverythingOfTheTurn) {
  Loop& loop = pair_->loop(0);
  std::string turn;
  std::vector<std::string> turns;
  Hook third([&] { turn += 'C'; });
  Hook second([&] {
    turn += 'B';
    loop.RemoveTurnHook(&third);
  });
  Hook first([&] { turn += 'A'; });
  Hook last([&] { turns.push_back(std::exchange(turn, {})); });
  for (Hook* hook : {&first, &second, &third, &last}) loop.AddTurnHook(hook);
  loop.Post([&] { turn += 'p'; });
  loop.Post([&] { turn += 'q'; });
  Expect([&] { return !turns.empty() && turns.back().size() >= 3; });
  EXPECT_EQ(turns.back(), "pqAB");
  loop.Post([&] { loop.RemoveTurnHook(&second); });
  Expect([&] { return turns.back() == "A"; });
  for (Hook* hook : {&first, &second, &last}) loop.RemoveTurnHook(hook);
}

TEST_P(TransportContract, WhatAHookWritesLeavesInTheSameTurn) {
  ConnectBoth();
  bool asked = false;
  Hook hook([&] {
    if (std::exchange(asked, false)) client_.stream->Write("from the hook");
  });
  pair_->loop(1).AddTurnHook(&hook);
  pair_->loop(1).Post([&] { asked = true; });
  Expect([&] { return server_.got == "from the hook"; });
  pair_->loop(1).RemoveTurnHook(&hook);
}

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    kinds.push_back(
        {"Seed" + std::to_string(seed), [seed] { return std::make_unique<SimPair>(seed); }});
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Sim, TransportContract, ::testing::ValuesIn(Kinds()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace baiwan::sim
