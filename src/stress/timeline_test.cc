#include "stress/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "stress/process_timeline.h"

namespace baiwan::stress {
namespace {

using supervise::EventKind;
using supervise::KeptEvent;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Timeline, IsInTheOrderOfTimeAndBounded) {
  Timeline timeline;
  for (int i = 0; i < 100; ++i) {
    timeline.Add({1000 + i, 0, kRestartEvent, "cell-1", "killed", true});
  }
  timeline.Add({5, 0, kRestartEvent, "cell-2", "killed", true});
  const auto events = timeline.Take();
  ASSERT_THAT(events, SizeIs(Timeline::kMostOfOne + 2));
  EXPECT_EQ(events.front().who, "cell-2");
  EXPECT_EQ(events.back().what, "60 more like this");
  EXPECT_EQ(events.back().at_ms, 1000 + static_cast<std::int64_t>(Timeline::kMostOfOne));
  EXPECT_EQ(events.back().until_ms, 1099);
  for (int i = 0; i < 5000; ++i) {
    timeline.Add({i, 0, kHostEvent, "worker-" + std::to_string(i), "lost", true});
  }
  timeline.Add({6000, 7000, kStepEvent, "run", "", false});
  const auto many = timeline.Take();
  EXPECT_THAT(many, SizeIs(Timeline::kMost + 2));  // and what was left out, and the step
  EXPECT_EQ(many.back().who, "run");
}

TEST(Timeline, IsToldAsLines) {
  EXPECT_EQ(TimelineText({{1500, 55'500, kHostEvent, "worker-001", "cut off", true},
                          {2000, 0, kEndEvent, "", "the deadline passed", true}},
                         1000),
            "      0.5 s          54 s  worker-001: cut off\n"
            "      1.0 s                the deadline passed\n");
  EXPECT_EQ(TimelineSpan(400), "0.4 s");
  EXPECT_EQ(TimelineSpan(200'000), "3 min 20 s");
}

class ProcessTimelineTest : public ::testing::Test {
 protected:
  void Take(std::int64_t ms, EventKind kind, const std::string& child, const std::string& text = "",
            bool asked = false, bool success = false) {
    processes_.Take({ms, kind, child, asked, success, text});
  }
  std::vector<TimelineEvent> Events() {
    Timeline timeline;
    processes_.AddTo(&timeline);
    return timeline.Take();
  }

  ProcessTimeline processes_{"worker-003"};
};

TEST_F(ProcessTimelineTest, AKilledProcessIsToldUntilItServesAgain) {
  Take(1, EventKind::kStarted, "cell-1");
  Take(2, EventKind::kReady, "cell-1");
  Take(100, EventKind::kExited, "cell-1", "killed by signal 9 (Killed)");
  Take(101, EventKind::kRestarting, "cell-1");
  Take(200, EventKind::kStarted, "cell-1");
  Take(300, EventKind::kReady, "cell-1");
  Take(400, EventKind::kExited, "cell-1", "exited with code 3");
  Take(401, EventKind::kRestarting, "cell-1");
  EXPECT_THAT(Events(), ElementsAre(TimelineEvent{100, 300, kRestartEvent, "cell-1 on worker-003",
                                                  "killed by signal 9 (Killed)", true},
                                    TimelineEvent{400, 0, kRestartEvent, "cell-1 on worker-003",
                                                  "exited with code 3", true}));
}

TEST_F(ProcessTimelineTest, AnEndThatWasAskedForOrWentWellIsNone) {
  Take(1, EventKind::kStarted, "cell-1");
  Take(100, EventKind::kExited, "cell-1", "exited with code 0", true, true);
  Take(1, EventKind::kStarted, "cell-2");
  Take(100, EventKind::kExited, "cell-2", "killed by signal 15 (Terminated)", true, false);
  Take(1, EventKind::kStarted, "drive-1");
  Take(100, EventKind::kExited, "drive-1", "exited with code 0", false, true);
  EXPECT_THAT(Events(), IsEmpty());
}

TEST_F(ProcessTimelineTest, AProcessThatIsGivenUpOrDoesNotStopIsTold) {
  Take(1, EventKind::kStarted, "cell-1");
  Take(100, EventKind::kExited, "cell-1", "exited with code 2");
  Take(100, EventKind::kGaveUp, "cell-1", "cell-1 is given up: 20 restarts within 60 s");
  Take(1, EventKind::kStarted, "cell-2");
  Take(500, EventKind::kKilled, "cell-2");
  Take(501, EventKind::kExited, "cell-2", "killed by signal 9 (Killed)", true);
  EXPECT_THAT(Events(),
              ElementsAre(Field(&TimelineEvent::what, "exited with code 2"),
                          Field(&TimelineEvent::what, HasSubstr("given up")),
                          Field(&TimelineEvent::what, HasSubstr("did not stop in time"))));
}

TEST_F(ProcessTimelineTest, WhatBeginsAgainWithoutAnEndHasLostItsSupervisor) {
  Take(1, EventKind::kStarted, "cell-1");
  Take(2, EventKind::kReady, "cell-1");
  Take(900, EventKind::kStarted, "cell-1");
  Take(950, EventKind::kReady, "cell-1");
  const auto events = Events();
  ASSERT_THAT(events, SizeIs(1));
  EXPECT_EQ(events[0].at_ms, 900);
  EXPECT_EQ(events[0].until_ms, 950);
  EXPECT_THAT(events[0].what, HasSubstr("began again"));
}

}  // namespace
}  // namespace baiwan::stress
