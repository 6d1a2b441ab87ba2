// Faults at random, from the world's seed: what a long bad day does to a deployment.
//
// From Start to Stop, one fault after another hits the victims: crashes of every kind (between
// turns, in a turn, of the whole host), broken and silently dead connections, partitions both ways
// and one way, pauses, slow, full and failing disks, slow networks, clean stops. Stop mends
// everything and boots whoever is down, so that a scenario can come to rest. A victim that dies,
// for whatever reason, is started again as a supervisor would, for as long as the Chaos exists.
//
// Threads: one. Failure: none.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/world.h"

namespace baiwan::sim {

enum class Fault : std::uint8_t {
  kCrash,        // kill -9 between turns
  kCrashInTurn,  // kill -9 between two steps of a turn
  kPowerLoss,    // the host is gone, and back later
  kBreak,        // one connection is reset
  kBreakAll,     // all connections of a node are reset
  kSilence,      // one connection passes nothing any more
  kPartition,    // between two nodes
  kOneWay,       // from one node to another
  kPause,        // a node stands still
  kSlowNet,      // latencies times 20
  kSlowDisk,     // syncs and reads times 20
  kFailSync,     // the next commit's sync fails
  kStop,         // asked to stop, as a supervisor asks, and started again
  kNearlyFull,   // the disk has little room left
  kFull,         // the disk has none: commits fail
};
inline constexpr std::size_t kFaults = 15;
const char* Name(Fault fault);

struct ChaosOptions {
  Nanos min_gap = 5 * kMillisecond;  // between two faults
  Nanos max_gap = 300 * kMillisecond;
  Nanos min_down = 1 * kMillisecond;  // of a crashed node
  Nanos max_down = 400 * kMillisecond;
  Nanos min_trouble = 5 * kMillisecond;  // of everything that passes by itself
  Nanos max_trouble = 500 * kMillisecond;
  // How often each fault comes, in relation to the others; 0: never.
  std::array<int, kFaults> weights = {3, 4, 2, 4, 1, 1, 2, 1, 2, 1, 1, 1, 2, 1, 1};

  // Some of the faults only, and more or fewer of them, by the seed: a mistake that one fault shows
  // is often mended by the next (a reset ends what a silent connection would have kept waiting).
  static ChaosOptions Swarm(std::uint64_t seed);

  int& operator[](Fault fault) { return weights[static_cast<std::size_t>(fault)]; }
};

class Chaos {
 public:
  Chaos(World& world, const ChaosOptions& options, std::vector<Node*> victims);
  ~Chaos();
  Chaos(const Chaos&) = delete;
  Chaos& operator=(const Chaos&) = delete;

  void Start();
  // The world keeps going; only the faults end.
  void Stop();
  std::uint64_t faults() const { return count_; }

 private:
  void ScheduleNext();
  void Strike();
  void Strike(Fault fault);
  void Down(Node& node, Fault fault);
  void Divide(Node& node, bool one_way);
  void Slow(Node& node, Fault fault);
  void FillDisk(Node& node, Fault fault);
  Fault Choose();
  Node& Victim() { return *victims_[rng_.Below(victims_.size())]; }
  Nanos Trouble() { return Between(rng_, options_.min_trouble, options_.max_trouble); }

  World& world_;
  const ChaosOptions options_;
  const std::vector<Node*> victims_;
  Rng rng_;
  bool on_ = false;
  std::uint64_t count_ = 0;
};

}  // namespace baiwan::sim
