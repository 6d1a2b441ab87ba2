#include <algorithm>
#include <utility>
#include <vector>

#include "net/http.h"
#include "net/http_connection.h"

namespace baiwan::net {
namespace {

// What an open connection costs in memory, in rest: its objects, and its share of the buffers.
constexpr std::uint64_t kConnectionBytes = 8 << 10;
constexpr std::uint64_t kFewestNewcomers = 16;  // however small the limits are

Nanos SweepPeriod(const HttpLimits& limits) {
  const Nanos shortest = std::min({limits.idle_timeout, limits.head_timeout,
                                   limits.websocket.heartbeat, limits.websocket.message_timeout});
  return std::clamp<Nanos>(shortest / 8, 10 * kMillisecond, kSecond);
}

std::size_t MostNewcomers(const HttpLimits& limits, const Budget& budget) {
  const std::uint64_t in_memory = budget.limit(Account::kConnections) / 4 / kConnectionBytes;
  return std::max(
      kFewestNewcomers,
      std::min<std::uint64_t>({limits.max_handshakes, limits.max_connections / 2, in_memory}));
}

// A list out of which anything may be taken at any time, also while it is walked over backwards.
template <class Pointer>
void Insert(std::vector<Pointer>& list, Pointer item) {
  item->registry_index = list.size();
  list.push_back(std::move(item));
}
template <class Pointer>
Pointer Take(std::vector<Pointer>& list, std::size_t index) {
  Pointer taken = std::move(list[index]);
  if (index + 1 < list.size()) {
    list[index] = std::move(list.back());
    list[index]->registry_index = index;
  }
  list.pop_back();
  return taken;
}

class HttpServerImpl final : public HttpServer, private HttpConnections {
 public:
  HttpServerImpl(NodeContext& node_context, HttpService& http_service,
                 const HttpLimits& http_limits)
      : HttpConnections(node_context, http_service, http_limits),
        period_(SweepPeriod(http_limits)),
        newcomers_(MostNewcomers(http_limits, node_context.budget)) {}

  ~HttpServerImpl() override {
    node.loop.Cancel(timer_);
    for (WsConnection* socket : sockets_) socket->Orphan();
    node.budget.Release(Account::kConnections, kConnectionBytes * open());
  }

  Result<bool, NetError> Listen(const Endpoint& at) {
    auto listener = node.transport.Listen(
        at, [this](std::unique_ptr<ByteStream> stream) { Accept(std::move(stream)); });
    if (!listener) return listener.error();
    listener_ = std::move(*listener);
    local_ = listener_->local();
    return true;
  }

  const Endpoint& local() const override { return local_; }

  std::vector<ConnectionInfo> Connections() const override {
    std::vector<ConnectionInfo> all;
    all.reserve(open());
    for (const auto& connection : connections_) all.push_back(connection->Info());
    for (const WsConnection* socket : sockets_) {
      all.push_back({socket->peer(), "websocket", socket->bytes_in(), socket->bytes_out(),
                     socket->messages_in(), socket->unsent()});
    }
    return all;
  }

  std::uint64_t requests() const override { return requests_taken; }

  void StopAccepting() override {
    stopping = true;
    listener_.reset();
    for (std::size_t i = connections_.size(); i-- > 0;) {
      if (connections_[i]->idle()) Remove(connections_[i].get());
    }
  }

 private:
  std::size_t open() const { return connections_.size() + sockets_.size(); }

  void Accept(std::unique_ptr<ByteStream> stream) {
    now = node.clock.Monotonic();
    const bool room = open() < limits.max_connections &&
                      node.budget.Charge(Account::kConnections, kConnectionBytes);
    if (!room) {
      // Whoever has something vital to ask does so at once.
      if (reserve_.size() >= kReserve) Remove(reserve_.front());
      node.budget.ChargeAlways(Account::kConnections, kConnectionBytes);
    }
    HttpConnections& shared = *this;
    Insert(connections_, std::make_unique<HttpConnection>(shared, std::move(stream), !room));
    HttpConnection& connection = *connections_.back();
    if (!room) reserve_.push_back(&connection);
    if (timer_ == 0) ArmSweep();
    if (room) newcomers_.Join(connection);
  }

  void Proved(HttpConnection* connection) override { newcomers_.Leave(*connection); }
  void Proved(WsConnection* socket) override { newcomers_.Leave(*socket); }

  void Remove(HttpConnection* connection) override {
    if (connection->in_reserve()) std::erase(reserve_, connection);
    node.budget.Release(Account::kConnections, kConnectionBytes);
    Take(connections_, connection->registry_index);
  }

  void Adopt(WsConnection* socket) override {
    node.budget.ChargeAlways(Account::kConnections, kConnectionBytes);
    Insert(sockets_, socket);
    newcomers_.Join(*socket);
  }

  void Forget(WsConnection* socket) override {
    newcomers_.Leave(*socket);
    node.budget.Release(Account::kConnections, kConnectionBytes);
    Take(sockets_, socket->registry_index);
  }

  void ArmSweep() {
    timer_ = node.loop.After(period_, [this] {
      timer_ = 0;
      Sweep();
    });
  }

  // Backwards, because what is looked at may go, or take others with it: Take moves the last one,
  // which has been looked at, into the gap.
  void Sweep() {
    now = node.clock.Monotonic();
    const auto alive = lifetime_.token();
    for (std::size_t i = connections_.size(); i-- > 0;) {
      if (i < connections_.size()) connections_[i]->Sweep(period_);
    }
    for (std::size_t i = sockets_.size(); i-- > 0;) {
      if (i < sockets_.size()) sockets_[i]->Tick(now);
      if (!*alive) return;
    }
    if (open() > 0) ArmSweep();
  }

  const Nanos period_;
  std::unique_ptr<Listener> listener_;
  Endpoint local_;
  std::vector<std::unique_ptr<HttpConnection>> connections_;
  std::vector<HttpConnection*> reserve_;  // of these, in the order in which they came
  std::vector<WsConnection*> sockets_;
  Newcomers newcomers_;  // of both
  TimerId timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>, NetError> HttpServer::Listen(NodeContext& node,
                                                                 const Endpoint& at,
                                                                 HttpService& service,
                                                                 const HttpLimits& limits) {
  auto server = std::make_unique<HttpServerImpl>(node, service, limits);
  if (auto listening = server->Listen(at); !listening) return listening.error();
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace baiwan::net
