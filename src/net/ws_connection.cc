#include "net/ws_connection.h"

#include <utility>

namespace baiwan::net {

WsConnection::WsConnection(NodeContext& node, std::unique_ptr<ByteStream> stream, Side side,
                           WsHandler* handler, const WsLimits& limits, WsRegistry* registry)
    : node_(node),
      side_(side),
      handler_(handler),
      registry_(registry),
      limits_(limits),
      peer_(stream->peer()),
      stream_(std::move(stream)),
      decoder_(side == Side::kServer, limits.max_message),
      masks_(node.rng.Next()),
      unsent_held_(node.budget, Account::kConnections),
      unread_held_(node.budget, Account::kConnections) {
  StreamLimits stream_limits;
  stream_limits.max_unread = limits.max_message + kWsMaxFrameHead;
  stream_limits.high_water = limits.max_unsent / 4;
  stream_limits.low_water = limits.max_unsent / 8;
  stream_->SetLimits(stream_limits);
  stream_->SetHandler(this);
  if (registry_ != nullptr) unread_held_.CountIn(registry_->incomplete(false));
}

WsConnection::~WsConnection() {
  node_.loop.Cancel(close_timer_);
  node_.loop.Cancel(tick_timer_);
  if (registry_ != nullptr) registry_->Forget(this);
}

void WsConnection::PauseReading() {
  if (state_ != State::kOpen) return;
  paused_ = true;
  stream_->PauseReading();
}

void WsConnection::ResumeReading() {
  paused_ = false;
  if (stream_) stream_->ResumeReading();
}

// ---- reading

std::size_t WsConnection::OnData(std::string_view data) {
  heard_ = true;
  if (state_ != State::kOpen && state_ != State::kClosing) return data.size();
  // The bytes are the handler's to overwrite: see StreamHandler::OnData.
  char* at = const_cast<char*>(data.data());
  char* const end = at + data.size();
  bool any = false;
  const auto alive = lifetime_.token();
  if (!TakeFrames(&at, end, &any)) return data.size();
  if (any) {
    handler_->OnBatchEnd();
    if (!*alive) return data.size();
  }
  if (state_ != State::kOpen && state_ != State::kClosing) return data.size();
  const auto left = static_cast<std::size_t>(end - at);
  incomplete_ = left > 0 || decoder_.in_message();
  if (!unread_held_.Cover(left + decoder_.held_bytes())) Fail(kWsTryAgainLater, "out of memory");
  return data.size() - left;
}

// False if the object is gone.
bool WsConnection::TakeFrames(char** at, char* end, bool* any) {
  const auto alive = lifetime_.token();
  while ((state_ == State::kOpen || state_ == State::kClosing) && !paused_) {
    switch (decoder_.Next(at, end)) {
      case WsDecoder::Event::kNeedMore:
        return true;
      case WsDecoder::Event::kMessage:
        if (state_ != State::kOpen) break;
        *any = true;
        TookMessage();
        handler_->OnMessage(decoder_.is_text(), decoder_.data());
        if (!*alive) return false;
        break;
      case WsDecoder::Event::kPing:
        if (!decoder_.in_message()) ++completed_;
        if (state_ != State::kOpen) break;
        Append(WsOpcode::kPong, decoder_.data());
        CheckUnsent();
        break;
      case WsDecoder::Event::kPong:
        if (!decoder_.in_message()) ++completed_;
        break;
      case WsDecoder::Event::kClose:
        OnPeerClose(decoder_.code(), decoder_.data());
        break;
      case WsDecoder::Event::kFailed:
        Fail(decoder_.code(), decoder_.data());
        break;
    }
  }
  return true;
}

void WsConnection::TookMessage() {
  ++completed_;
  if (++messages_in_ > 1 || registry_ == nullptr) return;
  unread_held_.CountIn(registry_->incomplete(true));
  registry_->Proved(this);
}

void WsConnection::OnPeerClose(std::uint16_t code, std::string_view reason) {
  if (state_ == State::kOpen) {
    Append(WsOpcode::kClose, WsClosePayload(code, {}));  // section 5.5.1: the code comes back
    Note(code, reason);
  }
  End();
}

// ---- writing

void WsConnection::Append(WsOpcode opcode, std::string_view data) {
  std::string& out = stream_->Output();
  if (side_ == Side::kServer) {
    AppendWsFrame(out, opcode, data);
  } else {
    AppendMaskedWsFrame(out, opcode, data, static_cast<std::uint32_t>(masks_.Next()));
  }
}

void WsConnection::Send(WsOpcode opcode, std::string_view data) {
  if (state_ != State::kOpen) return;
  Append(opcode, data);
  CheckUnsent();
}

void WsConnection::CheckUnsent() {
  const std::size_t unsent = stream_->unsent();
  if (unsent > limits_.max_unsent || !unsent_held_.Cover(unsent)) {
    Fail(kWsTryAgainLater, "reading too slowly");
  }
}

void WsConnection::OnWritable() {
  unsent_held_.Cover(stream_->unsent());
  if (state_ == State::kOpen) handler_->OnWritable();
}

// ---- the end

void WsConnection::Close(std::uint16_t code, std::string_view reason) {
  if (state_ != State::kOpen) return;
  Append(WsOpcode::kClose, WsClosePayload(code, reason));
  Note(code, reason);
  state_ = State::kClosing;
  ResumeReading();  // or the peer's close frame would never be seen
  StartCloseTimer();
}

void WsConnection::Fail(std::uint16_t code, std::string_view reason) {
  if (state_ == State::kOpen) {
    Append(WsOpcode::kClose, WsClosePayload(code, reason));
    Note(code, reason);
  }
  End();
}

void WsConnection::Note(std::uint16_t code, std::string_view reason) {
  close_code_ = code;
  close_reason_.assign(reason);
}

void WsConnection::End() {
  state_ = State::kEnded;
  StartCloseTimer();
  stream_->CloseAfterFlush();
}

void WsConnection::StartCloseTimer() {
  if (close_timer_ != 0) return;
  close_timer_ = node_.loop.After(kCloseTimeout, [this] {
    close_timer_ = 0;
    Gone();
  });
}

void WsConnection::OnClosed(NetError) { Gone(); }

void WsConnection::Gone() {
  if (state_ == State::kGone) return;
  state_ = State::kGone;
  stream_.reset();
  unsent_held_.Clear();
  unread_held_.CountIn(nullptr);
  if (registry_ != nullptr) std::exchange(registry_, nullptr)->Forget(this);
  // Whatever the handler does now, `this` is not touched again.
  handler_->OnClosed(close_code_ != 0 ? close_code_ : kWsAbnormal, std::string(close_reason_));
}

void WsConnection::GiveWay() { Fail(kWsTryAgainLater, "others need the place of a silent one"); }

void WsConnection::Orphan() {
  registry_ = nullptr;
  unread_held_.CountIn(nullptr);
  if (state_ == State::kGone) return;
  stream_.reset();
  state_ = State::kEnded;
  if (close_code_ == 0) Note(kWsGoingAway, "the server has stopped");
  node_.loop.Post([this, alive = lifetime_.token()] {
    if (*alive) Gone();
  });
}

void WsConnection::TickByItself() {
  tick_timer_ = node_.loop.After(limits_.heartbeat / 4, [this, alive = lifetime_.token()] {
    tick_timer_ = 0;
    Tick(node_.clock.Monotonic());
    if (*alive && state_ == State::kOpen) TickByItself();
  });
}

// Ticks alone look at the time: the data path only counts. What is incomplete is still the same if
// nothing was completed in between.
bool WsConnection::TooSlowToArrive(Nanos now) {
  if (!incomplete_ || paused_) {
    incomplete_since_ = 0;
  } else if (incomplete_since_ == 0 || begun_after_ != completed_) {
    begun_after_ = completed_;
    incomplete_since_ = now;
  }
  return incomplete_since_ != 0 && now - incomplete_since_ >= limits_.message_timeout;
}

void WsConnection::Tick(Nanos now) {
  if (state_ != State::kOpen) return;
  if (unsent_held_.charged() > 0) unsent_held_.Cover(stream_->unsent());
  if (pace_.TooSlow(unsent_held_.charged(), stream_->bytes_out(), node_.budget)) {
    Note(kWsTryAgainLater, "reading too slowly");
    return Gone();
  }
  if (TooSlowToArrive(now)) return Fail(kWsPolicy, "a message took too long to arrive");
  if (std::exchange(heard_, false)) {
    quiet_since_ = now;
    pinged_ = false;
  } else if (now - quiet_since_ >= 2 * limits_.heartbeat) {
    Gone();
  } else if (now - quiet_since_ >= limits_.heartbeat && !std::exchange(pinged_, true)) {
    Append(WsOpcode::kPing, {});
    CheckUnsent();
  }
}

}  // namespace baiwan::net
