// The load client: plays the users of one cell against a Target.
//
// `concurrency` users play at a time. Closed loop (default): a user connects, submits its messages
// in an order shuffled within half of its window, at most `in_flight` of them not known to be
// stored, and frees its slot when all are stored; its connection is kept until all are with the
// friends. Open loop (`rate`): messages become due on a fixed schedule, whatever the backend does,
// are sent in order, and latency counts from the moment they were due, so that a backend that
// stops shows in every message that should have been sent meanwhile. A user frees its slot when all
// of its messages are due, so that answers do not decide who plays; what the load client itself
// was late with is counted apart.
//
// Threads: one loop. Failure: what is refused with unknown fate (429, 503, 504) is repeated after
// the pause asked for, with backoff and jitter, from a budget of retries; connections are made
// again likewise. Any other refusal is a failure of the run, counted and named: that user gives
// up, the others go on. Without a local port or a descriptor for a connection it tries again for a
// while, and ends when it gets none at all: see broken(). Killed and started again, it goes on from
// the server's counters; what it was told is in the ledger, and a server that knows less is counted
// and named.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/histogram.h"
#include "base/metrics.h"
#include "base/node_context.h"
#include "stress/drive_result.h"
#include "stress/ledger.h"
#include "stress/target.h"
#include "stress/workload.h"

namespace baiwan::stress {

struct DriveOptions {
  CellId cell = 0;
  std::uint32_t concurrency = 200;  // users that play at a time
  std::uint32_t in_flight = 32;     // messages of one user not known to be stored
  std::uint32_t messages_per_frame = 8;
  double rate = 0;                         // messages a second of this cell; 0: closed loop
  std::uint32_t open_in_flight = 1000;     // in_flight of an open loop
  std::uint32_t window_messages = 1024;    // what the backend takes of one user beyond what is
  std::uint32_t window_bytes = 256 << 10;  // stored; neither is ever exceeded
  std::uint32_t max_connections = 12'000;  // no user begins beyond these
  double retry_share = 0.1;                // retries of refused messages: of all submissions …
  double retries_per_s = 100;              // … and at least these …
  std::uint32_t retries_saved = 1000;      // … of which so many can be saved up
  Nanos stall_timeout = 30 * kSecond;      // a user that gets no further for so long connects again
  Nanos exhausted_for = 10 * kSecond;      // without one connection for want of ports or files: the
                                           // load client cannot do what it should, and ends
  Nanos resend_after = 2 * kSecond;        // without pushes: when what was taken, but does not
                                           // become stored, counts as lost; doubles each time
};

// What it has counted so far is a DriveResult without histograms and wall-clock times.
using DriveCounters = DriveCounts;

class Driver final : public MetricsSource {
 public:
  // Everything outlives the driver. `ledger` may be null.
  Driver(NodeContext& node, const DriveOptions& options, const WorkloadSpec& spec,
         const CellGraph& graph, Target& target, Ledger* ledger);
  ~Driver() override;

  // Plays; calls `done` once, in a later turn, when every user has finished or given up, or when it
  // is broken.
  void Start(std::function<void()> done);

  const DriveCounters& counters() const { return counters_; }
  // Why it cannot go on, with the way out; empty: it can.
  const std::string& broken() const { return broken_; }
  const Histogram& stored_latency() const { return stored_latency_; }        // open loop only
  const Histogram& delivered_latency() const { return delivered_latency_; }  // open loop only
  // All of this in a form that can be kept and merged. Of this life of the driver only, but for
  // what the ledger says.
  DriveResult Result() const;
  void WriteMetrics(MetricsSink& sink) const override;

 private:
  class Player;
  struct Wake {
    Nanos at;
    std::uint32_t index;
    bool operator>(const Wake& other) const { return at > other.at; }
  };

  void CountTold();
  void Fill();
  void Tick();
  void Sweep(Nanos now);
  void Schedule(Nanos now);
  void WakeAt(Nanos at, std::uint32_t index) { wakes_.push({at, index}); }
  void SlotFree();
  void OutOf(NetError what);
  void LookForConnections(Nanos now);
  void TakeProgress(Nanos now);
  void WantsSchedule(std::uint32_t index) { robin_.push_back(index); }
  void Ended(Player& player);
  void SettleSoon();
  bool TakeRetry(Nanos now);
  std::uint64_t WallMillis(Nanos monotonic) const;

  NodeContext& node_;
  const DriveOptions options_;
  const WorkloadSpec& spec_;
  const CellGraph& graph_;
  Target& target_;
  Ledger* ledger_;
  std::function<void()> done_;

  std::vector<std::unique_ptr<Player>> players_;  // by index of the user in the cell
  std::vector<std::uint32_t> active_;             // who plays or follows, and some who are gone
  std::vector<std::unique_ptr<Player>> ended_;    // to be destroyed outside their callbacks
  std::priority_queue<Wake, std::vector<Wake>, std::greater<>> wakes_;
  std::vector<std::uint32_t> robin_;    // open loop: whom what is due goes to, in turn
  std::vector<std::uint32_t> touched_;  // open loop: who got some now
  std::size_t robin_at_ = 0;
  std::uint32_t next_user_ = 0;
  std::uint32_t playing_ = 0;
  std::uint32_t connections_ = 0;
  bool settle_posted_ = false;
  double retries_ = 0;             // that may be made now
  std::uint64_t retries_for_ = 0;  // submissions that are in that account
  Nanos retries_at_ = 0;
  Nanos started_ = 0;
  Nanos swept_ = 0;
  Nanos schedule_from_ = 0;  // 0: not yet
  std::uint64_t scheduled_ = 0;
  Progress progress_;
  Nanos progress_due_ = 0;
  TimerId tick_ = 0;
  Nanos tick_due_ = 0;
  Nanos exhausted_since_ = 0;  // 0: connections can be made
  NetError exhausted_of_{};
  std::string broken_;
  DriveCounters counters_;
  Histogram stored_latency_;
  Histogram delivered_latency_;
  Histogram loop_lag_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace baiwan::stress
