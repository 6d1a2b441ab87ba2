// Cells on real sockets, with a registry, and clients of every kind: all in one thread.
//
// Both ends live on one loop, so a test says what it wants and turns the loop until it has it. The
// stores are in memory and keep what is durable when a cell is stopped; starting it again is a
// restart. A role that asks to die fails the test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cell/host.h"
#include "net/testing/transport_fixture.h"
#include "net/transport.h"
#include "net/websocket.h"
#include "registry/server.h"
#include "store/engine/memory_kv.h"
#include "store/log/store.h"
#include "wire/client.pb.h"

namespace baiwan::cell {

using net::Backend;  // for BAIWAN_ON_BOTH_BACKENDS
using net::BackendName;

struct CellsOptions {
  std::uint32_t cells = 1;
  bool split = false;  // each role as a host of its own, over links
  LogicOptions logic;
  GatewayOptions gateway;
  net::HttpLimits http;
  net::LinkLimits link;
  store::MemoryKvOptions kv;
  std::uint64_t budget = 1ULL << 30;
  std::uint64_t life = 4711;  // of the stores
};

class Cells {
 public:
  Cells(net::Backend backend, const CellsOptions& options);
  ~Cells();
  // Empty, or why there are none, e.g. that the kernel refuses io_uring.
  const std::string& error() const { return error_; }

  // Both friends of each other. Before their cells start.
  void Befriend(UserId a, UserId b);
  // The k-th user of a cell.
  UserId UserOf(CellId cell, std::uint64_t index) const;
  // `at`: where its gateway listens; a free port by default.
  void Start(CellId cell, const Endpoint& at = {"127.0.0.1", 0});
  void Stop(CellId cell);  // as a crash does: what is not durable is gone
  // Where a gateway's clients find it: the only host, or that of the gateway.
  CellHost& host(CellId cell) { return *cells_[cell].host; }
  // Of a split cell: its logic server alone.
  void StartLogic(CellId cell);
  void StopLogic(CellId cell);
  Endpoint gateway(CellId cell) { return host(cell).http_address(); }
  Endpoint registry() const { return registry_http_->local(); }
  store::MemoryDisk& disk(CellId cell) { return cells_[cell].disk; }
  NodeContext& node() { return *node_; }
  net::RealLoop& loop() { return *loop_; }

  ::testing::AssertionResult RunUntil(const std::function<bool()>& done,
                                      Nanos limit = 10 * kSecond);
  void RunFor(Nanos time);

  // One request on a connection of its own.
  net::HttpResponse Ask(const Endpoint& to, std::string_view method, std::string_view target,
                        std::string_view body = {}, const net::Headers& headers = {});
  net::HttpResponse Get(std::string_view target, CellId cell = 0) {
    return Ask(gateway(cell), "GET", target);
  }
  // Bytes as they are, on a socket without any of our code; what came back until the server closed
  // the connection, or until `enough`.
  std::string Raw(const Endpoint& to, std::string_view bytes,
                  const std::function<bool(const std::string&)>& enough = nullptr);

 private:
  struct Cell {
    store::MemoryDisk disk;
    std::unique_ptr<store::Kv> kv;
    std::unique_ptr<store::Store> store;
    std::unique_ptr<CellHost> logic;
    std::unique_ptr<CellHost> relay;
    std::unique_ptr<CellHost> host;
    bool imported = false;
  };
  class FailingFatal final : public Fatal {
   public:
    void Die(std::string_view why) override { ADD_FAILURE() << "asked to die: " << why; }
  };

  void OpenStore(CellId cell);
  void Import(CellId cell);
  std::unique_ptr<CellHost> Host(CellId cell, const std::string& role, const Endpoint& at);

  const CellsOptions options_;
  std::string error_;
  std::unique_ptr<net::RealLoop> loop_;
  Rng rng_{1};
  Budget budget_;
  FailingFatal fatal_;
  std::unique_ptr<NodeContext> node_;
  placement::PlacementTable table_;
  placement::UserLayout layout_;
  std::map<UserId, std::vector<UserId>> friends_;
  std::unique_ptr<registry::RegistryServer> registry_;
  std::unique_ptr<net::HttpServer> registry_http_;
  std::map<CellId, Cell> cells_;
};

// A device on /v1/connect. Counters are the highest that it was told.
class Device final : public net::WsHandler {
 public:
  // Upgrades; says nothing yet. `limits` are the client's own.
  Device(Cells& cells, const Endpoint& gateway, std::string_view path = "/v1/connect",
         const net::WsLimits& limits = {});
  // … and sends the connect frame and waits for the welcome, or the end.
  static std::unique_ptr<Device> Connect(Cells& cells, UserId user, bool receive = false,
                                         Seq after = 0, std::string_view device = {});

  bool open() const { return socket_ != nullptr && !closed_; }
  net::WebSocket& socket() { return *socket_; }
  void Send(const wire::ClientFrame& frame);
  void SendText(std::string_view text) { socket_->SendText(text); }
  void SendBytes(std::string_view data) { socket_->SendBinary(data); }
  void Hangup() { socket_.reset(); }

  // What a frame of text messages looks like.
  static wire::ClientFrame Submits(
      const std::vector<std::tuple<Seq, UserId, std::string>>& messages);

  std::vector<wire::ServerFrame> frames;  // binary ones
  std::vector<std::string> texts;
  std::vector<wire::BoxMessage> pushes;
  std::vector<wire::Refusal> refusals;
  std::optional<wire::Welcome> welcome;
  Seq stored = 0;
  Seq delivered = 0;
  std::optional<std::uint16_t> closed_;
  std::string close_reason;
  std::optional<net::WsConnectFailure> failure;

 private:
  void OnMessage(bool is_text, std::string_view data) override;
  void OnClosed(std::uint16_t code, std::string_view reason) override;

  std::unique_ptr<net::WebSocket> socket_;
};

// Tests with these run on both backends: BAIWAN_ON_BOTH_BACKENDS(CellTest).
class CellTest : public ::testing::TestWithParam<net::Backend> {
 protected:
  // Skips where the kernel refuses the backend.
  void SetUp() override;
  // Cells with the friendships given, all started.
  void Start(const CellsOptions& options, const std::vector<std::pair<UserId, UserId>>& friends);

  nlohmann::json Json(const net::HttpResponse& response);
  nlohmann::json User(UserId user);
  void ExpectError(const net::HttpResponse& response, int status, std::string_view code);
  // Sends over REST and waits for it to be stored.
  void Say(UserId user, Seq send_id, UserId to, std::string_view body);

  std::unique_ptr<Cells> cells;
};

}  // namespace baiwan::cell
