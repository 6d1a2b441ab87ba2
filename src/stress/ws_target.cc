#include "stress/ws_target.h"

#include <utility>

#include "stress/gateway_address.h"
#include "wire/client.pb.h"

namespace baiwan::stress {
namespace {

constexpr Nanos kConnectTimeout = 10 * kSecond;
constexpr Nanos kAgain = 200 * kMillisecond;

// The name of a refusal as the JSON interfaces have it: "REASON_NOT_FRIEND" is "not_friend".
std::string CodeOf(wire::Reason reason) {
  constexpr std::string_view kPrefix = "REASON_";
  std::string name = wire::Reason_Name(reason);
  if (name.size() <= kPrefix.size()) return "unknown";  // newer than this program
  name.erase(0, kPrefix.size());
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

int StatusOf(wire::Reason reason) {
  switch (reason) {
    case wire::REASON_BAD_REQUEST:
    case wire::REASON_BAD_SEND_ID:
      return 400;
    case wire::REASON_NOT_FRIEND:
      return 403;
    case wire::REASON_UNKNOWN_USER:
    case wire::REASON_NOT_FOUND:
      return 404;
    case wire::REASON_METHOD:
      return 405;
    case wire::REASON_SEND_ID_CONFLICT:
    case wire::REASON_BEYOND_END:
      return 409;
    case wire::REASON_BODY_TOO_LARGE:
      return 413;
    case wire::REASON_WINDOW:
    case wire::REASON_OUTBOX_FULL:
    case wire::REASON_TOO_MANY_REQUESTS:
      return 429;
    case wire::REASON_TIMEOUT:
      return 504;
    case wire::REASON_CORRUPT:
      return 500;
    default:
      return 503;
  }
}

}  // namespace

class WsTarget::Client final : public TargetClient, private net::WsHandler {
 public:
  Client(WsTarget& target, UserId user, TargetListener* listener)
      : target_(target), user_(user), listener_(listener) {}
  ~Client() override { *alive_ = false; }

  void Connect() override {
    socket_.reset();
    lost_ = false;
    Endpoint gateway;
    if (!address_.Next(target_.gateway_, user_, &gateway)) {
      return Lose("no gateway is known yet", kAgain);
    }
    net::WsConnect(target_.node_, gateway, "/v1/connect", this, net::WsLimits{}, kConnectTimeout,
                   [this, alive = alive_, attempt = ++attempt_](
                       Result<std::unique_ptr<net::WebSocket>, net::WsConnectFailure> result) {
                     if (*alive && attempt == attempt_) Connected(std::move(result));
                   });
  }

  std::size_t room() const override { return up_ ? target_.per_frame_ : 0; }

  void Submit(const std::vector<TargetMessage>& messages) override {
    out_.Clear();
    for (const TargetMessage& m : messages) {
      wire::Submit* s = out_.add_submits();
      s->set_send_id(m.send_id);
      s->set_friend_(m.receiver);
      s->set_body(m.body.data(), m.body.size());
    }
    Send();
  }

  void Poll() override {
    out_.Clear();
    out_.set_get_user(true);
    Send();
  }

 private:
  void Connected(Result<std::unique_ptr<net::WebSocket>, net::WsConnectFailure> result) {
    if (!result) {
      const net::WsConnectFailure& failure = result.error();
      if (failure.status == 307 && address_.PointTo(EndpointOfUrl(failure.location))) {
        return GoOn();
      }
      const Nanos after = failure.retry_after_s * kSecond;
      if (failure.status == 0) return Lose(Message(failure.error), after, failure.error);
      return Lose("the gateway answered with status " + std::to_string(failure.status), after);
    }
    socket_ = std::move(*result);
    out_.Clear();
    out_.mutable_connect()->set_user(user_);
    Send();
  }

  // To where the address points now.
  void GoOn() {
    up_ = false;
    lost_ = true;
    target_.node_.loop.Post([this, alive = alive_] {
      if (*alive) Connect();
    });
  }

  // The end of this connection, told once, outside of all callbacks.
  void Lose(std::string why, Nanos retry_after, NetError error = NetError{}) {
    if (std::exchange(lost_, true)) return;
    up_ = false;
    address_.Failed();
    target_.node_.loop.Post([this, alive = alive_, why = std::move(why), retry_after, error] {
      if (!*alive) return;
      socket_.reset();
      listener_->OnDown(why, retry_after, error);
    });
  }

  void Send() {
    encoded_.clear();
    out_.AppendToString(&encoded_);
    socket_->SendBinary(encoded_);
  }

  static TargetCounters From(const wire::Counters& c) {
    return {c.send_id(), c.send_ack_id(), c.receive_id()};
  }

  void OnMessage(bool, std::string_view data) override {
    if (lost_) return;
    in_.Clear();
    if (!in_.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
      return Lose("what came is no server frame", kAgain);
    }
    if (in_.has_welcome()) {
      up_ = true;
      address_.Worked();
      counters_ = From(in_.welcome().counters());
      return listener_->OnUp(counters_);
    }
    if (!up_) return NotLetIn();
    for (const wire::Refusal& r : in_.refusals()) listener_->OnRefused(ToRefusal(r));
    if (in_.has_user()) Raise(From(in_.user().counters()));
    Raise({in_.stored(), in_.delivered(), 0});
    listener_->OnAcknowledged(counters_);
  }

  // The answer to our connect is a refusal.
  void NotLetIn() {
    if (in_.refusals().empty()) return;  // the close frame that follows says why
    const TargetRefusal refusal = ToRefusal(in_.refusals(0));
    if (refusal.status == 429 || refusal.status >= 503) {
      return Lose("the connect was refused: " + refusal.code, refusal.retry_after);
    }
    listener_->OnRefused(refusal);
  }

  void Raise(const TargetCounters& c) {
    counters_.send_id = std::max(counters_.send_id, c.send_id);
    counters_.send_ack_id = std::max(counters_.send_ack_id, c.send_ack_id);
    counters_.receive_id = std::max(counters_.receive_id, c.receive_id);
  }

  static TargetRefusal ToRefusal(const wire::Refusal& r) {
    TargetRefusal refusal{r.send_id(), StatusOf(r.reason()), CodeOf(r.reason()), 0};
    if (refusal.status == 429 || refusal.status >= 503) {
      refusal.retry_after = r.retry_after_ms() * kMillisecond;
    }
    return refusal;
  }

  void OnClosed(std::uint16_t code, std::string_view reason) override {
    constexpr std::string_view kElsewhere = "served by ";
    if (lost_) return;
    if (code == 1008 && reason.substr(0, kElsewhere.size()) == kElsewhere) {
      const auto elsewhere = ParseEndpoint(reason.substr(kElsewhere.size()));
      if (elsewhere && address_.PointTo(*elsewhere)) return GoOn();
    }
    std::string why = "close code " + std::to_string(code);
    if (!reason.empty()) why.append(": ").append(reason);
    Lose(std::move(why), kAgain);
  }

  WsTarget& target_;
  const UserId user_;
  TargetListener* listener_;
  std::unique_ptr<net::WebSocket> socket_;
  bool up_ = false;
  bool lost_ = false;          // OnDown is on its way, or we go on to another gateway
  std::uint64_t attempt_ = 0;  // of connecting
  GatewayAddress address_;
  TargetCounters counters_;
  wire::ClientFrame out_;
  wire::ServerFrame in_;
  std::string encoded_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

std::unique_ptr<TargetClient> WsTarget::MakeClient(UserId user, TargetListener* listener) {
  return std::make_unique<Client>(*this, user, listener);
}

}  // namespace baiwan::stress
