// A simulated machine with one process: it boots, lives, crashes and boots again on its disk.
//
// What runs on it is made by a factory at every boot and thrown away at every crash. A crash is not
// a shutdown: the destructors run (memory has to go somewhere), but the life is over by then, so
// whatever they write, post, commit or close never happens.
//
// Threads: one. Failure: Fatal, and a factory that returns null, end the life as a crash does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/node_context.h"
#include "sim/disk.h"
#include "sim/loop.h"
#include "sim/network.h"
#include "sim/timeline.h"
#include "sim/transport.h"

namespace baiwan::sim {

struct NodeOptions {
  NetworkOptions network;
  DiskOptions disk;
  LoopCosts loop;
  std::uint64_t budget = 256ULL << 20;  // bytes
  int max_skew_ppm = 500;
};

// Whatever a node runs: a role, several, a client.
class Program {
 public:
  virtual ~Program() = default;
  // Asked to end of its own accord; `done` once it has.
  virtual void Stop(std::function<void()> done) { done(); }
};

class Node {
 public:
  using BootFn = std::function<std::unique_ptr<Program>(Node&)>;

  Node(Timeline& timeline, Network& network, NodeId id, std::string name,
       const NodeOptions& options, BootFn boot);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  NodeId id() const { return id_; }
  const std::string& name() const { return name_; }
  const std::string& ip() const { return network_.ip(id_); }
  SimDisk& disk() { return disk_; }
  const SimDisk& disk() const { return disk_; }
  SimClock& clock() { return clock_; }

  // ---- while it is up
  bool up() const { return run_ != nullptr && run_->life->alive; }
  NodeContext& context() { return run_->context; }
  SimKv& kv() { return run_->kv; }
  SimLoop& loop() { return run_->loop; }
  SimTransport& transport() { return run_->transport; }
  // Null once the node is down.
  Program* program() { return up() ? run_->program.get() : nullptr; }
  // Runs in a turn of the node, if it is up then.
  void Post(std::function<void()> work);

  // ---- fate
  void Boot();
  void Crash(CrashMode mode);
  // Asks the program to stop, as SIGTERM does; kills it if it takes too long.
  void Stop();
  // Dies between two steps of a turn, `steps` steps from now.
  void CrashAfter(std::uint64_t steps, CrashMode mode);
  // How many times it has booted, and why it last went down.
  std::uint64_t lives() const { return lives_; }
  const std::string& last_words() const { return last_words_; }
  // Called after every end of a life; a supervisor, say.
  void OnDeath(std::function<void()> on_death) { on_death_ = std::move(on_death); }

 private:
  class LifeFatal;
  class LifeLog;
  struct Run {
    explicit Run(Node& node);
    // What runs goes, while everything that it may touch on its way out is still there.
    void Drop();

    std::shared_ptr<Life> life;
    SimLoop loop;
    SimTransport transport;
    SimKv kv;
    Rng rng;
    Budget budget;
    std::unique_ptr<Fatal> fatal;
    std::unique_ptr<Log> log;
    NodeContext context;
    std::unique_ptr<Program> program;
  };

  void Bury();

  Timeline& timeline_;
  Network& network_;
  const NodeId id_;
  const std::string name_;
  const NodeOptions options_;
  const BootFn boot_;
  Rng rng_;
  SimClock clock_;
  SimDisk disk_;
  std::unique_ptr<Run> run_;
  CrashMode crash_mode_ = CrashMode::kProcess;
  std::uint64_t lives_ = 0;
  std::string last_words_;
  std::function<void()> on_death_;
};

}  // namespace baiwan::sim
