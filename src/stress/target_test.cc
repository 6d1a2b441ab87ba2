// Both targets against gateways that answer as a script says.
#include "stress/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "net/http.h"
#include "net/testing/memory_transport.h"
#include "stress/gateway_address.h"
#include "stress/http_target.h"
#include "stress/ws_target.h"
#include "wire/client.pb.h"

namespace baiwan::stress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What a Client says, as lines.
class Listener final : public TargetListener {
 public:
  explicit Listener(net::MemoryWorld& world) : world_(world) {}
  void OnUp(const TargetCounters& c) override {
    lines.push_back("up " + std::to_string(c.send_id) + " " + std::to_string(c.send_ack_id));
  }
  void OnAcknowledged(const TargetCounters& c) override {
    lines.push_back("ack " + std::to_string(c.send_id) + " " + std::to_string(c.send_ack_id));
  }
  void OnRefused(const TargetRefusal& r) override {
    lines.push_back("refused " + std::to_string(r.send_id) + " " + std::to_string(r.status) + " " +
                    r.code + " " + std::to_string(r.retry_after / kMillisecond));
  }
  void OnDown(std::string_view why, Nanos retry_after, NetError) override {
    lines.push_back("down " + std::string(why) + " " + std::to_string(retry_after / kMillisecond));
  }
  std::vector<std::string> Take() {
    world_.Settle();
    return std::exchange(lines, {});
  }
  std::vector<std::string> lines;

 private:
  net::MemoryWorld& world_;
};

// A gateway that does what `on_request` says, and for WebSockets what `on_frame` says.
class Gateway final : public net::HttpService {
 public:
  class Socket final : public net::WsHandler {
   public:
    explicit Socket(Gateway& gateway) : gateway_(gateway) {}
    void OnMessage(bool, std::string_view data) override {
      wire::ClientFrame frame;
      EXPECT_TRUE(frame.ParseFromArray(data.data(), static_cast<int>(data.size())));
      gateway_.frames.push_back(frame);
      if (gateway_.on_frame) gateway_.on_frame(*this, frame);
    }
    void OnClosed(std::uint16_t, std::string_view) override { closed = true; }
    void Send(const wire::ServerFrame& frame) { socket->SendBinary(frame.SerializeAsString()); }
    std::unique_ptr<net::WebSocket> socket;
    bool closed = false;

   private:
    Gateway& gateway_;
  };

  explicit Gateway(net::MemoryWorld& world) {
    server_ = std::move(*net::HttpServer::Listen(world.node, {"127.0.0.1", 0}, *this, {}));
  }
  void OnRequest(net::HttpExchange& exchange) override {
    requests.emplace_back(exchange.request().target);
    if (on_request && on_request(exchange)) return;
    auto socket = std::make_unique<Socket>(*this);
    socket->socket = exchange.Upgrade(socket.get());
    sockets.push_back(std::move(socket));
  }
  void OnAbandoned(net::HttpExchange&) override {}
  Endpoint at() const { return server_->local(); }

  std::function<bool(net::HttpExchange&)> on_request;
  std::function<void(Socket&, const wire::ClientFrame&)> on_frame;
  std::vector<std::string> requests;
  std::vector<wire::ClientFrame> frames;
  std::vector<std::unique_ptr<Socket>> sockets;

 private:
  std::unique_ptr<net::HttpServer> server_;
};

void Welcome(Gateway::Socket& socket, Seq stored, Seq delivered) {
  wire::ServerFrame frame;
  frame.mutable_welcome()->mutable_counters()->set_send_id(stored);
  frame.mutable_welcome()->mutable_counters()->set_send_ack_id(delivered);
  socket.Send(frame);
}

class TargetTest : public ::testing::Test {
 protected:
  GatewayFor Where() {
    return [this](UserId, Endpoint* out) {
      ++asked_;
      if (!known_) return false;
      *out = first_.at();
      return true;
    };
  }

  net::MemoryWorld world_;
  Gateway first_{world_};
  Gateway second_{world_};
  Listener listener_{world_};
  bool known_ = true;
  int asked_ = 0;
};

// ---------------------------------------------------------------- WebSocket

class WsTargetTest : public TargetTest {
 protected:
  void Connect() {
    if (client_ == nullptr) client_ = target_.MakeClient(77, &listener_);
    client_->Connect();
  }
  void LetIn(Gateway& gateway) {
    gateway.on_frame = [](Gateway::Socket& socket, const wire::ClientFrame& frame) {
      if (frame.has_connect()) Welcome(socket, 5, 3);
    };
  }
  WsTarget target_{world_.node, Where(), 8};
  std::unique_ptr<TargetClient> client_;
};

TEST_F(WsTargetTest, OneFrameCarriesManyMessagesAndOneAnswersThem) {
  LetIn(first_);
  Connect();
  EXPECT_EQ(client_->room(), 0u);
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  EXPECT_EQ(first_.frames.at(0).connect().user(), 77u);
  EXPECT_EQ(client_->room(), 8u);
  client_->Submit({{6, 100, "one"}, {8, 101, std::string_view("\0\xFF", 2)}});
  world_.Settle();
  ASSERT_EQ(first_.frames.size(), 2u);
  ASSERT_EQ(first_.frames[1].submits_size(), 2);
  EXPECT_EQ(first_.frames[1].submits(1).send_id(), 8u);
  EXPECT_EQ(first_.frames[1].submits(1).friend_(), 101u);
  EXPECT_EQ(first_.frames[1].submits(1).body(), std::string("\0\xFF", 2));

  wire::ServerFrame answer;
  answer.set_stored(6);
  answer.set_delivered(4);
  wire::Refusal* refusal = answer.add_refusals();
  refusal->set_send_id(8);
  refusal->set_reason(wire::REASON_OVERLOADED);
  refusal->set_retry_after_ms(250);
  refusal = answer.add_refusals();
  refusal->set_send_id(9);
  refusal->set_reason(wire::REASON_NOT_FRIEND);
  first_.sockets[0]->Send(answer);
  EXPECT_THAT(listener_.Take(),
              ElementsAre("refused 8 503 overloaded 250", "refused 9 403 not_friend 0", "ack 6 4"));
}

TEST_F(WsTargetTest, AskingBringsTheCounters) {
  LetIn(first_);
  Connect();
  listener_.Take();
  client_->Poll();
  world_.Settle();
  ASSERT_TRUE(first_.frames.back().get_user());
  wire::ServerFrame answer;
  answer.mutable_user()->mutable_counters()->set_send_id(9);
  answer.mutable_user()->mutable_counters()->set_send_ack_id(8);
  first_.sockets[0]->Send(answer);
  EXPECT_THAT(listener_.Take(), ElementsAre("ack 9 8"));
}

TEST_F(WsTargetTest, AGatewayThatDoesNotServeTheUserIsLeftForTheOneThatDoes) {
  first_.on_frame = [this](Gateway::Socket& socket, const wire::ClientFrame&) {
    socket.socket->Close(1008, "served by " + second_.at().ToString());
  };
  LetIn(second_);
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  // It is remembered …
  second_.sockets[0]->socket->Close(1012, "restarting");
  EXPECT_THAT(listener_.Take(), ElementsAre("down close code 1012: restarting 200"));
  // … until it fails.
  asked_ = 0;
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  EXPECT_EQ(asked_, 1);
}

TEST_F(WsTargetTest, A307OfTheHandshakeIsFollowedToo) {
  first_.on_request = [this](net::HttpExchange& exchange) {
    exchange.Reply(307, "text/plain", "",
                   {{"Location", "http://" + second_.at().ToString() + "/v1/connect"}});
    return true;
  };
  LetIn(second_);
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
}

TEST_F(WsTargetTest, GatewaysThatPointToEachOtherAreGivenUp) {
  first_.on_frame = [this](Gateway::Socket& socket, const wire::ClientFrame&) {
    socket.socket->Close(1008, "served by " + second_.at().ToString());
  };
  second_.on_frame = [this](Gateway::Socket& socket, const wire::ClientFrame&) {
    socket.socket->Close(1008, "served by " + first_.at().ToString());
  };
  Connect();
  const auto lines = listener_.Take();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("down close code 1008: served by"));
  EXPECT_LE(first_.sockets.size() + second_.sockets.size(), 4u);
}

TEST_F(WsTargetTest, AGatewayThatIsNotReadySaysWhenToComeAgain) {
  first_.on_request = [](net::HttpExchange& exchange) {
    exchange.Reply(503, "text/plain", "", {{"Retry-After", "3"}});
    return true;
  };
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("down the gateway answered with status 503 3000"));
  first_.on_request = nullptr;
  LetIn(first_);
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
}

TEST_F(WsTargetTest, EveryCloseIsToldOnce) {
  for (const std::uint16_t code : {1001, 1008, 1012, 1013}) {
    LetIn(first_);
    Connect();
    ASSERT_THAT(listener_.Take(), ElementsAre("up 5 3"));
    first_.sockets.back()->socket->Close(code, "because");
    EXPECT_THAT(listener_.Take(),
                ElementsAre("down close code " + std::to_string(code) + ": because 200"));
    EXPECT_EQ(client_->room(), 0u);
  }
  LetIn(first_);
  Connect();
  ASSERT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  first_.sockets.back()->socket.reset();
  EXPECT_THAT(listener_.Take(), ElementsAre(HasSubstr("down close code 1006")));
}

TEST_F(WsTargetTest, AConnectThatIsRefusedIsDownOrAFailure) {
  wire::Reason reason = wire::REASON_NOT_READY;
  first_.on_frame = [&](Gateway::Socket& socket, const wire::ClientFrame&) {
    wire::ServerFrame frame;
    frame.add_refusals()->set_reason(reason);
    frame.mutable_refusals(0)->set_retry_after_ms(300);
    socket.Send(frame);
  };
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("down the connect was refused: not_ready 300"));
  reason = wire::REASON_UNKNOWN_USER;
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("refused 0 404 unknown_user 0"));
}

TEST_F(WsTargetTest, WhatIsNoFrameEndsTheConnection) {
  LetIn(first_);
  Connect();
  listener_.Take();
  first_.sockets[0]->socket->SendBinary("\xFF\xFF\xFF");
  EXPECT_THAT(listener_.Take(), ElementsAre("down what came is no server frame 200"));
  EXPECT_TRUE(first_.sockets[0]->closed);
}

TEST_F(WsTargetTest, NobodyListensOrNobodyIsKnown) {
  known_ = false;
  Connect();
  EXPECT_THAT(listener_.lines, IsEmpty()) << "not inside Connect";
  EXPECT_THAT(listener_.Take(), ElementsAre("down no gateway is known yet 200"));
}

TEST_F(WsTargetTest, IsDestroyedAtAnyMoment) {
  LetIn(first_);
  for (int turns = 0; turns < 12; ++turns) {
    Connect();
    for (int i = 0; i < turns; ++i) world_.Turn();
    client_.reset();
    world_.Settle();
    listener_.lines.clear();
  }
  world_.Advance(20 * kSecond);
  EXPECT_THAT(listener_.lines, IsEmpty());
}

// ---------------------------------------------------------------- HTTP

class HttpTargetTest : public TargetTest {
 protected:
  HttpTargetTest() { Serve(first_); }
  void Serve(Gateway& gateway) {
    gateway.on_request = [this](net::HttpExchange& exchange) {
      if (exchange.request().path.substr(0, 10) == "/api/user/") {
        exchange.Reply(200, "application/json",
                       "{\"SendId\":" + std::to_string(stored_) +
                           ",\"ReceiveId\":4,\"SendAckId\":3,\"ClientReceiveId\":99,"
                           "\"friends\":[\"2\",\"17\"]}");
      } else if (answer_) {
        answer_(exchange);
      } else {
        exchange.Reply(200, "text/plain", "OK");
      }
      return true;
    };
  }
  void Connect() {
    if (client_ == nullptr) client_ = target_.MakeClient(77, &listener_);
    client_->Connect();
  }
  HttpTarget target_{world_.node, Where()};
  std::unique_ptr<TargetClient> client_;
  Seq stored_ = 5;
  std::function<void(net::HttpExchange&)> answer_;
};

TEST_F(HttpTargetTest, OneRequestAtATimeAsTheSourcesClientMakesThem) {
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  EXPECT_EQ(client_->room(), 1u);
  client_->Submit({{6, 100, std::string_view("a b/\xFF&\0", 7)}});
  EXPECT_EQ(client_->room(), 0u);
  EXPECT_THAT(listener_.Take(), ElementsAre("ack 5 3"));
  EXPECT_EQ(client_->room(), 1u);
  stored_ = 6;
  client_->Poll();
  EXPECT_THAT(listener_.Take(), ElementsAre("ack 6 3"));
  EXPECT_THAT(
      first_.requests,
      ElementsAre("/api/user/77", "/api/c/77/100/6/?message=a%20b%2F%FF%26%00", "/api/user/77"));
}

TEST_F(HttpTargetTest, RefusalsHaveTheirCodeAndPause) {
  Connect();
  listener_.Take();
  answer_ = [](net::HttpExchange& exchange) {
    exchange.Reply(503, "application/json", R"({"error":"overloaded","message":"x"})",
                   {{"Retry-After", "2"}});
  };
  client_->Submit({{6, 100, "a"}});
  EXPECT_THAT(listener_.Take(), ElementsAre("refused 6 503 overloaded 2000", "ack 5 3"));
  answer_ = [](net::HttpExchange& exchange) {
    exchange.Reply(403, "application/json", R"({"error":"not_friend","message":"x"})");
  };
  client_->Submit({{6, 100, "a"}});
  EXPECT_THAT(listener_.Take(), ElementsAre("refused 6 403 not_friend 0", "ack 5 3"));
}

TEST_F(HttpTargetTest, ARefusedQuestionIsDownOrAFailure) {
  int status = 503;
  first_.on_request = [&](net::HttpExchange& exchange) {
    exchange.Reply(status, "application/json", R"({"error":"some_code"})", {{"Retry-After", "1"}});
    return true;
  };
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("down the counters were refused: some_code 1000"));
  status = 404;
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("refused 0 404 some_code 0"));
}

TEST_F(HttpTargetTest, A307IsFollowedAtOnceAndInTheMiddle) {
  Serve(second_);
  const auto elsewhere = [this](net::HttpExchange& exchange) {
    exchange.Reply(307, "text/plain", "",
                   {{"Location", "http://" + second_.at().ToString() +
                                     std::string(exchange.request().target)}});
    return true;
  };
  first_.on_request = elsewhere;
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  EXPECT_THAT(second_.requests, ElementsAre("/api/user/77"));

  client_.reset();
  Serve(first_);
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  first_.on_request = elsewhere;
  client_->Submit({{6, 100, "a"}});
  EXPECT_THAT(listener_.Take(), ElementsAre("down moved to another gateway 0"));
  EXPECT_EQ(client_->room(), 0u);
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("up 5 3"));
  client_->Submit({{6, 100, "a"}});
  EXPECT_THAT(listener_.Take(), ElementsAre("ack 5 3"));
  EXPECT_EQ(second_.requests.size(), 3u);
}

TEST_F(HttpTargetTest, GatewaysThatPointToEachOtherAreGivenUp) {
  first_.on_request = [this](net::HttpExchange& exchange) {
    exchange.Reply(307, "text/plain", "", {{"Location", "http://" + first_.at().ToString() + "/"}});
    return true;
  };
  Connect();
  EXPECT_THAT(listener_.Take(), ElementsAre("down sent from gateway to gateway 200"));
  EXPECT_LE(first_.requests.size(), 4u);
}

TEST_F(HttpTargetTest, AServerThatDoesNotAnswerIsDown) {
  first_.on_request = [](net::HttpExchange&) { return true; };
  Connect();
  world_.Advance(11 * kSecond);
  ASSERT_EQ(listener_.lines.size(), 1u);
  EXPECT_THAT(listener_.lines[0], HasSubstr("down"));
  client_.reset();
}

// ---------------------------------------------------------------- addresses

TEST(GatewayAddress, IsTakenFromAUrl) {
  EXPECT_EQ(EndpointOfUrl("http://10.0.0.1:9500/api/user/1"), (Endpoint{"10.0.0.1", 9500}));
  EXPECT_EQ(EndpointOfUrl("ws://[::1]:80"), (Endpoint{"::1", 80}));
  for (const char* bad : {"", "/api/user/1", "http://", "http://host", "http://1.2.3.4:0/",
                          "ftp://1.2.3.4:5/", "http://1.2.3.4:99999/"}) {
    EXPECT_EQ(EndpointOfUrl(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace baiwan::stress
