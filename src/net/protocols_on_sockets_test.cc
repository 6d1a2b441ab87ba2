// HTTP, WebSocket and links over real loops and sockets: what the tests in memory cannot see.
#include <gmock/gmock.h>

#include "base/node_context.h"
#include "net/http.h"
#include "net/link.h"
#include "net/testing/transport_fixture.h"
#include "net/websocket.h"

namespace baiwan::net {
namespace {

using ::testing::HasSubstr;

class ProtocolTest : public TransportTest {
 protected:
  void SetUp() override {
    TransportTest::SetUp();
    if (loop == nullptr) return;  // skipped
    node.emplace(
        NodeContext{*loop, loop->transport(), loop->clock(), rng, budget, ProcessFatal(), NoLog()});
  }

  Rng rng{1};
  Budget budget{std::uint64_t{1} << 40};
  std::optional<NodeContext> node;
};

class EchoService final : public HttpService {
 public:
  void OnRequest(HttpExchange& exchange) override {
    const HttpRequest& request = exchange.request();
    if (request.path == "/later") {
      waiting = &exchange;
      return;
    }
    if (request.path == "/silent") return;
    exchange.Reply(200, "text/plain", request.body.empty() ? request.target : request.body);
  }
  void OnAbandoned(HttpExchange&) override { ++abandoned; }
  HttpExchange* waiting = nullptr;
  int abandoned = 0;
};

class HttpOnSockets : public ProtocolTest {
 protected:
  void SetUp() override {
    ProtocolTest::SetUp();
    if (!node) return;
    auto listening = HttpServer::Listen(*node, {"127.0.0.1", 0}, service, {});
    ASSERT_TRUE(listening);
    server = std::move(*listening);
    client = HttpClient::Create(*node, server->local());
  }
  HttpResponse Ask(std::string_view method, std::string_view target, std::string_view body = {}) {
    HttpResponse response;
    client->Request(method, target, body, {}, 5 * kSecond, [&](auto result) {
      if (result) {
        response = std::move(*result);
      } else {
        response.body = Message(result.error());
      }
    });
    EXPECT_TRUE(RunUntil([&] { return !client->busy(); }));
    return response;
  }
  EchoService service;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
};
BAIWAN_ON_BOTH_BACKENDS(HttpOnSockets);

TEST_P(HttpOnSockets, RequestsOfEverySizeComeBack) {
  for (int i = 0; i < 200; ++i) {
    const std::string target = "/" + std::to_string(i);
    ASSERT_EQ(Ask("GET", target).body, target);
  }
  for (const std::size_t size : {1u, 10'000u, 100'000u, 262'144u}) {
    const std::string body(size, 'b');
    EXPECT_EQ(Ask("POST", "/", body).body, body);
  }
  EXPECT_EQ(server->Connections().size(), 1u);
}

TEST_P(HttpOnSockets, ARefusalReachesAClientThatIsStillSending) {
  const HttpResponse response = Ask("POST", "/", std::string(4 << 20, 'x'));
  EXPECT_EQ(response.status, 413);
  EXPECT_THAT(response.body, HasSubstr("content_too_large"));
  EXPECT_EQ(Ask("GET", "/next").body, "/next");
}

TEST_P(HttpOnSockets, PipelinedRequestsAreAnsweredInOrderAlsoWhenLate) {
  RawSocket raw(server->local());
  const std::string rest = " HTTP/1.1\r\nHost: h\r\n\r\n";
  raw.Send("GET /1" + rest + "GET /later" + rest + "GET /3" + rest + "GET /4 HTTP/1.1\r\nHo");
  ASSERT_TRUE(RunUntil([&] { return service.waiting != nullptr; }));
  RunFor(20 * kMillisecond);
  raw.Send("st: h\r\n\r\n");
  RunFor(20 * kMillisecond);
  EXPECT_THAT(raw.Read(), ::testing::EndsWith("\r\n\r\n/1"));
  service.waiting->Reply(200, "", "two");
  std::string answers;
  ASSERT_TRUE(RunUntil([&] {
    answers += raw.Read();
    return answers.find("/4") != answers.npos;
  }));
  EXPECT_LT(answers.find("two"), answers.find("/3"));
  EXPECT_LT(answers.find("/3"), answers.find("/4"));
}

TEST_P(HttpOnSockets, AHalfClosedClientGetsALateAnswer) {
  RawSocket raw(server->local());
  raw.Send("GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
  shutdown(raw.fd, SHUT_WR);
  ASSERT_TRUE(RunUntil([&] { return service.waiting != nullptr; }));
  RunFor(20 * kMillisecond);
  service.waiting->Reply(200, "", "two");
  std::string answer;
  ASSERT_TRUE(RunUntil([&] { return answer += raw.Read(), raw.end.has_value(); }));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\ntwo"));
  EXPECT_EQ(*raw.end, 0);
  EXPECT_EQ(service.abandoned, 0);
}

TEST_P(HttpOnSockets, AClientThatLeavesIsNoticed) {
  {
    RawSocket raw(server->local());
    raw.Send("GET /silent HTTP/1.1\r\nHost: h\r\n\r\n");
    RunFor(20 * kMillisecond);
    EXPECT_EQ(service.abandoned, 0);
    raw.Reset();
  }
  EXPECT_TRUE(RunUntil([&] { return service.abandoned == 1; }));
}

TEST_P(HttpOnSockets, ALoopMayEndInTheMiddleOfThings) {
  client->Request("GET", "/silent", {}, {}, 5 * kSecond, [](auto) { FAIL(); });
  struct Handler final : WsHandler {
    void OnMessage(bool, std::string_view) override {}
    void OnClosed(std::uint16_t, std::string_view) override {}
  } handler;
  WsConnect(*node, server->local(), "/silent", &handler, {}, 5 * kSecond, [](auto) { FAIL(); });
  RunFor(20 * kMillisecond);
  WsConnect(*node, server->local(), "/silent", &handler, {}, 5 * kSecond, [](auto) { FAIL(); });
  client.reset();
  server.reset();
  loop.reset();
}

// ---- WebSocket

struct EchoSocket final : WsHandler {
  void OnMessage(bool is_text, std::string_view data) override {
    ++messages;
    bytes += data.size();
    if (!echo) return;
    if (is_text) {
      socket->SendText(data);
    } else {
      socket->SendBinary(data);
    }
  }
  void OnClosed(std::uint16_t why, std::string_view) override { code = why; }
  bool echo = false;
  std::size_t messages = 0;
  std::size_t bytes = 0;
  int code = 0;
  std::unique_ptr<WebSocket> socket;
};

class SocketService final : public HttpService {
 public:
  void OnRequest(HttpExchange& exchange) override {
    sockets.push_back(std::make_unique<EchoSocket>());
    sockets.back()->echo = true;
    sockets.back()->socket = exchange.Upgrade(sockets.back().get());
  }
  void OnAbandoned(HttpExchange&) override {}
  std::vector<std::unique_ptr<EchoSocket>> sockets;
};

class WebSocketOnSockets : public ProtocolTest {};
BAIWAN_ON_BOTH_BACKENDS(WebSocketOnSockets);

TEST_P(WebSocketOnSockets, ManyClientsTalkAndLeaveInGoodOrder) {
  SocketService service;
  auto server = HttpServer::Listen(*node, {"127.0.0.1", 0}, service, {});
  ASSERT_TRUE(server);
  std::vector<EchoSocket> clients(20);
  std::size_t connected = 0;
  for (EchoSocket& client : clients) {
    WsConnect(*node, (*server)->local(), "/", &client, {}, 5 * kSecond, [&](auto result) {
      ASSERT_TRUE(result);
      client.socket = std::move(*result);
      ++connected;
    });
  }
  ASSERT_TRUE(RunUntil([&] { return connected == clients.size(); }));
  for (EchoSocket& client : clients) {
    for (int i = 0; i < 300; ++i) client.socket->SendText("message " + std::to_string(i));
    client.socket->SendBinary(std::string(700'000, 'x'));
  }
  ASSERT_TRUE(RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(),
                       [](const EchoSocket& client) { return client.messages == 301; });
  }));
  EXPECT_EQ(clients[7].bytes, 700'000u + 10 * 9 + 90 * 10 + 200 * 11);
  for (EchoSocket& client : clients) client.socket->Close(1000, "");
  ASSERT_TRUE(RunUntil([&] {
    return std::all_of(clients.begin(), clients.end(),
                       [](const EchoSocket& client) { return client.code == 1000; });
  }));
  ASSERT_TRUE(RunUntil([&] { return (*server)->Connections().empty(); }));
  for (const auto& socket : service.sockets) EXPECT_EQ(socket->code, 1000);
}

TEST_P(WebSocketOnSockets, AMessageTooLargeIsToldEvenWhileItIsBeingSent) {
  SocketService service;
  HttpLimits limits;
  limits.websocket.max_message = 100'000;
  auto server = HttpServer::Listen(*node, {"127.0.0.1", 0}, service, limits);
  ASSERT_TRUE(server);
  EchoSocket client;
  WsLimits roomy;
  roomy.max_unsent = 64 << 20;
  WsConnect(*node, (*server)->local(), "/", &client, roomy, 5 * kSecond,
            [&](auto result) { client.socket = std::move(*result); });
  ASSERT_TRUE(RunUntil([&] { return client.socket != nullptr; }));
  client.socket->SendBinary(std::string(2 << 20, 'x'));
  ASSERT_TRUE(RunUntil([&] { return client.code != 0; }, 8 * kSecond));
  EXPECT_EQ(client.code, 1009);
}

// ---- links

struct Counter final : LinkHandler {
  void OnLinkUp(Link& link, const LinkIdentity&) override {
    up = &link;
    ++ups;
  }
  void OnLinkFrame(Link&, std::uint8_t, std::uint64_t tag, std::string_view payload) override {
    in_order = in_order && tag == frames;
    ++frames;
    bytes += payload.size();
  }
  void OnLinkDown(Link&, NetError) override {
    up = nullptr;
    ++downs;
  }
  Link* up = nullptr;
  int ups = 0;
  int downs = 0;
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  bool in_order = true;
};

class LinkOnSockets : public ProtocolTest {};
BAIWAN_ON_BOTH_BACKENDS(LinkOnSockets);

TEST_P(LinkOnSockets, CarriesManyFramesAndComesBack) {
  const std::string secret(32, 's');
  Counter dialed, accepted;
  auto listening =
      LinkListener::Listen(*node, {"127.0.0.1", 0}, {"logic", 1, 2, 3}, secret, &accepted, {});
  ASSERT_TRUE(listening);
  const Endpoint at = (*listening)->local();
  const auto link = DialLink(*node, at, {"relay", 1, 2, 3}, secret, &dialed, {});
  ASSERT_TRUE(RunUntil([&] { return dialed.up != nullptr && accepted.up != nullptr; }));
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    link->Send(1, i, std::string(100, 'x'));
    accepted.up->Send(2, i, "y");
  }
  link->Send(1, 20'000, std::string(8 << 20, 'z'));
  ASSERT_TRUE(RunUntil([&] { return accepted.frames == 20'001 && dialed.frames == 20'000; }));
  EXPECT_TRUE(accepted.in_order && dialed.in_order);
  EXPECT_EQ(accepted.bytes, 20'000u * 100 + (8 << 20));

  listening = NetError::kOther;
  ASSERT_TRUE(RunUntil([&] { return dialed.downs == 1; }));
  RunFor(100 * kMillisecond);
  listening = LinkListener::Listen(*node, at, {"logic", 1, 3, 3}, secret, &accepted, {});
  ASSERT_TRUE(listening) << Message(listening.error());
  ASSERT_TRUE(RunUntil([&] { return dialed.ups == 2; }));
  EXPECT_EQ(link->peer_identity().incarnation, 3u);
}

TEST_P(LinkOnSockets, AWrongSecretStaysOut) {
  Counter dialed, accepted;
  auto listening = LinkListener::Listen(*node, {"127.0.0.1", 0}, {"logic", 1, 2, 3},
                                        std::string(32, 's'), &accepted, {});
  ASSERT_TRUE(listening);
  const auto link =
      DialLink(*node, (*listening)->local(), {"relay", 1, 2, 3}, std::string(32, 't'), &dialed, {});
  RunFor(300 * kMillisecond);
  EXPECT_EQ(dialed.ups + accepted.ups, 0);
  EXPECT_FALSE(link->up());
}

}  // namespace
}  // namespace baiwan::net
