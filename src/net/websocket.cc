#include "net/websocket.h"

#include <charconv>
#include <utility>

#include "net/http_answer.h"
#include "net/http_parser.h"
#include "net/ws_connection.h"
#include "net/ws_handshake.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kMaxHead = 16 << 10;  // bytes of an answer's head

std::uint32_t Seconds(std::string_view text) {
  std::uint32_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc{} && end == text.data() + text.size() ? seconds : 0;
}

std::string NewKey(Rng& rng) {
  const std::uint64_t high = rng.Next();  // before the other half, whatever the compiler
  return WsKey(high, rng.Next());
}

// One handshake under way. It is owned by the loop, through the timer that bounds it, so that it
// goes with the loop if nothing comes of it.
class WsHandshake final : public StreamHandler, public std::enable_shared_from_this<WsHandshake> {
 public:
  WsHandshake(NodeContext& node, std::string_view path, WsHandler* handler, const WsLimits& limits,
              WsConnectFn done)
      : node_(node),
        path_(path),
        handler_(handler),
        limits_(limits),
        done_(std::move(done)),
        key_(NewKey(node.rng)),
        parser_(kMaxHead, limits.max_message) {}

  void Start(const Endpoint& to, Nanos timeout) {
    to_ = to;
    timer_ = node_.loop.After(timeout, [self = shared_from_this()] {
      self->timer_ = 0;
      self->Fail(NetError::kTimeout);
    });
    node_.transport.Connect(
        to, timeout, [weak = weak_from_this()](Result<std::unique_ptr<ByteStream>, NetError> got) {
          if (const auto self = weak.lock()) self->Connected(std::move(got));
        });
  }

 private:
  void Connected(Result<std::unique_ptr<ByteStream>, NetError> got) {
    if (!done_) return;
    if (!got) return Fail(got.error());
    stream_ = std::move(*got);
    stream_->SetHandler(this);
    parser_.Begin(false);
    AppendRequest(stream_->Output(), "GET", path_, to_, WsRequestFields(key_), {});
  }

  std::size_t OnData(std::string_view data) override {
    const auto self = shared_from_this();
    const std::size_t used = parser_.Put(data);
    switch (parser_.state()) {
      case HttpParseState::kHead:
        return used;
      case HttpParseState::kFailed:
        Fail(NetError::kOther);
        return data.size();
      case HttpParseState::kBody:
      case HttpParseState::kReady:
        break;
    }
    const HttpResponse& response = parser_.response();
    if (IsWsAccepted(response, key_)) return used + Succeed(data.substr(used));
    WsConnectFailure failure;
    failure.error = response.status == 101 ? NetError::kOther : NetError::kRefused;
    failure.status = response.status;
    failure.location = response.Header("Location");
    failure.retry_after_s = Seconds(response.Header("Retry-After"));
    stream_.reset();
    Finish(std::move(failure));
    return data.size();
  }

  void OnClosed(NetError error) override { Fail(error); }

  std::size_t Succeed(std::string_view rest) {
    auto socket = std::make_unique<WsConnection>(
        node_, std::move(stream_), WsConnection::Side::kClient, handler_, limits_, nullptr);
    socket->TickByItself();
    WsConnection* const raw = socket.get();
    const auto alive = raw->lifetime();
    Finish(std::unique_ptr<WebSocket>(std::move(socket)));
    // Frames that came together with the answer.
    return *alive && !rest.empty() ? raw->Feed(rest) : 0;
  }

  void Fail(NetError error) {
    if (!done_) return;
    const auto self = shared_from_this();
    stream_.reset();
    WsConnectFailure failure;
    failure.error = error;
    Finish(std::move(failure));
  }

  void Finish(Result<std::unique_ptr<WebSocket>, WsConnectFailure> result) {
    node_.loop.Cancel(std::exchange(timer_, 0));
    std::exchange(done_, nullptr)(std::move(result));
  }

  NodeContext& node_;
  const std::string path_;
  WsHandler* const handler_;
  const WsLimits limits_;
  WsConnectFn done_;  // empty once called
  const std::string key_;
  Endpoint to_;
  ResponseParser parser_;
  std::unique_ptr<ByteStream> stream_;
  TimerId timer_ = 0;
};

}  // namespace

void WsConnect(NodeContext& node, const Endpoint& to, std::string_view path, WsHandler* handler,
               const WsLimits& limits, Nanos timeout, WsConnectFn done) {
  std::make_shared<WsHandshake>(node, path, handler, limits, std::move(done))->Start(to, timeout);
}

}  // namespace baiwan::net
