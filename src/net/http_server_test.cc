#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "net/http.h"
#include "net/testing/memory_transport.h"

namespace baiwan::net {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const Endpoint kAnyPort{"127.0.0.1", 0};

// Answers every request with its own method, path and body, unless told otherwise.
class EchoService final : public HttpService {
 public:
  void OnRequest(HttpExchange& exchange) override {
    if (on_request) return on_request(exchange);
    const HttpRequest& request = exchange.request();
    seen.push_back(std::string(request.target));
    exchange.Reply(200, "text/plain",
                   std::string(request.method) + " " + std::string(request.path) + " " +
                       std::string(request.body));
  }
  void OnAbandoned(HttpExchange& exchange) override { abandoned.push_back(exchange.context()); }
  bool Vital(std::string_view path) const override { return path == "/vital"; }

  std::function<void(HttpExchange&)> on_request;
  std::vector<std::string> seen;
  std::vector<std::uint64_t> abandoned;
};

std::size_t Count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(const HttpLimits& limits = {}) {
    auto listening = HttpServer::Listen(world.node, kAnyPort, service, limits);
    ASSERT_TRUE(listening);
    server = std::move(*listening);
  }
  // What the server answers to `text` on a connection of its own.
  std::string Answer(std::string_view text) {
    RawPeer peer(world, server->local());
    peer.Send(text);
    world.Settle();
    return peer.Take();
  }

  MemoryWorld world;
  EchoService service;
  std::unique_ptr<HttpServer> server;
};

TEST_F(HttpServerTest, AnswersOnAKeptConnection) {
  Start();
  RawPeer peer(world, server->local());
  for (int i = 0; i < 3; ++i) {
    peer.Send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    world.Settle();
    EXPECT_EQ(peer.Take(),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\nGET /a ");
  }
  EXPECT_FALSE(peer.closed);
  EXPECT_EQ(server->requests(), 3u);
}

TEST_F(HttpServerTest, ClosesWhenTheClientAsksToOrIsOld) {
  Start();
  RawPeer asks(world, server->local());
  asks.Send("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  world.Settle();
  EXPECT_THAT(asks.Take(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(asks.closed);
  RawPeer old(world, server->local());
  old.Send("GET / HTTP/1.0\r\n\r\n");
  world.Settle();
  EXPECT_TRUE(old.closed);
  RawPeer old_but_kept(world, server->local());
  old_but_kept.Send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  world.Settle();
  EXPECT_THAT(old_but_kept.Take(), HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_FALSE(old_but_kept.closed);
}

TEST_F(HttpServerTest, AnswersHeadWithTheLengthOnly) {
  Start();
  EXPECT_EQ(Answer("HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n");
}

TEST_F(HttpServerTest, SaysTheSameHoweverTheRequestArrives) {
  Start();
  const std::string text =
      "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      "POST /q HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "GET /r HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string whole = Answer(text);
  EXPECT_EQ(Count(whole, "HTTP/1.1 200 OK"), 3u);
  EXPECT_THAT(whole, HasSubstr("POST /p hello"));
  EXPECT_THAT(whole, HasSubstr("POST /q abc"));
  for (world.transport.read_bytes = 1; world.transport.read_bytes < 40;
       ++world.transport.read_bytes) {
    EXPECT_EQ(Answer(text), whole) << world.transport.read_bytes << " bytes a read";
  }
}

TEST_F(HttpServerTest, AnswersManyPipelinedRequestsInOrderWithOneWrite) {
  Start();
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    text += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\n\r\n";
  }
  RawPeer peer(world, server->local());
  peer.Send(text);
  const auto before = world.transport.writes();
  world.Settle();
  EXPECT_EQ(world.transport.writes() - before, 2u) << "one each way";
  const std::string answers = peer.Take();
  EXPECT_EQ(Count(answers, "HTTP/1.1 200 OK"), 1000u);
  ASSERT_EQ(service.seen.size(), 1000u);
  std::size_t at = 0;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(service.seen[static_cast<std::size_t>(i)], "/" + std::to_string(i));
    at = answers.find("GET /" + std::to_string(i) + " ", at);
    ASSERT_NE(at, std::string::npos);
  }
}

TEST_F(HttpServerTest, ALaterAnswerHoldsTheNextRequestBack) {
  Start();
  std::vector<HttpExchange*> waiting;
  service.on_request = [&](HttpExchange& exchange) {
    service.seen.push_back(std::string(exchange.request().target));
    waiting.push_back(&exchange);
  };
  RawPeer peer(world, server->local());
  const std::string get = " HTTP/1.1\r\nHost: h\r\n\r\n";
  peer.Send("GET /1" + get + "GET /2" + get + "GET /3" + get + "GET /4 HT");
  world.Settle();
  EXPECT_THAT(service.seen, ElementsAre("/1"));
  peer.Send("TP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 1; i <= 4; ++i) {
    world.Settle();
    ASSERT_EQ(waiting.size(), static_cast<std::size_t>(i));
    EXPECT_EQ(peer.received, "");
    waiting.back()->Reply(200, "", std::to_string(i));
    EXPECT_EQ(waiting.size(), static_cast<std::size_t>(i)) << "no request inside Reply";
    world.Settle();
    EXPECT_THAT(peer.Take(), EndsWith("\r\n\r\n" + std::to_string(i)));
  }
  EXPECT_THAT(service.seen, ElementsAre("/1", "/2", "/3", "/4"));
}

TEST_F(HttpServerTest, TellsTheServiceOfAClientThatLeft) {
  Start();
  service.on_request = [&](HttpExchange& exchange) { exchange.set_context(42); };
  auto peer = std::make_unique<RawPeer>(world, server->local());
  peer->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  EXPECT_TRUE(service.abandoned.empty());
  world.transport.BreakAll();
  world.Settle();
  EXPECT_THAT(service.abandoned, ElementsAre(42u));
  EXPECT_TRUE(server->Connections().empty());
}

TEST_F(HttpServerTest, AHalfClosedClientStillGetsItsAnswersAndThenTheEnd) {
  Start();
  std::vector<HttpExchange*> waiting;
  service.on_request = [&](HttpExchange& exchange) { waiting.push_back(&exchange); };
  RawPeer peer(world, server->local());
  peer.Send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3 HT");
  world.Settle();
  peer.EndOutput();
  world.Advance(60 * kSecond);
  for (std::size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(waiting.size(), i + 1);
    EXPECT_FALSE(peer.closed);
    waiting[i]->Reply(200, "", "answer " + std::to_string(i));
    world.Settle();
    EXPECT_THAT(peer.Take(), EndsWith("answer " + std::to_string(i)));
  }
  EXPECT_TRUE(peer.closed) << "with what is half there";
  EXPECT_TRUE(service.abandoned.empty());
  EXPECT_TRUE(server->Connections().empty());
}

TEST_F(HttpServerTest, ALastAnswerToAHalfClosedClientSaysThatItIsTheLast) {
  Start();
  HttpExchange* waiting = nullptr;
  service.on_request = [&](HttpExchange& exchange) { waiting = &exchange; };
  RawPeer peer(world, server->local());
  peer.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
  world.Settle();
  peer.EndOutput();
  world.Settle();
  waiting->Reply(201, "", "stored");
  world.Settle();
  const std::string answer = peer.Take();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 201 "));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(peer.closed);
}

TEST_F(HttpServerTest, AnAnswerThatNeverComesDoesNotHoldAHalfClosedClientForEver) {
  HttpLimits limits;
  limits.idle_timeout = 60 * kSecond;
  Start(limits);
  service.on_request = [&](HttpExchange& exchange) { exchange.set_context(7); };
  RawPeer peer(world, server->local());
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  peer.EndOutput();
  world.Advance(50 * kSecond);
  EXPECT_TRUE(service.abandoned.empty());
  world.Advance(20 * kSecond);
  EXPECT_THAT(service.abandoned, ElementsAre(7u));
  EXPECT_TRUE(server->Connections().empty());
}

TEST_F(HttpServerTest, TakesNothingForOtherHostsOrFromOtherPages) {
  HttpLimits limits;
  limits.hosts = {"chat.example.com"};
  Start(limits);
  const auto get = [](const std::string& fields) {
    return "GET /x HTTP/1.1\r\n" + fields + "\r\n";
  };
  for (const char* fields :
       {"Host: 127.0.0.1:80\r\n", "Host: h\r\n", "Host: chat.example.com\r\n",
        "Host: h\r\nOrigin: http://h\r\n", "Host: h\r\nSec-Fetch-Site: none\r\n"}) {
    EXPECT_THAT(Answer(get(fields)), StartsWith("HTTP/1.1 200 ")) << fields;
  }
  EXPECT_THAT(Answer("GET / HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  service.seen.clear();
  const std::pair<const char*, const char*> cases[] = {
      {"Host: evil.example\r\n", "421"},
      {"Host: 10.0.0.2\r\n", "421"},
      {"Host: h\r\nOrigin: http://evil.example\r\n", "403"},
      {"Host: h\r\nSec-Fetch-Site: cross-site\r\n", "403"},
      {"Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: null\r\n", "403"},
  };
  for (const auto& [fields, status] : cases) {
    // Also behind a good one, and nothing behind it is served.
    const std::string answers = Answer(get("Host: h\r\n") + get(fields) + get("Host: h\r\n"));
    EXPECT_EQ(Count(answers, "HTTP/1.1 "), 2u) << fields;
    EXPECT_THAT(answers, HasSubstr(std::string("HTTP/1.1 ") + status)) << fields;
    EXPECT_THAT(answers, HasSubstr("Connection: close\r\n")) << fields;
  }
  EXPECT_EQ(service.seen.size(), std::size(cases));
}

TEST_F(HttpServerTest, ContinuesAClientThatAsksFirst) {
  Start();
  RawPeer peer(world, server->local());
  peer.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  world.Settle();
  EXPECT_EQ(peer.Take(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.Send("hi");
  world.Settle();
  EXPECT_THAT(peer.Take(), EndsWith("POST / hi"));
  RawPeer large(world, server->local());
  large.Send(
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n");
  world.Settle();
  EXPECT_THAT(large.Take(), StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, AnswersBadInputWithJsonAndCloses) {
  Start();
  for (const auto& [text, status] : std::vector<std::pair<std::string, std::string>>{
           {"nonsense\r\n\r\n", "400"},
           {"GET / HTTP/2.0\r\n\r\n", "505"},
           {"GET /" + std::string(9000, 'a'), "414"},
           {"GET / HTTP/1.1\r\nX: " + std::string(9000, 'a'), "431"},
           {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", "413"},
           {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "400"},
           {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400"}}) {
    RawPeer peer(world, server->local());
    peer.Send(text + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
    world.Settle();
    const std::string answer = peer.Take();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + status + " ")) << text;
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\n\r\n{\"error\":\""));
    EXPECT_THAT(answer, HasSubstr("\"message\":\""));
    EXPECT_EQ(Count(answer, "Content-Length: "), 1u) << "one answer";
    EXPECT_TRUE(peer.closed);
  }
  EXPECT_TRUE(service.seen.empty());
  EXPECT_TRUE(server->Connections().empty());
}

TEST_F(HttpServerTest, ASlowRequestIsEndedHoweverSteadilyItDrips) {
  HttpLimits limits;
  limits.head_timeout = 10 * kSecond;
  Start(limits);
  RawPeer head(world, server->local());
  RawPeer body(world, server->local());
  body.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
  head.Send("GET / HTTP/1.1\r\nHost: ");
  for (int second = 0; second < 9; ++second) {
    world.Advance(kSecond);
    head.Send("h");
    body.Send("b");
    EXPECT_FALSE(head.closed || body.closed) << second;
  }
  for (int second = 0; second < 5; ++second) {
    world.Advance(kSecond);
    if (!head.closed) head.Send("h");
    if (!body.closed) body.Send("b");
  }
  EXPECT_TRUE(head.closed);
  EXPECT_TRUE(body.closed);
  EXPECT_THAT(head.Take(), StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(body.Take(), StartsWith("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, AnIdleConnectionIsClosedNotSoonerThanItsTime) {
  HttpLimits limits;
  limits.idle_timeout = 60 * kSecond;
  Start(limits);
  RawPeer peer(world, server->local());
  world.Advance(50 * kSecond);
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Advance(59 * kSecond);
  EXPECT_FALSE(peer.closed);
  world.Advance(5 * kSecond);
  EXPECT_TRUE(peer.closed);
  EXPECT_EQ(Count(peer.Take(), "HTTP/1.1 "), 1u) << "closed without a word";
}

TEST_F(HttpServerTest, AnUnansweredRequestHasNoTimeLimit) {
  Start();
  HttpExchange* waiting = nullptr;
  service.on_request = [&](HttpExchange& exchange) { waiting = &exchange; };
  RawPeer peer(world, server->local());
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Advance(3600 * kSecond);
  ASSERT_NE(waiting, nullptr);
  ASSERT_FALSE(peer.closed);
  waiting->Reply(200, "", "at last");
  world.Settle();
  EXPECT_THAT(peer.Take(), EndsWith("at last"));
}

TEST_F(HttpServerTest, ManyIdleConnectionsNeedOneTimer) {
  Start();
  std::vector<std::unique_ptr<RawPeer>> peers;
  peers.reserve(200);
  for (int i = 0; i < 200; ++i) peers.push_back(std::make_unique<RawPeer>(world, server->local()));
  EXPECT_EQ(world.loop.timers(), 1u);
  EXPECT_EQ(server->Connections().size(), 200u);
  peers.clear();
  world.Advance(2 * kSecond);
  EXPECT_EQ(world.loop.timers(), 0u) << "and none, when there are none";
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondItsLimit) {
  HttpLimits limits;
  limits.max_connections = 2;
  Start(limits);
  RawPeer one(world, server->local());
  auto two = std::make_unique<RawPeer>(world, server->local());
  RawPeer three(world, server->local());
  three.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  const std::string refusal = three.Take();
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: "));
  EXPECT_TRUE(three.closed);
  EXPECT_FALSE(one.closed);
  two.reset();
  world.Settle();
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerBudget, RefusesConnectionsBeyondTheBudgetAndGivesEverythingBack) {
  MemoryWorld world(1, 40 << 10);
  EchoService service;
  {
    auto server = HttpServer::Listen(world.node, kAnyPort, service, {});
    ASSERT_TRUE(server);
    RawPeer one(world, (*server)->local());
    RawPeer two(world, (*server)->local());
    EXPECT_GT(world.budget.used(Account::kConnections), 0u);
    RawPeer three(world, (*server)->local());
    three.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    world.Settle();
    EXPECT_THAT(three.Take(), StartsWith("HTTP/1.1 503 "));
  }
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(HttpServerTest, AnswersWhatIsVitalWhenThereIsNoRoom) {
  HttpLimits limits;
  limits.max_connections = 1;
  Start(limits);
  RawPeer one(world, server->local());
  EXPECT_THAT(Answer("GET /vital HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  // Also when many come and ask nothing: the oldest of them make room, the others are told later.
  std::vector<std::unique_ptr<RawPeer>> quiet;
  for (int i = 0; i < 200; ++i) quiet.push_back(std::make_unique<RawPeer>(world, server->local()));
  EXPECT_THAT(Answer("GET /vital HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_LT(server->Connections().size(), 100u);
  world.Advance(5 * kSecond);
  EXPECT_THAT(quiet.back()->Take(), StartsWith("HTTP/1.1 503 "));
  EXPECT_TRUE(quiet.front()->closed);
  quiet.clear();
  world.Advance(20 * kSecond);
  EXPECT_EQ(server->Connections().size(), 1u);
  EXPECT_FALSE(one.closed);
}

TEST_F(HttpServerTest, WhoHasAskedNothingMakesRoomForWhoComes) {
  HttpLimits limits;
  limits.max_connections = 100;
  limits.max_handshakes = 20;
  Start(limits);
  RawPeer known(world, server->local());
  known.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  std::vector<std::unique_ptr<RawPeer>> silent;
  for (int i = 0; i < 300; ++i) {
    silent.push_back(std::make_unique<RawPeer>(world, server->local()));
    if (i % 2 == 0) silent.back()->Send("GET / HT");  // half of something is nothing
  }
  EXPECT_EQ(server->Connections().size(), 21u);
  EXPECT_TRUE(silent[0]->closed && silent[279]->closed);
  EXPECT_FALSE(silent[280]->closed || known.closed);
  EXPECT_THAT(Answer("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerBudget, BodiesOfStrangersLeaveRoomForThoseOfOthers) {
  MemoryWorld world(1, 16 << 20);
  EchoService service;
  auto server = HttpServer::Listen(world.node, kAnyPort, service, {});
  ASSERT_TRUE(server);
  const std::string half =
      "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + std::string(150'000, 'b');
  const std::string rest(50'000, 'b');
  RawPeer known(world, (*server)->local());
  known.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  known.Take();
  std::vector<std::unique_ptr<RawPeer>> strangers;
  int refused = 0;
  for (int i = 0; i < 50; ++i) {
    strangers.push_back(std::make_unique<RawPeer>(world, (*server)->local()));
    strangers.back()->Send(half);
    world.Settle();
    refused += strangers.back()->Take().substr(0, 13) == "HTTP/1.1 503 " ? 1 : 0;
  }
  EXPECT_GT(refused, 30);
  known.Send(half);
  world.Settle();
  known.Send(rest);
  world.Settle();
  EXPECT_THAT(known.Take(), StartsWith("HTTP/1.1 200 "));
  world.Advance(30 * kSecond);
  EXPECT_EQ((*server)->Connections().size(), 1u);
  strangers.clear();
  server = NetError::kOther;
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST(HttpServerBudget, AnswersThatAreNotTakenStayWithinTheirShare) {
  MemoryWorld world(1, 8 << 20);
  EchoService service;
  service.on_request = [&](HttpExchange& exchange) {
    const bool vital = exchange.request().path == "/vital";
    exchange.Reply(200, "", std::string(vital ? 20'000 : 250'000, 'x'));
  };
  auto server = HttpServer::Listen(world.node, kAnyPort, service, {});
  ASSERT_TRUE(server);
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(std::make_unique<RawPeer>(world, (*server)->local()));
    peers.back()->stream->PauseReading();
    for (int k = 0; k < 8; ++k) peers.back()->Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    world.Settle();
  }
  std::size_t unsent = 0;
  for (const ConnectionInfo& c : (*server)->Connections()) unsent += c.unsent;
  EXPECT_LE(unsent, std::size_t{4} << 20);
  EXPECT_GE(world.budget.used(Account::kConnections), unsent);
  EXPECT_LE(world.budget.used(Account::kConnections), std::size_t{5} << 20);
  // The others are told so, and what is vital is answered.
  RawPeer other(world, (*server)->local());
  other.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  const std::string refusal = other.Take();
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: "));
  RawPeer vital(world, (*server)->local());
  vital.Send("GET /vital HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  EXPECT_THAT(vital.Take(), StartsWith("HTTP/1.1 200 "));
  // Who holds much and takes nothing of it goes, so that others are served again.
  world.Advance(10 * kSecond);
  RawPeer later(world, (*server)->local());
  later.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  EXPECT_THAT(later.Take(), StartsWith("HTTP/1.1 200 "));
  server = NetError::kOther;
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST(HttpServerBudget, ALargeBodyIsNotKeptWhenItIsAnswered) {
  MemoryWorld world;
  EchoService service;
  auto server = HttpServer::Listen(world.node, kAnyPort, service, {});
  ASSERT_TRUE(server);
  RawPeer peer(world, (*server)->local());
  world.transport.read_bytes = 10'000;
  peer.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 250000\r\n\r\n");
  peer.Send(std::string(250'000, 'b'));
  for (int i = 0; i < 20; ++i) world.Turn();
  EXPECT_GT(world.budget.used(), 100'000u);
  world.Advance(2 * kSecond);
  EXPECT_EQ(peer.Take().size(),
            7 + 250'000u +
                std::string(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 250007\r\n\r\n")
                    .size());
  EXPECT_LT(world.budget.used(), 100'000u);
}

TEST(HttpServerBudget, ABodyThatDoesNotFitIsRefused) {
  MemoryWorld world(1, 100 << 10);
  EchoService service;
  auto server = HttpServer::Listen(world.node, kAnyPort, service, {});
  ASSERT_TRUE(server);
  RawPeer peer(world, (*server)->local());
  peer.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 250000\r\n\r\n" +
            std::string(240'000, 'b'));
  world.Settle();
  EXPECT_THAT(peer.Take(), StartsWith("HTTP/1.1 503 "));
  server = NetError::kOther;
  EXPECT_EQ(world.budget.used(), 0u);
}

TEST_F(HttpServerTest, AClientThatTakesNoAnswersIsHeldBackAndThenEnded) {
  Start();
  service.on_request = [&](HttpExchange& exchange) {
    service.seen.push_back("");
    exchange.Reply(200, "", std::string(100'000, 'x'));
  };
  RawPeer peer(world, server->local());
  peer.stream->PauseReading();
  std::string text;
  for (int i = 0; i < 100; ++i) text += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  peer.Send(text);
  world.Settle();
  const std::size_t served = service.seen.size();
  EXPECT_LT(served, 30u) << "what one side of the pipe and the limit hold";
  ASSERT_EQ(server->Connections().size(), 1u);
  EXPECT_LT(server->Connections()[0].unsent, std::size_t{2} << 20);
  peer.stream->ResumeReading();
  world.Settle();
  EXPECT_EQ(service.seen.size(), 100u) << "all are served once it reads";
  EXPECT_EQ(Count(peer.Take(), "HTTP/1.1 200"), 100u);

  peer.stream->PauseReading();
  peer.Send(text);
  world.Advance(400 * kSecond);
  EXPECT_TRUE(server->Connections().empty());
}

TEST_F(HttpServerTest, StoppingClosesIdleConnectionsAndLetsTheOthersFinish) {
  Start();
  HttpExchange* waiting = nullptr;
  service.on_request = [&](HttpExchange& exchange) { waiting = &exchange; };
  RawPeer idle(world, server->local());
  RawPeer busy(world, server->local());
  busy.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  server->StopAccepting();
  world.Settle();
  EXPECT_TRUE(idle.closed);
  EXPECT_FALSE(busy.closed);
  RawPeer late(world, server->local());
  EXPECT_EQ(late.error, NetError::kRefused);
  waiting->Reply(200, "", "done");
  world.Advance(2 * kSecond);
  EXPECT_THAT(busy.Take(), EndsWith("done"));
  EXPECT_TRUE(busy.closed);
}

TEST_F(HttpServerTest, MayBeDestroyedFromInsideARequest) {
  Start();
  service.on_request = [&](HttpExchange& exchange) {
    exchange.Reply(200, "", "");
    server.reset();
  };
  RawPeer peer(world, server->local());
  peer.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
  world.Settle();
  EXPECT_TRUE(peer.closed);
  EXPECT_TRUE(service.abandoned.empty());
}

TEST_F(HttpServerTest, SurvivesRandomBytes) {
  Start();
  const std::string good = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
  for (int round = 0; round < 400; ++round) {
    std::string text;
    for (int i = 0; i < 3; ++i) {
      text += good;
      if (world.rng.Chance(0.5)) {
        text[world.rng.Below(text.size())] = static_cast<char>(world.rng.Next());
      }
    }
    world.transport.read_bytes = 1 + world.rng.Below(100);
    Answer(text);
  }
  world.Advance(3600 * kSecond);
  EXPECT_TRUE(server->Connections().empty());
  EXPECT_EQ(world.budget.used(), 0u);
  EXPECT_THAT(Answer(good), EndsWith("POST /p hello"));
}

}  // namespace
}  // namespace baiwan::net
