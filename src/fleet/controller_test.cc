// The controller with a crew of the test's own: what is begun, reported, ended and saved.
#include "fleet/controller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "base/testing/temp_folder.h"

namespace baiwan::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kWorkers = {"worker-000", "worker-001"};

class FakeActivity : public Activity {
 public:
  FakeActivity(std::vector<HostReport> reports, std::vector<HostReport> late, bool ends,
               int* ended_early)
      : reports_(std::move(reports)),
        late_(std::move(late)),
        ends_(ends),
        ended_early_(ended_early) {}
  ~FakeActivity() override { *ended_early_ += ends_ ? 0 : 1; }
  std::vector<HostReport> Poll() override {
    return std::exchange(polls_++ == kLate ? late_ : reports_, {});
  }
  bool ended() override { return ends_; }

 private:
  static constexpr int kLate = 5;

  int polls_ = 0;
  std::vector<HostReport> reports_;
  std::vector<HostReport> late_;
  const bool ends_;
  int* ended_early_;
};

class FakeCrew : public Crew {
 public:
  std::unique_ptr<Activity> Begin(Step step, const std::vector<std::string>& hosts,
                                  std::optional<Nanos> left) override {
    if (step == Step::kUp) left_for_up.push_back(left);
    std::vector<HostReport> reports;
    std::vector<HostReport> reports_late;
    for (const std::string& host : hosts) {
      const std::string key = std::string(NameOf(step)) + " " + host;
      const int attempt = ++begun[key];
      if (silent.count(key) > 0 && attempt == 1) continue;
      HostReport report{host, std::nullopt};
      if (fails.count(key) > 0 && attempt <= fails[key]) {
        report.failure = Failure{"no route", "", "", false};
      }
      (late.count(key) > 0 ? reports_late : reports).push_back(report);
    }
    const bool hangs = hangs_at && step == *hangs_at && !std::exchange(hung_, true);
    if (hangs && !hangs_after_reports) reports.clear();
    return std::make_unique<FakeActivity>(std::move(reports), std::move(reports_late), !hangs,
                                          &ended_early);
  }
  Nanos LimitOf(Step) override { return limit; }
  std::vector<Gone> LookForLost() override { return look ? look() : std::exchange(gone, {}); }

  std::map<std::string, int> begun;
  std::map<std::string, int> fails;   // how many of the first attempts
  std::map<std::string, int> silent;  // says nothing of this host the first time
  std::set<std::string> late;         // told after the others; where it hangs
  std::optional<Step> hangs_at;       // the first time
  bool hangs_after_reports = false;
  std::vector<Gone> gone;                   // once
  std::function<std::vector<Gone>()> look;  // instead of it
  int ended_early = 0;
  std::vector<std::optional<Nanos>> left_for_up;
  Nanos limit = 60 * kSecond;

 private:
  bool hung_ = false;
};

class FleetControllerTest : public ::testing::Test {
 protected:
  FleetControllerTest() {
    journey_.retry_after_ms = 1;
    options_.file = temp_.path() + "/journey.json";
    options_.look = kMillisecond;
  }
  void Run() { ASSERT_EQ(RunJourney(&journey_, crew_, SystemClock(), options_), std::nullopt); }
  Journey Saved() { return *LoadJourney(options_.file); }

  const TempFolder temp_;
  Journey journey_ = NewJourney("r", kWorkers, 1);
  FakeCrew crew_;
  ControllerOptions options_;
};

TEST_F(FleetControllerTest, EveryStepIsCarriedOutOnItsHostsAndSaved) {
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
  EXPECT_TRUE(Saved() == journey_);
  for (const auto& [what, times] : crew_.begun) EXPECT_EQ(times, 1) << what;
  EXPECT_EQ(crew_.begun.size(), 3u + 2 * 2 + 7 * 3);
}

TEST_F(FleetControllerTest, APartEndsBeforeTheNextOneBelongsToSomebodyElse) {
  options_.last = Step::kUp;
  Run();
  EXPECT_EQ(CurrentStep(journey_), Step::kDeploy);
  EXPECT_EQ(crew_.begun.count("deploy control"), 0u);
  options_.first = Step::kDeploy;
  options_.last = Step::kReport;
  Run();
  EXPECT_EQ(CurrentStep(journey_), Step::kDown);
  EXPECT_EQ(crew_.begun.count("down control"), 0u);
  options_.first = options_.last = Step::kDown;
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
}

TEST_F(FleetControllerTest, WhatBelongsToSomebodyElseIsNotBegun) {
  options_.first = Step::kDeploy;
  Run();
  EXPECT_THAT(crew_.begun, IsEmpty());
  EXPECT_EQ(CurrentStep(journey_), Step::kPlan);
}

TEST_F(FleetControllerTest, AHostThatFailsIsTriedAgainWithoutTheOthers) {
  crew_.fails["import worker-001"] = 2;
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
  EXPECT_EQ(crew_.begun["import worker-001"], 3);
  EXPECT_EQ(crew_.begun["import worker-000"], 1);
}

TEST_F(FleetControllerTest, AHostOfWhichNothingIsSaidHasFailed) {
  crew_.silent["start worker-000"] = 1;
  Run();
  EXPECT_EQ(crew_.begun["start worker-000"], 2);
  EXPECT_EQ(journey_.Find(Step::kStart, "worker-000")->failure.why,
            "nothing was said about this host");
}

TEST_F(FleetControllerTest, AStepThatTakesTooLongIsEndedAndTriedAgain) {
  crew_.hangs_at = Step::kCollect;
  crew_.limit = 500 * kMillisecond;
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
  EXPECT_EQ(crew_.ended_early, 1);
  EXPECT_EQ(crew_.begun["collect control"], 2);
  EXPECT_THAT(journey_.Find(Step::kCollect, "control")->failure.why, HasSubstr("not done within"));
}

TEST_F(FleetControllerTest, GivingUpEndsWhatIsUnderWay) {
  crew_.hangs_at = Step::kImport;
  options_.stop = [this] {
    if (crew_.begun.count("import worker-000") > 0) journey_.deadline_ms = 1;
    return false;
  };
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kFailed);
  EXPECT_EQ(crew_.ended_early, 1);
  EXPECT_EQ(crew_.begun["down worker-001"], 1);
  EXPECT_EQ(crew_.begun.count("start worker-001"), 0u);
}

// worker-001's results come, or are waited for no longer than the step's limit.
TEST_F(FleetControllerTest, GivingUpLetsWhatCleansUpGoOnWithinItsLimit) {
  for (const bool comes : {false, true}) {
    Journey journey = NewJourney("r", kWorkers, 1);
    journey.max_attempts = 1;
    FakeCrew crew;
    crew.fails["collect worker-000"] = 1;
    if (comes) crew.late.insert("collect worker-001");
    if (!comes) crew.silent["collect worker-001"] = 1;
    crew.hangs_at = Step::kCollect;
    crew.hangs_after_reports = true;
    if (!comes) crew.limit = 500 * kMillisecond;
    const Nanos until = SystemClock().Monotonic() + 10 * kSecond;
    options_.stop = [until] { return SystemClock().Monotonic() > until; };
    ASSERT_EQ(RunJourney(&journey, crew, SystemClock(), options_), std::nullopt);
    EXPECT_EQ(OutcomeOf(journey), Outcome::kFailed);
    EXPECT_THAT(journey.gave_up, HasSubstr("collect failed on worker-000"));
    EXPECT_EQ(crew.begun["down worker-001"], 1);
    EXPECT_EQ(journey.Find(Step::kCollect, "worker-001")->state,
              comes ? State::kDone : State::kFailed);
  }
}

TEST_F(FleetControllerTest, ALossThatMeansGivingUpEndsWhatIsUnderWay) {
  crew_.hangs_at = Step::kRun;
  crew_.hangs_after_reports = true;
  crew_.fails["run worker-000"] = 1;   // whereupon it is looked for those that are gone
  crew_.silent["run worker-001"] = 1;  // and plays on
  crew_.gone = {{"worker-000", false, "the host is missing"}};
  const Nanos until = SystemClock().Monotonic() + 10 * kSecond;
  std::optional<int> ended_before_stop;
  options_.stop = [&] {
    if (!ended_before_stop && crew_.begun["stop worker-001"] > 0) {
      ended_before_stop = crew_.ended_early;
    }
    return SystemClock().Monotonic() > until;
  };
  Run();
  EXPECT_THAT(journey_.gave_up, HasSubstr("worker-000 was lost with its store"));
  EXPECT_EQ(ended_before_stop, 1);
  EXPECT_EQ(crew_.begun["stop worker-001"], 1);
  EXPECT_EQ(crew_.begun["down worker-001"], 1);
}

TEST_F(FleetControllerTest, AHostThatIsLostWithItsDiskKeptIsBroughtUpAgain) {
  crew_.fails["run worker-001"] = 1;
  crew_.gone = {{"worker-001", true, "the host is ended"}};
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
  EXPECT_EQ(crew_.begun["up worker-001"], 2);
  EXPECT_EQ(crew_.begun["start worker-001"], 2);
  EXPECT_EQ(crew_.begun["run worker-001"], 2);
  EXPECT_EQ(crew_.begun["up worker-000"], 1);
  EXPECT_EQ(crew_.begun["import worker-001"], 1);
}

TEST_F(FleetControllerTest, OneThatIsMadeAnewIsGivenWhatIsLeftUntilTheDeadline) {
  const auto wall = static_cast<std::int64_t>(SystemClock().WallMillis());
  journey_.deadline_ms = wall + 3'600'000;
  crew_.fails["run worker-001"] = 1;
  crew_.gone = {{"worker-001", true, "the host is ended"}};
  options_.stop = [&] {
    if (crew_.begun.count("run worker-001") > 0) journey_.deadline_ms = wall + 600'000;
    return false;
  };
  Run();
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
  ASSERT_EQ(crew_.left_for_up.size(), 2U);
  EXPECT_GT(*crew_.left_for_up[0], 3'540 * kSecond);
  EXPECT_LE(*crew_.left_for_up[0], 3'600 * kSecond);
  EXPECT_GT(*crew_.left_for_up[1], 540 * kSecond);
  EXPECT_LE(*crew_.left_for_up[1], 600 * kSecond);
}

// The load clients of worker-000 wait for worker-001, where nothing is under way any more.
TEST_F(FleetControllerTest, OneThatIsLostAfterItsOwnPartIsMissedAsWell) {
  crew_.hangs_at = Step::kRun;
  crew_.hangs_after_reports = true;
  crew_.silent["run worker-000"] = 1;
  options_.look_for_lost = kMillisecond;
  const auto back = [this] { return crew_.begun["start worker-001"] == 2; };
  crew_.look = [&]() -> std::vector<Crew::Gone> {
    const bool played = journey_.Find(Step::kRun, "worker-001")->state == State::kDone;
    if (!played || crew_.begun["up worker-001"] == 2) return {};
    return {{"worker-001", true, "the host is ended"}};
  };
  const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
  options_.stop = [&] { return back() || SystemClock().Monotonic() > until; };
  Run();
  EXPECT_EQ(crew_.begun["up worker-001"], 2);
  EXPECT_TRUE(back());
  EXPECT_EQ(journey_.Find(Step::kRun, "worker-000")->state, State::kUnderWay);
  EXPECT_EQ(crew_.begun["run worker-001"], 1);
}

TEST_F(FleetControllerTest, OneThatIsMissingFromASingleLookIsNotTakenForLost) {
  options_.look_for_lost = kMillisecond;
  int looks = 0;
  crew_.look = [&]() -> std::vector<Crew::Gone> {
    if (++looks % 2 == 0) return {};
    return {{"worker-001", false, "the host is missing"}};
  };
  Run();
  EXPECT_GT(looks, 4);
  EXPECT_EQ(OutcomeOf(journey_), Outcome::kVerified);
}

TEST_F(FleetControllerTest, OneThatIsLostBesideAnotherBeginsItsStepAnewToo) {
  for (const Step step : {Step::kDeploy, Step::kImport, Step::kStart, Step::kRun}) {
    Journey journey = NewJourney("r", kWorkers, 1);
    journey.retry_after_ms = 1;
    FakeCrew crew;
    const std::string on = std::string(NameOf(step)) + " ";
    crew.fails[on + "worker-000"] = 1;   // told before anything is known of the other
    crew.silent[on + "worker-001"] = 1;  // and goes on with nobody to tell of it
    crew.hangs_at = step;
    crew.hangs_after_reports = true;
    crew.gone = {{"worker-000", true, "the host is ended"}, {"worker-001", true, "likewise"}};
    const Nanos until = SystemClock().Monotonic() + 10 * kSecond;
    options_.stop = [until] { return SystemClock().Monotonic() > until; };
    ASSERT_EQ(RunJourney(&journey, crew, SystemClock(), options_), std::nullopt);
    EXPECT_EQ(OutcomeOf(journey), Outcome::kVerified) << NameOf(step);
    EXPECT_EQ(crew.begun["up worker-001"], 2) << NameOf(step);
    EXPECT_EQ(crew.begun[on + "worker-001"], 2) << NameOf(step);
  }
}

TEST_F(FleetControllerTest, OneThatIsAskedToStopLeavesWhatIsUnderWayToTheNext) {
  crew_.hangs_at = Step::kImport;
  options_.stop = [this] { return crew_.begun.count("import worker-000") > 0; };
  Run();
  EXPECT_EQ(Saved().Find(Step::kImport, "worker-000")->state, State::kUnderWay);
  Journey next = Saved();
  Interrupted(&next, 1);
  options_.stop = nullptr;
  ASSERT_EQ(RunJourney(&next, crew_, SystemClock(), options_), std::nullopt);
  EXPECT_EQ(OutcomeOf(next), Outcome::kVerified);
  EXPECT_EQ(crew_.begun["deploy worker-000"], 1);
}

TEST_F(FleetControllerTest, NothingIsBegunThatCannotBeSaved) {
  options_.file = temp_.path() + "/no/such/folder/journey.json";
  EXPECT_THAT(*RunJourney(&journey_, crew_, SystemClock(), options_), HasSubstr("/no/such/folder"));
  EXPECT_THAT(crew_.begun, IsEmpty());
}

}  // namespace
}  // namespace baiwan::fleet
