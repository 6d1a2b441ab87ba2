// The sign of life on the host itself; that on others goes over ssh, which the journey's test has.
#include "fleet/pulse.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/testing/temp_folder.h"

namespace baiwan::fleet {
namespace {

namespace fs = std::filesystem;

bool BeatsWithin(Pulse* pulse, const std::string& file, Nanos within) {
  const Nanos until = SystemClock().Monotonic() + within;
  while (!fs::exists(file) && SystemClock().Monotonic() < until) {
    pulse->Beat(false);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fs::exists(file);
}

TEST(FleetPulse, ItBeatsAgainAndAgainAndNotAtAllWhereNobodyListens) {
  const TempFolder temp;
  const std::string file = temp.path() + "/heartbeat";
  Pulse pulse({300 * kMillisecond, file, "", "", {}, temp.path()});
  for (int beat = 0; beat < 3; ++beat) {
    EXPECT_TRUE(BeatsWithin(&pulse, file, 10 * kSecond)) << beat;
    fs::remove(file);
  }
  Pulse none({0, file, "", "", {}, temp.path()});
  EXPECT_FALSE(BeatsWithin(&none, file, 500 * kMillisecond));
}

}  // namespace
}  // namespace baiwan::fleet
