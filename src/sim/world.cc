#include "sim/world.h"

#include <fmt/format.h>

#include <utility>

namespace baiwan::sim {

namespace {

constexpr std::uint64_t kPurpose = 0x776F'726C'6400'0000;

}  // namespace

const char* Name(Ran ran) {
  switch (ran) {
    case Ran::kHolds:
      return "it holds";
    case Ran::kTime:
      return "out of time";
    case Ran::kEvents:
      return "out of events";
    case Ran::kIdle:
      return "nothing left to happen";
  }
  return "?";
}

World::World(std::uint64_t seed, const WorldOptions& options)
    : timeline_(seed, options.trace_keep),
      options_(options),
      rng_(timeline_.RngFor(kPurpose)),
      network_(timeline_, options.node.network) {}

World::~World() {
  for (auto& node : nodes_) node->OnDeath(nullptr);
}

Node& World::AddNode(std::string name, Node::BootFn boot) {
  return AddNode(std::move(name), options_.node, std::move(boot));
}

Node& World::AddNode(std::string name, const NodeOptions& options, Node::BootFn boot) {
  const auto id = static_cast<NodeId>(nodes_.size());
  network_.AddHost(id, fmt::format("10.0.{}.{}", id / 250, 1 + id % 250));
  nodes_.push_back(
      std::make_unique<Node>(timeline_, network_, id, std::move(name), options, std::move(boot)));
  Node& node = *nodes_.back();
  if (options_.max_restart > 0) {
    node.OnDeath([this, &node] {
      Restart(node, Between(rng_, options_.min_restart, options_.max_restart));
    });
  }
  node.Boot();
  return node;
}

void World::Crash(Node& node, CrashMode mode) { node.Crash(mode); }

void World::Restart(Node& node, Nanos after) {
  timeline_.In(after, [&node] { node.Boot(); });
}

void World::Pause(Node& node, Nanos how_long) {
  if (!node.up()) return;
  timeline_.NoteLine(node.id(), What::kFault, fmt::format("paused for {} ns", how_long));
  node.loop().Pause();
  const std::uint64_t life = node.lives();
  timeline_.In(how_long, [&node, life] {
    if (node.up() && node.lives() == life) node.loop().Resume();
  });
}

Ran World::RunFor(Nanos how_long) {
  return RunUntil([] { return false; }, how_long);
}

Ran World::RunUntil(const std::function<bool()>& holds, Nanos limit) {
  const Nanos end = now() + limit;
  for (;;) {
    if (holds()) return Ran::kHolds;
    if (timeline_.empty()) {
      timeline_.SkipTo(end);
      return Ran::kIdle;
    }
    if (timeline_.next_at() > end) {
      timeline_.SkipTo(end);
      return Ran::kTime;
    }
    if (timeline_.steps() >= options_.max_events) return Ran::kEvents;
    timeline_.Step();
  }
}

std::string World::Describe() {
  std::vector<std::string> names;
  for (const auto& node : nodes_) names.push_back(node->name());
  return fmt::format("seed {} at {:.6f} s after {} events, trace {:016x}; the last of them:\n{}",
                     seed(), static_cast<double>(now()) / kSecond, timeline_.steps(),
                     trace().hash(), timeline_.trace().Describe(names));
}

}  // namespace baiwan::sim
