#include "cli/fleet/show.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "base/testing/temp_folder.h"

namespace baiwan::cli {
namespace {

// Looks at users who play, for as long as `go_on` says. How often a board was started: `script`.
int Boards(const std::string& script, Nanos again, const std::function<bool(int)>& go_on) {
  fleet::Journey journey = fleet::NewJourney("a", {"worker-000"}, 1);
  for (int i = 0; i < static_cast<int>(fleet::Step::kRun); ++i) {
    for (fleet::Task& task : journey.of(static_cast<fleet::Step>(i))) {
      task.state = fleet::State::kDone;
    }
  }
  const TempFolder folder;
  const fleet::FleetPlan plan;
  int started = 0;
  Show show(
      plan, true,
      [&] {
        ++started;
        auto tool = fleet::Tool::Start({"top", {"sh", "-c", script}, folder.path(), "", false});
        return tool ? std::move(*tool) : nullptr;
      },
      again);
  const Nanos until = SystemClock().Monotonic() + 10 * kSecond;
  while (go_on(started) && SystemClock().Monotonic() < until) {
    show.Live(journey);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return started;
}

TEST(FleetShow, ABoardThatEndsIsStartedAgain) {
  EXPECT_EQ(Boards("exit 1", kMillisecond, [](int started) { return started < 3; }), 3);
}

TEST(FleetShow, ABoardThatHasSaidMuchMakesRoomForAnother) {
  const auto twice = [](int started) { return started < 2; };
  EXPECT_EQ(Boards("head -c 33554432 /dev/zero; sleep 30", kMillisecond, twice), 2);
}

TEST(FleetShow, ABoardIsNotStartedAgainAtOnce) {
  const Nanos until = SystemClock().Monotonic() + 200 * kMillisecond;
  EXPECT_EQ(Boards("exit 1", 5 * kSecond, [&](int) { return SystemClock().Monotonic() < until; }),
            1);
}

}  // namespace
}  // namespace baiwan::cli
