#include "sim/chaos.h"

#include <fmt/format.h>

#include <numeric>
#include <utility>

namespace baiwan::sim {

namespace {

constexpr std::uint64_t kPurpose = 0x6368'616F'7300'0000;
constexpr std::uint64_t kSwarm = 0x7377'6172'6D00'0000;
constexpr std::uint64_t kMaxSteps = 40;
constexpr int kSlowness = 20;
constexpr std::uint64_t kReserve = 1ULL << 30;  // bytes, of a disk of ten times that

}  // namespace

const char* Name(Fault fault) {
  static constexpr const char* kNames[kFaults] = {
      "crash",     "crash in a turn", "power loss", "break",       "break all",
      "silence",   "partition",       "one way",    "pause",       "slow network",
      "slow disk", "failing sync",    "stop",       "nearly full", "full"};
  return kNames[static_cast<std::size_t>(fault)];
}

ChaosOptions ChaosOptions::Swarm(std::uint64_t seed) {
  ChaosOptions options;
  Rng rng(Mix(seed, kSwarm));
  int all = 0;
  for (int& weight : options.weights) {
    if (rng.Chance(0.5)) weight = 0;
    all += weight;
  }
  if (all == 0) options[Fault::kCrashInTurn] = 1;
  options.max_gap = Between(rng, 50 * kMillisecond, 800 * kMillisecond);
  return options;
}

Chaos::Chaos(World& world, const ChaosOptions& options, std::vector<Node*> victims)
    : world_(world),
      options_(options),
      victims_(std::move(victims)),
      rng_(world.timeline().RngFor(kPurpose)) {
  for (Node* node : victims_) {
    node->OnDeath([this, node] {
      world_.Restart(*node, on_ ? Between(rng_, options_.min_down, options_.max_down) : 0);
    });
  }
}

Chaos::~Chaos() {
  for (Node* node : victims_) node->OnDeath(nullptr);
}

void Chaos::Start() {
  on_ = true;
  ScheduleNext();
}

void Chaos::Stop() {
  on_ = false;
  world_.network().HealAll();
  world_.network().SetSlowness(1);
  for (Node* node : victims_) {
    node->disk().SetSlowness(1);
    node->disk().SetFull(false);
    node->disk().SetRoom(std::nullopt);
    world_.Restart(*node, 0);
  }
}

void Chaos::ScheduleNext() {
  world_.In(Between(rng_, options_.min_gap, options_.max_gap), [this] {
    if (!on_) return;
    Strike();
    ScheduleNext();
  });
}

Fault Chaos::Choose() {
  const int all = std::accumulate(options_.weights.begin(), options_.weights.end(), 0);
  int at = static_cast<int>(rng_.Below(static_cast<std::uint64_t>(all)));
  std::size_t fault = 0;
  while (at >= options_.weights[fault]) at -= options_.weights[fault++];
  return static_cast<Fault>(fault);
}

void Chaos::Strike() {
  ++count_;
  Strike(Choose());
}

void Chaos::Strike(Fault fault) {
  Node& node = Victim();
  world_.timeline().NoteLine(node.id(), What::kFault, Name(fault));
  switch (fault) {
    case Fault::kCrash:
    case Fault::kCrashInTurn:
    case Fault::kPowerLoss:
      return Down(node, fault);
    case Fault::kBreak:
      return world_.network().BreakOne(BreakMode::kReset);
    case Fault::kBreakAll:
      return world_.network().BreakAllOf(node.id(), BreakMode::kReset);
    case Fault::kSilence:
      return world_.network().BreakOne(BreakMode::kSilent);
    case Fault::kPartition:
      return Divide(node, false);
    case Fault::kOneWay:
      return Divide(node, true);
    case Fault::kPause:
      return world_.Pause(node, Trouble());
    case Fault::kSlowNet:
    case Fault::kSlowDisk:
      return Slow(node, fault);
    case Fault::kFailSync:
      return node.disk().FailNextCommit();
    case Fault::kStop:
      return node.Stop();
    case Fault::kNearlyFull:
    case Fault::kFull:
      return FillDisk(node, fault);
  }
}

void Chaos::Down(Node& node, Fault fault) {
  if (fault == Fault::kCrashInTurn) {
    node.CrashAfter(rng_.Below(kMaxSteps), CrashMode::kProcess);
  } else {
    world_.Crash(node, fault == Fault::kPowerLoss ? CrashMode::kPower : CrashMode::kProcess);
  }
}

void Chaos::Divide(Node& node, bool one_way) {
  Node& other = Victim();
  if (&other == &node) return;
  world_.network().Block(node.id(), other.id());
  if (!one_way) world_.network().Block(other.id(), node.id());
  world_.In(Trouble(), [this, &node, &other] { world_.network().Heal(node.id(), other.id()); });
}

void Chaos::FillDisk(Node& node, Fault fault) {
  if (fault == Fault::kFull) {
    node.disk().SetFull(true);
    world_.In(Trouble(), [&node] { node.disk().SetFull(false); });
  } else {
    // Between none and what both reserves together want.
    node.disk().SetRoom(store::DiskRoom{rng_.Below(kReserve), 10 * kReserve});
    world_.In(Trouble(), [&node] { node.disk().SetRoom(std::nullopt); });
  }
}

void Chaos::Slow(Node& node, Fault fault) {
  if (fault == Fault::kSlowNet) {
    world_.network().SetSlowness(kSlowness);
    world_.In(Trouble(), [this] { world_.network().SetSlowness(1); });
  } else {
    node.disk().SetSlowness(kSlowness);
    world_.In(Trouble(), [&node] { node.disk().SetSlowness(1); });
  }
}

}  // namespace baiwan::sim
