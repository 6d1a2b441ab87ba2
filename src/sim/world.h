// A world of many nodes in one process, in virtual time, from one seed.
//
//   World world(seed);
//   Node& server = world.AddNode("server", [](Node& n) { return std::make_unique<Server>(n); });
//   Node& client = world.AddNode("client", …);
//   world.Crash(server);
//   world.Restart(server, 50 * kMillisecond);
//   ASSERT_EQ(world.RunUntil([&] { return done; }, 10 * kSecond), Ran::kHolds) << world.Describe();
//
// The same seed and the same program give the same run, event for event: trace().hash() says so.
// Roles run on a node unchanged, over its NodeContext and its Kv; what is not allowed in them (a
// clock, a thread, the order of pointers or of an unordered container) shows as a hash that
// differs.
//
// Threads: one. Failure: every run is bounded in virtual time and in events; a run that reaches the
// bound of events says kEvents (a livelock, or a scenario too large).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/network.h"
#include "sim/node.h"
#include "sim/timeline.h"

namespace baiwan::sim {

struct WorldOptions {
  NodeOptions node;
  std::uint64_t max_events = 20'000'000;  // in the whole life of the world
  std::size_t trace_keep = 300;           // events that Describe shows
  // A node that dies by itself is started again after this long, as a supervisor would; 0: never.
  Nanos min_restart = 0;
  Nanos max_restart = 0;
};

enum class Ran : std::uint8_t {
  kHolds,   // the predicate holds
  kTime,    // the time is over
  kEvents,  // WorldOptions::max_events
  kIdle,    // nothing will ever happen again
};
const char* Name(Ran ran);

class World {
 public:
  explicit World(std::uint64_t seed, const WorldOptions& options = {});
  ~World();

  std::uint64_t seed() const { return timeline_.seed(); }
  Nanos now() const { return timeline_.now(); }
  Timeline& timeline() { return timeline_; }
  Network& network() { return network_; }
  const Trace& trace() { return timeline_.trace(); }
  // For the scenario's own choices.
  Rng& rng() { return rng_; }

  // Boots at once. The node has the address 10.0.0.(1 + id), its id being its place in nodes().
  Node& AddNode(std::string name, Node::BootFn boot);
  // The same with a disk or a clock that differs from the others'.
  Node& AddNode(std::string name, const NodeOptions& options, Node::BootFn boot);
  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }

  // ---- fate; all may be called at any time, also from inside a node
  void Crash(Node& node, CrashMode mode = CrashMode::kProcess);
  // Boots the node after `after`, unless it is up by then.
  void Restart(Node& node, Nanos after);
  void Pause(Node& node, Nanos how_long);
  void At(Nanos when, std::function<void()> action) { timeline_.At(when, std::move(action)); }
  void In(Nanos delay, std::function<void()> action) { timeline_.In(delay, std::move(action)); }

  // ---- running
  Ran RunFor(Nanos how_long);
  // Until `holds`, asked after every event, or the limit.
  Ran RunUntil(const std::function<bool()>& holds, Nanos limit);

  // The seed and the last events: what a failed test should print.
  std::string Describe();

 private:
  Timeline timeline_;
  const WorldOptions options_;
  Rng rng_;
  Network network_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace baiwan::sim
