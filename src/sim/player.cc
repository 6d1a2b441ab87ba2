#include "sim/player.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::sim {

namespace {

constexpr Nanos kMinTick = 2 * kMillisecond;
constexpr Nanos kConnectTimeout = 2 * kSecond;
constexpr Nanos kWelcomeTimeout = 20 * kSecond;
constexpr Nanos kHeartbeat = 2 * kSecond;
constexpr Seq kInFlight = 24;
constexpr int kMaxInFrame = 6;
constexpr Nanos kMaxNap = 3 * kSecond;
constexpr UserId kStranger = 777'777'777;
constexpr double kMischief = 0.02;  // of a message with some of it
constexpr double kRepeat = 0.05;    // of a message sent twice
constexpr double kHangUp = 0.005;   // of a tick
constexpr double kTakeOver = 0.01;  // of a tick
constexpr double kReread = 0.1;     // of a connect that reads the inbox from the start

}  // namespace

bool Stage::MustFinish(UserId user) const {
  if (hit.empty()) return true;
  const auto& friends = workload.FriendsOf(user);
  return hit.count(user) == 0 && std::none_of(friends.begin(), friends.end(),
                                              [this](UserId f) { return hit.count(f) > 0; });
}

bool Stage::MustRead(UserId user) const {
  if (hit.empty()) return true;
  const auto& friends = workload.FriendsOf(user);
  return hit.count(user) == 0 &&
         std::all_of(friends.begin(), friends.end(), [this](UserId f) { return MustFinish(f); });
}

Player::Player(Node& node, Stage& stage, UserId user, Endpoint gateway, std::size_t device)
    : node_(node),
      stage_(stage),
      user_(user),
      device_(device),
      gateway_(std::move(gateway)),
      book_(stage.notebooks[user]),
      rng_(node.context().rng.Next()) {
  book_.user = user;
  book_.read_up_to.resize(std::max(book_.read_up_to.size(), device + 1));
  Tick();
}

Player::~Player() = default;

void Player::Complain(const std::string& what) {
  if (!book_.wrong.empty()) return;
  book_.wrong = fmt::format("user {}: {}", user_, what);
  node_.context().log.Error("{}", book_.wrong);
}

// ------------------------------------------------------------------------------------ connecting

void Player::Tick() {
  NodeContext& node = node_.context();
  node.loop.After(Between(rng_, kMinTick, stage_.max_tick), [this] { Tick(); });
  const Nanos now = node.clock.Monotonic();
  if (stage_.away) {
    socket_.reset();
    welcome_ = false;
    return;
  }
  if (socket_ == nullptr) {
    if (!dialing_ && now >= dial_at_) Dial();
    return;
  }
  if (!welcome_) {
    if (now > welcome_by_) Complain("connected, and never welcomed");
    return;
  }
  if (rng_.Chance(kHangUp)) return Reconnect(Between(rng_, 0, kMaxNap));
  if (rng_.Chance(kTakeOver) && book_.sender != device_) {
    book_.sender = device_;
    next_ = book_.send_id + 1;  // whatever the other one has on its way
  }
  if (stage_.may_send && book_.sender == device_ && !book_.gave_up) SendSome();
}

void Player::Dial() {
  dialing_ = true;
  net::WsLimits limits;
  limits.heartbeat = kHeartbeat;
  net::WsConnect(node_.context(), gateway_, "/v1/connect", this, limits, kConnectTimeout,
                 [this](auto made) {
                   dialing_ = false;
                   if (made.ok()) {
                     Connected(std::move(*made));
                   } else {
                     Reconnect(Between(rng_, 5 * kMillisecond, 200 * kMillisecond));
                   }
                 });
}

void Player::Connected(std::unique_ptr<net::WebSocket> socket) {
  socket_ = std::move(socket);
  welcome_ = false;
  welcome_by_ = node_.clock().Monotonic() + kWelcomeTimeout;
  again_.clear();
  ++book_.connects;
  losses_ = stage_.LossesOf(user_);
  const bool anew = book_.losses != losses_;
  known_send_id_ = anew ? 0 : book_.send_id;
  known_receive_id_ = anew ? 0 : book_.receive_id;
  wire::ClientFrame frame;
  wire::Connect& connect = *frame.mutable_connect();
  connect.set_user(user_);
  connect.set_receive(true);
  pushed_ = rng_.Chance(kReread) || anew ? 0 : book_.read_up_to[device_];
  connect.set_after(pushed_);
  connect.set_device(fmt::format("device {}", device_));
  Send(frame);
}

void Player::Reconnect(Nanos after) {
  socket_.reset();
  welcome_ = false;
  dial_at_ = node_.clock().Monotonic() + after;
}

void Player::OnClosed(std::uint16_t, std::string_view) {
  // Not now: the socket is in the middle of telling us.
  node_.context().loop.Post([old = std::shared_ptr<net::WebSocket>(std::move(socket_))] {});
  Reconnect(Between(rng_, 5 * kMillisecond, 200 * kMillisecond));
}

void Player::Send(const wire::ClientFrame& frame) {
  socket_->SendBinary(frame.SerializeAsString());
}

// --------------------------------------------------------------------------------------- sending

void Player::SendSome() {
  const Nanos now = node_.clock().Monotonic();
  std::vector<Seq> some;
  for (auto it = again_.begin(); it != again_.end();) {
    if (it->first > book_.send_id && it->second > now) {
      ++it;
      continue;
    }
    if (it->first > book_.send_id) some.push_back(it->first);
    it = again_.erase(it);
  }
  const Seq end = std::min({stage_.workload.messages(), window_end_, book_.send_id + kInFlight});
  for (int left = static_cast<int>(rng_.Below(kMaxInFrame + 1)); left > 0 && next_ <= end; --left) {
    some.push_back(next_++);
  }
  wire::ClientFrame frame;
  for (std::size_t i = some.size(); i > 1; --i) std::swap(some[i - 1], some[rng_.Below(i)]);
  for (const Seq n : some) {
    if (rng_.Chance(kMischief)) AddMischief(frame, n);
    AddSubmit(frame, n);
    if (rng_.Chance(kRepeat)) AddSubmit(frame, n);
  }
  if (rng_.Chance(0.2)) frame.set_read_up_to(book_.read_up_to[device_]);
  if (frame.ByteSizeLong() > 0) Send(frame);
}

void Player::AddSubmit(wire::ClientFrame& frame, Seq n) {
  const Workload::Item item = stage_.workload.At(user_, n);
  wire::Submit& submit = *frame.add_submits();
  submit.set_send_id(n);
  submit.set_is_void(item.is_void);
  if (!item.is_void) {
    submit.set_friend_(item.to);
    submit.set_body(item.body);
  }
  book_.submitted = std::max(book_.submitted, n);
}

void Player::AddMischief(wire::ClientFrame& frame, Seq n) {
  const auto submit = [&](Seq id, UserId to, std::string body, wire::Reason deserves) {
    wire::Submit& s = *frame.add_submits();
    s.set_send_id(id);
    s.set_friend_(to);
    s.set_body(std::move(body));
    deserved_.insert({id, deserves});
    deserved_.insert({id, wire::REASON_SEND_ID_CONFLICT});  // if that number is taken already
  };
  const UserId somebody = stage_.workload.FriendsOf(user_)[0];
  switch (rng_.Below(5)) {
    case 0:
      return submit(n, kStranger, "hello stranger", wire::REASON_NOT_FRIEND);
    case 1:
      return submit(n, somebody, std::string(stage_.workload.options().max_body + 1, 'x'),
                    wire::REASON_BODY_TOO_LARGE);
    case 2:
      return submit(0, somebody, "hello", wire::REASON_BAD_SEND_ID);
    case 3:
      if (book_.send_id == 0) return;
      return submit(1 + rng_.Below(book_.send_id), somebody, "not what it was",
                    wire::REASON_SEND_ID_CONFLICT);
    default:
      const Seq beyond = window_end_ + 1 + rng_.Below(3);
      if (beyond <= stage_.workload.messages()) AddSubmit(frame, beyond);
      deserved_.insert({beyond, wire::REASON_WINDOW});
  }
}

// ---------------------------------------------------------------------------------- being told

void Player::OnMessage(bool, std::string_view data) {
  wire::ServerFrame frame;
  if (!frame.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    return Complain("was sent something that is not a frame");
  }
  if (losses_ != stage_.LossesOf(user_)) return;  // from before the loss
  if (frame.has_welcome()) OnWelcome(frame.welcome());
  for (const wire::Refusal& refusal : frame.refusals()) OnRefusal(refusal);
  for (const wire::BoxMessage& push : frame.pushes()) OnPush(push);
  Told(frame.stored(), frame.delivered());
  window_end_ = std::max<Seq>(window_end_, frame.window_end());
}

void Player::OnWelcome(const wire::Welcome& welcome) {
  const wire::Counters& c = welcome.counters();
  if (welcome_) return Complain("was welcomed twice");
  if (welcome.user() != user_) return Complain("was welcomed as somebody else");
  if (book_.losses != losses_) StartOver(c);
  // Each was shown, so it was durable, so it is there still.
  if (c.send_id() < known_send_id_) {
    return Complain(fmt::format("SendId went back from {} to {}", known_send_id_, c.send_id()));
  }
  if (c.receive_id() < known_receive_id_) {
    return Complain(
        fmt::format("ReceiveId went back from {} to {}", known_receive_id_, c.receive_id()));
  }
  welcome_ = true;
  window_end_ = welcome.window_end();
  next_ = c.send_id() + 1;
  book_.receive_id = std::max<Seq>(book_.receive_id, c.receive_id());
  Told(c.send_id(), c.send_ack_id());
}

void Player::StartOver(const wire::Counters& counters) {
  book_.losses = losses_;
  book_.send_id = counters.send_id();
  book_.send_ack_id = counters.send_ack_id();
  book_.receive_id = counters.receive_id();
  book_.received.clear();
  std::fill(book_.read_up_to.begin(), book_.read_up_to.end(), 0);
}

void Player::Told(Seq stored, Seq delivered) {
  if (stored > book_.submitted) {
    return Complain(fmt::format("SendId {} was never given out", stored));
  }
  book_.send_id = std::max(book_.send_id, stored);
  if (delivered > book_.send_id) {
    return Complain(fmt::format("SendAckId {} is above SendId {}", delivered, book_.send_id));
  }
  book_.send_ack_id = std::max(book_.send_ack_id, delivered);
}

void Player::OnRefusal(const wire::Refusal& refusal) {
  ++book_.refusals;
  const Seq n = refusal.send_id();
  switch (refusal.reason()) {
    case wire::REASON_WINDOW:
    case wire::REASON_OUTBOX_FULL:
    case wire::REASON_TOO_MANY_REQUESTS:
    case wire::REASON_OVERLOADED:
    case wire::REASON_NOT_READY:
    case wire::REASON_TIMEOUT:
      if (!welcome_) return Reconnect(refusal.retry_after_ms() * kMillisecond);
      if (n > book_.send_id) {
        again_[n] = node_.clock().Monotonic() + refusal.retry_after_ms() * kMillisecond;
      }
      return;
    default:
      if (deserved_.count({n, refusal.reason()}) > 0) return;
      if (MayBeRefusedForGood(refusal)) {
        book_.gave_up = true;
        return;
      }
      return Complain(fmt::format("{} was refused: {}", n, refusal.detail()));
  }
}

bool Player::MayBeRefusedForGood(const wire::Refusal& refusal) const {
  if (stage_.hit.count(user_) > 0) return true;
  if (refusal.send_id() == 0 || refusal.send_id() > stage_.workload.messages()) return false;
  return stage_.hit.count(stage_.workload.At(user_, refusal.send_id()).to) > 0;
}

void Player::OnPush(const wire::BoxMessage& push) {
  if (push.seq() != pushed_ + 1) {
    return Complain(fmt::format("push {} came after {}", push.seq(), pushed_));
  }
  pushed_ = push.seq();
  const UserId from = push.sender();
  const bool known = stage_.workload.AreFriends(user_, from) && push.send_id() >= 1 &&
                     push.send_id() <= stage_.workload.messages();
  if (!known) return Complain(fmt::format("push {} is from nobody", push.seq()));
  const Workload::Item item = stage_.workload.At(from, push.send_id());
  if (item.is_void || item.to != user_ || item.body != push.body()) {
    return Complain(fmt::format("push {} is not what {} sent as {}: {} bytes to {}, not {} to {}",
                                push.seq(), from, push.send_id(), push.body().size(), user_,
                                item.body.size(), item.to));
  }
  const std::pair<UserId, Seq> what{from, push.send_id()};
  if (push.seq() > book_.received.size()) {
    book_.received.push_back(what);
  } else if (book_.received[push.seq() - 1] != what) {
    return Complain(fmt::format("push {} was another message before", push.seq()));
  }
  book_.receive_id = std::max<Seq>(book_.receive_id, push.seq());
  Seq& place = book_.read_up_to[device_];
  place = std::max<Seq>(place, push.seq());
}

PlayerProgram::PlayerProgram(Node& node, Stage& stage, const std::vector<UserId>& users,
                             const Endpoint& gateway, int devices) {
  for (const UserId user : users) {
    for (int device = 0; device < devices; ++device) {
      players_.push_back(std::make_unique<Player>(node, stage, user, gateway, device));
    }
  }
}

}  // namespace baiwan::sim
