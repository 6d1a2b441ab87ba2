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
  const std::string other = temp.path() + "/other";
  Pulse none({0, other, "", "", {}, temp.path()});
  EXPECT_FALSE(BeatsWithin(&none, other, 500 * kMillisecond));
}

bool Comes(const std::string& file, Nanos within) {
  const Nanos until = SystemClock().Monotonic() + within;
  while (!fs::exists(file) && SystemClock().Monotonic() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return fs::exists(file);
}

// It waits for its provider, or draws a report.
TEST(FleetPulse, AControllerThatIsBusyIsNotTakenForDead) {
  const TempFolder temp;
  const std::string file = temp.path() + "/heartbeat";
  Pulse pulse({300 * kMillisecond, file, "", "", {}, temp.path()});
  pulse.Beat(false);
  for (int beat = 0; beat < 3; ++beat) {
    EXPECT_TRUE(Comes(file, 10 * kSecond)) << beat;
    fs::remove(file);
  }
}

TEST(FleetPulse, AControllerThatStandsStillOrHasNotBegunIs) {
  const TempFolder temp;
  const std::string file = temp.path() + "/heartbeat";
  Pulse pulse({300 * kMillisecond, file, "", "", {}, temp.path(), 500 * kMillisecond});
  EXPECT_FALSE(Comes(file, 300 * kMillisecond));
  pulse.Beat(false);
  EXPECT_TRUE(Comes(file, 10 * kSecond));
  bool comes = true;
  for (int look = 0; look < 20 && comes; ++look) {
    fs::remove(file);
    comes = Comes(file, 500 * kMillisecond);
  }
  EXPECT_FALSE(comes);
}

}  // namespace
}  // namespace baiwan::fleet
