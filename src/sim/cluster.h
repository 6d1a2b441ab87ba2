// A whole deployment in the simulated world: a registry, C cells of real roles (one node a cell, or
// one a role), and clients; under chaos from a seed, then at rest, then checked.
//
//   Cluster cluster(seed, ClusterOptions::FromSeed(seed));
//   const std::string wrong = cluster.Run();   // empty: I1 to I4 hold
//
// The run: clients talk while faults strike everybody. Then the faults end. In some runs the
// clients leave first, and what is stored must reach its friends without them (I4); then they come
// back and finish. At rest the disks are read as a restart would read them, and compared message by
// message with what everybody meant to send and was told.
//
// Threads: one. Failure: Run says what does not hold, with the seed and the last events.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cell/host.h"
#include "sim/chaos.h"
#include "sim/inspect.h"
#include "sim/mishaps.h"
#include "sim/player.h"
#include "sim/workload.h"
#include "sim/world.h"

namespace baiwan::sim {

// Bytes of a node's memory that two links may hold: each has a buffer for what comes and one for
// what goes, charged by the buffer.
inline constexpr std::uint64_t kLinkRoom = 32 << 10;

enum class ClusterLayout : std::uint8_t {
  kCell,  // gateway, logic and relay of a cell in one node
  kRole,  // a node each
};

struct ClusterOptions {
  WorldOptions world;
  WorkloadOptions workload;
  ChaosOptions chaos;
  ClusterLayout layout = ClusterLayout::kCell;
  bool clients_leave = false;
  int devices = 1;                     // of each user
  Nanos max_tick = 60 * kMillisecond;  // see Stage
  std::uint64_t logic_budget = 0;      // bytes, in layout kRole; 0: as every node's
  std::uint64_t cell_budget = 0;       // bytes, in layout kCell; likewise
  Nanos cut = 0;                       // no cell reaches another one before that
  MishapOptions mishaps;
  Nanos trouble = 4 * kSecond;     // how long faults strike
  Nanos patience = 300 * kSecond;  // to come to rest after them
  store::StoreOptions store;
  cell::LogicOptions logic;
  net::LinkLimits links;

  // Everything that may differ from run to run, by the seed.
  static ClusterOptions FromSeed(std::uint64_t seed);
};

// What the logic servers of a run counted, all their lives together; to see that the seeds reach
// what they are there for. A crash does not lose it: it is the observer's, not the node's.
struct Coverage {
  cell::LogicCounters logic;
  std::uint64_t peak_users_bytes = 0;  // most of the budget's users account
  std::uint64_t lives = 0;
  std::uint64_t full = 0;     // looks at a process that was at its budget's hard limit
  std::uint64_t backlog = 0;  // messages not delivered when the cut was mended, as clients know it
  MishapCounts mishaps;
  void Add(const cell::LogicCounters& counters, const Budget& budget);
  void Add(const Coverage& other);
};

class Cluster {
 public:
  Cluster(std::uint64_t seed, const ClusterOptions& options);
  ~Cluster();

  std::string Run();

  World& world() { return world_; }
  const Stage& stage() const { return stage_; }
  // Complete once the run is over and its nodes are down: see PowerOff.
  const Coverage& coverage() const { return *coverage_; }
  void PowerOff();
  std::uint64_t faults() const { return chaos_.faults(); }
  // Puts an older copy of one cell's disk back, as a careless operator would, and tells nobody.
  void LoseData(CellId cell, const SimDisk::Contents& older);
  const SimDisk::Contents& DiskOf(CellId cell) const { return stores_[cell]->disk().contents(); }
  // For clients of the scenario's own.
  Endpoint GatewayOf(CellId cell) const;
  void SendClientsAway() { stage_.away = true; }
  void CrashStoreOf(CellId cell) { world_.Crash(*stores_[cell]); }

 private:
  void AddRegistry();
  void AddCell(CellId cell);
  void AddHost(const cell::HostOptions& host);
  void AddClients(CellId cell);
  cell::HostOptions HostOf(CellId cell) const;
  Endpoint Registry() const;

  void CutPaths();
  void MendPaths();
  std::uint64_t Undelivered() const;

  // Each runs one phase; what it complains of, or nothing.
  std::string Trouble();
  std::string WithoutClients();
  std::string Finish();
  // Until everything that is stored is delivered, or for so long; what is on the disks then.
  std::string Settle(Nanos patience, Disks* disks);
  void Look();
  std::string Complaint() const;
  bool AllTold() const;
  Result<Disks, std::string> Read() const;
  std::string Explain(const std::string& wrong);

  const ClusterOptions options_;
  const Workload workload_;
  Stage stage_;
  const std::unique_ptr<Coverage> coverage_ = std::make_unique<Coverage>();
  World world_;
  Mishaps mishaps_;
  std::vector<Node*> nodes_;
  std::vector<Node*> stores_;    // by cell
  std::vector<Node*> gateways_;  // by cell
  std::vector<Node*> relays_;    // by cell
  Chaos chaos_;
};

}  // namespace baiwan::sim
