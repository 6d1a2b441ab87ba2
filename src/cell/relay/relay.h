// The relay of one cell: carries batches and their answers from cell to cell.
//
// It keeps one link to every other cell's relay, for what its own logic server sends and for the
// answers to that; what others send comes over their links. It reads no batch. A path to a cell is
// up while the link is up *and* the logic server behind it is there: the other relay says so
// ("ready", with the incarnation), and says it anew whenever either changes, so that each such word
// begins a new session.
//
// Threads: one loop. Failure: what cannot be passed on at once is dropped: the sessions' rules find
// out what is missing. Bounds: what waits in a link is bounded by the credit of its path.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/metrics.h"
#include "base/node_context.h"
#include "cell/ports.h"
#include "net/link.h"

namespace baiwan::cell {

struct RelayOptions {
  CellId cell = 0;
  Endpoint listen{"127.0.0.1", 0};
  std::string secret;
  net::LinkLimits link;
  std::uint32_t max_links = 2 * kMaxCells;
};

struct RelayCounters {
  std::uint64_t batches_out = 0;  // sends and replies passed to other cells
  std::uint64_t batches_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t dropped = 0;   // batches for which there was no path
  std::uint64_t paths_up = 0;  // sessions begun
};

class Relay final : public RelayPort, public MetricsSource, private net::LinkHandler {
 public:
  static Result<std::unique_ptr<Relay>, NetError> Create(NodeContext& node,
                                                         const RelayOptions& options);
  ~Relay() override;

  // The logic server of this cell, which must be detached before it goes.
  void Attach(PeerPort& logic, Incarnation incarnation);
  void Detach();
  // Where the relays of other cells listen; replaces what was known.
  void SetPeers(const std::map<CellId, Endpoint>& peers);

  // RelayPort
  void Send(CellId to, std::string_view batch) override;
  void Reply(CellId to, std::string_view batch) override;
  void SetAccepting(bool accepting) override;

  void WriteMetrics(MetricsSink& sink) const override;
  const RelayCounters& counters() const { return counters_; }
  const Endpoint& local() const { return listener_->local(); }
  std::size_t paths_up() const;

 private:
  struct Peer {
    Endpoint endpoint;
    std::unique_ptr<net::Link> link;
    bool ready = false;
    Incarnation incarnation = 0;
  };

  Relay(NodeContext& node, const RelayOptions& options) : node_(node), options_(options) {}

  // net::LinkHandler
  void OnLinkUp(net::Link& link, const net::LinkIdentity& peer) override;
  void OnLinkFrame(net::Link& link, std::uint8_t type, std::uint64_t tag,
                   std::string_view payload) override;
  void OnLinkDown(net::Link& link, NetError error) override;

  Peer* PeerOf(const net::Link& link);
  void TellReady(net::Link& link);
  void PathGone(CellId cell, Peer& peer);

  NodeContext& node_;
  const RelayOptions options_;
  std::unique_ptr<net::LinkListener> listener_;
  std::map<CellId, Peer> peers_;           // links of ours
  std::map<CellId, net::Link*> accepted_;  // the newest link of each other cell's relay
  PeerPort* logic_ = nullptr;
  Incarnation incarnation_ = 0;
  bool accepting_ = true;
  RelayCounters counters_;
};

}  // namespace baiwan::cell
