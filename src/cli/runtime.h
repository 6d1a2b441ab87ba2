// The real world of one process: loop, clock, randomness, budget, log, signals; as a NodeContext.
//
// Make it first in main, before any thread: it blocks the stop signals, which then come as a call
// on the loop. Threads: the main thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/node_context.h"
#include "net/transport.h"
#include "supervise/stop_signals.h"

namespace baiwan::cli {

struct RuntimeOptions {
  std::string name;
  std::uint64_t budget_bytes = 2ULL << 30;
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
  void Run() { loop_->Run(); }

 private:
  Runtime(const RuntimeOptions& options, std::unique_ptr<net::RealLoop> loop);
  void Look();

  supervise::StopSignals signals_;
  std::unique_ptr<net::RealLoop> loop_;
  std::unique_ptr<Log> log_;
  Rng rng_;
  Budget budget_;
  NodeContext node_;
  std::function<void()> on_stop_;
  bool stopping_ = false;
  TimerId timer_ = 0;
};

}  // namespace baiwan::cli
