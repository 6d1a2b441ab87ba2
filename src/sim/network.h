// The network between simulated nodes: what kernels and wires do with TCP connections.
//
// A connection is two pipes. Bytes leave in chunks cut at random places, each with a latency of its
// own, and arrive in order; a pipe holds a bounded number of bytes, on the way and not yet taken
// together, so that a reader who stops is felt by the writer. Ends fail as sockets do: in good
// order (FIN), by a reset (what was under way is lost from a random place on), or silently, where
// an end learns of it only when it writes and its kernel gives up, or the other kernel says that it
// knows no such connection.
//
// Nodes are known by address: one address a node. This layer knows nothing of roles or loops; a
// node's SimTransport is told through SocketEvents and comes back with the calls below.
//
// Threads: one. Failure: as above; every call with a connection that is gone does nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/transport.h"
#include "sim/timeline.h"

namespace baiwan::sim {

using ConnectionId = std::uint64_t;
using SocketId = std::uint64_t;  // one end of a connection; the other end is SocketId ^ 1
constexpr ConnectionId ConnectionOf(SocketId socket) { return socket >> 1; }

struct NetworkOptions {
  Nanos min_latency = 50 * kMicrosecond;  // one way
  Nanos max_latency = 2 * kMillisecond;
  double late_chance = 0.002;  // of a chunk that was lost and had to be sent again
  Nanos max_late = 250 * kMillisecond;
  std::size_t max_chunk = 16 << 10;  // bytes
  double tiny_chance = 0.05;         // of a chunk of one to three bytes
  std::size_t window = 64 << 10;     // bytes in a pipe
  std::uint64_t bandwidth = 0;       // bytes a second and pipe; 0: no limit
  Nanos give_up = 20 * kSecond;      // unacknowledged for so long, a sender's kernel gives up
  std::size_t max_backlog = 1024;    // connections waiting to be accepted
};

enum class CrashMode : std::uint8_t {
  kProcess,  // kill -9: the kernel lives on, sends what it has, and closes every connection
  kPower,    // the host is gone: nobody is told, and nobody answers until it is back
};

enum class BreakMode : std::uint8_t {
  kReset,   // both ends are told
  kSilent,  // nothing passes any more and nobody is told, as through a forgetful middlebox
};

// What a node's sockets are told. Nothing may be called back from inside.
class SocketEvents {
 public:
  // Something changed at this node's end of a connection: bytes, room to send, or its end.
  virtual void OnSocketReady(SocketId socket) = 0;
  // Somebody connects. False if nobody listens there.
  virtual bool OnIncoming(std::uint16_t port, SocketId socket) = 0;
  virtual void OnConnectDone(SocketId socket, std::optional<NetError> error) = 0;

 protected:
  ~SocketEvents() = default;
};

class Network {
 public:
  Network(Timeline& timeline, const NetworkOptions& options);

  // ---- hosts
  void AddHost(NodeId node, std::string ip);
  void Boot(NodeId node, SocketEvents* sockets);
  void Crash(NodeId node, CrashMode mode);
  const std::string& ip(NodeId node) const { return hosts_[node].ip; }

  // ---- for transports
  // OnConnectDone follows, unless nobody ever answers.
  SocketId Connect(NodeId from, std::uint16_t from_port, const Endpoint& to);
  // Takes as many of these bytes as there is room for; says how many.
  std::size_t Send(SocketId socket, std::string_view data);
  // Moves at most `limit` bytes that have arrived to the end of `into`; says how many.
  std::size_t Receive(SocketId socket, std::size_t limit, std::string* into);
  std::size_t Arrived(SocketId socket) const;
  // Why nothing more will arrive, once that is so.
  std::optional<NetError> Ended(SocketId socket) const;
  // Closes this end. What was sent still travels, unless bytes of the other side were not read:
  // then the connection is reset. With `drain` they, and what still comes, are read and thrown
  // away.
  void Close(SocketId socket, bool drain);
  Endpoint Peer(SocketId socket) const;

  // ---- faults
  // Nothing passes from one to the other (one way) until healed. What is under way waits.
  void Block(NodeId from, NodeId to);
  void Partition(NodeId a, NodeId b);
  void Heal(NodeId a, NodeId b);
  void HealAll();
  void Break(ConnectionId id, BreakMode mode);
  // Breaks one connection, chosen by the seed, if there is one.
  void BreakOne(BreakMode mode);
  void BreakAllOf(NodeId node, BreakMode mode);
  // While true, the host is up and refuses every connection.
  void RefuseConnections(NodeId node, bool refuse) { hosts_[node].refuses = refuse; }
  // Multiplies latencies; 1 is normal.
  void SetSlowness(int factor) { slowness_ = factor; }

  std::size_t connections() const { return connections_.size(); }
  // Those that are established, oldest first; kNoNode for `b`: with anybody.
  std::vector<ConnectionId> ConnectionsOf(NodeId a, NodeId b = kNoNode) const;

 private:
  struct Host {
    std::string ip;
    SocketEvents* sockets = nullptr;  // null: no process
    bool powered = false;
    bool refuses = false;
  };
  enum class Sends : std::uint8_t { kData, kFin, kReset };
  struct Packet {
    Sends kind = Sends::kData;
    std::string data;
    Nanos due = 0;
  };
  struct Pipe {
    std::deque<Packet> packets;
    std::string arrived;
    std::size_t on_way = 0;  // bytes in packets
    bool moving = false;     // an event for the first packet is under way
    bool stalled = false;    // the first packet could not arrive
    std::uint64_t stalls = 0;
    bool fin = false;
    Nanos wire_free = 0;
  };
  struct End {
    NodeId node = kNoNode;
    std::uint16_t port = 0;
    bool closed = false;
    bool drains = false;
    bool wants_room = false;
    std::optional<NetError> error;
  };
  struct Connection {
    End ends[2];    // 0: who connected
    Pipe pipes[2];  // by the end that writes
    bool established = false;
    bool cut = false;  // BreakMode::kSilent
  };

  Connection* Find(ConnectionId id);
  const Connection* Find(ConnectionId id) const;
  std::optional<NodeId> HostOf(NodeId from, const std::string& host) const;
  bool Blocked(NodeId from, NodeId to) const;
  bool Passes(const Connection& c, int from) const;
  Nanos Latency(const Connection& c);

  void ArriveSyn(ConnectionId id);
  void FinishConnect(ConnectionId id, std::optional<NetError> error);
  void Push(ConnectionId id, Connection& c, int from, Sends kind, std::string data);
  void Move(ConnectionId id, Connection& c, int from);
  void Arrive(ConnectionId id, int from);
  void ArriveReset(Connection& c, int side);
  void Stall(ConnectionId id, Connection& c, int from);
  void GiveUp(ConnectionId id, int from, std::uint64_t stall);
  void Unstall();
  void LoseTail(Pipe& pipe);
  void Reset(ConnectionId id, Connection& c, int from);
  void Tell(ConnectionId id, const Connection& c, int side);
  void TellRoom(ConnectionId id, Connection& c, int side);
  void ForgetIfOver(ConnectionId id, const Connection& c);

  Timeline& timeline_;
  const NetworkOptions options_;
  Rng rng_;
  std::vector<Host> hosts_;
  std::map<std::string, NodeId, std::less<>> by_ip_;
  std::map<ConnectionId, Connection> connections_;
  ConnectionId last_connection_ = 0;
  std::set<std::pair<NodeId, NodeId>> blocked_;
  int slowness_ = 1;
};

}  // namespace baiwan::sim
