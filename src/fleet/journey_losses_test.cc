// What a journey does about hosts that cannot be reached, or are lost: what it waits for, how long,
// and what it tells of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/journey.h"
#include "fleet/journey_timeline.h"
#include "fleet/plan.h"
#include "fleet/progress.h"
#include "fleet/status.h"

namespace baiwan::fleet {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kWorker = "worker-001";

class JourneyLossesTest : public ::testing::Test {
 protected:
  // Users play on both workers since `now_`.
  JourneyLossesTest() {
    for (int step = 0; step < static_cast<int>(Step::kRun); ++step) All(static_cast<Step>(step));
    EXPECT_TRUE(Begin(&journey_, Step::kRun, "worker-000", now_));
    EXPECT_TRUE(Begin(&journey_, Step::kRun, kWorker, now_));
  }
  void All(Step step) {
    for (const Task& task : std::vector<Task>(journey_.of(step))) {
      EXPECT_TRUE(Begin(&journey_, step, task.host, now_));
      EXPECT_TRUE(Done(&journey_, step, task.host, now_));
    }
  }
  void Cut(bool was_reached) {
    Failure failure{"cannot be reached over ssh: no route", "ssh", "", false};
    failure.cut = true;
    failure.reached = was_reached;
    EXPECT_TRUE(Fail(&journey_, Step::kRun, kWorker, failure, now_));
  }
  // True: it is tried again, after as long as it takes.
  bool Again() {
    for (int turn = 0; turn < 100; ++turn) {
      const Action action = Next(&journey_, now_);
      if (!journey_.gave_up.empty()) return false;
      if (action.kind == Action::kDo) {
        EXPECT_EQ(action.hosts, std::vector<std::string>{kWorker});
        return Begin(&journey_, Step::kRun, kWorker, now_);
      }
      now_ = std::max(now_ + 100, action.until_ms);
    }
    return false;
  }
  const Task& Run() const { return *journey_.Find(Step::kRun, kWorker); }
  std::vector<std::string> Hosts() const {
    std::vector<std::string> said;
    for (const stress::TimelineEvent& event : journey_.events) {
      if (event.kind == stress::kHostEvent) said.push_back(event.what);
    }
    return said;
  }

  std::int64_t now_ = 1'000'000;
  Journey journey_ = NewJourney("night-7", {"worker-000", kWorker}, now_);
};

TEST_F(JourneyLossesTest, AHostThatIsCutOffForLessThanTheLimitEndsNothing) {
  const std::int64_t cut_at = now_ += 60'000;
  now_ += 15'000;
  Cut(true);
  while (now_ < cut_at + 200'000) {
    ASSERT_TRUE(Again());
    now_ += 10'000;
    Cut(false);
  }
  ASSERT_TRUE(Again());
  const std::int64_t reached_at = now_;
  EXPECT_EQ(Run().attempts, 1u) << "none of it was one";
  now_ += 31'000;
  EXPECT_EQ(Next(&journey_, now_).kind, Action::kWait);
  ASSERT_EQ(journey_.events.size(), 1u);
  const stress::TimelineEvent& cut = journey_.events[0];
  EXPECT_EQ(cut.at_ms, cut_at);
  EXPECT_EQ(cut.until_ms, reached_at);
  EXPECT_EQ(cut.what, "cut off during run: cannot be reached over ssh: no route; reached again");
  EXPECT_TRUE(Done(&journey_, Step::kRun, kWorker, now_));
  EXPECT_TRUE(journey_.gave_up.empty());
}

TEST_F(JourneyLossesTest, AnotherCutHasItsWholeTimeAgain) {
  for (int i = 0; i < 5; ++i) {
    now_ += 100'000;
    Cut(true);
    ASSERT_TRUE(Again());
    now_ += 10'000;
    Cut(false);
    ASSERT_TRUE(Again());
  }
  EXPECT_TRUE(journey_.gave_up.empty());
  EXPECT_EQ(journey_.events.size(), 5u);
}

TEST_F(JourneyLossesTest, BeyondTheLimitItGivesUpAndNamesIt) {
  Cut(true);
  int tries = 0;
  while (Again() && ++tries < 100) {
    now_ += 10'000;
    Cut(false);
  }
  EXPECT_THAT(journey_.gave_up, HasSubstr("run failed on worker-001"));
  EXPECT_THAT(journey_.gave_up, HasSubstr("and limits.cut is 300 s"));
  EXPECT_GE(tries, 25);
  EXPECT_THAT(Hosts(), Contains(HasSubstr("cut off during run")));
  EXPECT_EQ(journey_.events.back().kind, stress::kEndEvent);
  // What is left to do is not waited for so long: it is tried as often as anything else.
  for (int turn = 0; turn < 1000 && CurrentStep(journey_); ++turn) {
    const Action action = Next(&journey_, now_);
    if (action.kind == Action::kWait) now_ = std::max(now_ + 1, action.until_ms);
    for (const std::string& host : action.hosts) {
      ASSERT_TRUE(Begin(&journey_, action.step, host, now_));
      now_ += 100;
      Failure failure{"no route", "ssh", "", false};
      failure.cut = true;
      if (host == kWorker && action.step != Step::kDown) {
        ASSERT_TRUE(Fail(&journey_, action.step, host, failure, now_));
      } else {
        ASSERT_TRUE(Done(&journey_, action.step, host, now_));
      }
    }
  }
  EXPECT_EQ(journey_.Find(Step::kCollect, kWorker)->attempts, journey_.max_attempts);
  EXPECT_EQ(journey_.Find(Step::kReport, kControl)->state, State::kDone) << "a report is left";
  EXPECT_THAT(HostsLeft(journey_), IsEmpty());
}

TEST_F(JourneyLossesTest, ARealFailureStillCountsAsAnAttempt) {
  Cut(true);
  ASSERT_TRUE(Again());
  EXPECT_TRUE(Fail(&journey_, Step::kRun, kWorker, {"it ended with 3", "", "", false}, now_ += 50));
  EXPECT_EQ(Run().attempts, 1u);
  EXPECT_EQ(Run().cut_ms, 0) << "who fails can be reached";
  EXPECT_THAT(Hosts().back(), HasSubstr("run failed (attempt 1 of 3): it ended with 3"));
}

TEST_F(JourneyLossesTest, AHostThatIsMadeAgainIsToldAndHasItsLimit) {
  ASSERT_TRUE(HostLost(&journey_, kWorker, true, "the host is ended", now_ += 1000));
  const std::int64_t lost_at = now_;
  ASSERT_EQ(Next(&journey_, now_ += 2000).step, Step::kUp);
  ASSERT_TRUE(Begin(&journey_, Step::kUp, kWorker, now_));
  Journey other = journey_;
  ASSERT_TRUE(Done(&journey_, Step::kUp, kWorker, now_ += 5000));
  EXPECT_THAT(journey_.events, ElementsAre(stress::TimelineEvent{
                                   lost_at, lost_at + 7000, stress::kHostEvent, kWorker,
                                   "lost: the host is ended; made again", true}));
  Next(&other, lost_at + 599'000);
  EXPECT_TRUE(other.gave_up.empty());
  Next(&other, lost_at + 601'000);
  EXPECT_THAT(other.gave_up, HasSubstr("limits.host_back is 600 s"));
}

TEST_F(JourneyLossesTest, AHostThatIsGoneIsNotCutOffAnyMore) {
  Cut(true);
  ASSERT_TRUE(HostLost(&journey_, kWorker, true, "the host is ended", now_ += 1000));
  EXPECT_EQ(Run().cut_ms, 0);
  EXPECT_FALSE(Run().failure.cut);
  EXPECT_EQ(Run().attempts, 1u);
  EXPECT_THAT(Hosts(), ElementsAre("lost: the host is ended"));
}

TEST_F(JourneyLossesTest, WhatIsKnownOfLossesIsKept) {
  Cut(true);
  journey_.cut_limit_ms = 1234;
  journey_.back_limit_ms = 4321;
  const auto found = JourneyFromJson(ToJson(journey_));
  ASSERT_TRUE(found.ok()) << found.error();
  EXPECT_EQ(*found, journey_);
}

TEST_F(JourneyLossesTest, OperatorsAreToldOnceThatItIsCutAndOnceThatItIsOver) {
  Progress progress;
  progress.News(journey_, now_);
  now_ += 20'000;
  Cut(true);
  EXPECT_THAT(progress.News(journey_, now_),
              ElementsAre("worker-001: cut off during run, tried again for 300 s (limits.cut): "
                          "cannot be reached over ssh: no route\n"));
  ASSERT_TRUE(Again());
  Cut(false);
  EXPECT_THAT(progress.News(journey_, now_), IsEmpty());
  ASSERT_TRUE(Again());
  EXPECT_TRUE(Done(&journey_, Step::kRun, kWorker, now_ += 50'000));
  EXPECT_THAT(progress.News(journey_, now_), ElementsAre(HasSubstr("; reached again")));
}

TEST_F(JourneyLossesTest, TheTimelineHasStepsAndWhatWentWrong) {
  now_ += 20'000;
  Cut(true);
  journey_.notices.push_back({now_, "steal", false, "steal over 10 %", {kWorker}, {"34 %"}});
  GiveUp(&journey_, "the operator has enough", now_ += 1000);
  stress::Timeline timeline;
  AddJourney(journey_, &timeline);
  std::vector<std::string> steps;
  std::string all;
  for (const stress::TimelineEvent& event : timeline.Take()) {
    if (event.kind == stress::kStepEvent) steps.push_back(event.who);
    all += event.who + ": " + event.what + "\n";
  }
  EXPECT_THAT(steps, ElementsAre("plan", "package", "up", "deploy", "import", "start", "run"));
  EXPECT_THAT(all, HasSubstr("run: 0 of 2 hosts, failed\n"));
  EXPECT_THAT(all, HasSubstr("worker-001: cut off during run"));
  EXPECT_THAT(all, HasSubstr(": steal over 10 %: worker-001 34 %\n"));
  EXPECT_THAT(all, HasSubstr(": the operator has enough\n"));
}

TEST(JourneyEvents, AreBounded) {
  Journey journey = NewJourney("night-7", {kWorker}, 1);
  journey.max_attempts = 10'000;
  journey.retry_after_ms = 0;
  for (std::int64_t now = 1; now < 2000; ++now) {
    ASSERT_TRUE(Begin(&journey, Step::kPlan, kControl, now));
    ASSERT_TRUE(Fail(&journey, Step::kPlan, kControl, {"no", "", "", false}, now));
  }
  EXPECT_EQ(journey.events.size(), kMaxEvents);
  EXPECT_EQ(journey.events.back().what, "there is more than is told here");
}

}  // namespace
}  // namespace baiwan::fleet
