#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http.h"
#include "net/testing/memory_transport.h"

namespace baiwan::net {
namespace {

// A server that is a script: answers the n-th connection's bytes with what the test says.
class ScriptedServer {
 public:
  explicit ScriptedServer(MemoryWorld& world) {
    auto listening = world.transport.Listen({"127.0.0.1", 0}, [this](auto stream) {
      peers.push_back(std::make_unique<Peer>());
      peers.back()->stream = std::move(stream);
      peers.back()->stream->SetHandler(peers.back().get());
    });
    listener = std::move(*listening);
  }
  struct Peer final : StreamHandler {
    std::size_t OnData(std::string_view data) override {
      received.append(data);
      return data.size();
    }
    void OnClosed(NetError) override { closed = true; }
    std::unique_ptr<ByteStream> stream;
    std::string received;
    bool closed = false;
  };
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Peer>> peers;
};

class HttpClientTest : public ::testing::Test {
 protected:
  void Request(std::string_view method = "GET", std::string_view body = {}) {
    client->Request(method, "/t?a=b", body, {{"X", "y"}}, 5 * kSecond,
                    [this](Result<HttpResponse, NetError> result) {
                      ++done;
                      status = result ? result->status : 0;
                      response = result ? std::move(*result) : HttpResponse{};
                      error = result ? NetError{} : result.error();
                    });
    world.Settle();
  }
  void Answer(std::size_t connection, std::string_view text) {
    server.peers[connection]->stream->Write(text);
    world.Settle();
  }

  MemoryWorld world;
  ScriptedServer server{world};
  std::unique_ptr<HttpClient> client = HttpClient::Create(world.node, server.listener->local());
  int done = 0;
  int status = 0;
  HttpResponse response;
  NetError error{};
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok";

TEST_F(HttpClientTest, KeepsItsConnectionFromRequestToRequest) {
  for (int i = 1; i <= 3; ++i) {
    Request();
    EXPECT_TRUE(client->busy());
    Answer(0, kOk);
    EXPECT_FALSE(client->busy());
    EXPECT_EQ(done, i);
    EXPECT_EQ(response.body, "ok");
    EXPECT_EQ(response.Header("x-a"), "b");
  }
  EXPECT_EQ(server.peers.size(), 1u);
  EXPECT_EQ(server.peers[0]->received.find("GET /t?a=b HTTP/1.1\r\nHost: 127.0.0.1:"), 0u);
}

TEST_F(HttpClientTest, ReadsAnAnswerInAnyPieces) {
  world.transport.read_bytes = 1;
  Request("POST", "body");
  EXPECT_THAT(server.peers[0]->received, ::testing::EndsWith("Content-Length: 4\r\n\r\nbody"));
  Answer(0, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 x\r\nTransfer-Encoding: chunked\r\n\r\n");
  Answer(0, "3\r\nabc\r\n0\r\n\r\n");
  EXPECT_EQ(status, 201);
  EXPECT_EQ(response.body, "abc");
}

TEST_F(HttpClientTest, ReadsABodyThatLastsUntilTheEnd) {
  Request();
  Answer(0, "HTTP/1.0 200 x\r\n\r\nhalf and ");
  EXPECT_EQ(done, 0);
  server.peers[0]->stream->Write("half");
  server.peers[0]->stream->CloseAfterFlush();
  world.Settle();
  EXPECT_EQ(response.body, "half and half");
}

TEST_F(HttpClientTest, ConnectsAgainAfterTheServerClosed) {
  Request();
  Answer(0, kOk);
  server.peers[0]->stream.reset();
  world.Settle();
  Request();
  ASSERT_EQ(server.peers.size(), 2u);
  Answer(1, kOk);
  EXPECT_EQ(done, 2);
  EXPECT_EQ(status, 200);
}

TEST_F(HttpClientTest, RepeatsWhatIsSafeToRepeatIfTheKeptConnectionWasGone) {
  Request();
  Answer(0, kOk);
  client->Request("GET", "/t?a=b", {}, {}, kSecond,
                  [&](auto result) { done += result ? 10 : 100; });
  server.peers[0]->stream.reset();  // crossing the request
  world.Settle();
  ASSERT_EQ(server.peers.size(), 2u);
  Answer(1, kOk);
  EXPECT_EQ(done, 11);

  client->Request("POST", "/t", {}, {}, kSecond, [&](auto result) { done += result ? 10 : 100; });
  server.peers[1]->stream.reset();
  world.Settle();
  EXPECT_EQ(server.peers.size(), 2u) << "nobody knows whether a POST was carried out";
  EXPECT_EQ(done, 111);
}

TEST_F(HttpClientTest, TellsWhyThereIsNoAnswer) {
  server.listener.reset();
  Request();
  EXPECT_EQ(error, NetError::kRefused);
  EXPECT_EQ(done, 1);
}

TEST_F(HttpClientTest, AnAnswerThatIsCutOffOrNonsenseIsAnError) {
  Request();
  server.peers[0]->stream->Write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
  server.peers[0]->stream->CloseAfterFlush();
  world.Settle();
  EXPECT_EQ(error, NetError::kEof);
  Request();
  Answer(1, "220 smtp ready\r\n\r\n");
  EXPECT_EQ(error, NetError::kOther);
  EXPECT_EQ(done, 2);
  EXPECT_TRUE(server.peers[1]->closed);
}

TEST_F(HttpClientTest, ATimeoutCoversTheWholeRequest) {
  Request();
  Answer(0, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  for (int i = 0; i < 4; ++i) {
    world.Advance(kSecond);
    Answer(0, "drip");
    EXPECT_EQ(done, 0);
  }
  world.Advance(kSecond);
  EXPECT_EQ(done, 1);
  EXPECT_EQ(error, NetError::kTimeout);
  EXPECT_TRUE(server.peers[0]->closed);
  Request();
  Answer(1, kOk);
  EXPECT_EQ(status, 200) << "the next request is not touched by the old one's fate";
  world.Advance(60 * kSecond);
  EXPECT_EQ(done, 2);
}

TEST_F(HttpClientTest, AShortTimeoutAfterALongOneCounts) {
  client->Request("GET", "/", {}, {}, 100 * kSecond, [](auto) {});
  world.Settle();
  Answer(0, kOk);
  client->Request("GET", "/", {}, {}, kSecond, [&](auto result) { error = result.error(); });
  world.Advance(kSecond);
  EXPECT_EQ(error, NetError::kTimeout);
}

TEST_F(HttpClientTest, TheNextRequestMayStartWhenOneIsDone) {
  client->Request("GET", "/1", {}, {}, kSecond, [&](auto) {
    ++done;
    client->Request("GET", "/2", {}, {}, kSecond, [&](auto) { ++done; });
  });
  world.Settle();
  Answer(0, kOk);
  Answer(0, kOk);
  EXPECT_EQ(done, 2);
}

TEST_F(HttpClientTest, MayBeDestroyedAtAnyTime) {
  client->Request("GET", "/1", {}, {}, kSecond, [&](auto) {
    ++done;
    client.reset();
  });
  world.Settle();
  Answer(0, kOk);
  EXPECT_EQ(done, 1);
  client = HttpClient::Create(world.node, server.listener->local());
  client->Request("GET", "/1", {}, {}, kSecond, [&](auto) { ++done; });
  client.reset();  // while it connects
  world.Advance(10 * kSecond);
  EXPECT_EQ(done, 1);
}

TEST_F(HttpClientTest, SurvivesRandomAnswers) {
  const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok";
  for (std::size_t round = 0; round < 500; ++round) {
    Request();
    std::string text = good;
    for (std::uint64_t n = world.rng.Below(4); n > 0; --n) {
      text[world.rng.Below(text.size())] = static_cast<char>(world.rng.Next());
    }
    world.transport.read_bytes = 1 + world.rng.Below(50);
    Answer(server.peers.size() - 1, text);
    world.Advance(10 * kSecond);
    ASSERT_FALSE(client->busy());
    ASSERT_EQ(done, static_cast<int>(round) + 1);
  }
}

}  // namespace
}  // namespace baiwan::net
