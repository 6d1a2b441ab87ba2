#include "net/http_connection.h"

#include <utility>

#include "net/http_host.h"
#include "net/ws_handshake.h"

namespace baiwan::net {
namespace {

constexpr HttpFault kTooSlow{408, "request_timeout", "the request took too long to arrive"};
constexpr HttpFault kNoMemory{503, "overloaded", "no memory for this request now"};
constexpr HttpFault kNoRoom{503, "overloaded", "no memory for this answer now"};
constexpr HttpFault kTooMany{503, "too_many_connections",
                             "this server has no room for more clients"};
constexpr HttpFault kNotOurHost{
    421, "misdirected_request",
    "this server does not know itself by that host: see its hosts setting"};
constexpr HttpFault kForeignPage{403, "foreign_page",
                                 "requests that pages of other sites make are not taken"};
constexpr std::size_t kSmallAnswer = 1 << 10;    // bytes; always sent
constexpr std::size_t kUnsentInNeed = 16 << 10;  // kMaxUnsent, while memory is short
constexpr Nanos kReserveWait = kSecond;          // for the one request of a connection in reserve
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr Nanos kMaxClosing = 15 * kSecond;  // for the last answer to be taken

}  // namespace

HttpConnection::HttpConnection(HttpConnections& server, std::unique_ptr<ByteStream> stream,
                               bool reserve)
    : server_(server),
      stream_(std::move(stream)),
      peer_(stream_->peer()),
      parser_(server.limits.max_head, server.limits.max_body),
      reserve_(reserve),
      since_(server.now),
      incomplete_held_(server.node.budget, Account::kConnections),
      held_(server.node.budget, Account::kConnections) {
  StreamLimits limits;
  limits.high_water = kMaxUnsent;
  limits.low_water = kMaxUnsent / 4;
  stream_->SetLimits(limits);
  stream_->SetHandler(this);
  incomplete_held_.CountIn(server_.incomplete(false));
}

// ---- reading

std::size_t HttpConnection::OnData(std::string_view data) {
  switch (phase_) {
    case Phase::kReading:
      break;
    case Phase::kAnswering:
    case Phase::kClogged:
      Leave(data.size());
      return 0;
    case Phase::kClosing:
    case Phase::kUpgraded:
      return data.size();
  }
  const auto alive = lifetime_.token();
  std::size_t used = TakeRequests(data);
  if (!*alive) return data.size();
  if (phase_ == Phase::kUpgraded) {
    WsConnection* const socket = upgraded_;
    const auto socket_alive = upgraded_alive_;
    server_.Remove(this);
    // What a client sends before it has seen the answer; section 4.1 forbids it, but it is clear.
    if (*socket_alive && used < data.size()) used += socket->Feed(data.substr(used));
    return used;
  }
  if (phase_ == Phase::kClosing) return data.size();
  if (phase_ == Phase::kReading) Incomplete(parser_.begun());
  if (used < data.size() && phase_ != Phase::kReading) Leave(data.size() - used);
  return used;
}

// What is behind an unanswered request waits where it is.
void HttpConnection::Leave(std::size_t bytes) {
  paused_ = true;
  stream_->PauseReading();
  left_ = bytes;
  CoverHeld();
}

void HttpConnection::GoOn() {
  left_ = 0;
  if (std::exchange(paused_, false)) stream_->ResumeReading();
}

std::size_t HttpConnection::TakeRequests(std::string_view data) {
  std::size_t used = 0;
  while (phase_ == Phase::kReading && used < data.size()) {
    used += parser_.Put(data.substr(used));
    switch (parser_.state()) {
      case HttpParseState::kHead:
        return used;
      case HttpParseState::kBody:
        if (parser_.TakeContinue()) stream_->Write(kContinue);
        if (!incomplete_held_.Cover(parser_.held_bytes())) {
          Refuse(kNoMemory, {{"Retry-After", "1"}});
        }
        return used;
      case HttpParseState::kFailed:
        Refuse(parser_.fault());
        return used;
      case HttpParseState::kReady:
        if (!Serve()) return used;
        break;
    }
  }
  return used;
}

// False if the connection is gone.
bool HttpConnection::Serve() {
  partial_ = false;
  phase_ = Phase::kAnswering;
  if (++requests_ == 1) {
    server_.Proved(this);
    incomplete_held_.CountIn(server_.incomplete(true));
  } else {
    incomplete_held_.Clear();
  }
  if (parser_.held_bytes() > 0) held_.CoverAlways(parser_.held_bytes() + stream_->unsent());
  ++server_.requests_taken;
  const HttpRequest& request = parser_.request();
  form_.http10 = parser_.http10();
  form_.keep_alive = request.keep_alive && !server_.stopping;
  form_.head_only = request.method == "HEAD";
  if (const HttpFault* const foreign = ForeignFault()) {
    Refuse(*foreign);
    return true;
  }
  if (reserve_) {
    form_.keep_alive = false;
    if (request.method != "GET" || !server_.service.Vital(request.path)) {
      Refuse(kTooMany, {{"Retry-After", "1"}});
      return true;
    }
  }
  set_context(0);
  in_service_ = true;
  const auto alive = lifetime_.token();
  server_.service.OnRequest(*this);
  if (!*alive) return false;
  in_service_ = false;
  if (phase_ == Phase::kReading && Clogged()) Enter(Phase::kClogged);
  return true;
}

// Null if the request is for us, and from nobody else's page.
const HttpFault* HttpConnection::ForeignFault() {
  const HttpRequest& request = parser_.request();
  // Most are like the one before.
  if (request.host == our_host_ && request.Header("Origin").empty() &&
      request.Header("Sec-Fetch-Site").empty()) {
    return nullptr;
  }
  switch (IsForeign(request, stream_->local().host, server_.limits.hosts)) {
    case Foreign::kHost:
      return &kNotOurHost;
    case Foreign::kPage:
      return &kForeignPage;
    case Foreign::kNo:
      break;
  }
  our_host_ = request.host;
  return nullptr;
}

// Tells since when the connection is in the state that the sweep will find it in.
void HttpConnection::Incomplete(bool partial) {
  if (partial && partial_) return;  // more of the same request does not buy more time
  partial_ = partial;
  since_ = server_.now;
}

void HttpConnection::Enter(Phase phase) {
  phase_ = phase;
  since_ = server_.now;
}

// ---- answering

void HttpConnection::Reply(int status, std::string_view content_type, std::string_view body,
                           const Headers& extra) {
  if (phase_ != Phase::kAnswering) return;
  if (!HasRoomFor(body.size())) return Refuse(kNoRoom, {{"Retry-After", "1"}});
  AppendAnswer(stream_->Output(), form_, status, content_type, body, extra);
  parser_.Next();
  held_.CoverAlways(stream_->unsent() + left_);
  if (!form_.keep_alive) return Close();
  Enter(Phase::kReading);
  if (in_service_) return;
  // An answer that came later: what waited behind its request is offered again.
  if (Clogged()) Enter(Phase::kClogged);
  if (phase_ == Phase::kReading) GoOn();
}

std::unique_ptr<WebSocket> HttpConnection::Upgrade(WsHandler* handler) {
  if (phase_ != Phase::kAnswering || !in_service_) return nullptr;
  const WsRefusal refusal = CheckWsRequest(parser_.request());
  if (refusal.status != 0) {
    Headers extra;
    if (refusal.status == 426) {
      extra = {{"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}};
    }
    Reply(refusal.status, kJson, ErrorBody("bad_handshake", refusal.message), extra);
    return nullptr;
  }
  AppendWsAccept(stream_->Output(), parser_.request().Header("Sec-WebSocket-Key"));
  phase_ = Phase::kUpgraded;
  auto socket =
      std::make_unique<WsConnection>(server_.node, std::move(stream_), WsConnection::Side::kServer,
                                     handler, server_.limits.websocket, &server_);
  server_.Adopt(socket.get());
  upgraded_ = socket.get();
  upgraded_alive_ = socket->lifetime();
  return socket;
}

void HttpConnection::CoverHeld() {
  const std::size_t body = phase_ == Phase::kAnswering ? parser_.held_bytes() : 0;
  held_.CoverAlways(body + stream_->unsent() + left_);
}

bool HttpConnection::HasRoomFor(std::size_t answer) {
  if (answer <= kSmallAnswer) return true;
  // The last of the share is for connections that are made meanwhile.
  if (!server_.node.budget.pressed(Account::kConnections) &&
      held_.Cover(stream_->unsent() + left_ + answer)) {
    return true;
  }
  return in_service_ && server_.service.Vital(request().path);
}

bool HttpConnection::Clogged() const {
  const std::size_t unsent = stream_->unsent();
  return unsent > kMaxUnsent ||
         (unsent > kUnsentInNeed && server_.node.budget.pressed(Account::kConnections));
}

void HttpConnection::OnWritable() {
  CoverHeld();
  if (phase_ == Phase::kClogged) Unclog();
}

void HttpConnection::Unclog() {
  if (Clogged()) return;
  Enter(Phase::kReading);
  GoOn();
}

// ---- the end

void HttpConnection::Refuse(const HttpFault& fault, const Headers& extra) {
  form_.keep_alive = false;
  AppendAnswer(stream_->Output(), form_, fault.status, kJson, ErrorBody(fault.code, fault.message),
               extra);
  Close();
}

void HttpConnection::Close() {
  Enter(Phase::kClosing);
  stream_->CloseAfterFlush();
}

// Whoever has said all of what he wants still waits for the answer. Whether he has gone instead is
// found out by sending it. Half of a WebSocket is nothing.
bool HttpConnection::OnEndOfInput() {
  if (phase_ != Phase::kAnswering || parser_.request().wants_websocket) return false;
  ended_ = true;
  form_.keep_alive = false;
  since_ = server_.now;
  return true;
}

void HttpConnection::OnClosed(NetError) {
  const auto alive = lifetime_.token();
  if (phase_ == Phase::kAnswering) {
    phase_ = Phase::kClosing;
    server_.service.OnAbandoned(*this);
  }
  if (*alive) server_.Remove(this);
}

void HttpConnection::Sweep(Nanos slack) {
  if (held_.charged() > 0) CoverHeld();
  if (pace_.TooSlow(held_.charged(), stream_->bytes_out(), server_.node.budget)) {
    return OnClosed(NetError::kTimeout);
  }
  if (server_.stopping && idle()) return server_.Remove(this);
  const Nanos waited = server_.now - since_ - slack;
  switch (phase_) {
    case Phase::kReading:
      if (partial_) {
        if (waited >= server_.limits.head_timeout) Refuse(kTooSlow);
        return;
      }
      if (reserve_ && waited >= kReserveWait) return Refuse(kTooMany, {{"Retry-After", "1"}});
      if (waited >= server_.limits.idle_timeout) server_.Remove(this);
      return;
    case Phase::kClogged:
      if (waited >= server_.limits.idle_timeout) return server_.Remove(this);
      return Unclog();
    case Phase::kClosing:
      if (waited >= kMaxClosing) server_.Remove(this);
      return;
    case Phase::kAnswering:
      if (ended_ && waited >= server_.limits.idle_timeout) OnClosed(NetError::kTimeout);
      return;
    case Phase::kUpgraded:
      return;
  }
}

bool HttpConnection::idle() const {
  return phase_ == Phase::kReading && !partial_ && !in_service_ && stream_->unsent() == 0;
}

ConnectionInfo HttpConnection::Info() const {
  ConnectionInfo info;
  info.peer = peer_;
  info.kind = "http";
  info.bytes_in = stream_ ? stream_->bytes_in() : 0;
  info.bytes_out = stream_ ? stream_->bytes_out() : 0;
  info.requests = requests_;
  info.unsent = stream_ ? stream_->unsent() : 0;
  return info;
}

}  // namespace baiwan::net
