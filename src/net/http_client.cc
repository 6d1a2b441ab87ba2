#include <cassert>
#include <utility>

#include "net/held_bytes.h"
#include "net/http.h"
#include "net/http_answer.h"
#include "net/http_parser.h"
#include "net/lifetime.h"

namespace baiwan::net {
namespace {

constexpr std::size_t kMaxHead = 32 << 10;
constexpr std::size_t kMaxBody = 64 << 20;

// RFC 9110, section 9.2.2.
bool IsRepeatable(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS";
}

class HttpClientImpl final : public HttpClient, private StreamHandler {
 public:
  HttpClientImpl(NodeContext& node, const Endpoint& server)
      : node_(node),
        server_(server),
        parser_(kMaxHead, kMaxBody),
        held_(node.budget, Account::kConnections) {}

  ~HttpClientImpl() override { node_.loop.Cancel(timer_); }

  bool busy() const override { return done_ != nullptr; }

  void Request(std::string_view method, std::string_view target, std::string_view body,
               const Headers& extra, Nanos timeout, DoneFn done) override {
    assert(!busy());
    done_ = std::move(done);
    to_head_ = method == "HEAD";
    repeatable_ = IsRepeatable(method);
    request_.clear();
    AppendRequest(request_, method, target, server_, extra, body);
    deadline_ = node_.clock.Monotonic() + timeout;
    if (timer_ == 0 || timer_at_ > deadline_) ArmTimer(timeout);
    if (stream_) {
      reused_ = true;
      Send();
    } else {
      Connect();
    }
  }

 private:
  void Connect() {
    reused_ = false;
    const std::uint64_t attempt = ++attempt_;
    node_.transport.Connect(server_, deadline_ - node_.clock.Monotonic(),
                            [this, attempt, alive = lifetime_.token()](
                                Result<std::unique_ptr<ByteStream>, NetError> got) {
                              if (*alive && attempt == attempt_) Connected(std::move(got));
                            });
  }

  void Connected(Result<std::unique_ptr<ByteStream>, NetError> got) {
    if (!got) return Finish(got.error());
    stream_ = std::move(*got);
    stream_->SetHandler(this);
    Send();
  }

  void Send() {
    answered_ = false;
    parser_.Begin(to_head_);
    stream_->Write(request_);
  }

  std::size_t OnData(std::string_view data) override {
    if (!busy()) {  // nobody asked: the stream cannot be trusted
      stream_.reset();
      return data.size();
    }
    answered_ = true;
    const std::size_t used = parser_.Put(data);
    switch (parser_.state()) {
      case HttpParseState::kFailed:
        Drop(NetError::kOther);
        return data.size();
      case HttpParseState::kReady:
        if (!parser_.keep_alive() || used < data.size()) stream_.reset();
        Finish(std::move(parser_.response()));
        return data.size();
      case HttpParseState::kBody:
        if (!held_.Cover(parser_.response().body.size())) {
          Drop(NetError::kOther);
          return data.size();
        }
        break;
      case HttpParseState::kHead:
        break;
    }
    return used;
  }

  void OnClosed(NetError error) override {
    stream_.reset();
    if (!busy()) return;
    if (!answered_ && reused_ && repeatable_) return Connect();
    if (error == NetError::kEof) parser_.PutEof();
    if (parser_.state() == HttpParseState::kReady) return Finish(std::move(parser_.response()));
    Finish(error);
  }

  void Drop(NetError error) {
    stream_.reset();
    Finish(error);
  }

  // May destroy the client.
  void Finish(Result<HttpResponse, NetError> result) {
    ++attempt_;
    held_.Clear();
    std::exchange(done_, nullptr)(std::move(result));
  }

  // One timer serves many requests: it is not moved for each, but looks when it fires.
  void ArmTimer(Nanos delay) {
    node_.loop.Cancel(timer_);
    timer_at_ = node_.clock.Monotonic() + delay;
    timer_ = node_.loop.After(delay, [this] {
      timer_ = 0;
      if (!busy()) return;
      const Nanos left = deadline_ - node_.clock.Monotonic();
      if (left > 0) return ArmTimer(left);
      Drop(NetError::kTimeout);
    });
  }

  NodeContext& node_;
  const Endpoint server_;
  std::unique_ptr<ByteStream> stream_;
  ResponseParser parser_;
  DoneFn done_;
  std::string request_;  // kept in case it has to be repeated
  bool to_head_ = false;
  bool repeatable_ = false;
  bool reused_ = false;        // the connection had served a request before this one
  bool answered_ = false;      // some of the answer has come
  std::uint64_t attempt_ = 0;  // of connecting, to know those that are no longer wanted
  Nanos deadline_ = 0;
  Nanos timer_at_ = 0;
  TimerId timer_ = 0;
  HeldBytes held_;
  Lifetime lifetime_;
};

}  // namespace

std::unique_ptr<HttpClient> HttpClient::Create(NodeContext& node, const Endpoint& server) {
  return std::make_unique<HttpClientImpl>(node, server);
}

}  // namespace baiwan::net
