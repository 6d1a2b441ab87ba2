#include "cli/runtime.h"

#include <unistd.h>

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
               static_cast<std::uint64_t>(getpid()))),
      budget_(options.budget_bytes),
      node_{*loop_, loop_->transport(), SystemClock(), rng_, budget_, ProcessFatal(), *log_} {
  Look();
}

Runtime::~Runtime() { loop_->Cancel(timer_); }

void Runtime::Look() {
  const int signal = signals_.Wait(0);
  if (signal != 0) {
    if (stopping_ || !on_stop_) {
      log_->Warn("stopped at once by signal {}", signal);
      _exit(128 + signal);
    }
    stopping_ = true;
    on_stop_();
  }
  timer_ = loop_->After(kLook, [this] { Look(); });
}

}  // namespace baiwan::cli
