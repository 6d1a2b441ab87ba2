#include "net/listening.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace baiwan::net {

void ListenSocket::Pause() {
  if (fd < 0) return;
  paused_ = true;
  core_->MarkDirty(*this);
}

void ListenSocket::Resume() {
  if (fd < 0) return;
  paused_ = false;
  core_->MarkDirty(*this);
}

void ListenSocket::Close() {
  if (fd < 0) return;
  core_->Cancel(std::exchange(throttle_, 0));
  // Stops listening at once, whatever still refers to the socket.
  shutdown(fd, SHUT_RDWR);
  core_->Detach(*this);
  core_->Bury(*this);
}

int ListenSocket::room() const {
  return kAcceptsPerTurn - (turn_ == core_->counters().turns ? accepted_ : 0);
}

void ListenSocket::Accepted(int descriptor, const Endpoint& peer) {
  if (turn_ != core_->counters().turns) accepted_ = 0;
  turn_ = core_->counters().turns;
  ++accepted_;
  auto stream = core_->NewStream(descriptor, peer, true);
  if (stream) on_accept_(std::move(stream));
}

void ListenSocket::Flush() {
  if (fd >= 0) core_->UpdateAccepting(*this);
}

void ListenSocket::AcceptFailed(int error) {
  switch (error) {
    case EAGAIN:
    case EINTR:
    case ECANCELED:
    case ECONNABORTED:
    case EPROTO:
      break;  // about one connection, or about none
    default:
      if (fd < 0 || throttle_ != 0) return;
      throttle_ = core_->After(kThrottle, [this] {
        throttle_ = 0;
        core_->MarkDirty(*this);
      });
  }
}

void Connector::SetTimeout(Nanos timeout) {
  timeout_ = core_->After(timeout, [this] {
    timeout_ = 0;
    Finish(NetError::kTimeout);
  });
}

void Connector::Finish(NetError error) {
  if (std::exchange(finished_, true)) return;
  core_->Cancel(std::exchange(timeout_, 0));
  error_ = error;
  if (error_ == NetError{} && ConnectedToItself(fd)) error_ = NetError::kRefused;
  if (error_ != NetError{} && fd >= 0) core_->Detach(*this);
  core_->MarkReady(*this);
}

void Connector::RunReady() {
  if (!done_) return;
  const ConnectFn done = std::exchange(done_, nullptr);
  core_->Bury(*this);
  if (error_ != NetError{}) {
    done(error_);
    return;
  }
  const int descriptor = std::exchange(fd, -1);
  auto stream = core_->NewStream(descriptor, ToEndpoint(to_), false);
  if (stream) {
    done(std::move(stream));
  } else {
    done(NetError::kOther);
  }
}

void Connector::Orphan() {
  finished_ = true;
  const ConnectFn dropped = std::exchange(done_, nullptr);
  if (fd >= 0) core_->Detach(*this);
  core_->Bury(*this);
}

}  // namespace baiwan::net
