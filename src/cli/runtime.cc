#include "cli/runtime.h"

#include <unistd.h>

#include "base/line_writer.h"
#include "cli/args.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kLook = 50 * kMillisecond;  // how often a stop signal is looked for

}  // namespace

Result<std::unique_ptr<Runtime>, std::string> Runtime::Create(const RuntimeOptions& options) {
  auto loop = net::RealLoop::Create(options.loop);
  if (!loop) return loop.error();
  return std::unique_ptr<Runtime>(new Runtime(options, std::move(*loop)));
}

Runtime::Runtime(const RuntimeOptions& options, std::unique_ptr<net::RealLoop> loop)
    : loop_(std::move(loop)),
      log_(MakeStderrLog(options.name)),
      rng_(Mix(static_cast<std::uint64_t>(SystemClock().Monotonic()),
               static_cast<std::uint64_t>(getpid()), reinterpret_cast<std::uintptr_t>(this))),
      budget_(options.budget_bytes),
      node_{*loop_,
            loop_->transport(),
            SystemClock(),
            rng_,
            options.shared_budget != nullptr ? *options.shared_budget : budget_,
            ProcessFatal(),
            *log_} {
  if (!options.take_signals) return;
  signals_.emplace();
  Look();
}

Runtime::~Runtime() { loop_->Cancel(timer_); }

void Runtime::Look() {
  const int signal = signals_->Wait(0);
  if (signal != 0) {
    if (stopping_ || !on_stop_) {
      log_->Warn("stopped at once by signal {}", signal);
      FlushProcessStderr();
      _exit(128 + signal);
    }
    stopping_ = true;
    if (stop_within_ > 0) {
      loop_->After(stop_within_, [this] {
        log_->Error("did not stop in good order within the deadline; ending now, as a crash would");
        FlushProcessStderr();
        _exit(kDeadline);
      });
    }
    on_stop_();
  }
  timer_ = loop_->After(kLook, [this] { Look(); });
}

}  // namespace baiwan::cli
