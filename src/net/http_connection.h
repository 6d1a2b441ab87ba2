// One client's connection to an HTTP server, until it ends or becomes a WebSocket.
//
//   reading ──a whole request──► answering ──Reply──► reading
//      │                              └──Upgrade──► the stream goes to a WsConnection
//      ├──the client does not take its answers──► clogged ──it does──► reading
//      └──a bad request, a timeout, or the last answer──► closing
//
// Requests are taken out of one read in a loop for as long as answers come at once; what is behind
// an unanswered request stays, unread, in the stream. It has no timer: the server sweeps.
//
// Threads: the loop's. Failure: see http.h. Every call into the service may destroy the server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/node_context.h"
#include "net/held_bytes.h"
#include "net/http.h"
#include "net/http_answer.h"
#include "net/http_parser.h"
#include "net/lifetime.h"
#include "net/newcomers.h"
#include "net/ws_connection.h"

namespace baiwan::net {

class HttpConnection;

// What the connections of a server share with it.
class HttpConnections : public WsRegistry {
 public:
  HttpConnections(NodeContext& node_context, HttpService& http_service,
                  const HttpLimits& http_limits)
      : node(node_context),
        service(http_service),
        limits(http_limits),
        incomplete_of_newcomers(node.budget.limit(Account::kConnections) / 8),
        incomplete_of_others(node.budget.limit(Account::kConnections) / 4) {}

  virtual void Remove(HttpConnection* connection) = 0;  // destroys it
  virtual void Adopt(WsConnection* socket) = 0;
  // Its first whole request has come.
  virtual void Proved(HttpConnection* connection) = 0;
  using WsRegistry::Proved;
  Share* incomplete(bool proved) override {
    return proved ? &incomplete_of_others : &incomplete_of_newcomers;
  }

  NodeContext& node;
  HttpService& service;
  const HttpLimits limits;
  Share incomplete_of_newcomers;
  Share incomplete_of_others;
  Nanos now = 0;  // as of the last sweep or accept
  std::uint64_t requests_taken = 0;
  bool stopping = false;  // every answer is a connection's last

 protected:
  ~HttpConnections() = default;
};

class HttpConnection final : public Newcomer, private StreamHandler, private HttpExchange {
 public:
  // Bytes of answers that a client may leave unread before its next request has to wait.
  static constexpr std::size_t kMaxUnsent = 1 << 20;

  // One in `reserve` has no room of its own: it is asked something vital once, or refused.
  HttpConnection(HttpConnections& server, std::unique_ptr<ByteStream> stream, bool reserve);

  // Answers with an error at once and closes.
  void Refuse(const HttpFault& fault, const Headers& extra = {});
  // Looks at the time: ends what waits for too long. May destroy the connection.
  void Sweep(Nanos slack);
  void GiveWay() override { server_.Remove(this); }
  // Between two requests, with nothing unsent.
  bool idle() const;
  bool in_reserve() const { return reserve_; }
  ConnectionInfo Info() const;

  std::size_t registry_index = 0;  // the server's own

 private:
  enum class Phase : std::uint8_t { kReading, kAnswering, kClogged, kClosing, kUpgraded };

  std::size_t OnData(std::string_view data) override;
  void OnWritable() override;
  bool OnEndOfInput() override;
  void OnClosed(NetError error) override;

  const HttpRequest& request() const override { return parser_.request(); }
  void Reply(int status, std::string_view content_type, std::string_view body,
             const Headers& extra) override;
  std::unique_ptr<WebSocket> Upgrade(WsHandler* handler) override;
  const Endpoint& peer() const override { return peer_; }

  std::size_t TakeRequests(std::string_view data);
  bool Serve();
  const HttpFault* ForeignFault();
  void Incomplete(bool partial);
  void Close();
  void CoverHeld();
  bool HasRoomFor(std::size_t answer);
  bool Clogged() const;
  void Unclog();
  void Leave(std::size_t bytes);
  void GoOn();
  void Enter(Phase phase);

  HttpConnections& server_;
  std::unique_ptr<ByteStream> stream_;
  const Endpoint peer_;
  RequestParser parser_;
  Phase phase_ = Phase::kReading;
  bool in_service_ = false;  // in OnRequest
  bool partial_ = false;     // a request has begun to arrive
  bool paused_ = false;
  bool ended_ = false;  // the client sends nothing more, and has not closed the other way
  const bool reserve_;
  AnswerForm form_;  // of the answer to come
  Nanos since_ = 0;  // in this phase, or since the first byte of a request
  std::uint64_t requests_ = 0;
  std::string our_host_;  // as the request before called us
  std::size_t left_ = 0;  // bytes that wait, unused, behind an unanswered request
  WsConnection* upgraded_ = nullptr;
  Lifetime::Token upgraded_alive_;
  HeldBytes incomplete_held_;  // a body that is not there whole
  HeldBytes held_;             // one that is being answered, and answers that are not sent
  TakingPace pace_;
  Lifetime lifetime_;
};

}  // namespace baiwan::net
