#include "base/clock.h"

#include <ctime>

namespace baiwan {
namespace {

class RealClock final : public Clock {
 public:
  Nanos Monotonic() const override { return Read(CLOCK_MONOTONIC); }
  std::uint64_t WallMillis() const override {
    return static_cast<std::uint64_t>(Read(CLOCK_REALTIME) / kMillisecond);
  }

 private:
  static Nanos Read(clockid_t which) {
    timespec t{};
    clock_gettime(which, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
  }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

}  // namespace baiwan
