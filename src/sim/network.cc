#include "sim/network.h"

#include <algorithm>

namespace baiwan::sim {

namespace {

constexpr std::uint64_t kPurpose = 0x6E65'7477'6F72'6B00;
constexpr Nanos kSynAgain = 200 * kMillisecond;

SocketId SocketOf(ConnectionId id, int side) { return id * 2 + static_cast<SocketId>(side); }
int SideOf(SocketId socket) { return static_cast<int>(socket & 1); }

}  // namespace

Network::Network(Timeline& timeline, const NetworkOptions& options)
    : timeline_(timeline), options_(options), rng_(timeline.RngFor(kPurpose)) {}

// ------------------------------------------------------------------------------------------ hosts

void Network::AddHost(NodeId node, std::string ip) {
  if (hosts_.size() <= node) hosts_.resize(node + 1);
  by_ip_[ip] = node;
  hosts_[node].ip = std::move(ip);
}

void Network::Boot(NodeId node, SocketEvents* sockets) {
  hosts_[node].sockets = sockets;
  hosts_[node].powered = true;
  Unstall();  // whoever still sends to the former life learns of its end
}

void Network::Crash(NodeId node, CrashMode mode) {
  hosts_[node].sockets = nullptr;
  hosts_[node].powered = mode == CrashMode::kProcess;
  std::vector<ConnectionId> over;
  for (auto& [id, c] : connections_) {
    for (int side = 0; side < 2; ++side) {
      End& end = c.ends[side];
      if (end.node != node || end.closed) continue;
      end.closed = true;
      end.drains = false;
      c.pipes[1 - side].arrived.clear();
      TellRoom(id, c, 1 - side);  // what the peer sends next, nobody answers, or with a reset
      if (!c.established && side == 0) {
        c.ends[1].closed = true;
      } else if (mode == CrashMode::kPower) {
        LoseTail(c.pipes[side]);
      } else if (rng_.Chance(0.5)) {
        Reset(id, c, side);
      } else {
        Push(id, c, side, Sends::kFin, {});
      }
    }
    if (c.ends[0].closed && c.ends[1].closed) over.push_back(id);
  }
  for (const ConnectionId id : over) connections_.erase(id);
}

// -------------------------------------------------------------------------------- for transports

Network::Connection* Network::Find(ConnectionId id) {
  const auto at = connections_.find(id);
  return at == connections_.end() ? nullptr : &at->second;
}

const Network::Connection* Network::Find(ConnectionId id) const {
  const auto at = connections_.find(id);
  return at == connections_.end() ? nullptr : &at->second;
}

std::optional<NodeId> Network::HostOf(NodeId from, const std::string& host) const {
  if (host == "localhost" || host == "127.0.0.1" || host == "::1") return from;
  const auto at = by_ip_.find(host);
  if (at == by_ip_.end()) return std::nullopt;
  return at->second;
}

bool Network::Blocked(NodeId from, NodeId to) const { return blocked_.count({from, to}) > 0; }

bool Network::Passes(const Connection& c, int from) const {
  const NodeId to = c.ends[1 - from].node;
  return !c.cut && hosts_[to].powered && !Blocked(c.ends[from].node, to);
}

Nanos Network::Latency(const Connection& c) {
  const Nanos high = rng_.Chance(options_.late_chance) ? options_.max_late : options_.max_latency;
  const Nanos latency = Between(rng_, options_.min_latency, high) * slowness_;
  return c.ends[0].node == c.ends[1].node ? latency / 20 : latency;
}

SocketId Network::Connect(NodeId from, std::uint16_t from_port, const Endpoint& to) {
  const ConnectionId id = ++last_connection_;
  Connection& c = connections_[id];
  c.ends[0].node = from;
  c.ends[0].port = from_port;
  const auto host = HostOf(from, to.host);
  c.ends[1].node = host.value_or(from);
  c.ends[1].port = to.port;
  timeline_.Note(from, What::kConnect, id, to.port);
  const Nanos latency = Latency(c);
  timeline_.In(latency, [this, id, known = host.has_value()] {
    if (known) {
      ArriveSyn(id);
    } else {
      FinishConnect(id, NetError::kUnreachable);
    }
  });
  return SocketOf(id, 0);
}

void Network::ArriveSyn(ConnectionId id) {
  Connection* c = Find(id);
  if (c == nullptr) return;
  if (!Passes(*c, 0)) {  // nobody answers: the kernel asks again until its process has had enough
    timeline_.In(kSynAgain, [this, id] { ArriveSyn(id); });
    return;
  }
  Host& host = hosts_[c->ends[1].node];
  const bool listens = host.sockets != nullptr && !host.refuses &&
                       host.sockets->OnIncoming(c->ends[1].port, SocketOf(id, 1));
  std::optional<NetError> error;
  if (listens) {
    c->established = true;
  } else {
    c->ends[1].closed = true;
    error = NetError::kRefused;
  }
  const Nanos latency = Latency(*c);
  timeline_.In(latency, [this, id, error] { FinishConnect(id, error); });
}

void Network::FinishConnect(ConnectionId id, std::optional<NetError> error) {
  Connection* c = Find(id);
  if (c == nullptr) return;
  const End end = c->ends[0];
  if (c->established && !Passes(*c, 1) && hosts_[end.node].powered) {
    timeline_.In(kSynAgain, [this, id, error] { FinishConnect(id, error); });
    return;
  }
  if (error) connections_.erase(id);
  if (!end.closed && hosts_[end.node].sockets != nullptr) {
    hosts_[end.node].sockets->OnConnectDone(SocketOf(id, 0), error);
  }
}

std::size_t Network::Send(SocketId socket, std::string_view data) {
  const ConnectionId id = ConnectionOf(socket);
  const int side = SideOf(socket);
  Connection* c = Find(id);
  if (c == nullptr || c->ends[side].closed || c->ends[side].error) return 0;
  Pipe& pipe = c->pipes[side];
  const std::size_t held = pipe.on_way + pipe.arrived.size();
  const std::size_t take =
      std::min(data.size(), options_.window > held ? options_.window - held : 0);
  c->ends[side].wants_room = take < data.size();
  for (std::size_t at = 0; at < take;) {
    const std::size_t want =
        1 + rng_.Below(rng_.Chance(options_.tiny_chance) ? 3 : options_.max_chunk);
    const std::size_t n = std::min(want, take - at);
    Push(id, *c, side, Sends::kData, std::string(data.substr(at, n)));
    at += n;
  }
  return take;
}

std::size_t Network::Receive(SocketId socket, std::size_t limit, std::string* into) {
  const ConnectionId id = ConnectionOf(socket);
  const int side = SideOf(socket);
  Connection* c = Find(id);
  if (c == nullptr) return 0;
  std::string& arrived = c->pipes[1 - side].arrived;
  const std::size_t n = std::min(limit, arrived.size());
  into->append(arrived, 0, n);
  arrived.erase(0, n);
  if (n > 0) TellRoom(id, *c, 1 - side);
  return n;
}

std::size_t Network::Arrived(SocketId socket) const {
  const Connection* c = Find(ConnectionOf(socket));
  return c == nullptr ? 0 : c->pipes[1 - SideOf(socket)].arrived.size();
}

std::optional<NetError> Network::Ended(SocketId socket) const {
  const Connection* c = Find(ConnectionOf(socket));
  if (c == nullptr) return NetError::kReset;
  const int side = SideOf(socket);
  if (c->ends[side].error) return c->ends[side].error;
  if (c->pipes[1 - side].fin) return NetError::kEof;
  return std::nullopt;
}

void Network::Close(SocketId socket, bool drain) {
  const ConnectionId id = ConnectionOf(socket);
  const int side = SideOf(socket);
  Connection* c = Find(id);
  if (c == nullptr || c->ends[side].closed) return;
  End& end = c->ends[side];
  end.closed = true;
  end.drains = drain;
  std::string& unread = c->pipes[1 - side].arrived;
  if (!c->established && side == 0) {
    connections_.erase(id);
    return;
  }
  if (!end.error) {
    if (unread.empty() || drain) {
      Push(id, *c, side, Sends::kFin, {});
    } else {
      Reset(id, *c, side);
    }
  }
  unread.clear();
  if (drain) TellRoom(id, *c, 1 - side);
  ForgetIfOver(id, *c);
}

Endpoint Network::Peer(SocketId socket) const {
  const Connection* c = Find(ConnectionOf(socket));
  if (c == nullptr) return {};
  const End& end = c->ends[1 - SideOf(socket)];
  return {hosts_[end.node].ip, end.port};
}

// -------------------------------------------------------------------------------------- the wire

void Network::Push(ConnectionId id, Connection& c, int from, Sends kind, std::string data) {
  Pipe& pipe = c.pipes[from];
  Nanos due = timeline_.now() + Latency(c);
  if (options_.bandwidth > 0) {
    const auto wire_time = static_cast<Nanos>(data.size() * kSecond / options_.bandwidth);
    pipe.wire_free = std::max(pipe.wire_free, timeline_.now()) + wire_time;
    due = std::max(due, pipe.wire_free);
  }
  pipe.on_way += data.size();
  pipe.packets.push_back({kind, std::move(data), due});
  Move(id, c, from);
}

void Network::Move(ConnectionId id, Connection& c, int from) {
  Pipe& pipe = c.pipes[from];
  if (pipe.moving || pipe.stalled || pipe.packets.empty()) return;
  pipe.moving = true;
  timeline_.At(pipe.packets.front().due, [this, id, from] { Arrive(id, from); });
}

void Network::Arrive(ConnectionId id, int from) {
  Connection* c = Find(id);
  if (c == nullptr) return;
  Pipe& pipe = c->pipes[from];
  pipe.moving = false;
  if (pipe.packets.empty()) return;
  if (!Passes(*c, from)) {
    Stall(id, *c, from);
    return;
  }
  Packet packet = std::move(pipe.packets.front());
  pipe.packets.pop_front();
  pipe.on_way -= packet.data.size();
  const int to = 1 - from;
  End& end = c->ends[to];
  if (packet.kind == Sends::kReset) {
    ArriveReset(*c, to);
    Tell(id, *c, to);
  } else if (end.error && !end.closed) {
    // Broken, and its process does not know yet: nothing more gets in behind what was lost.
  } else if (end.closed) {
    if (packet.kind == Sends::kData && end.drains) TellRoom(id, *c, from);
    if (packet.kind == Sends::kData && !end.drains) Reset(id, *c, to);
  } else {
    if (packet.kind == Sends::kData) pipe.arrived += packet.data;
    if (packet.kind == Sends::kFin) pipe.fin = true;
    Tell(id, *c, to);
  }
  Move(id, *c, from);
  ForgetIfOver(id, *c);
}

void Network::ArriveReset(Connection& c, int side) {
  if (!c.ends[side].error) c.ends[side].error = NetError::kReset;
  Pipe& theirs = c.pipes[1 - side];
  theirs.packets.clear();
  theirs.on_way = 0;
  if (rng_.Chance(0.5)) theirs.arrived.clear();
  // What this end has sent is on the wire, and travels on.
}

void Network::Stall(ConnectionId id, Connection& c, int from) {
  Pipe& pipe = c.pipes[from];
  pipe.stalled = true;
  const std::uint64_t stall = ++pipe.stalls;
  timeline_.In(options_.give_up, [this, id, from, stall] { GiveUp(id, from, stall); });
}

void Network::GiveUp(ConnectionId id, int from, std::uint64_t stall) {
  Connection* c = Find(id);
  if (c == nullptr || !c->pipes[from].stalled || c->pipes[from].stalls != stall) return;
  Pipe& pipe = c->pipes[from];
  pipe.packets.clear();
  pipe.on_way = 0;
  pipe.stalled = false;
  if (!c->ends[from].error) c->ends[from].error = NetError::kTimeout;
  Tell(id, *c, from);
  // A closed end's kernel has forgotten the connection; the other end may wait for ever.
}

void Network::Unstall() {
  for (auto& [id, c] : connections_) {
    for (int from = 0; from < 2; ++from) {
      Pipe& pipe = c.pipes[from];
      if (!pipe.stalled || !Passes(c, from)) continue;
      pipe.stalled = false;
      if (pipe.packets.empty()) continue;
      pipe.packets.front().due = timeline_.now() + Latency(c);
      Move(id, c, from);
    }
  }
}

void Network::LoseTail(Pipe& pipe) {
  const std::size_t keep = rng_.Below(pipe.packets.size() + 1);
  while (pipe.packets.size() > keep) {
    pipe.on_way -= pipe.packets.back().data.size();
    pipe.packets.pop_back();
  }
}

void Network::Reset(ConnectionId id, Connection& c, int from) {
  LoseTail(c.pipes[from]);
  Push(id, c, from, Sends::kReset, {});
}

void Network::Tell(ConnectionId id, const Connection& c, int side) {
  const End& end = c.ends[side];
  if (end.closed || hosts_[end.node].sockets == nullptr) return;
  hosts_[end.node].sockets->OnSocketReady(SocketOf(id, side));
}

void Network::TellRoom(ConnectionId id, Connection& c, int side) {
  if (!c.ends[side].wants_room) return;
  c.ends[side].wants_room = false;
  const Nanos latency = Latency(c);
  timeline_.In(latency, [this, id, side] {
    if (const Connection* still = Find(id)) Tell(id, *still, side);
  });
}

void Network::ForgetIfOver(ConnectionId id, const Connection& c) {
  if (c.ends[0].closed && c.ends[1].closed) connections_.erase(id);
}

// ---------------------------------------------------------------------------------------- faults

void Network::Block(NodeId from, NodeId to) { blocked_.insert({from, to}); }

void Network::Partition(NodeId a, NodeId b) {
  Block(a, b);
  Block(b, a);
}

void Network::Heal(NodeId a, NodeId b) {
  blocked_.erase({a, b});
  blocked_.erase({b, a});
  Unstall();
}

void Network::HealAll() {
  blocked_.clear();
  Unstall();
}

void Network::Break(ConnectionId id, BreakMode mode) {
  Connection* c = Find(id);
  if (c == nullptr || !c->established) return;
  if (mode == BreakMode::kSilent) {
    c->cut = true;
    return;
  }
  Reset(id, *c, 0);
  Reset(id, *c, 1);
}

void Network::BreakOne(BreakMode mode) {
  const auto all = ConnectionsOf(kNoNode);
  if (!all.empty()) Break(all[rng_.Below(all.size())], mode);
}

void Network::BreakAllOf(NodeId node, BreakMode mode) {
  for (const ConnectionId id : ConnectionsOf(node)) Break(id, mode);
}

std::vector<ConnectionId> Network::ConnectionsOf(NodeId a, NodeId b) const {
  std::vector<ConnectionId> found;
  for (const auto& [id, c] : connections_) {
    const NodeId from = c.ends[0].node;
    const NodeId to = c.ends[1].node;
    if (!c.established || (a != kNoNode && from != a && to != a)) continue;
    if (b == kNoNode || (from == a && to == b) || (from == b && to == a)) found.push_back(id);
  }
  return found;
}

}  // namespace baiwan::sim
