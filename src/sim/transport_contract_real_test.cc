// The contract of sim/transport_contract.h on the machine's own sockets, over
// loopback.
#include <vector>

#include "net/transport.h"
#include "sim/transport_contract.h"

namespace baiwan::sim {
namespace {

// Both sides on one loop of the machine's, over loopback.
class RealPair final : public Pair {
 public:
  explicit RealPair(std::unique_ptr<net::RealLoop> loop) : loop_(std::move(loop)) {}
  Loop& loop(int) override { return *loop_; }
  Transport& transport(int) override { return loop_->transport(); }
  Endpoint ListenAddress() override { return {"127.0.0.1", 0}; }
  bool RunUntil(const std::function<bool()>& holds) override {
    const Nanos end = SystemClock().Monotonic() + 20 * kSecond;
    while (!holds()) {
      if (SystemClock().Monotonic() > end) return false;
      loop_->RunOnce(10 * kMillisecond);
    }
    return true;
  }
  void RunFor(Nanos how_long) override {
    const Nanos end = SystemClock().Monotonic() + how_long;
    while (SystemClock().Monotonic() < end) loop_->RunOnce(kMillisecond);
  }
  std::size_t MoreThanKernelsHold() override { return 24 << 20; }

 private:
  const std::unique_ptr<net::RealLoop> loop_;
};

std::vector<Kind> RealKinds() {
  const auto make = [](net::Backend backend) -> std::unique_ptr<Pair> {
    net::LoopOptions options;
    options.backend = backend;
    auto loop = net::RealLoop::Create(options);
    return loop.ok() ? std::make_unique<RealPair>(std::move(*loop)) : nullptr;
  };
  return {{"Epoll", [make] { return make(net::Backend::kEpoll); }},
          {"IoUring", [make] { return make(net::Backend::kIoUring); }}};
}

INSTANTIATE_TEST_SUITE_P(Real, TransportContract, ::testing::ValuesIn(RealKinds()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace baiwan::sim
