// base/transport.h over the simulated network: one node's sockets for one life.
//
// Ready sockets are served in a seeded order, each read brings a seeded amount, so handlers see
// every split and every interleaving. Output is handed to the network at the end of the turn, as
// far as the window has room.
//
// Threads: one. Failure: after the end of its life a transport swallows everything; its streams and
// listeners may still be destroyed, before it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/transport.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "sim/timeline.h"

namespace baiwan::sim {

class SimStream;
class SimListener;

class SimTransport final : public Transport, public TurnSockets, public SocketEvents {
 public:
  SimTransport(Timeline& timeline, Network& network, const NetworkOptions& options, SimLoop& loop,
               std::shared_ptr<Life> life, Rng rng);

  Result<std::unique_ptr<Listener>, NetError> Listen(const Endpoint& at,
                                                     AcceptFn on_accept) override;
  void Connect(const Endpoint& to, Nanos timeout, ConnectFn done) override;

  void TakeSockets() override;
  void Flush() override;

  void OnSocketReady(SocketId socket) override;
  bool OnIncoming(std::uint16_t port, SocketId socket) override;
  void OnConnectDone(SocketId socket, std::optional<NetError> error) override;

  // Forgets those who wait for a connection, and what their callbacks hold.
  void DropWork();
  std::size_t streams() const { return streams_.size(); }

 private:
  friend class SimStream;
  friend class SimListener;
  struct Connecting {
    ConnectFn done;
    TimerId timer = 0;
    bool answered = false;
    std::optional<NetError> error;
  };

  static constexpr SocketId kListener = SocketId{1} << 63;

  bool alive() const { return life_->alive; }
  SimStream* FindStream(SocketId socket);
  std::unique_ptr<SimStream> MakeStream(SocketId socket);
  std::uint16_t FreePort();
  void MarkReady(SocketId socket);
  void MarkListenerReady(std::uint16_t port);
  void MarkDirty(SocketId socket);
  void DrainBy(SocketId socket, Nanos how_long);
  // Each serves what one socket has; false if the life ended in it.
  bool ServeConnect(SocketId socket);
  bool ServeListener(std::uint16_t port);
  bool ServeStream(SocketId socket);
  bool ServeReading(SocketId socket);
  bool ServeEnd(SocketId socket);
  void FinishConnect(SocketId socket, std::optional<NetError> error);
  bool Closed(SocketId socket, NetError error);
  std::size_t ReadLimit();

  Timeline& timeline_;
  Network& network_;
  const NetworkOptions options_;
  SimLoop& loop_;
  const std::shared_ptr<Life> life_;
  Rng rng_;
  std::map<SocketId, SimStream*> streams_;
  std::map<SocketId, Connecting> connecting_;
  std::map<std::uint16_t, SimListener*> listeners_;
  std::uint16_t next_port_ = 20'000;
  std::set<SocketId> ready_;  // sockets, and listeners' ports with kListener
  std::set<SocketId> dirty_;  // streams with output
};

}  // namespace baiwan::sim
