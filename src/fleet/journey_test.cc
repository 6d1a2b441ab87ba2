#include "fleet/journey.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "fleet/plan.h"
#include "fleet/progress.h"
#include "fleet/status.h"

namespace baiwan::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::vector<std::string> kWorkers = {"worker-000", "worker-001", "worker-002"};

// Carries a journey out. Everything goes well, unless `fails` says otherwise; the controller can
// be killed before any of its changes, and then goes on from what it has saved.
class Controller {
 public:
  Journey journey = NewJourney("night-7", kWorkers, 1000);
  std::function<bool(Step, const std::string&, int attempt)> fails = [](Step, const std::string&,
                                                                        int) { return false; };
  std::map<std::string, int> worked;  // how often a step was carried out to its end, by "step host"
  int changes = 0;
  int killed_at = -1;
  std::int64_t now = 1000;

  // False if it was killed.
  bool Run() {
    for (int turn = 0; turn < 1000; ++turn) {
      const Action action = Next(&journey, now);
      if (action.kind == Action::kEnded) return Save();
      if (action.kind == Action::kWait) {
        EXPECT_GT(action.until_ms, now) << "nothing is under way, and nothing is to be waited for";
        now = action.until_ms;
        continue;
      }
      for (const std::string& host : action.hosts) {
        EXPECT_TRUE(Begin(&journey, action.step, host, now));
      }
      if (!Save()) return false;
      for (const std::string& host : action.hosts) {
        now += 100;
        const std::string key = std::string(NameOf(action.step)) + " " + host;
        if (fails(action.step, host, ++tried_[key])) {
          EXPECT_TRUE(Fail(&journey, action.step, host, {"no route", "ssh x", "a\nb\n"}, now));
        } else {
          ++worked[key];
          EXPECT_TRUE(Done(&journey, action.step, host, now));
        }
        if (!Save()) return false;
      }
    }
    ADD_FAILURE() << "it does not come to an end";
    return true;
  }

  // The next controller finds what the last one has saved.
  void TakeOver() {
    const auto found = JourneyFromJson(saved_);
    ASSERT_TRUE(found.ok()) << found.error();
    journey = *found;
    Interrupted(&journey, now);
    killed_at = -1;
  }

 private:
  bool Save() {
    if (changes++ == killed_at) return false;
    saved_ = ToJson(journey);
    return true;
  }

  std::map<std::string, int> tried_;
  std::string saved_ = ToJson(journey);
};

// Everything before `end`.
void DoUntil(Step end, Journey* journey) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(end); ++i) {
    const auto step = static_cast<Step>(i);
    for (const Task& task : std::vector<Task>(journey->of(step))) {
      ASSERT_TRUE(Begin(journey, step, task.host, 1));
      ASSERT_TRUE(Done(journey, step, task.host, 2));
    }
  }
}

TEST(FleetJourney, WithoutTroubleEveryStepIsDoneOnceInOrder) {
  Controller c;
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kVerified);
  EXPECT_EQ(c.worked.size(), 3u + 2 * 3 + 7 * 4);
  for (const auto& [what, times] : c.worked) EXPECT_EQ(times, 1) << what;
  std::int64_t last = 0;
  for (const auto& tasks : c.journey.steps) {
    for (const Task& task : tasks) {
      EXPECT_GE(task.began_ms, last);
      EXPECT_GT(task.ended_ms, task.began_ms);
    }
    for (const Task& task : tasks) last = std::max(last, task.ended_ms);
  }
  EXPECT_THAT(HostsLeft(c.journey), IsEmpty());
  EXPECT_EQ(c.journey.of(Step::kDown).back().host, "control");  // everything is commanded from it
}

TEST(FleetJourney, KilledAtAnyPointTheNextControllerComesToTheSameEndAndRepeatsNothingSaved) {
  Controller whole;
  ASSERT_TRUE(whole.Run());
  for (int at = 0; at < whole.changes; ++at) {
    Controller c;
    c.killed_at = at;
    ASSERT_FALSE(c.Run()) << at;
    c.TakeOver();
    ASSERT_TRUE(c.Run()) << at;
    EXPECT_EQ(OutcomeOf(c.journey), Outcome::kVerified) << at;
    int repeated = 0;
    for (const auto& [what, times] : c.worked) repeated += times - 1;
    EXPECT_LE(repeated, 1) << at;  // at most the one whose end was not saved any more
    for (const auto& tasks : c.journey.steps) {
      for (const Task& task : tasks) EXPECT_EQ(task.attempts, 1u);
    }
  }
}

TEST(FleetJourney, KilledAtAnyPointAFailingRunEndsTheSameToo) {
  const auto fails = [](Step step, const std::string& host, int) {
    return step == Step::kImport && host == "worker-001";
  };
  Controller whole;
  whole.fails = fails;
  ASSERT_TRUE(whole.Run());
  EXPECT_EQ(OutcomeOf(whole.journey), Outcome::kFailed);
  for (int at = 0; at < whole.changes; ++at) {
    Controller c;
    c.fails = fails;
    c.killed_at = at;
    ASSERT_FALSE(c.Run()) << at;
    c.TakeOver();
    ASSERT_TRUE(c.Run()) << at;
    EXPECT_EQ(c.journey.gave_up, whole.journey.gave_up) << at;
    EXPECT_THAT(HostsLeft(c.journey), IsEmpty()) << at;
  }
}

TEST(FleetJourney, AHostThatFailsIsTriedSoOftenAndThenNamedAndAllIsDestroyed) {
  Controller c;
  c.fails = [](Step step, const std::string& host, int) {
    return step == Step::kDeploy && host == "worker-002";
  };
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kFailed);
  EXPECT_EQ(c.journey.gave_up, "deploy failed on worker-002 after 3 attempts: no route");
  EXPECT_EQ(c.journey.Find(Step::kDeploy, "worker-002")->attempts, 3u);
  EXPECT_EQ(c.worked.count("import worker-000"), 0u);
  EXPECT_EQ(c.worked.count("stop worker-000"), 0u);  // nothing was started
  EXPECT_EQ(c.worked["collect worker-002"], 1);      // its logs say why
  for (const char* host : {"control", "worker-000", "worker-001", "worker-002"}) {
    EXPECT_EQ(c.worked[std::string("down ") + host], 1) << host;
  }
  EXPECT_THAT(HostsLeft(c.journey), IsEmpty());
}

TEST(FleetJourney, WhatFailsAtFirstIsTriedAgainAfterAPauseThatDoubles) {
  Controller c;
  c.fails = [](Step step, const std::string& host, int attempt) {
    return step == Step::kStart && host == "worker-000" && attempt < 3;
  };
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kVerified);
  const Task* task = c.journey.Find(Step::kStart, "worker-000");
  EXPECT_EQ(task->attempts, 3u);
  EXPECT_GE(task->ended_ms - task->began_ms, 2000 + 4000);
  EXPECT_EQ(c.worked["start worker-001"], 1);  // not those that were done
}

TEST(FleetJourney, AMismatchIsCollectedAndReportedBeforeAllIsDestroyed) {
  Journey j = NewJourney("r", kWorkers, 0);
  DoUntil(Step::kVerify, &j);
  ASSERT_TRUE(Begin(&j, Step::kVerify, "control", 3));
  ASSERT_TRUE(Fail(&j, Step::kVerify, "control", {"2 messages lost", "", "", true}, 4));
  for (const Step step : {Step::kCollect, Step::kReport, Step::kDown}) {
    const Action action = Next(&j, 5);
    ASSERT_EQ(action.step, step) << NameOf(action.step);
    for (const std::string& host : action.hosts) {
      ASSERT_TRUE(Begin(&j, step, host, 5));
      ASSERT_TRUE(Done(&j, step, host, 6));
    }
  }
  EXPECT_EQ(Next(&j, 7).kind, Action::kEnded);
  EXPECT_EQ(OutcomeOf(j), Outcome::kFailed);
}

TEST(FleetJourney, AFinalFailureIsNotTriedAgain) {
  Journey j = NewJourney("r", kWorkers, 0);
  ASSERT_TRUE(Begin(&j, Step::kPlan, "control", 1));
  ASSERT_TRUE(Fail(&j, Step::kPlan, "control", {"wrong", "", "", true}, 2));
  EXPECT_EQ(Next(&j, 3).kind, Action::kEnded);
  EXPECT_EQ(OutcomeOf(j), Outcome::kFailed);
  EXPECT_THAT(j.gave_up, HasSubstr("plan failed on control after 1 attempt: wrong"));
  EXPECT_THAT(HostsLeft(j), IsEmpty());
}

TEST(FleetJourney, HostsOfAnInterruptedUpAreLeftToDestroy) {
  Journey j = NewJourney("r", kWorkers, 0);
  for (const Step step : {Step::kPlan, Step::kPackage}) {
    ASSERT_TRUE(Begin(&j, step, "control", 1));
    ASSERT_TRUE(Done(&j, step, "control", 2));
  }
  ASSERT_TRUE(Begin(&j, Step::kUp, "worker-001", 3));
  Interrupted(&j, 4);
  EXPECT_THAT(HostsLeft(j), ElementsAre("worker-001"));
  GiveUp(&j, "asked to", 5);
  const Action action = Next(&j, 6);
  EXPECT_EQ(action.step, Step::kDown);
  EXPECT_THAT(action.hosts, ElementsAre("worker-001"));
}

// What has the run's name where `up` was refused is another operator's.
TEST(FleetJourney, WhereUpWasRefusedAtOnceNothingIsDestroyed) {
  const Failure refused = {"it was made with another folder", "", "", true, true};
  Journey j = NewJourney("r", kWorkers, 0);
  DoUntil(Step::kUp, &j);
  for (const Task& task : std::vector<Task>(j.of(Step::kUp))) {
    ASSERT_TRUE(Begin(&j, Step::kUp, task.host, 3));
  }
  const Journey begun = j;
  for (const Task& task : begun.of(Step::kUp)) {
    ASSERT_TRUE(Fail(&j, Step::kUp, task.host, refused, 4));
  }
  const auto read = JourneyFromJson(ToJson(j));
  ASSERT_TRUE(read.ok()) << read.error();
  j = *read;
  EXPECT_EQ(Next(&j, 5).kind, Action::kEnded);
  EXPECT_EQ(OutcomeOf(j), Outcome::kFailed);
  EXPECT_THAT(HostsLeft(j), IsEmpty());

  // Anything else that an attempt may have come to is destroyed.
  const auto after = [&](const std::function<void(Journey*)>& change) {
    Journey other = begun;
    change(&other);
    if (CurrentStep(other) == Step::kUp) {
      for (const Task& task : std::vector<Task>(other.of(Step::kUp))) {
        Begin(&other, Step::kUp, task.host, 100'000);
        Fail(&other, Step::kUp, task.host, refused, 100'001);
      }
    }
    return Next(&other, 200'000);
  };
  EXPECT_EQ(after([](Journey* other) { Interrupted(other, 4); }).hosts.size(), 4u);
  const auto fails = [](Journey* other) { Fail(other, Step::kUp, "worker-001", {"no route"}, 4); };
  EXPECT_EQ(after(fails).hosts.size(), 4u);
  const auto made = [](Journey* other) { Done(other, Step::kUp, "worker-001", 4); };
  EXPECT_EQ(after(made).step, Step::kDown);
}

TEST(FleetJourney, HostsThatCannotBeDestroyedAreNamed) {
  Controller c;
  c.fails = [](Step step, const std::string& host, int) {
    return step == Step::kDown && host == "worker-001";
  };
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kFailed);
  EXPECT_THAT(HostsLeft(c.journey), ElementsAre("worker-001"));
  EXPECT_THAT(StatusText(c.journey, c.now), HasSubstr("STILL THERE: worker-001"));
  // Asked for once more, they are destroyed once more: only they.
  DestroyAgain(&c.journey);
  EXPECT_EQ(CurrentStep(c.journey), Step::kDown);
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(c.journey.Find(Step::kDown, "worker-001")->attempts, 3u);
  EXPECT_THAT(HostsLeft(c.journey), ElementsAre("worker-001"));
  c.fails = [](Step, const std::string&, int) { return false; };
  DestroyAgain(&c.journey);
  ASSERT_TRUE(c.Run());
  EXPECT_THAT(HostsLeft(c.journey), IsEmpty());
  for (const char* host : {"control", "worker-000", "worker-001", "worker-002"}) {
    EXPECT_EQ(c.worked[std::string("down ") + host], 1) << host;
  }
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kVerified);
}

TEST(FleetJourney, TheFirstReasonIsKeptWhereHostsAreDestroyedAtLast) {
  Controller c;
  c.fails = [](Step step, const std::string& host, int) {
    return (step == Step::kDown && host != "worker-000") ||
           (step == Step::kImport && host == "worker-001");
  };
  ASSERT_TRUE(c.Run());
  EXPECT_THAT(c.journey.gave_up, HasSubstr("; down failed on worker-001 after 3 attempts"));
  EXPECT_THAT(c.journey.gave_up, HasSubstr("; down failed on control after 3 attempts"));
  DestroyAgain(&c.journey);
  EXPECT_EQ(c.journey.gave_up, "import failed on worker-001 after 3 attempts: no route");
  c.fails = [](Step, const std::string&, int) { return false; };
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kFailed);
  EXPECT_THAT(HostsLeft(c.journey), IsEmpty());
}

TEST(FleetJourney, PastTheDeadlineItOnlyDestroys) {
  Controller c;
  c.journey.deadline_ms = 100'000;
  c.fails = [&c](Step step, const std::string& host, int) {
    if (step == Step::kRun && host == "worker-000") c.now = 100'000;
    return false;
  };
  ASSERT_TRUE(c.Run());
  EXPECT_EQ(OutcomeOf(c.journey), Outcome::kFailed);
  EXPECT_THAT(c.journey.gave_up, StartsWith("the deadline passed during "));
  EXPECT_EQ(c.worked.count("stop worker-000"), 0u);
  EXPECT_EQ(c.worked["down worker-000"], 1);
}

TEST(FleetJourney, AHostThatComesBackWithItsDiskIsBroughtUpAndStartedAgain) {
  Journey j = NewJourney("r", kWorkers, 0);
  DoUntil(Step::kRun, &j);
  for (const std::string& host : kWorkers) ASSERT_TRUE(Begin(&j, Step::kRun, host, 3));
  ASSERT_TRUE(HostLost(&j, "worker-001", true, "does not answer", 4));
  ASSERT_TRUE(Done(&j, Step::kRun, "worker-000", 5));
  Action next = Next(&j, 10'000);
  EXPECT_EQ(next.step, Step::kUp);
  EXPECT_THAT(next.hosts, ElementsAre("worker-001"));
  ASSERT_TRUE(Done(&j, Step::kRun, "worker-002", 6));
  for (const Step step : {Step::kUp, Step::kStart, Step::kRun}) {
    next = Next(&j, 10'000);
    EXPECT_EQ(next.step, step);
    EXPECT_THAT(next.hosts, ElementsAre("worker-001"));
    ASSERT_TRUE(Begin(&j, step, "worker-001", 10'000));
    ASSERT_TRUE(Done(&j, step, "worker-001", 10'001));
  }
  EXPECT_EQ(Next(&j, 10'002).step, Step::kStop);
}

TEST(FleetJourney, ItIsTheControlHostsFromDeployOnAlsoWhereAHostIsBroughtUpAgain) {
  Journey j = NewJourney("r", kWorkers, 0);
  DoUntil(Step::kDeploy, &j);
  EXPECT_FALSE(HandedOver(j));
  Journey refused = j;
  GiveUp(&refused, "asked to", 3);
  EXPECT_FALSE(HandedOver(refused));
  ASSERT_TRUE(Begin(&j, Step::kDeploy, kControl, 3));
  EXPECT_TRUE(HandedOver(j));
  Interrupted(&j, 4);
  EXPECT_TRUE(HandedOver(j));
  ASSERT_TRUE(HostLost(&j, "worker-001", false, "terminated", 5));
  EXPECT_EQ(CurrentStep(j), Step::kUp);
  EXPECT_TRUE(HandedOver(j));
}

TEST(FleetJourney, AHostThatComesBackWhenAllHavePlayedIsOnlyBroughtUp) {
  for (const Step lost_in : {Step::kStop, Step::kVerify, Step::kCollect}) {
    Journey j = NewJourney("r", kWorkers, 0);
    DoUntil(lost_in, &j);
    for (const Task& task : std::vector<Task>(j.of(lost_in))) {
      ASSERT_TRUE(Begin(&j, lost_in, task.host, 3));
    }
    // Two of them, one after the other: what is then the current step is not what they were in.
    ASSERT_TRUE(HostLost(&j, "worker-001", true, "does not answer", 4));
    ASSERT_TRUE(HostLost(&j, "worker-002", true, "does not answer", 5));
    ASSERT_TRUE(Done(&j, lost_in, "worker-000", 6));
    ASSERT_TRUE(Done(&j, lost_in, "control", 6));
    for (const Step step : {Step::kUp, lost_in}) {
      const Action next = Next(&j, 10'000);
      EXPECT_EQ(next.step, step) << NameOf(lost_in);
      EXPECT_THAT(next.hosts, ElementsAre("worker-001", "worker-002")) << NameOf(lost_in);
      for (const std::string& host : next.hosts) {
        ASSERT_TRUE(Begin(&j, step, host, 10'000));
        ASSERT_TRUE(Done(&j, step, host, 10'001));
      }
    }
    EXPECT_GT(Next(&j, 10'002).step, lost_in);
  }
}

TEST(FleetJourney, AHostWhoseResultsAreCollectedIsNotMissed) {
  Journey j = NewJourney("r", kWorkers, 0);
  DoUntil(Step::kCollect, &j);
  ASSERT_TRUE(Begin(&j, Step::kCollect, "worker-001", 3));
  ASSERT_TRUE(Done(&j, Step::kCollect, "worker-001", 4));
  const Journey before = j;
  EXPECT_FALSE(HostLost(&j, "worker-001", true, "does not answer", 5));
  EXPECT_TRUE(j == before);
}

TEST(FleetJourney, AHostThatLosesItsStoreEndsTheRun) {
  Journey j = NewJourney("r", kWorkers, 0);
  DoUntil(Step::kRun, &j);
  ASSERT_TRUE(HostLost(&j, "worker-001", false, "terminated", 3));
  EXPECT_EQ(j.gave_up, "worker-001 was lost with its store: terminated");
  EXPECT_EQ(Next(&j, 4).step, Step::kStop);
}

TEST(FleetJourney, AControllerThatDiesAgainAndAgainIsNotFollowedForEver) {
  Journey j = NewJourney("r", kWorkers, 0);
  for (std::uint32_t i = 0; i <= kMaxInterruptions; ++i) {
    EXPECT_EQ(Next(&j, 1).kind, Action::kDo);
    ASSERT_TRUE(Begin(&j, Step::kPlan, "control", 1));
    Interrupted(&j, 2);
  }
  EXPECT_EQ(Next(&j, 3).kind, Action::kEnded);
  EXPECT_THAT(j.gave_up, HasSubstr("the controller ended 21 times"));
}

TEST(FleetJourney, ChangesThatDoNotFitAreRefused) {
  Journey j = NewJourney("r", kWorkers, 0);
  const Journey before = j;
  EXPECT_FALSE(Begin(&j, Step::kUp, "control", 1));  // not its turn
  EXPECT_FALSE(Begin(&j, Step::kPlan, "worker-000", 1));
  EXPECT_FALSE(Done(&j, Step::kPlan, "control", 1));
  EXPECT_FALSE(Fail(&j, Step::kPlan, "control", {}, 1));
  EXPECT_FALSE(HostLost(&j, "worker-000", true, "", 1));
  EXPECT_TRUE(j == before);
  ASSERT_TRUE(Begin(&j, Step::kPlan, "control", 1));
  EXPECT_FALSE(Begin(&j, Step::kPlan, "control", 1));
}

TEST(FleetJourney, ItsFileReadsBackToTheSameAndADamagedOneIsRefused) {
  Controller c;
  c.fails = [](Step step, const std::string&, int) { return step == Step::kRun; };
  ASSERT_TRUE(c.Run());
  const auto read = JourneyFromJson(ToJson(c.journey));
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_TRUE(*read == c.journey);
  const std::string good = ToJson(c.journey);
  for (const char* bad : {"", "{}", "[]", "{\"version\":2}"}) {
    EXPECT_FALSE(JourneyFromJson(bad).ok()) << bad;
  }
  EXPECT_FALSE(JourneyFromJson(good.substr(0, good.size() / 2)).ok());
  std::string odd = good;
  odd.replace(odd.find("\"failed\""), 8, "\"fallen\"");
  EXPECT_THAT(JourneyFromJson(odd).error(), HasSubstr("unknown state 'fallen'"));
}

TEST(FleetStatus, FailuresComeFirstThenALineForEachStep) {
  Controller c;
  c.fails = [](Step step, const std::string& host, int) {
    return step == Step::kDeploy && host == "worker-002";
  };
  ASSERT_TRUE(c.Run());
  const std::string text = StatusText(c.journey, c.now);
  EXPECT_THAT(text, StartsWith("worker-002: deploy failed (attempt 3 of 3): no route\n"
                               "  command: ssh x\n  | a\n  | b\n"));
  EXPECT_THAT(text, HasSubstr("\nup        done          4 of 4          0.4 s\n"));
  EXPECT_THAT(text, HasSubstr("\ndeploy    failed        3 of 4"));
  EXPECT_THAT(text, HasSubstr("   1 failed\n"));
  EXPECT_THAT(text, HasSubstr("\nimport    skipped       0 of 3\n"));
  EXPECT_THAT(text, HasSubstr("\nfailed: deploy failed on worker-002 after 3 attempts"));
}

TEST(FleetStatus, HostsThatFailForTheSameReasonAreNamedTogether) {
  std::vector<std::string> workers;
  workers.reserve(6);
  for (int i = 0; i < 6; ++i) workers.push_back("w-" + std::to_string(i));
  Journey j = NewJourney("r", workers, 0);
  DoUntil(Step::kImport, &j);
  for (const std::string& host : workers) {
    ASSERT_TRUE(Begin(&j, Step::kImport, host, 3));
    ASSERT_TRUE(Fail(&j, Step::kImport, host, {host == "w-5" ? "no disk" : "no route"}, 4));
  }
  EXPECT_THAT(StatusText(j, 5),
              StartsWith("w-0, w-1, w-2, w-3 and 1 others: import failed (attempt 1 of 3): no "
                         "route\nw-5: import failed (attempt 1 of 3): no disk\n"));
}

// What an operator is told while it goes on.
TEST(FleetProgress, EachFailureAndEachSettledStepIsToldOnce) {
  Journey j = NewJourney("r", kWorkers, 0);
  Progress progress;
  EXPECT_THAT(progress.News(j, 1), IsEmpty());
  DoUntil(Step::kImport, &j);
  EXPECT_EQ(progress.News(j, 1).size(), 4u);  // plan, package, up, deploy
  for (const std::string& host : kWorkers) ASSERT_TRUE(Begin(&j, Step::kImport, host, 3));
  ASSERT_TRUE(Fail(&j, Step::kImport, "worker-001", {"no disk"}, 4));
  EXPECT_THAT(progress.News(j, 5), ElementsAre(StartsWith("worker-001: import failed")));
  EXPECT_THAT(progress.News(j, 5), IsEmpty());
  ASSERT_TRUE(Begin(&j, Step::kImport, "worker-001", 6));
  ASSERT_TRUE(Fail(&j, Step::kImport, "worker-001", {"no disk"}, 7));
  EXPECT_EQ(progress.News(j, 8).size(), 1u);  // another attempt
  ASSERT_TRUE(Begin(&j, Step::kImport, "worker-001", 9));
  for (const std::string& host : kWorkers) ASSERT_TRUE(Done(&j, Step::kImport, host, 10));
  EXPECT_THAT(progress.News(j, 11), ElementsAre(StartsWith("import    done")));
  AddNotices(&j.notices, {{9000, "disk", false, "the disk is running out", {"w-1"}, {"7 % free"}}});
  EXPECT_THAT(progress.News(j, 12),
              ElementsAre("warning: the disk is running out\n  w-1 7 % free\n"));
  EXPECT_THAT(progress.News(j, 12), IsEmpty());
  EXPECT_THAT(StatusText(j, 12), HasSubstr("1 warning, 1 going on\n"));
  const auto again = JourneyFromJson(ToJson(j));
  ASSERT_TRUE(again.ok()) << again.error();
  EXPECT_EQ(again->notices, j.notices);
  Progress as_json;
  const auto lines = as_json.NewsAsJson(j);
  EXPECT_THAT(lines, Contains(HasSubstr(R"("event":"notice","hosts":["w-1"],"kind":"disk")")));
  EXPECT_THAT(lines.back(), HasSubstr(R"("step":"import")"));
}

}  // namespace
}  // namespace baiwan::fleet
