#include "net/websocket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/testing/websocket_fixture.h"

namespace baiwan::net {
namespace {

using ::testing::ElementsAre;

TEST_F(WebSocketTest, CarriesMessagesBothWays) {
  Start();
  Connect();
  ASSERT_NE(client.socket, nullptr);
  EXPECT_EQ(client.socket->peer(), server->local());
  client.socket->SendBinary(std::string("\0\xff", 2));
  client.socket->SendText("hello");
  accepted().socket->SendBinary("welcome");
  world.Settle();
  EXPECT_THAT(accepted().messages, ElementsAre(std::string("b:\0\xff", 4), "t:hello"));
  EXPECT_THAT(client.messages, ElementsAre("b:welcome"));
  const auto connections = server->Connections();
  ASSERT_EQ(connections.size(), 1u);
  EXPECT_EQ(connections[0].kind, "websocket");
  EXPECT_EQ(connections[0].requests, 2u);
  EXPECT_GT(connections[0].bytes_in, 0u);
}

TEST_F(WebSocketTest, HundredsOfFramesAreOneBatchAndOneWrite) {
  Start();
  Connect();
  accepted().on_message = [&](std::string_view data) { accepted().socket->SendBinary(data); };
  const auto before = world.transport.writes();
  for (int i = 0; i < 300; ++i) client.socket->SendBinary("message " + std::to_string(i));
  world.Settle();
  EXPECT_EQ(world.transport.writes() - before, 2u) << "one each way";
  EXPECT_EQ(accepted().messages.size(), 300u);
  EXPECT_EQ(accepted().batches, 1);
  EXPECT_EQ(client.messages.size(), 300u);
  EXPECT_EQ(client.messages[299], "b:message 299");
  EXPECT_EQ(client.batches, 1);
}

TEST_F(WebSocketTest, MessagesArriveTheSameInPiecesOfAnySize) {
  Start();
  Connect();
  for (std::size_t bytes = 1; bytes < 60; ++bytes) {
    world.transport.read_bytes = bytes;
    accepted().messages.clear();
    for (int i = 0; i < 10; ++i)
      client.socket->SendText(std::string(static_cast<std::size_t>(i), 'x'));
    world.Settle();
    ASSERT_EQ(accepted().messages.size(), 10u) << bytes;
    EXPECT_EQ(accepted().messages[9], "t:xxxxxxxxx");
  }
}

TEST_F(WebSocketTest, AnswersPingsAlsoBetweenFragments) {
  Start();
  RawPeer peer(world, server->local());
  peer.Send(kUpgrade);
  world.Settle();
  peer.Take();
  peer.Send(Masked(0x01, "a") + Masked(0x89, "ping!") + Masked(0x80, "b"));
  world.Settle();
  EXPECT_EQ(peer.Take(), "\x8a\x05ping!");
  EXPECT_THAT(accepted().messages, ElementsAre("t:ab"));
}

TEST_F(WebSocketTest, ClosesInGoodOrderFromEitherSide) {
  Start();
  Connect();
  client.socket->Close(1000, "done");
  client.socket->SendText("never");
  world.Settle();
  EXPECT_EQ(accepted().code, 1000);
  EXPECT_EQ(accepted().reason, "done");
  EXPECT_EQ(client.code, 1000);
  EXPECT_TRUE(accepted().messages.empty());
  EXPECT_TRUE(server->Connections().empty());

  client.code = 0;
  Connect();
  accepted().socket->SendText("last words");
  accepted().socket->Close(1001, "restarting");
  world.Settle();
  EXPECT_THAT(client.messages, ElementsAre("t:last words"));
  EXPECT_EQ(client.code, 1001);
  EXPECT_EQ(client.reason, "restarting");
  EXPECT_EQ(accepted().code, 1001);
}

TEST_F(WebSocketTest, APeerThatDoesNotAnswerACloseDoesNotHoldItUp) {
  Start();
  RawPeer peer(world, server->local());
  peer.Send(kUpgrade);
  world.Settle();
  peer.Take();
  accepted().socket->PauseReading();
  accepted().socket->Close(1000, "");
  world.Advance(4 * kSecond);
  EXPECT_EQ(peer.Take(), std::string("\x88\x02\x03\xe8", 4));
  EXPECT_EQ(accepted().code, 0);
  world.Advance(2 * kSecond);
  EXPECT_EQ(accepted().code, 1000);
  EXPECT_TRUE(peer.closed);
}

TEST_F(WebSocketTest, AViolationIsAnsweredWithItsCodeAndTheEnd) {
  Start();
  for (const auto& [frame, code] : std::vector<std::pair<std::string, int>>{
           {std::string("\x82\x01x"), 1002},
           {Masked(0xC2, "x"), 1002},
           {Masked(0x81, "\xff"), 1007},
           {std::string("\x82\xff\0\0\0\0\0\x20\0\0", 10), 1009}}) {
    RawPeer peer(world, server->local());
    peer.Send(kUpgrade);
    world.Settle();
    peer.Take();
    peer.Send(Masked(0x82, "good") + frame + Masked(0x82, "too late"));
    world.Settle();
    const std::string answer = peer.Take();
    ASSERT_GE(answer.size(), 4u);
    EXPECT_EQ(answer[0], '\x88');
    EXPECT_EQ(static_cast<std::uint8_t>(answer[2]) << 8 | static_cast<std::uint8_t>(answer[3]),
              code);
    EXPECT_TRUE(peer.closed);
    EXPECT_EQ(accepted().code, code);
    EXPECT_THAT(accepted().messages, ElementsAre("b:good"));
    EXPECT_EQ(accepted().batches, 1);
  }
}

TEST_F(WebSocketTest, ABrokenConnectionIs1006) {
  Start();
  Connect();
  world.transport.BreakAll();
  world.Settle();
  EXPECT_EQ(client.code, 1006);
  EXPECT_EQ(accepted().code, 1006);
}

TEST_F(WebSocketTest, AReaderTooSlowIsClosedWith1013) {
  HttpLimits limits;
  limits.websocket.max_unsent = 100'000;
  Start(limits);
  world.transport.window = 10'000;
  Connect();
  client.socket->PauseReading();
  world.Settle();
  int sent = 0;
  for (; sent < 1000 && accepted().code == 0 && accepted().socket->unsent() <= 100'000; ++sent) {
    accepted().socket->SendBinary(std::string(1000, 'x'));
    world.Settle();
  }
  EXPECT_GT(sent, 95);
  EXPECT_LT(sent, 130);
  const std::size_t most = accepted().socket->unsent();
  accepted().socket->SendBinary(std::string(1000, 'x'));
  EXPECT_EQ(accepted().socket->unsent(), most) << "nothing more is taken";
  world.Advance(6 * kSecond);
  EXPECT_EQ(accepted().code, 1013);
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(WebSocketTest, ASlowReaderThatCatchesUpIsWrittenToAgain) {
  HttpLimits limits;
  limits.websocket.max_unsent = 100'000;
  Start(limits);
  world.transport.window = 10'000;
  Connect();
  client.socket->PauseReading();
  while (accepted().socket->unsent() < 60'000) {
    accepted().socket->SendBinary(std::string(1000, 'x'));
    world.Settle();
  }
  EXPECT_EQ(accepted().writable, 0);
  client.socket->ResumeReading();
  world.Settle();
  EXPECT_EQ(accepted().writable, 1);
  EXPECT_EQ(accepted().socket->unsent(), 0u);
}

TEST_F(WebSocketTest, APingFloodIsBoundedLikeAnyOutput) {
  HttpLimits limits;
  limits.websocket.max_unsent = 50'000;
  Start(limits);
  world.transport.window = 20'000;
  RawPeer peer(world, server->local());
  peer.Send(kUpgrade);
  world.Settle();
  peer.stream->PauseReading();
  for (int i = 0; i < 3000; ++i) {
    peer.Send(Masked(0x89, std::string(100, 'p')));
    if (i % 50 == 0) world.Settle();
  }
  world.Advance(10 * kSecond);
  EXPECT_EQ(accepted().code, 1013);
}

TEST_F(WebSocketTest, AnIdleConnectionIsPingedAndADeadOneEnds) {
  HttpLimits limits;
  limits.websocket.heartbeat = 100 * kSecond;
  WsLimits patient;
  patient.heartbeat = 100'000 * kSecond;
  Start(limits);
  Connect(patient);
  world.Advance(1000 * kSecond);
  EXPECT_EQ(accepted().code, 0) << "pongs keep it";
  world.transport.swallow = true;
  world.Advance(90 * kSecond);
  EXPECT_EQ(accepted().code, 0);
  world.Advance(220 * kSecond);
  EXPECT_EQ(accepted().code, 1006);
}

TEST_F(WebSocketTest, AClientNoticesADeadServerByItself) {
  HttpLimits patient;
  patient.websocket.heartbeat = 100'000 * kSecond;
  Start(patient);
  WsLimits limits;
  limits.heartbeat = 100 * kSecond;
  Connect(limits);
  world.Advance(1000 * kSecond);
  EXPECT_EQ(client.code, 0);
  world.transport.swallow = true;
  world.Advance(400 * kSecond);
  EXPECT_EQ(client.code, 1006);
}

TEST_F(WebSocketTest, MayBeDestroyedInEveryCallback) {
  Start();
  Connect();
  accepted().on_message = [&](std::string_view) { accepted().socket.reset(); };
  client.socket->SendText("1");
  client.socket->SendText("2");
  world.Settle();
  EXPECT_THAT(accepted().messages, ElementsAre("t:1"));
  EXPECT_EQ(accepted().code, 0) << "destroyed means: no callback";
  EXPECT_EQ(client.code, 1006);

  client.code = 0;
  Connect();
  accepted().on_batch_end = [&] { accepted().socket.reset(); };
  client.socket->SendText("1");
  world.Settle();
  EXPECT_EQ(client.code, 1006);

  client.code = 0;
  client.on_closed = [&] { client.socket.reset(); };
  Connect();
  accepted().on_closed = [&] { accepted().socket.reset(); };
  world.transport.BreakAll();
  world.Settle();
  EXPECT_EQ(client.code, 1006);
  EXPECT_EQ(client.socket, nullptr);
  EXPECT_TRUE(server->Connections().empty());
  server.reset();
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(WebSocketTest, OneThatDiesInAHeartbeatMayTakeOthersWithIt) {
  HttpLimits limits;
  limits.websocket.heartbeat = 10 * kSecond;
  Start(limits);
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 10; ++i) {
    peers.push_back(std::make_unique<RawPeer>(world, server->local()));
    peers.back()->Send(kUpgrade);
    world.Settle();
  }
  int closed = 0;
  for (auto& socket : service.sockets) {
    socket->on_closed = [&] {
      if (++closed > 1) return;
      for (auto& other : service.sockets) {
        if (other->code == 0) other->socket.reset();
      }
    };
  }
  world.Advance(60 * kSecond);
  EXPECT_EQ(closed, 1);
  EXPECT_TRUE(server->Connections().empty());
}

TEST_F(WebSocketTest, AServerThatGoesTakesItsWebSocketsWithIt) {
  Start();
  Connect();
  server.reset();
  EXPECT_EQ(accepted().code, 0) << "not from inside the destructor";
  accepted().socket->SendText("into the void");
  world.Settle();
  EXPECT_EQ(accepted().code, 1001);
  EXPECT_EQ(client.code, 1006);
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(WebSocketTest, MessagesBeyondTheBudgetEndTheConnection) {
  world.budget.ChargeAlways(Account::kUsers, world.budget.hard_limit() - (200 << 10));
  Start();
  RawPeer peer(world, server->local());
  peer.Send(kUpgrade);
  world.Settle();
  peer.Send(Masked(0x02, std::string(150'000, 'x')) + Masked(0x00, std::string(150'000, 'x')));
  world.Settle();
  EXPECT_EQ(accepted().code, 1013);
}

TEST_F(WebSocketTest, AMessageOrFrameThatDoesNotComeToItsEndIsEndedInTime) {
  Start();
  const std::string ping = Masked(0x89, "p");
  struct Slow {
    std::string first;  // what begins
    std::string more;   // every second
  };
  for (const Slow& slow :
       {Slow{Masked(0x02, "a"), Masked(0x00, "a")}, Slow{Masked(0x02, "a"), ""},
        Slow{Masked(0x02, ""), ping}, Slow{Masked(0x82, std::string(100, 'x')).substr(0, 20), "x"},
        Slow{Masked(0x82, "x").substr(0, 1), ""}}) {
    RawPeer peer(world, server->local());
    peer.Send(kUpgrade + Masked(0x82, "whole"));
    world.Settle();
    ASSERT_EQ(accepted().messages.size(), 1u);
    peer.Send(slow.first);
    world.Advance(kSecond);
    for (int second = 0; second < 8; ++second) {
      peer.Send(slow.more);
      world.Advance(kSecond);
    }
    EXPECT_EQ(accepted().code, 0);
    world.Advance(4 * kSecond);
    EXPECT_EQ(accepted().code, 1008);
  }
  service.sockets.clear();
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(WebSocketTest, WhoeverSendsManyMessagesInPiecesIsNotTakenForSlow) {
  Start();
  RawPeer peer(world, server->local());
  peer.Send(kUpgrade);
  world.Settle();
  // Whenever somebody looks, half of a message is there; it is another one each time.
  for (int i = 0; i < 60; ++i) {
    peer.Send(Masked(0x02, "a"));
    world.Advance(kSecond / 2);
    peer.Send(Masked(0x80, "b") + Masked(0x02, "c"));
    world.Advance(kSecond / 2);
    peer.Send(Masked(0x80, "d"));
  }
  world.Settle();
  EXPECT_EQ(accepted().code, 0);
  EXPECT_EQ(accepted().messages.size(), 120u);
}

// Fragments of those who have said nothing yet fill their share, and nothing else.
TEST(WebSocketShare, FragmentsOfStrangersLeaveRoomForOthers) {
  MemoryWorld world(1, 64 << 20);
  UpgradingService service;
  auto server = HttpServer::Listen(world.node, {"127.0.0.1", 0}, service, {});
  ASSERT_TRUE(server);
  RawPeer known(world, (*server)->local());
  known.Send(kUpgrade + Masked(0x82, "whole"));
  world.Settle();
  Recorder& honest = *service.sockets.front();
  const std::string fragment(60'000, 'x');
  std::vector<std::unique_ptr<RawPeer>> strangers;
  for (int i = 0; i < 100; ++i) {
    strangers.push_back(std::make_unique<RawPeer>(world, (*server)->local()));
    strangers.back()->Send(kUpgrade + Masked(0x02, fragment));
    for (int k = 0; k < 8; ++k) strangers.back()->Send(Masked(0x00, fragment));
    world.Settle();
  }
  EXPECT_LT(world.budget.used(Account::kConnections), std::uint64_t{6} << 20);
  EXPECT_EQ(service.sockets.back()->code, 1013);
  known.Send(Masked(0x02, fragment) + Masked(0x00, fragment));
  world.Settle();
  known.Send(Masked(0x80, fragment));
  world.Settle();
  EXPECT_EQ(honest.messages.size(), 2u);
  RawPeer newcomer(world, (*server)->local());
  newcomer.Send(kUpgrade + Masked(0x82, "me"));
  world.Settle();
  EXPECT_EQ(service.sockets.back()->messages.size(), 1u);
  // The share is free again when its time is over.
  world.Advance(12 * kSecond);
  RawPeer large(world, (*server)->local());
  large.Send(kUpgrade + Masked(0x02, fragment));
  world.Settle();
  large.Send(Masked(0x80, fragment));
  world.Settle();
  EXPECT_EQ(service.sockets.back()->messages.size(), 1u);
  service.sockets.clear();
  server = NetError::kOther;
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(WebSocketTest, ASilentOneMakesRoomAndOneThatHasSpokenDoesNot) {
  HttpLimits limits;
  limits.max_handshakes = 20;
  Start(limits);
  RawPeer known(world, server->local());
  known.Send(kUpgrade + Masked(0x82, "whole"));
  world.Settle();
  std::vector<std::unique_ptr<RawPeer>> silent;
  for (int i = 0; i < 30; ++i) {
    silent.push_back(std::make_unique<RawPeer>(world, server->local()));
    silent.back()->Send(kUpgrade);
    world.Settle();
  }
  EXPECT_EQ(service.sockets[0]->code, 0);
  for (std::size_t i = 1; i <= 10; ++i) EXPECT_EQ(service.sockets[i]->code, 1013) << i;
  for (std::size_t i = 11; i <= 30; ++i) EXPECT_EQ(service.sockets[i]->code, 0) << i;
  // Those that have gone, but are not destroyed yet, take no place.
  silent.clear();
  world.Settle();
  for (int i = 0; i < 20; ++i) {
    silent.push_back(std::make_unique<RawPeer>(world, server->local()));
    silent.back()->Send(kUpgrade);
    world.Settle();
  }
  for (std::size_t i = 31; i <= 50; ++i) EXPECT_EQ(service.sockets[i]->code, 0) << i;
}

TEST_F(WebSocketTest, SurvivesRandomFrames) {
  Start();
  for (int round = 0; round < 300; ++round) {
    RawPeer peer(world, server->local());
    world.transport.read_bytes = 1 + world.rng.Below(200);
    std::string text = kUpgrade;
    for (int i = 0; i < 8; ++i) {
      const auto first = static_cast<std::uint8_t>(0x80 | world.rng.Below(16));
      text += Masked(first, std::string(world.rng.Below(100), 'x'));
    }
    text[kUpgrade.size() + world.rng.Below(text.size() - kUpgrade.size())] =
        static_cast<char>(world.rng.Next());
    peer.Send(text);
    world.Settle();
  }
  world.Advance(10 * kSecond);
  service.sockets.clear();
  EXPECT_TRUE(server->Connections().empty());
  EXPECT_EQ(world.budget.used(), 0u);
}

}  // namespace
}  // namespace baiwan::net
