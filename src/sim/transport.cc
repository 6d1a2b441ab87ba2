#include "sim/transport.h"

#include <utility>

#include "base/checksum.h"
#include "sim/stream.h"

namespace baiwan::sim {

namespace {

std::vector<SocketId> Shuffled(const std::set<SocketId>& set, Rng& rng) {
  std::vector<SocketId> order(set.begin(), set.end());
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  return order;
}

}  // namespace

SimTransport::SimTransport(Timeline& timeline, Network& network, const NetworkOptions& options,
                           SimLoop& loop, std::shared_ptr<Life> life, Rng rng)
    : timeline_(timeline),
      network_(network),
      options_(options),
      loop_(loop),
      life_(std::move(life)),
      rng_(rng) {}

// ------------------------------------------------------------------------ listening, connecting

std::uint16_t SimTransport::FreePort() {
  do {
    next_port_ = next_port_ >= 60'000 ? 20'000 : next_port_ + 1;
  } while (listeners_.count(next_port_) > 0);
  return next_port_;
}

Result<std::unique_ptr<Listener>, NetError> SimTransport::Listen(const Endpoint& at,
                                                                 AcceptFn on_accept) {
  if (!alive()) return NetError::kOther;
  const bool mine = IsLoopback(at) || at.host == "0.0.0.0" || at.host == "::" ||
                    at.host == network_.ip(life_->node);
  if (!mine) return NetError::kUnreachable;
  if (at.port != 0 && listeners_.count(at.port) > 0) return NetError::kAddressInUse;
  const Endpoint local{at.host, at.port != 0 ? at.port : FreePort()};
  return std::unique_ptr<Listener>(
      std::make_unique<SimListener>(*this, local, std::move(on_accept)));
}

void SimTransport::Connect(const Endpoint& to, Nanos timeout, ConnectFn done) {
  if (!alive()) return;
  const SocketId socket = network_.Connect(life_->node, FreePort(), to);
  const TimerId timer =
      loop_.After(timeout, [this, socket] { FinishConnect(socket, NetError::kTimeout); });
  connecting_.emplace(socket, Connecting{std::move(done), timer, false, std::nullopt});
}

void SimTransport::FinishConnect(SocketId socket, std::optional<NetError> error) {
  const auto at = connecting_.find(socket);
  if (at == connecting_.end()) return;
  const ConnectFn done = std::move(at->second.done);
  loop_.Cancel(at->second.timer);
  connecting_.erase(at);
  if (error) {
    network_.Close(socket, false);
    done(*error);
    return;
  }
  std::unique_ptr<ByteStream> stream = MakeStream(socket);
  MarkReady(socket);
  done(std::move(stream));
}

std::unique_ptr<SimStream> SimTransport::MakeStream(SocketId socket) {
  return std::make_unique<SimStream>(*this, socket, network_.Peer(socket));
}

SimStream* SimTransport::FindStream(SocketId socket) {
  const auto at = streams_.find(socket);
  return at == streams_.end() ? nullptr : at->second;
}

// ----------------------------------------------------------------------------- from the network

void SimTransport::OnSocketReady(SocketId socket) {
  if (streams_.count(socket) > 0) MarkReady(socket);
}

bool SimTransport::OnIncoming(std::uint16_t port, SocketId socket) {
  const auto at = listeners_.find(port);
  if (at == listeners_.end() || at->second->backlog_.size() >= options_.max_backlog) return false;
  at->second->backlog_.push_back(socket);
  MarkListenerReady(port);
  return true;
}

void SimTransport::OnConnectDone(SocketId socket, std::optional<NetError> error) {
  const auto at = connecting_.find(socket);
  if (at == connecting_.end()) return;
  at->second.answered = true;
  at->second.error = error;
  MarkReady(socket);
}

void SimTransport::MarkReady(SocketId socket) {
  ready_.insert(socket);
  loop_.Wake();
}

void SimTransport::MarkListenerReady(std::uint16_t port) { MarkReady(kListener | port); }

void SimTransport::MarkDirty(SocketId socket) {
  if (!dirty_.insert(socket).second) return;
  if (!loop_.in_turn()) loop_.Wake();
}

void SimTransport::DrainBy(SocketId socket, Nanos how_long) {
  loop_.After(how_long, [this, socket] {
    const SimStream* stream = FindStream(socket);
    if (stream != nullptr && !stream->closed_) Closed(socket, NetError::kTimeout);
  });
}

// ------------------------------------------------------------------------------------ the turn

void SimTransport::TakeSockets() {
  const auto order = Shuffled(std::exchange(ready_, {}), rng_);
  for (const SocketId socket : order) {
    const bool goes_on = (socket & kListener) != 0
                             ? ServeListener(static_cast<std::uint16_t>(socket & 0xFFFF))
                         : connecting_.count(socket) > 0 ? ServeConnect(socket)
                                                         : ServeStream(socket);
    if (!goes_on) return;
  }
}

bool SimTransport::ServeConnect(SocketId socket) {
  const Connecting& connecting = connecting_.find(socket)->second;
  if (!connecting.answered) return true;
  FinishConnect(socket, connecting.error);
  return loop_.StepDone();
}

bool SimTransport::ServeListener(std::uint16_t port) {
  for (;;) {
    const auto at = listeners_.find(port);
    if (at == listeners_.end() || at->second->paused_ || at->second->backlog_.empty()) return true;
    SimListener& listener = *at->second;
    const SocketId socket = listener.backlog_.front();
    listener.backlog_.pop_front();
    timeline_.Note(life_->node, What::kAccept, ConnectionOf(socket));
    const auto on_accept = listener.on_accept_;
    std::unique_ptr<ByteStream> stream = MakeStream(socket);
    MarkReady(socket);
    (*on_accept)(std::move(stream));
    if (!loop_.StepDone()) return false;
  }
}

bool SimTransport::ServeStream(SocketId socket) {
  SimStream* stream = FindStream(socket);
  if (stream == nullptr || stream->closed_) return true;
  if (stream->unsent() > 0) MarkDirty(socket);  // there may be room now
  if (std::exchange(stream->tell_writable_, false) && !stream->closing_) {
    stream->handler_->OnWritable();
    if (!loop_.StepDone()) return false;
  }
  return ServeReading(socket) && ServeEnd(socket);
}

std::size_t SimTransport::ReadLimit() {
  return rng_.Chance(0.7) ? std::size_t{64} << 10 : 1 + rng_.Below(2048);
}

bool SimTransport::ServeReading(SocketId socket) {
  SimStream* stream = FindStream(socket);
  if (stream == nullptr || stream->closed_ || stream->closing_ || stream->paused_) return true;
  std::string data = std::exchange(stream->unread_, {});
  const std::size_t kept = data.size();
  const std::size_t got = network_.Receive(socket, ReadLimit(), &data);
  const bool again = std::exchange(stream->hand_again_, false) && kept > 0;
  if (got == 0 && !again) {
    stream->unread_ = std::move(data);
    return true;
  }
  stream->bytes_in_ += got;
  timeline_.Note(life_->node, What::kData, ConnectionOf(socket),
                 std::uint64_t{got} << 32 | Crc32c(std::string_view(data).substr(kept)));
  const std::size_t used = stream->handler_->OnData(data);
  if (used > data.size() && alive()) {
    life_->alive = false;
    life_->why = "a handler used more bytes than it was given";
  }
  if (!loop_.StepDone()) return false;
  stream = FindStream(socket);
  if (stream == nullptr) return true;
  stream->unread_.assign(data, used);
  if (network_.Arrived(socket) > 0) MarkReady(socket);
  if (stream->paused_ || stream->unread_.size() <= stream->limits_.max_unread) return true;
  return Closed(socket, NetError::kReadBufferFull);
}

bool SimTransport::ServeEnd(SocketId socket) {
  SimStream* stream = FindStream(socket);
  if (stream == nullptr || stream->closed_) return true;
  const auto ended = network_.Ended(socket);
  if (stream->flushed_) return Closed(socket, NetError::kEof);
  if (!ended) return true;
  if (*ended == NetError::kEof) {
    // While this side still has to flush, the end of the other side's bytes changes nothing.
    if (stream->closing_ || stream->paused_ || network_.Arrived(socket) > 0) return true;
    if (stream->answering_) return true;
    stream->answering_ = stream->handler_->OnEndOfInput();  // no step: it only says so
    if (stream->answering_) return true;
  } else if (!stream->paused_ && !stream->closing_ && network_.Arrived(socket) > 0) {
    return true;
  }
  return Closed(socket, *ended);
}

bool SimTransport::Closed(SocketId socket, NetError error) {
  SimStream* stream = FindStream(socket);
  stream->closed_ = true;
  stream->Drop();
  network_.Close(socket, false);
  timeline_.Note(life_->node, What::kClosed, ConnectionOf(socket),
                 static_cast<std::uint64_t>(error));
  stream->handler_->OnClosed(error);
  return loop_.StepDone();
}

void SimTransport::Flush() {
  for (const SocketId socket : Shuffled(std::exchange(dirty_, {}), rng_)) {
    SimStream* stream = FindStream(socket);
    if (stream == nullptr) continue;
    stream->Push();
    if (!loop_.StepDone()) return;
  }
}

void SimTransport::DropWork() {
  const auto connecting = std::exchange(connecting_, {});
  ready_.clear();
  dirty_.clear();
}

}  // namespace baiwan::sim
