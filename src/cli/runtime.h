// The real world of one loop: loop, clock, randomness, budget, log; as a NodeContext. The first one
// of a process, made in main before any thread, also takes the stop signals, which then come as a
// call on its loop.
//
// Threads: create, run and destroy on one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/node_context.h"
#include "net/transport.h"
#include "supervise/stop_signals.h"

namespace baiwan::cli {

struct RuntimeOptions {
  std::string name;
  std::uint64_t budget_bytes = 2ULL << 30;
  Budget* shared_budget = nullptr;  // of a process with several loops, instead of one of its own
  bool take_signals = true;
  net::LoopOptions loop;
};

class Runtime {
 public:
  // The error is a sentence.
  static Result<std::unique_ptr<Runtime>, std::string> Create(const RuntimeOptions& options);
  ~Runtime();

  NodeContext& node() { return node_; }
  net::RealLoop& loop() { return *loop_; }
  // Called on the loop when SIGINT, SIGTERM or SIGHUP comes; a second signal ends the process.
  void OnStop(std::function<void()> stop) { on_stop_ = std::move(stop); }
  // Ends the process if stopping, once begun, takes longer than this.
  void StopWithin(Nanos deadline) { stop_within_ = deadline; }
  void Run() { loop_->Run(); }

 private:
  Runtime(const RuntimeOptions& options, std::unique_ptr<net::RealLoop> loop);
  void Look();

  std::optional<supervise::StopSignals> signals_;
  std::unique_ptr<net::RealLoop> loop_;
  std::unique_ptr<Log> log_;
  Rng rng_;
  Budget budget_;
  NodeContext node_;
  std::function<void()> on_stop_;
  Nanos stop_within_ = 0;
  bool stopping_ = false;
  TimerId timer_ = 0;
};

}  // namespace baiwan::cli
