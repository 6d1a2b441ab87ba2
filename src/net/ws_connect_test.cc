#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/testing/websocket_fixture.h"

namespace baiwan::net {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(WebSocketTest, AGreetingThatComesWithTheHandshakeIsNotLost) {
  service.greeting = "first";
  Start();
  for (world.transport.read_bytes = 1; world.transport.read_bytes < 300;
       world.transport.read_bytes += 7) {
    client.messages.clear();
    client.socket.reset();
    Connect();
    EXPECT_THAT(client.messages, ElementsAre("t:first")) << world.transport.read_bytes;
  }
}

TEST_F(WebSocketTest, FramesThatComeWithTheRequestAreNotLost) {
  Start();
  RawPeer peer(world, server->local());
  peer.Send(kUpgrade + Masked(0x82, "early") + Masked(0x82, "birds").substr(0, 5));
  world.Settle();
  peer.Send(Masked(0x82, "birds").substr(5));
  world.Settle();
  EXPECT_THAT(accepted().messages, ElementsAre("b:early", "b:birds"));
  EXPECT_THAT(peer.Take(), HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
}

TEST_F(WebSocketTest, RefusesWhatIsNoHandshake) {
  Start();
  const auto without = [](const std::string& part, const std::string& instead = "") {
    std::string text = kUpgrade;
    return text.replace(text.find(part), part.size(), instead);
  };
  const std::pair<std::string, const char*> cases[] = {
      {without("Upgrade: websocket\r\n"), "400"},
      {without("Connection: Upgrade\r\n"), "400"},
      {without("Upgrade: websocket", "Upgrade: h2c"), "400"},
      {without("GET", "POST"), "400"},
      {without("HTTP/1.1", "HTTP/1.0"), "400"},
      {without("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "400"},
      {without("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j!Q=="), "400"},
      {without("Version: 13", "Version: 8"), "426"},
      {without("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"), "400"},
  };
  for (const auto& [text, status] : cases) {
    RawPeer peer(world, server->local());
    peer.Send(text);
    world.Settle();
    EXPECT_THAT(peer.Take(), StartsWith(std::string("HTTP/1.1 ") + status)) << text;
  }
  EXPECT_TRUE(service.sockets.empty());
}

TEST_F(WebSocketTest, AClientIsToldWhyItWasNotTaken) {
  Start();
  service.on_request = [](HttpExchange& exchange) {
    exchange.Reply(307, "", "", {{"Location", "http://127.0.0.1:9501/v1/connect"}});
  };
  Connect();
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->error, NetError::kRefused);
  EXPECT_EQ(failure->status, 307);
  EXPECT_EQ(failure->location, "http://127.0.0.1:9501/v1/connect");
  service.on_request = [](HttpExchange& exchange) {
    exchange.Reply(503, "application/json", "{}", {{"Retry-After", "7"}});
  };
  Connect();
  EXPECT_EQ(failure->status, 503);
  EXPECT_EQ(failure->retry_after_s, 7u);
  server.reset();
  auto listening = world.transport.Listen({"127.0.0.1", 0}, [](auto) {});
  const Endpoint nobody = (*listening)->local();
  listening = NetError::kOther;
  WsConnect(world.node, nobody, "/", &client, {}, kSecond, [&](auto result) {
    ++answers;
    failure = result.error();
  });
  world.Settle();
  EXPECT_EQ(failure->error, NetError::kRefused);
  EXPECT_EQ(failure->status, 0);
  EXPECT_EQ(answers, 3);
}

TEST_F(WebSocketTest, AServerThatAnswersNonsenseIsNotAWebSocket) {
  for (const char* answer : {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
                             "HTTP/1.1 101 x\r\n\r\n", "hello\r\n\r\n"}) {
    failure.reset();

    std::vector<std::unique_ptr<ByteStream>> streams;
    struct Sink final : StreamHandler {
      std::size_t OnData(std::string_view data) override { return data.size(); }
      void OnClosed(NetError) override {}
    } sink;
    auto listener = world.transport.Listen({"127.0.0.1", 0}, [&](std::unique_ptr<ByteStream> s) {
      s->SetHandler(&sink);
      s->Write(answer);
      streams.push_back(std::move(s));
    });
    WsConnect(world.node, (*listener)->local(), "/", &client, {}, kSecond,
              [&](auto result) { failure = result.error(); });
    world.Settle();
    ASSERT_TRUE(failure) << answer;
    EXPECT_EQ(failure->error, NetError::kOther);
  }
}

TEST_F(WebSocketTest, AConnectTimesOutOnce) {
  Start();
  service.on_request = [](HttpExchange&) {};
  Connect();
  EXPECT_EQ(answers, 0);
  world.Advance(3 * kSecond);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(failure->error, NetError::kTimeout);
  world.Advance(60 * kSecond);
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(world.transport.open(), 0u);
}

}  // namespace
}  // namespace baiwan::net
