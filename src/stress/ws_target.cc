#include "stress/ws_target.h"

#include "wire/client.pb.h"

namespace baiwan::stress {
namespace {

constexpr Nanos kConnectTimeout = 10 * kSecond;
constexpr Nanos kAgain = 200 * kMillisecond;

int StatusOf(wire::Reason reason) {
  switch (reason) {
    case wire::REASON_BAD_REQUEST:
    case wire::REASON_BAD_SEND_ID:
      return 400;
    case wire::REASON_NOT_FRIEND:
      return 403;
    case wire::REASON_UNKNOWN_USER:
      return 404;
    case wire::REASON_SEND_ID_CONFLICT:
      return 409;
    case wire::REASON_BODY_TOO_LARGE:
      return 413;
    case wire::REASON_WINDOW:
    case wire::REASON_OUTBOX_FULL:
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
    Endpoint gateway;
    if (!target_.gateway_(user_, &gateway)) {
      target_.node_.loop.Post([this, alive = alive_] {
        if (*alive) listener_->OnDown("no gateway is known yet", kAgain);
      });
      return;
    }
    net::WsConnect(target_.node_, gateway, "/v1/connect", this, net::WsLimits{}, kConnectTimeout,
                   [this, alive = alive_](
                       Result<std::unique_ptr<net::WebSocket>, net::WsConnectFailure> result) {
                     if (*alive) Connected(std::move(result));
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
      const Nanos after = result.error().retry_after_s * kSecond;
      return listener_->OnDown(Message(result.error().error), after);
    }
    socket_ = std::move(*result);
    out_.Clear();
    out_.mutable_connect()->set_user(user_);
    Send();
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
    in_.Clear();
    if (!in_.ParseFromArray(data.data(), static_cast<int>(data.size()))) return;
    if (in_.has_welcome()) {
      up_ = true;
      counters_ = From(in_.welcome().counters());
      return listener_->OnUp(counters_);
    }
    if (in_.has_user()) counters_ = From(in_.user().counters());
    for (const wire::Refusal& r : in_.refusals()) {
      TargetRefusal refusal{r.send_id(), StatusOf(r.reason()), wire::Reason_Name(r.reason()), 0};
      if (refusal.status == 429 || refusal.status >= 503) {
        refusal.retry_after = r.retry_after_ms() * kMillisecond;
      }
      listener_->OnRefused(refusal);
    }
    counters_.send_id = std::max<Seq>(counters_.send_id, in_.stored());
    counters_.send_ack_id = std::max<Seq>(counters_.send_ack_id, in_.delivered());
    listener_->OnAcknowledged(counters_);
  }

  void OnClosed(std::uint16_t code, std::string_view reason) override {
    up_ = false;
    const std::string why =
        reason.empty() ? "close code " + std::to_string(code) : std::string(reason);
    target_.node_.loop.Post([this, alive = alive_, why] {
      if (!*alive) return;
      socket_.reset();
      listener_->OnDown(why, kAgain);
    });
  }

  WsTarget& target_;
  const UserId user_;
  TargetListener* listener_;
  std::unique_ptr<net::WebSocket> socket_;
  bool up_ = false;
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
