// HTTP/1.1 for both sides, over any Transport, with WebSocket upgrade.
//
// A server connection reads one request at a time: the next one waits, unread, until the service
// has answered, so answers keep their order and a client that pipelines is held back by TCP.
// Answers written in one turn leave with one system call per connection.
//
// Threads: the loop of the NodeContext. Failure: what is not HTTP, or breaks a limit, is answered
// with 400, 408, 413, 414, 417, 431, 501 or 505 and a JSON body {"error":…,"message":…}, and the
// connection is closed. Limits: see HttpLimits; connections beyond max_connections, or beyond the
// memory budget, get 503 with Retry-After and are closed; some of them are kept in reserve for what
// is vital (HttpService::Vital). Answers that are not taken are charged to the budget's connections
// account; a large one that does not fit there any more is 503 as well. Bodies and messages that
// are not there whole may have an eighth of that account, together, on connections that have
// brought nothing whole so far, and a quarter on the others.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/node_context.h"
#include "net/websocket.h"

namespace baiwan::net {

struct HttpLimits {
  std::size_t max_head = 8 << 10;    // bytes of request line and headers
  std::size_t max_body = 256 << 10;  // bytes
  std::uint32_t max_connections = 16'384;
  // Of these, connections that have not brought a whole request yet, and WebSockets that have not
  // brought a whole message: at most so many, and at most half of the connections or a quarter of
  // their memory. The one that has waited longest makes room for the next.
  std::uint32_t max_handshakes = 4096;
  // Names and addresses, beside its own, under which this server is reached, and whose pages may
  // use it; see net/http_host.h. Requests for other hosts get 421, those of other pages 403.
  std::vector<std::string> hosts;
  Nanos idle_timeout = 300 * kSecond;  // without a request; WebSockets have heartbeats instead
  Nanos head_timeout = 10 * kSecond;   // from the first byte of a request to its last
  WsLimits websocket;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

// Views into the connection's read buffer: valid during OnRequest only.
struct HttpRequest {
  std::string_view method;
  std::string_view target;  // as sent: path and query, still percent-encoded
  std::string_view path;    // the target before '?'
  std::string_view query;   // the target after '?'
  std::string_view host;    // the Host field, or the host that the target names if there is none
  std::string_view body;
  bool keep_alive = true;
  bool wants_websocket = false;
  // The value of a header by name (any case), or nothing.
  std::string_view Header(std::string_view name) const;

  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

// %XX (and '+' as a space, if `plus`) undone. False if a %XX is not two hex digits.
bool PercentDecode(std::string_view text, bool plus, std::string* out);
// The decoded value of `name` in a query string; false if it is not there or does not decode.
bool QueryValue(std::string_view query, std::string_view name, std::string* out);

// One request while it is being answered. Lives until Reply, Upgrade or OnAbandoned; a service that
// answers later keeps the pointer until one of these.
class HttpExchange {
 public:
  virtual const HttpRequest& request() const = 0;  // during OnRequest only
  // Answers. `extra` are further header fields. The exchange is gone afterwards.
  virtual void Reply(int status, std::string_view content_type, std::string_view body,
                     const Headers& extra = {}) = 0;
  // Accepts the WebSocket handshake (during OnRequest only). The exchange is gone afterwards; the
  // socket belongs to the caller. Null if the request was no proper handshake: it was answered,
  // with 400, or 426 if it asks for another version of WebSocket than 13.
  virtual std::unique_ptr<WebSocket> Upgrade(WsHandler* handler) = 0;
  virtual const Endpoint& peer() const = 0;

  // A number of the service's own, to know the exchange again.
  void set_context(std::uint64_t context) { context_ = context; }
  std::uint64_t context() const { return context_; }

 protected:
  ~HttpExchange() = default;

 private:
  std::uint64_t context_ = 0;
};

class HttpService {
 public:
  virtual ~HttpService() = default;
  virtual void OnRequest(HttpExchange& exchange) = 0;
  // The client went away before it was answered; the exchange is gone afterwards. One that only
  // sends nothing more (a half-closed connection) still gets its answer.
  virtual void OnAbandoned(HttpExchange& exchange) = 0;
  // Whether GET `path` is answered, at once and in few bytes, also when there is no room for
  // others.
  virtual bool Vital(std::string_view) const { return false; }
};

struct ConnectionInfo {
  Endpoint peer;
  std::string kind;  // "http" or "websocket"
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t requests = 0;
  std::size_t unsent = 0;
};

class HttpServer {
 public:
  // Connections beyond max_connections: they are told so, or asked something vital.
  static constexpr std::size_t kReserve = 64;

  // Listens; port 0 takes a free one. `service` outlives the server.
  static Result<std::unique_ptr<HttpServer>, NetError> Listen(NodeContext& node, const Endpoint& at,
                                                              HttpService& service,
                                                              const HttpLimits& limits);
  virtual ~HttpServer() = default;  // closes every connection, without OnAbandoned
  virtual const Endpoint& local() const = 0;
  virtual std::vector<ConnectionInfo> Connections() const = 0;
  virtual std::uint64_t requests() const = 0;
  // Takes no new connections and closes idle ones; part of stopping.
  virtual void StopAccepting() = 0;
};

struct HttpResponse {
  int status = 0;
  Headers headers;
  std::string body;
  std::string_view Header(std::string_view name) const;
};

// One kept connection to one server, one request at a time. Reconnects by itself for a request that
// comes after the server closed, and repeats a request that is safe to repeat (GET, HEAD, PUT,
// DELETE, OPTIONS) once if the kept connection turns out to be closed before any byte of an answer.
// Answers have at most 32 KiB of head and 64 MiB of body. `done` may start the next request or
// destroy the client. Destroying it forgets its request without calling back.
class HttpClient {
 public:
  using DoneFn = std::function<void(Result<HttpResponse, NetError>)>;
  static std::unique_ptr<HttpClient> Create(NodeContext& node, const Endpoint& server);
  virtual ~HttpClient() = default;
  // Only when not busy(). `timeout` covers the whole request.
  virtual void Request(std::string_view method, std::string_view target, std::string_view body,
                       const Headers& extra, Nanos timeout, DoneFn done) = 0;
  virtual bool busy() const = 0;
};

}  // namespace baiwan::net
