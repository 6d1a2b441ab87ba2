#include "stress/http_target.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "stress/gateway_address.h"

namespace baiwan::stress {
namespace {

constexpr Nanos kTimeout = 10 * kSecond;
constexpr Nanos kAgain = 200 * kMillisecond;

// The value of a whole-number field of a flat JSON object that we know the writer of.
std::uint64_t Field(std::string_view json, std::string_view name) {
  const auto at = json.find(name);
  if (at == std::string_view::npos) return 0;
  std::uint64_t v = 0;
  std::from_chars(json.data() + at + name.size(), json.data() + json.size(), v);
  return v;
}

std::string ErrorCode(std::string_view json) {
  constexpr std::string_view kName = "\"error\":\"";
  const auto at = json.find(kName);
  if (at == std::string_view::npos) return "unknown";
  const auto rest = json.substr(at + kName.size());
  return std::string(rest.substr(0, rest.find('"')));
}

}  // namespace

void AppendPercentEncoded(std::string_view bytes, std::string* out) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : bytes) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out->push_back(c);
    } else {
      out->push_back('%');
      out->push_back(kHex[static_cast<unsigned char>(c) >> 4]);
      out->push_back(kHex[static_cast<unsigned char>(c) & 15]);
    }
  }
}

class HttpTarget::Client final : public TargetClient {
 public:
  Client(HttpTarget& target, UserId user, TargetListener* listener)
      : target_(target), user_(user), listener_(listener) {}

  void Connect() override {
    up_ = false;
    Endpoint gateway;
    if (!address_.Next(target_.gateway_, user_, &gateway)) {
      target_.node_.loop.Post([this, alive = alive_] {
        if (*alive) listener_->OnDown("no gateway is known yet", kAgain, NetError{});
      });
      return;
    }
    http_ = net::HttpClient::Create(target_.node_, gateway);
    Poll();
  }

  std::size_t room() const override { return up_ && !http_->busy() ? 1 : 0; }

  void Submit(const std::vector<TargetMessage>& messages) override {
    const TargetMessage& m = messages.front();
    url_ = "/api/c/" + std::to_string(user_) + "/" + std::to_string(m.receiver) + "/" +
           std::to_string(m.send_id) + "/?message=";
    AppendPercentEncoded(m.body, &url_);
    http_->Request("GET", url_, {}, {}, kTimeout,
                   [this, id = m.send_id](Result<net::HttpResponse, NetError> response) {
                     Submitted(id, response);
                   });
  }

  void Poll() override {
    if (http_->busy()) {
      poll_wanted_ = true;
      return;
    }
    url_ = "/api/user/" + std::to_string(user_);
    http_->Request("GET", url_, {}, {}, kTimeout,
                   [this](Result<net::HttpResponse, NetError> response) { Polled(response); });
  }

  ~Client() override { *alive_ = false; }

 private:
  void Submitted(Seq send_id, Result<net::HttpResponse, NetError>& response) {
    if (!response) return Down(Message(response.error()), kAgain, response.error());
    if (response->status == 307) return Elsewhere(*response);
    if (response->status != 200) listener_->OnRefused(ToRefusal(send_id, *response));
    if (std::exchange(poll_wanted_, false)) return Poll();
    listener_->OnAcknowledged(counters_);  // room for the next one
  }

  void Polled(Result<net::HttpResponse, NetError>& response) {
    if (!response) return Down(Message(response.error()), kAgain, response.error());
    if (response->status == 307) return Elsewhere(*response);
    if (response->status != 200) {
      const TargetRefusal refusal = ToRefusal(0, *response);
      if (!IsTemporary(response->status)) return listener_->OnRefused(refusal);
      return Down("the counters were refused: " + refusal.code, refusal.retry_after);
    }
    address_.Worked();
    counters_.send_id = Field(response->body, "\"SendId\":");
    counters_.send_ack_id = Field(response->body, "\"SendAckId\":");
    counters_.receive_id = Field(response->body, "\"ReceiveId\":");
    if (!std::exchange(up_, true)) return listener_->OnUp(counters_);
    listener_->OnAcknowledged(counters_);
  }

  // Another gateway serves this user: on from there, before anybody counts on this one.
  void Elsewhere(const net::HttpResponse& response) {
    const std::optional<Endpoint> to = EndpointOfUrl(response.Header("Location"));
    const bool was_up = up_;
    if (!address_.PointTo(to)) return Down("sent from gateway to gateway", kAgain);
    up_ = false;
    if (!was_up) {
      http_ = net::HttpClient::Create(target_.node_, *to);
      return Poll();
    }
    poll_wanted_ = false;
    listener_->OnDown("moved to another gateway", 0, NetError{});
  }

  static bool IsTemporary(int status) { return status == 408 || status == 429 || status >= 503; }

  static TargetRefusal ToRefusal(Seq send_id, const net::HttpResponse& response) {
    TargetRefusal refusal{send_id, response.status, ErrorCode(response.body), 0};
    if (!IsTemporary(response.status)) return refusal;
    std::uint32_t seconds = 0;
    const std::string_view text = response.Header("Retry-After");
    std::from_chars(text.data(), text.data() + text.size(), seconds);
    refusal.retry_after = std::max(seconds * kSecond, kAgain);
    return refusal;
  }

  void Down(const std::string& why, Nanos retry_after, NetError error = NetError{}) {
    up_ = false;
    poll_wanted_ = false;
    address_.Failed();
    listener_->OnDown(why, retry_after, error);
  }

  HttpTarget& target_;
  const UserId user_;
  TargetListener* listener_;
  std::unique_ptr<net::HttpClient> http_;
  GatewayAddress address_;
  bool up_ = false;
  bool poll_wanted_ = false;
  TargetCounters counters_;
  std::string url_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

std::unique_ptr<TargetClient> HttpTarget::MakeClient(UserId user, TargetListener* listener) {
  return std::make_unique<Client>(*this, user, listener);
}

}  // namespace baiwan::stress
