// A client and a server that speak WebSocket in memory, and record what their handlers are told.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http.h"
#include "net/testing/memory_transport.h"
#include "net/websocket.h"
#include "net/ws_codec.h"

namespace baiwan::net {

inline const std::string kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

class Recorder final : public WsHandler {
 public:
  void OnMessage(bool is_text, std::string_view data) override {
    messages.push_back((is_text ? "t:" : "b:") + std::string(data));
    if (on_message) on_message(data);
  }
  void OnBatchEnd() override {
    ++batches;
    if (on_batch_end) on_batch_end();
  }
  void OnWritable() override { ++writable; }
  void OnClosed(std::uint16_t why, std::string_view text) override {
    EXPECT_EQ(code, 0) << "exactly once";
    code = why;
    reason = text;
    if (on_closed) on_closed();
  }
  std::vector<std::string> messages;
  int batches = 0;
  int writable = 0;
  int code = 0;
  std::string reason;
  std::unique_ptr<WebSocket> socket;
  std::function<void(std::string_view)> on_message;
  std::function<void()> on_batch_end;
  std::function<void()> on_closed;
};

// A server that upgrades whoever asks and keeps the sockets, in order.
class UpgradingService final : public HttpService {
 public:
  void OnRequest(HttpExchange& exchange) override {
    if (on_request) return on_request(exchange);
    auto recorder = std::make_unique<Recorder>();
    recorder->socket = exchange.Upgrade(recorder.get());
    if (recorder->socket == nullptr) return;
    if (!greeting.empty()) recorder->socket->SendText(greeting);
    sockets.push_back(std::move(recorder));
  }
  void OnAbandoned(HttpExchange&) override {}
  std::function<void(HttpExchange&)> on_request;
  std::string greeting;
  std::vector<std::unique_ptr<Recorder>> sockets;
};

class WebSocketTest : public ::testing::Test {
 protected:
  void Start(const HttpLimits& limits = {}) {
    auto listening = HttpServer::Listen(world.node, {"127.0.0.1", 0}, service, limits);
    ASSERT_TRUE(listening);
    server = std::move(*listening);
  }
  // A client socket of ours; its end of the server is service.sockets.back().
  void Connect(const WsLimits& limits = {}) {
    WsConnect(world.node, server->local(), "/ws?user=1", &client, limits, 3 * kSecond,
              [this](Result<std::unique_ptr<WebSocket>, WsConnectFailure> result) {
                ++answers;
                if (result) {
                  client.socket = std::move(*result);
                } else {
                  failure = result.error();
                }
              });
    world.Settle();
  }
  Recorder& accepted() { return *service.sockets.back(); }

  MemoryWorld world;
  UpgradingService service;
  std::unique_ptr<HttpServer> server;
  Recorder client;
  int answers = 0;
  std::optional<WsConnectFailure> failure;
};

inline std::string Masked(std::uint8_t first, std::string_view payload) {
  std::string out;
  AppendMaskedWsFrame(out, WsOpcode::kBinary, payload, 0x01020304);
  out[0] = static_cast<char>(first);
  return out;
}

}  // namespace baiwan::net
