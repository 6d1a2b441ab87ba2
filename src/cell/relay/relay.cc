#include "cell/relay/relay.h"

#include "base/bytes.h"
#include "base/planted.h"
#include "cell/link_types.h"

namespace baiwan::cell {

Result<std::unique_ptr<Relay>, NetError> Relay::Create(NodeContext& node,
                                                       const RelayOptions& options) {
  std::unique_ptr<Relay> relay(new Relay(node, options));
  auto listener =
      net::LinkListener::Listen(node, options.listen, {"relay", options.cell, 0, 0}, options.secret,
                                relay.get(), options.link, options.max_links);
  if (!listener) return listener.error();
  relay->listener_ = std::move(*listener);
  return relay;
}

Relay::~Relay() = default;

void Relay::Attach(PeerPort& logic, Incarnation incarnation) {
  logic_ = &logic;
  incarnation_ = incarnation;
  accepting_ = true;  // until this logic server says otherwise
  for (auto& [cell, link] : accepted_) TellReady(*link);
  for (auto& [cell, peer] : peers_) {
    if (!peer.ready) continue;
    ++counters_.paths_up;
    logic.PathUp(cell, peer.incarnation);
  }
}

void Relay::Detach() {
  logic_ = nullptr;
  for (auto& [cell, link] : accepted_) link->Send(Code(LinkType::kNotReady), options_.cell, {});
}

void Relay::SetPeers(const std::map<CellId, Endpoint>& peers) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    const auto now = peers.find(it->first);
    if (now != peers.end() && now->second == it->second.endpoint) {
      ++it;
      continue;
    }
    PathGone(it->first, it->second);
    it = peers_.erase(it);
  }
  for (const auto& [cell, endpoint] : peers) {
    if (cell == options_.cell || peers_.count(cell) > 0) continue;
    Peer& peer = peers_[cell];
    peer.endpoint = endpoint;
    peer.link = net::DialLink(node_, endpoint, {"relay", options_.cell, 0, 0}, options_.secret,
                              this, options_.link);
  }
}

std::size_t Relay::paths_up() const {
  std::size_t n = 0;
  for (const auto& [cell, peer] : peers_) n += peer.ready ? 1 : 0;
  return n;
}

// ---------------------------------------------------------------- batches

void Relay::Send(CellId to, std::string_view batch) {
  const auto peer = peers_.find(to);
  if (peer == peers_.end() || !peer->second.ready) {
    ++counters_.dropped;
    return;
  }
  ++counters_.batches_out;
  counters_.bytes_out += batch.size();
  peer->second.link->Send(Code(LinkType::kForward), options_.cell, batch);
}

void Relay::Reply(CellId to, std::string_view batch) {
  const auto link = Planted("answer-to-wrong-cell") ? accepted_.begin() : accepted_.find(to);
  if (link == accepted_.end()) {
    ++counters_.dropped;
    return;
  }
  ++counters_.batches_out;
  counters_.bytes_out += batch.size();
  link->second->Send(Code(LinkType::kAnswer), options_.cell, batch);
}

void Relay::SetAccepting(bool accepting) {
  if (std::exchange(accepting_, accepting) == accepting || logic_ == nullptr) return;
  for (auto& [cell, link] : accepted_) TellReady(*link);
}

// ---------------------------------------------------------------- links

Relay::Peer* Relay::PeerOf(const net::Link& link) {
  for (auto& [cell, peer] : peers_) {
    if (peer.link.get() == &link) return &peer;
  }
  return nullptr;
}

void Relay::TellReady(net::Link& link) {
  if (!accepting_) return link.Send(Code(LinkType::kNotReady), options_.cell, {});
  std::string payload;
  Writer(payload).U64(incarnation_);
  link.Send(Code(LinkType::kReady), options_.cell, payload);
}

void Relay::PathGone(CellId cell, Peer& peer) {
  if (peer.ready && logic_ != nullptr) logic_->PathDown(cell);
  peer.ready = false;
}

void Relay::OnLinkUp(net::Link& link, const net::LinkIdentity& identity) {
  if (PeerOf(link) != nullptr) return;  // ours: the other side says when it is ready
  if (identity.role != "relay" || identity.cell == options_.cell) {
    node_.log.Error("a {} of cell {} has connected to the relay of cell {}", identity.role,
                    identity.cell, options_.cell);
    link.Close();
    return;
  }
  net::Link*& newest = accepted_[identity.cell];
  // The one that it replaces is not listened to any more: its dialer must not believe that it is.
  if (newest != nullptr) newest->Close();
  newest = &link;
  if (logic_ != nullptr) TellReady(link);
}

void Relay::OnLinkDown(net::Link& link, NetError) {
  for (auto& [cell, peer] : peers_) {
    if (peer.link.get() == &link) return PathGone(cell, peer);
  }
  for (auto it = accepted_.begin(); it != accepted_.end(); ++it) {
    if (it->second == &link) {
      accepted_.erase(it);
      return;
    }
  }
}

void Relay::OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                        std::string_view payload) {
  const auto cell = static_cast<CellId>(tag);
  ++counters_.batches_in;
  counters_.bytes_in += payload.size();
  switch (static_cast<LinkType>(type)) {
    case LinkType::kForward: {
      // What still comes over a link that has been replaced belongs to a session that is over; let
      // in, it would begin that session again and lose the count of what the new one has used.
      const auto newest = accepted_.find(cell);
      if (newest == accepted_.end() || newest->second != &link) return;
      if (logic_ == nullptr || !accepting_)
        return link.Send(Code(LinkType::kNotReady), options_.cell, {});
      return logic_->FromPeer(cell, payload);
    }
    case LinkType::kAnswer:
      if (logic_ != nullptr) logic_->ReplyFromPeer(cell, payload);
      return;
    case LinkType::kReady: {
      Peer* peer = PeerOf(link);
      if (peer == nullptr) return;
      peer->ready = true;
      peer->incarnation = Reader(payload).U64();
      if (logic_ == nullptr) return;
      ++counters_.paths_up;
      return logic_->PathUp(cell, peer->incarnation);
    }
    case LinkType::kNotReady:
      if (Peer* peer = PeerOf(link)) PathGone(cell, *peer);
      return;
    default:
      node_.log.Warn("the relay of cell {} sent a frame of unknown type {}", cell, type);
  }
}

void Relay::WriteMetrics(MetricsSink& sink) const {
  const RelayCounters& c = counters_;
  sink.Counter("relay_batches_out_total", "batches passed to other cells", c.batches_out);
  sink.Counter("relay_batches_in_total", "batches from other cells", c.batches_in);
  sink.Counter("relay_bytes_out_total", "bytes of batches passed to other cells", c.bytes_out);
  sink.Counter("relay_bytes_in_total", "bytes of batches from other cells", c.bytes_in);
  sink.Counter("relay_dropped_total", "batches for which there was no path", c.dropped);
  sink.Counter("relay_sessions_total", "sessions with other cells begun", c.paths_up);
  sink.Gauge("relay_paths_up", "other cells that can be reached", static_cast<double>(paths_up()));
}

}  // namespace baiwan::cell
