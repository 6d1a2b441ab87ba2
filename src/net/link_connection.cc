#include "net/link_connection.h"

#include <algorithm>
#include <utility>

namespace baiwan::net {

LinkConnection::LinkConnection(NodeContext& node, const LinkSettings& settings, LinkSide side,
                               LinkHandler* handler)
    : node_(node),
      settings_(settings),
      side_(side),
      handler_(handler),
      decoder_(kMaxHandshakePayload),
      held_unread_(node.budget, Account::kLinks),
      held_unsent_(node.budget, Account::kLinks) {}

LinkConnection::~LinkConnection() { node_.loop.Cancel(timer_); }

void LinkConnection::Begin(std::unique_ptr<ByteStream> stream) {
  stream_ = std::move(stream);
  phase_ = Phase::kHandshake;
  connection_ = node_.rng.Next();
  decoder_.set_max_payload(kMaxHandshakePayload);
  StreamLimits limits;
  limits.max_unread = settings_.limits.max_frame + kLinkFrameHead + kLinkFrameTail;
  limits.high_water = settings_.limits.high_water;
  limits.low_water = settings_.limits.low_water;
  stream_->SetLimits(limits);
  stream_->SetHandler(this);
  LinkNonce nonce{};
  (settings_.limits.nonce != nullptr ? settings_.limits.nonce : SystemNonce)(node_, nonce.data());
  handshake_.emplace(side_, settings_.self, settings_.secret, nonce);
  handshake_->Start(&stream_->Output());
  SetTimer(settings_.limits.handshake_timeout, &LinkConnection::HandshakeTimedOut);
}

// ---- reading

std::size_t LinkConnection::OnData(std::string_view data) {
  if (phase_ == Phase::kClosing) return data.size();
  heard_ = true;
  std::string_view rest = data;
  if (!TakeFrames(&rest)) return data.size();
  held_unread_.CoverAlways(rest.size());
  return data.size() - rest.size();
}

// False if the connection, or all of the object, is gone or going.
bool LinkConnection::TakeFrames(std::string_view* data) {
  const auto alive = lifetime_.token();
  for (;;) {
    switch (decoder_.Next(data)) {
      case LinkDecoder::Event::kNeedMore:
        return true;
      case LinkDecoder::Event::kTooLong:
        return Break(LinkFault::kTooLong, false), false;
      case LinkDecoder::Event::kChecksum:
        return Break(LinkFault::kChecksum, false), false;
      case LinkDecoder::Event::kFrame:
        break;
    }
    if (phase_ == Phase::kHandshake) {
      if (!TakeHandshake()) return false;
    } else if (decoder_.type() < kFirstReservedType) {
      handler_->OnLinkFrame(*this, decoder_.type(), decoder_.tag(), decoder_.payload());
      if (!*alive || phase_ != Phase::kUp) return false;
    } else if (decoder_.type() != kLinkHeartbeatType) {
      return Break(LinkFault::kUnexpected, false), false;
    }
  }
}

bool LinkConnection::TakeHandshake() {
  const auto alive = lifetime_.token();
  switch (handshake_->Take(decoder_.type(), decoder_.payload(), &stream_->Output())) {
    case LinkHandshake::Step::kGoOn:
      return true;
    case LinkHandshake::Step::kUp:
      GoUp();
      return *alive && phase_ == Phase::kUp;
    case LinkHandshake::Step::kFailed:
      Break(handshake_->fault(), handshake_->refused());
      return false;
  }
  return false;
}

void LinkConnection::GoUp() {
  if (!Proved()) return Down(NetError::kOther);
  phase_ = Phase::kUp;
  was_up_ = true;
  peer_identity_ = handshake_->peer();
  handshake_.reset();
  decoder_.set_max_payload(settings_.limits.max_frame);
  silent_ = 0;
  spoke_ = true;
  SetTimer(settings_.limits.heartbeat, &LinkConnection::Heartbeat);
  handler_->OnLinkUp(*this, peer_identity_);
}

// ---- writing

void LinkConnection::Send(std::uint8_t type, std::uint64_t tag, std::string_view payload) {
  if (phase_ != Phase::kUp) return;
  if (type >= kFirstReservedType || payload.size() > settings_.limits.max_frame) {
    node_.log.Error("link to {}: a frame of type {} with {} bytes is more than a link carries",
                    peer().ToString(), type, payload.size());
    // Left out, it would be missing without anybody knowing.
    return EndLater(NetError::kOther);
  }
  AppendLinkFrame(stream_->Output(), type, tag, payload);
  spoke_ = true;
  const std::size_t unsent = stream_->unsent();
  held_unsent_.CoverAlways(unsent);
  if (unsent <= settings_.limits.max_unsent) return;
  EndLater(NetError::kTimeout);
}

// Not from inside the sender's call.
void LinkConnection::EndLater(NetError error) {
  node_.loop.Post([this, error, alive = lifetime_.token(), connection = connection_] {
    if (*alive && connection == connection_) Down(error);
  });
  phase_ = Phase::kClosing;
}

void LinkConnection::OnWritable() {
  held_unsent_.CoverAlways(stream_->unsent());
  if (phase_ == Phase::kUp) handler_->OnLinkWritable(*this);
}

// ---- the end

void LinkConnection::Close() {
  if (phase_ == Phase::kUp || phase_ == Phase::kHandshake) BeginClosing();
}

void LinkConnection::BeginClosing() {
  phase_ = Phase::kClosing;
  SetTimer(kCloseTimeout, &LinkConnection::CloseTimedOut);
  stream_->CloseAfterFlush();
}

void LinkConnection::Break(LinkFault fault, bool told_by_peer) {
  if (MayLog(fault)) {
    node_.log.Warn("link {} {}: {}{}", side_ == LinkSide::kDialer ? "to" : "from",
                   peer().ToString(), Message(fault),
                   told_by_peer ? " (so says the other side)" : "");
  }
  if (phase_ == Phase::kHandshake) return BeginClosing();  // a refusal may have to leave
  Down(NetError::kOther);
}

void LinkConnection::Down(NetError error) {
  if (phase_ == Phase::kNone) return;
  phase_ = Phase::kNone;
  node_.loop.Cancel(std::exchange(timer_, 0));
  past_in_ += stream_->bytes_in();
  past_out_ += stream_->bytes_out();
  stream_.reset();
  handshake_.reset();
  held_unread_.Clear();
  held_unsent_.Clear();
  if (std::exchange(was_up_, false)) {
    const auto alive = lifetime_.token();
    handler_->OnLinkDown(*this, error);
    if (!*alive) return;
  }
  Ended();
}

void LinkConnection::SetTimer(Nanos delay, void (LinkConnection::*then)()) {
  node_.loop.Cancel(timer_);
  timer_ = node_.loop.After(delay, [this, then] {
    timer_ = 0;
    (this->*then)();
  });
}

void LinkConnection::Heartbeat() {
  if (std::exchange(heard_, false)) {
    silent_ = 0;
  } else if (++silent_ >= kSilentIntervals) {
    return Down(NetError::kTimeout);
  }
  held_unsent_.CoverAlways(stream_->unsent());
  if (!std::exchange(spoke_, false)) AppendLinkFrame(stream_->Output(), kLinkHeartbeatType, 0, {});
  SetTimer(settings_.limits.heartbeat, &LinkConnection::Heartbeat);
}

}  // namespace baiwan::net
