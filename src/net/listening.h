// The two sockets of a RealLoop that are not streams: one that listens, one that connects.
//
// Threads: the loop's. Failure: out of file descriptors, or any lasting error of accept, stops
// accepting for kThrottle, without a word: connections wait in the kernel's backlog meanwhile, and
// the loop does not spin. They wait there too while the loop has LoopOptions::max_accepted. A
// connect ends once: connected, refused, or out of time.
#pragma once

#include <memory>
#include <utility>

#include "net/loop_core.h"
#include "net/sockets.h"

namespace baiwan::net {

class ListenSocket final : public IoObject {
 public:
  static constexpr Nanos kThrottle = 100 * kMillisecond;
  static constexpr int kAcceptsPerTurn = 64;

  ListenSocket(LoopCore& core, int descriptor, AcceptFn on_accept)
      : IoObject(Kind::kListener, core, descriptor),
        local_(LocalEndpoint(descriptor)),
        on_accept_(std::move(on_accept)) {}

  // From the owner, see Listener.
  const Endpoint& local() const { return local_; }
  void Pause();
  void Resume();
  void Close();

  // From the loop.
  bool wants_accept() const { return fd >= 0 && !paused_ && throttle_ == 0 && core_->may_accept(); }
  // How many more this turn.
  int room() const;
  void Accepted(int descriptor, const Endpoint& peer);
  void AcceptFailed(int error);

  void RunReady() override {}
  void Flush() override;
  void Orphan() override { Close(); }

 private:
  const Endpoint local_;
  const AcceptFn on_accept_;
  bool paused_ = false;
  TimerId throttle_ = 0;
  std::uint64_t turn_ = 0;  // in which …
  int accepted_ = 0;        // … so many were handed over
};

class ListenHandle final : public Listener {
 public:
  explicit ListenHandle(std::shared_ptr<ListenSocket> socket) : socket_(std::move(socket)) {}
  ~ListenHandle() override { socket_->Close(); }
  const Endpoint& local() const override { return socket_->local(); }
  void Pause() override { socket_->Pause(); }
  void Resume() override { socket_->Resume(); }

 private:
  const std::shared_ptr<ListenSocket> socket_;
};

class Connector final : public IoObject {
 public:
  Connector(LoopCore& core, int descriptor, SocketAddress to, ConnectFn done)
      : IoObject(Kind::kConnector, core, descriptor), to_(to), done_(std::move(done)) {}

  void SetTimeout(Nanos timeout);
  // From the backend, or before it was asked: an errno, 0 if connected.
  void Finished(int error) { Finish(error == 0 ? NetError{} : ErrorOf(error)); }
  // No error (0) if connected.
  void Finish(NetError error);
  const SocketAddress& to() const { return to_; }

  void RunReady() override;
  void Orphan() override;

 private:
  const SocketAddress to_;
  ConnectFn done_;
  TimerId timeout_ = 0;
  bool finished_ = false;
  NetError error_{};
};

}  // namespace baiwan::net
