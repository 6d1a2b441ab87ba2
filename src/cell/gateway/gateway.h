// The gateway of one cell: the HTTP and WebSocket front for clients.
//
// It speaks the source's interface (/api), the REST interface (/v1) and /v1/connect, turns each
// into client frames for the logic server, and its answers back. It decides nothing about messages;
// it keeps load and nonsense away: connections, frames, bodies and requests under way are bounded,
// and what cannot be taken is refused with a status, a JSON body and, where it helps, Retry-After.
//
// Threads: one loop. Failure: while the logic server is away requests get 503 and WebSockets are
// closed with 1012; a request that is not answered in time gets 504.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/node_context.h"
#include "cell/gateway/admission.h"
#include "cell/ports.h"
#include "net/http.h"
#include "placement/placement.h"
#include "wire/client.pb.h"

namespace baiwan::cell {

struct GatewayOptions {
  CellId cell = 0;
  std::uint32_t max_requests = 8192;  // HTTP requests that wait for the logic server
  std::uint32_t max_submits_per_frame = 1024;
  Nanos request_timeout = 5 * kSecond;
  Nanos connect_timeout = 10 * kSecond;     // until a WebSocket has said whose it is
  std::size_t push_high_water = 256 << 10;  // unsent bytes at which pushes stop
  // Questions of one WebSocket that wait for the logic server. It is not read further with so many.
  std::uint32_t max_questions = 16;
  AdmissionOptions admission;
};

struct GatewayCounters {
  std::uint64_t requests = 0;   // HTTP requests
  std::uint64_t frames_in = 0;  // WebSocket frames
  std::uint64_t frames_out = 0;
  std::uint64_t connects = 0;    // WebSocket sessions begun
  std::uint64_t refused = 0;     // answered with a status of 400 or above
  std::uint64_t redirected = 0;  // users of other cells
  std::uint64_t timeouts = 0;
  std::uint64_t shed = 0;  // messages refused because work waits too long
};

// Answers what is not about messages: /metrics, /status, /healthz … True if it has answered.
using ExtraRoutes = std::function<bool(net::HttpExchange&)>;
// The address of the gateway that serves a cell, "host:port"; empty if nobody knows.
using GatewayOf = std::function<std::string(CellId)>;

// What docs/openapi.yaml describes: a method and a path with its variable parts in braces.
struct RouteName {
  std::string_view method;
  std::string_view path;
};

class Gateway final : public net::HttpService, public ClientPort, public MetricsSource {
 public:
  Gateway(NodeContext& node, const GatewayOptions& options, const placement::PlacementTable& table,
          GatewayOf gateway_of, ExtraRoutes extra);
  ~Gateway() override;

  // The logic server of this cell; null while it is away.
  void SetLogic(LogicPort* logic);
  // Everything that is served here but for the extra routes.
  static std::vector<RouteName> Routes();

  // net::HttpService
  void OnRequest(net::HttpExchange& exchange) override;
  void OnAbandoned(net::HttpExchange& exchange) override;
  bool Vital(std::string_view path) const override;

  // ClientPort
  void ToClient(SessionId session, const wire::ServerFrame& frame) override;
  void Taken(SessionId session) override;
  // From another process came so many bytes for a session; how many of such have come in all that
  // credit is to be given back for now, and whose session it is.
  std::uint64_t Came(SessionId session, std::size_t bytes, UserId* user);

  void WriteMetrics(MetricsSink& sink) const override;
  const GatewayCounters& counters() const { return counters_; }
  std::size_t websockets() const { return websockets_; }

 private:
  enum class Kind : std::uint8_t { kFree, kUser, kChat, kPage, kSubmitV1, kCursor, kWebSocket };
  class Socket;
  // A request or a connection; its index and generation make the SessionId.
  struct Entry {
    Kind kind = Kind::kFree;
    std::uint32_t generation = 0;
    std::uint32_t left = 0;  // answers still to come (several messages in one request)
    UserId user = 0;
    Nanos deadline = 0;
    net::HttpExchange* exchange = nullptr;
    std::unique_ptr<Socket> socket;
    bool many = false;  // a list of messages, answered together
    Seq stored = 0;
    std::uint64_t came = 0;              // bytes from another process, not given credit for
    std::vector<wire::Refusal> refused;  // of many
  };

  // routes.cc
  using PathVars = std::array<std::string_view, 3>;  // a path's variable parts
  struct Route {
    std::string_view method;
    std::string_view path;
    void (Gateway::*serve)(net::HttpExchange& exchange, const PathVars& vars);
    bool head = false;  // HEAD too: nothing changes by it
  };
  static const Route kRoutes[];
  void WrongMethod(net::HttpExchange& exchange, std::string_view takes);
  static bool Match(std::string_view pattern, std::string_view path, PathVars* vars);
  void ServeUser(net::HttpExchange& exchange, const PathVars& vars);
  void ServeChat(net::HttpExchange& exchange, const PathVars& vars);
  void ServeInbox(net::HttpExchange& exchange, const PathVars& vars);
  void ServeOutbox(net::HttpExchange& exchange, const PathVars& vars);
  void ServeMessages(net::HttpExchange& exchange, const PathVars& vars);
  void ServeCursor(net::HttpExchange& exchange, const PathVars& vars);
  void ServeConnect(net::HttpExchange& exchange, const PathVars& vars);
  void ServeNotBuilt(net::HttpExchange& exchange, const PathVars& vars);
  void ReadBoxOf(net::HttpExchange& exchange, std::string_view user, wire::BoxName box);
  // Elsewhere or nowhere: answers and returns false.
  bool Here(net::HttpExchange& exchange, UserId user);
  bool ParseUser(net::HttpExchange& exchange, std::string_view text, UserId* user);

  void Ask(net::HttpExchange& exchange, Kind kind, UserId user, wire::ClientFrame& frame,
           std::uint32_t answers = 1);
  void Answer(net::HttpExchange& exchange, Kind kind, const wire::ServerFrame& frame);
  void AnswerMany(net::HttpExchange& exchange, Seq stored, std::vector<wire::Refusal> refused);
  void Refuse(net::HttpExchange& exchange, wire::Reason reason, std::string_view detail = {},
              net::Headers extra = {});
  void RefuseWith(net::HttpExchange& exchange, const wire::Refusal& refusal, std::string_view body,
                  net::Headers extra = {});

  Entry& NewEntry(Kind kind, SessionId* id);
  Entry* Find(SessionId id);
  void Free(Entry& entry, std::uint32_t index);
  void OnSocketFrame(SessionId id, wire::ClientFrame& frame);
  bool Introduce(Entry& entry, const wire::ClientFrame& frame);
  void OnSocketPaused(SessionId id, bool paused);
  void OnSocketClosed(SessionId id);
  void Sweep();
  void Look();
  bool Shed(Entry& entry, wire::ClientFrame& frame);

  NodeContext& node_;
  const GatewayOptions options_;
  const placement::PlacementTable& table_;
  const GatewayOf gateway_of_;
  const ExtraRoutes extra_;
  LogicPort* logic_ = nullptr;

  std::vector<std::unique_ptr<Entry>> entries_;
  std::vector<std::uint32_t> free_;
  std::vector<std::unique_ptr<Socket>> gone_;  // closed
  std::size_t websockets_ = 0;
  std::size_t requests_ = 0;
  wire::ClientFrame frame_;  // reused
  std::string text_;         // reused
  TimerId sweep_ = 0;
  Admission admission_;
  TimerId look_ = 0;
  Nanos look_due_ = 0;
  GatewayCounters counters_;
};

}  // namespace baiwan::cell
