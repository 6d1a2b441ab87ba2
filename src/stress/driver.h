// The load client: plays the users of one cell against a Target.
//
// `concurrency` users play at a time. Closed loop (default): a user connects, submits its messages
// in an order shuffled within half of its window, at most `in_flight` unacknowledged, and frees its
// slot when all of them are stored; its connection is kept until all are with the friends. Open loop
// (`rate`): messages become due on a fixed schedule, whatever the backend does, are sent in order,
// and latency counts from the moment they were due.
//
// Threads: one loop. Failure: refusals of unknown fate (429, 503, 504) are repeated after the pause
// asked for, with jitter, from a budget of retries; connections are made again with backoff; any
// other refusal is a failure of the run, counted and named. Killed and started again, it goes on
// from the server's counters; what it was told is in the ledger.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/metrics.h"
#include "base/node_context.h"
#include "stress/ledger.h"
#include "stress/target.h"
#include "stress/workload.h"

namespace baiwan::stress {

struct DriveOptions {
  CellId cell = 0;
  std::uint32_t concurrency = 200;         // users that play at a time
  std::uint32_t in_flight = 32;            // messages of one user not known to be stored
  std::uint32_t messages_per_frame = 8;
  double rate = 0;                         // messages a second of this cell; 0: closed loop
  std::uint32_t open_in_flight = 1000;     // in_flight of an open loop
  double retry_share = 0.1;                // retries beyond the first 1,000, of all submissions
  Nanos stall_timeout = 30 * kSecond;      // a user that hears nothing for so long connects again
};

struct DriveCounters {
  std::uint64_t users = 0;
  std::uint64_t users_started = 0;
  std::uint64_t users_stored = 0;      // all of whose messages are stored
  std::uint64_t users_finished = 0;    // all of whose messages are with the friends
  std::uint64_t messages = 0;          // to be sent by all users together
  std::uint64_t submitted = 0;         // repeats included
  std::uint64_t repeated = 0;
  std::uint64_t stored = 0;
  std::uint64_t delivered = 0;
  std::uint64_t connects = 0;
  std::uint64_t disconnects = 0;
  std::uint64_t polls = 0;
  std::uint64_t behind_ledger = 0;     // users for whom the server knew less than it had told
  std::map<std::string, std::uint64_t> refused;  // by code
  std::map<std::string, std::uint64_t> failures; // refusals that should not have been
  Nanos first_submit = 0;              // monotonic
  Nanos last_ack = 0;
};

class Driver final : public MetricsSource {
 public:
  // Everything outlives the driver. `ledger` may be null.
  Driver(NodeContext& node, const DriveOptions& options, const WorkloadSpec& spec,
         const CellGraph& graph, Target& target, Ledger* ledger);
  ~Driver() override;

  // Plays; calls `done` once, when every user is finished.
  void Start(std::function<void()> done);

  const DriveCounters& counters() const { return counters_; }
  const Histogram& stored_latency() const { return stored_latency_; }        // open loop only
  const Histogram& delivered_latency() const { return delivered_latency_; }  // open loop only
  void WriteMetrics(MetricsSink& sink) const override;

 private:
  class Player;

  void Fill();
  void Tick();
  void Schedule();
  void SlotFree();
  void Finished(Player& player);
  bool TakeRetry();

  NodeContext& node_;
  const DriveOptions options_;
  const WorkloadSpec& spec_;
  const CellGraph& graph_;
  Target& target_;
  Ledger* ledger_;
  std::function<void()> done_;

  std::vector<std::unique_ptr<Player>> players_;  // by index of the user in the cell
  std::vector<std::uint32_t> active_;             // indices that play or follow
  std::vector<std::unique_ptr<Player>> finished_; // to be destroyed outside their callbacks
  std::uint32_t next_user_ = 0;
  std::uint32_t playing_ = 0;
  std::uint64_t retries_ = 0;
  Nanos schedule_from_ = 0;
  std::uint64_t scheduled_ = 0;
  std::size_t robin_ = 0;
  TimerId tick_ = 0;
  DriveCounters counters_;
  Histogram stored_latency_;
  Histogram delivered_latency_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace baiwan::stress
