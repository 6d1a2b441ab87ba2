// An operator's session, with a provider and a control host of the test's own: scripts, which write
// down that they were called.
#include "cli/fleet/session.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "base/testing/temp_folder.h"
#include "cli/args.h"
#include "cli/fleet/known_runs.h"
#include "stress/result.h"

namespace baiwan::cli {
namespace {

using fleet::Journey;
using fleet::Step;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

// Everything before `end` is done.
Journey JourneyAt(Step end) {
  Journey journey = fleet::NewJourney("a", {"worker-000", "worker-001"}, 1);
  journey.retry_after_ms = 1;
  for (std::size_t i = 0; i < static_cast<std::size_t>(end); ++i) {
    const auto step = static_cast<Step>(i);
    for (const fleet::Task& task : std::vector<fleet::Task>(journey.of(step))) {
      EXPECT_TRUE(fleet::Begin(&journey, step, task.host, 1));
      EXPECT_TRUE(fleet::Done(&journey, step, task.host, 2));
    }
  }
  return journey;
}

class FleetSessionTest : public ::testing::Test {
 protected:
  FleetSessionTest() {
    fs::create_directories(run_ + "/package");
    fs::create_directories(at_ + "/deploy/providers/own");
    fs::create_directories(at_ + "/home/report");
    Write("deploy/bootstrap.sh", "");
    Write("calls", "");
    Program("deploy/providers/own/provider",
            "echo $1 >>$at/calls; touch $at/$1.sh; . $at/$1.sh\n"
            "[ $1 != describe ] || cat $at/describe.json\n");
    Program(
        "ssh",
        "case $1 in *bootstrap.sh*) what=bootstrap; cat >/dev/null;; *' follow '*) what=follow;;\n"
        "  *' top '*) what=top;; *) what=fetch; cd $at/home;; esac\n"
        "echo $what >>$at/calls; touch $at/$what.sh; . $at/$what.sh\n");
    Write("fetch.sh", "tar -cz report");
    Write(
        "describe.json",
        fmt::format(
            R"({{"hosts": [{{"name": "control", "state": "running", "ssh": ["{}/ssh"]}}]}})", at_));
    fleet::FleetPlan plan;
    plan.run = "a";
    plan.provider = "own";
    plan.hosts.count = 2;
    Write("runs/a/plan.toml", fleet::WritePlan(plan));
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_EQ(ReplaceFile(at_ + "/" + name, text), std::nullopt);
  }
  void Program(const std::string& name, const std::string& script) {
    Write(name, "#!/bin/sh\nat=" + at_ + "\n" + script);
    fs::permissions(at_ + "/" + name, fs::perms::owner_all);
  }
  // What the control host tells of the journey, to who follows it.
  std::string Tells(const Journey& journey) {
    std::string line = fleet::ToJson(journey);
    std::replace(line.begin(), line.end(), '\n', ' ');
    const std::string file = fmt::format("told-{}", ++told_);
    Write(file, line + "\n");
    return fmt::format("cat $at/{}\n", file);
  }

  int Go(int (Session::*what)(), const Journey& from, Step until = Step::kDown) {
    std::ofstream(run_ + "/journey.json") << fleet::ToJson(from);
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    SessionOptions options;
    options.runs = runs_;
    options.run = "a";
    options.known_runs = at_ + "/known";
    options.until = until;
    options.deploy = at_ + "/deploy";
    options.hand_over_again = options.fetch_again = kMillisecond;
    const int code = (Session(options).*what)();
    std::fflush(stdout);
    out_ = ::testing::internal::GetCapturedStdout();
    err_ = ::testing::internal::GetCapturedStderr();
    return code;
  }
  // What was asked of the provider and of the control host, in order.
  std::vector<std::string> Calls() const {
    const std::string text = *ReadFile(at_ + "/calls");
    std::vector<std::string> calls;
    for (std::size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
      calls.push_back(text.substr(at, end - at));
    }
    return calls;
  }
  Journey Kept() const { return *fleet::LoadJourney(run_ + "/journey.json"); }
  // Where the journey's file is written, before it takes the place of the last one.
  std::string Beside(const std::string& pid) const { return run_ + "/journey.json.new." + pid; }

  const TempFolder temp_;
  const std::string at_ = temp_.path();
  const std::string run_ = at_ + "/runs/a";
  std::string runs_ = at_ + "/runs";
  std::string out_;
  std::string err_;

 private:
  int told_ = 0;
};

TEST_F(FleetSessionTest, FromDeployOnItFollowsFetchesAndDestroys) {
  Write("follow.sh", Tells(JourneyAt(Step::kDown)));
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy)), kDone) << err_;
  EXPECT_THAT(err_, HasSubstr("verified, and everything is destroyed"));
  EXPECT_EQ(fleet::OutcomeOf(Kept()), fleet::Outcome::kVerified);
  for (const char* what : {"bootstrap", "follow", "fetch", "down"}) {
    EXPECT_THAT(Calls(), Contains(what).Times(1));
  }
  EXPECT_THAT(Calls(), Each(Not("up")));
}

TEST_F(FleetSessionTest, WhereTheJourneyCannotBeKeptNothingIsSaidToBeDone) {
  fs::create_directories(Beside(std::to_string(::getpid())));
  for (const Step step : {Step::kUp, Step::kDown}) {
    EXPECT_EQ(Go(&Session::GoOn, JourneyAt(step)), kUsage) << err_;
    EXPECT_THAT(err_, HasSubstr("cannot write")) << fleet::NameOf(step);
    EXPECT_THAT(err_, HasSubstr("`baiwan fleet resume a` goes on")) << fleet::NameOf(step);
  }
  EXPECT_EQ(Go(&Session::Down, JourneyAt(Step::kDown)), kUsage) << err_;
  EXPECT_THAT(err_, HasSubstr("hosts that may be there: worker-000, worker-001, control"));
  EXPECT_THAT(Calls(), Each(Not("up")));
  EXPECT_THAT(Calls(), Each(Not("down")));
}

TEST_F(FleetSessionTest, WhereTheJourneyCannotBeKeptAnyMoreWhileItFollowsItEnds) {
  Write("follow.sh",
        "mkdir " + Beside("$PPID") + "\n" + Tells(JourneyAt(Step::kImport)) + "sleep 30\n");
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy)), kUsage) << err_;
  EXPECT_THAT(err_, HasSubstr("the run goes on without you"));
  EXPECT_THAT(Calls(), Each(Not("down")));
}

TEST_F(FleetSessionTest, WhereItCannotFollowItEnds) {
  fs::create_directories(run_ + "/tools/follow.in/x");
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy)), kUsage) << err_;
  EXPECT_THAT(err_, HasSubstr("follow.in"));
  EXPECT_THAT(Calls(), Each(Not("down")));
}

TEST_F(FleetSessionTest, AsFarAsWasAskedForIsEnough) {
  Write("follow.sh", Tells(JourneyAt(Step::kStart)));
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kUp), Step::kUp), kDone) << err_;
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy), Step::kImport), kDone) << err_;
  EXPECT_THAT(Calls(), Each(Not("down")));
}

TEST_F(FleetSessionTest, AttachSaysWhereThereIsNothingToFollowYet) {
  EXPECT_EQ(Go(&Session::Attach, JourneyAt(Step::kUp), Step::kReport), kUsage);
  EXPECT_THAT(err_, HasSubstr("not yet the control host's"));
}

TEST_F(FleetSessionTest, AttachSaysWhereNothingWasHandedOverYet) {
  Write("fetch.sh", "exit 1");
  Write("follow.sh", "sleep 30");
  EXPECT_EQ(Go(&Session::Attach, JourneyAt(Step::kDeploy), Step::kReport), kUsage);
  EXPECT_THAT(err_, HasSubstr("the run is at deploy, not yet the control host's"));
  EXPECT_THAT(err_, HasSubstr("`baiwan fleet resume a` does"));
  EXPECT_THAT(Calls(), Each(Not("follow")));
  Write("fetch.sh", "echo no route to host >&2; exit 255");
  EXPECT_EQ(Go(&Session::Attach, JourneyAt(Step::kDeploy), Step::kReport), kUsage);
  EXPECT_THAT(err_, HasSubstr("the control host cannot be reached: no route to host"));
  EXPECT_THAT(Calls(), Each(Not("follow")));
}

TEST_F(FleetSessionTest, DownIsDoneWhenEverythingIsDestroyedWhateverBecameOfTheRun) {
  for (const Step step : {Step::kUp, Step::kImport, Step::kVerify}) {
    Journey journey = JourneyAt(step);
    const std::string host = journey.of(step).front().host;
    ASSERT_TRUE(fleet::Begin(&journey, step, host, 3));
    ASSERT_TRUE(fleet::Fail(&journey, step, host, {"no", "", "", false}, 4));
    EXPECT_EQ(Go(&Session::Down, journey), kDone) << err_;
    EXPECT_THAT(err_, HasSubstr("everything is destroyed"));
    EXPECT_THAT(err_, HasSubstr("it was ended by its operator"));
    EXPECT_EQ(fleet::OutcomeOf(Kept()), fleet::Outcome::kFailed);
    // The same once more.
    EXPECT_EQ(Go(&Session::Down, Kept()), kDone) << err_;
  }
  EXPECT_THAT(Calls(), Contains("down").Times(3));
}

TEST_F(FleetSessionTest, ARunWhoseControlHostIsLostLeavesAReportOfWhatIsKnown) {
  Write("describe.json", R"({"hosts": [{"name": "control", "state": "ended"}]})");
  Journey journey = JourneyAt(Step::kRun);
  ASSERT_TRUE(fleet::Begin(&journey, Step::kRun, "worker-000", 3));
  EXPECT_EQ(Go(&Session::Down, journey), kDone) << err_;
  const auto result = stress::ReadResult(run_ + "/report/result.json");
  ASSERT_TRUE(result.ok()) << result.error();
  EXPECT_EQ(result->exit_code, 2);
  EXPECT_THAT(result->problems.at(0), HasSubstr("after the control host had gone: it is ended"));
  EXPECT_EQ(result->messages.sent, 300'000U);
  std::vector<std::string> steps;
  for (const stress::TimelineEvent& event : result->timeline) {
    if (event.kind == stress::kStepEvent) steps.push_back(event.who);
  }
  EXPECT_THAT(steps, Contains("run"));
  EXPECT_THAT(*ReadFile(run_ + "/report/report.html"), HasSubstr("What happened"));
  // One that was refused before anything was made has nothing to report.
  fs::remove_all(run_ + "/report");
  EXPECT_EQ(Go(&Session::Down, JourneyAt(Step::kUp)), kDone) << err_;
  EXPECT_FALSE(fs::exists(run_ + "/report"));
}

TEST_F(FleetSessionTest, ARunIsFoundByItsNameAndDestroyedEvenWithoutItsFolder) {
  const std::string plan = *ReadFile(run_ + "/plan.toml");
  const std::string known = at_ + "/known";
  ASSERT_EQ(Remember(known, {"a", run_, plan, false}), std::nullopt);
  runs_ = "";  // nobody says where
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown)), kDone) << err_;
  EXPECT_THAT(Calls(), Contains("down").Times(1));
  EXPECT_TRUE(KnownRuns(known).at(0).destroyed);
  // Another one of that name, of which something is left.
  const std::string other = at_ + "/elsewhere/a";
  ASSERT_EQ(Remember(known, {"a", other, plan, false}), std::nullopt);
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown)), kUsage);
  EXPECT_THAT(err_, HasSubstr("the folder " + other + " is gone"));
  EXPECT_THAT(err_, HasSubstr("`baiwan fleet down a` destroys its hosts"));
  EXPECT_THAT(Calls(), Contains("down").Times(1));
  EXPECT_EQ(Go(&Session::Down, JourneyAt(Step::kDown)), kDone) << err_;
  EXPECT_THAT(err_, HasSubstr("everything is destroyed"));
  EXPECT_THAT(Calls(), Contains("down").Times(2));
  // Of several with hosts it has to be said which.
  for (const char* folder : {"/b/a", "/c/a"}) {
    ASSERT_EQ(Remember(known, {"a", at_ + folder, plan, false}), std::nullopt);
  }
  EXPECT_EQ(Go(&Session::Down, JourneyAt(Step::kDown)), kUsage);
  EXPECT_THAT(err_, HasSubstr("several runs are called a"));
  EXPECT_THAT(err_, HasSubstr("--runs " + at_ + "/c\n"));
  EXPECT_THAT(Calls(), Contains("down").Times(2));
}

TEST_F(FleetSessionTest, AFetchThatFailsIsTriedAgain) {
  Write("fetch.sh", "[ $(grep -c fetch $at/calls) -ge 3 ] || exit 1; tar -cz report");
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown)), kDone) << err_;
  EXPECT_THAT(Calls(), Contains("fetch").Times(3));
  EXPECT_THAT(Calls(), Contains("down").Times(1));
  EXPECT_TRUE(fs::exists(run_ + "/report"));
}

TEST_F(FleetSessionTest, WhatCannotBeFetchedIsNotDestroyedUnlessThatIsAskedFor) {
  Write("fetch.sh", "exit 1");
  for (const Step step : {Step::kReport, Step::kDown}) {
    EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown), step), kUsage);
    EXPECT_THAT(err_, HasSubstr("its report is still on the control host"));
    EXPECT_THAT(err_, Not(HasSubstr("broken off")));
  }
  EXPECT_THAT(Calls(), Each(Not("down")));
  EXPECT_EQ(Go(&Session::Down, JourneyAt(Step::kDown)), kDone) << err_;
  EXPECT_THAT(Calls(), Contains("down").Times(1));
}

TEST_F(FleetSessionTest, AMismatchIsStillOneWhenItsReportIsFetchedLater) {
  Journey journey = JourneyAt(Step::kVerify);
  for (const fleet::Task& task : std::vector<fleet::Task>(journey.of(Step::kVerify))) {
    ASSERT_TRUE(fleet::Begin(&journey, Step::kVerify, task.host, 3));
    ASSERT_TRUE(fleet::Fail(&journey, Step::kVerify, task.host, {"lost", "", "", true}, 4));
  }
  for (fleet::Action next; (next = fleet::Next(&journey, 5)).step != Step::kDown;) {
    for (const std::string& host : next.hosts) {
      ASSERT_TRUE(fleet::Begin(&journey, next.step, host, 5));
      ASSERT_TRUE(fleet::Done(&journey, next.step, host, 6));
    }
  }
  Write("home/report/result.json", R"({"exit_code": 1})");
  Write("fetch.sh", "exit 1");
  EXPECT_EQ(Go(&Session::GoOn, journey), kUsage);
  EXPECT_THAT(Calls(), Each(Not("down")));
  Write("fetch.sh", "tar -cz report");
  EXPECT_EQ(Go(&Session::GoOn, Kept()), kMismatch) << err_;
  EXPECT_THAT(Calls(), Contains("down").Times(1));
}

TEST_F(FleetSessionTest, WhereTheControlHostIsGoneTheRestIsDestroyed) {
  Write("describe.json", R"({"hosts": [{"name": "control", "state": "ended"}]})");
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown)), kDone) << err_;
  EXPECT_THAT(err_, HasSubstr("no report could be fetched from the control host: it is ended"));
  EXPECT_THAT(Calls(), Contains("down").Times(1));
}

TEST_F(FleetSessionTest, AttachLeavesAloneWhatASessionWorksWith) {
  Write("follow.sh", Tells(JourneyAt(Step::kRun)) + "sleep 0.3\n" + Tells(JourneyAt(Step::kDown)));
  const std::vector<std::string> names = {"describe.in", "describe.out", "follow.in",
                                          "follow.out",  "top.in",       "top.out"};
  fs::create_directories(run_ + "/tools");
  for (const std::string& name : names) Write("runs/a/tools/" + name, "a session's");
  EXPECT_EQ(Go(&Session::Attach, JourneyAt(Step::kImport), Step::kReport), kDone) << err_;
  EXPECT_THAT(err_, HasSubstr("report    done"));
  for (const std::string& name : names)
    EXPECT_EQ(*ReadFile(run_ + "/tools/" + name), "a session's");
  const auto left =
      std::distance(fs::directory_iterator(run_ + "/tools"), fs::directory_iterator());
  EXPECT_EQ(left, static_cast<std::ptrdiff_t>(names.size()));
}

TEST_F(FleetSessionTest, ItIsOverWhenTheJourneySaysSo) {
  Write("follow.sh", "[ $(grep -c follow $at/calls) -gt 1 ] || { " +
                         Tells(JourneyAt(Step::kImport)) + "exit 0; }\n" +
                         Tells(JourneyAt(Step::kDown)));
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy)), kDone) << err_;
  EXPECT_THAT(err_, HasSubstr("verified, and everything is destroyed"));
  EXPECT_THAT(Calls(), Contains("follow").Times(2));
  EXPECT_THAT(Calls(), Contains("down").Times(1));
}

TEST_F(FleetSessionTest, DownThatHasFailedIsTriedAgainWheneverItIsAskedFor) {
  Write("down.sh", "[ -e $at/mended ] || exit 1");
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown)), kUsage);
  EXPECT_THAT(err_, HasSubstr("STILL THERE: worker-000, worker-001, control"));
  EXPECT_THAT(Calls(), Contains("down").Times(3));
  EXPECT_EQ(Go(&Session::Down, Kept()), kUsage);
  EXPECT_THAT(Calls(), Contains("down").Times(6));
  Write("mended", "");
  EXPECT_EQ(Go(&Session::Down, Kept()), kDone) << err_;
  EXPECT_THAT(err_, Not(HasSubstr("STILL THERE")));
  EXPECT_THAT(Calls(), Contains("down").Times(7));
  EXPECT_EQ(Go(&Session::Down, Kept()), kDone) << err_;
  EXPECT_THAT(Calls(), Contains("down").Times(7));
}

TEST_F(FleetSessionTest, AWorkerThatIsMadeAnewIsTheControlHostsBusiness) {
  Journey lost = JourneyAt(Step::kRun);
  ASSERT_TRUE(fleet::HostLost(&lost, "worker-001", true, "it is ended", 3));
  ASSERT_TRUE(fleet::Begin(&lost, Step::kUp, "worker-001", 4));
  Write("follow.sh", Tells(JourneyAt(Step::kDown)));
  EXPECT_EQ(Go(&Session::Attach, lost, Step::kReport), kDone) << err_;
  EXPECT_THAT(err_, HasSubstr("report    done"));
  EXPECT_EQ(Go(&Session::GoOn, lost), kDone) << err_;
  EXPECT_THAT(Calls(), Contains("follow").Times(2));
  EXPECT_THAT(Calls(), Each(Not("up")));
}

TEST_F(FleetSessionTest, WhatTheControlHostWorksOnIsNotDestroyedWhereItTakesNothingNew) {
  Journey journey = JourneyAt(Step::kDeploy);
  ASSERT_TRUE(fleet::Begin(&journey, Step::kDeploy, "control", 3));
  Write("bootstrap.sh", "exit 1");
  EXPECT_EQ(Go(&Session::GoOn, journey), kUsage);
  EXPECT_THAT(err_, HasSubstr("The run goes on there"));
  EXPECT_THAT(Calls(), Contains("bootstrap").Times(3));
  EXPECT_THAT(Calls(), Each(Not("down")));
}

// Ctrl-C, when a script asks for it by a file. To the thread that has the session: other tests may
// have left others, to which it would be the end of this process.
class CtrlC {
 public:
  explicit CtrlC(const std::string& file)
      : file_(file), thread_([this, whom = ::pthread_self()] {
          for (; !over_; std::this_thread::sleep_for(std::chrono::milliseconds(2))) {
            if (!fs::exists(file_)) continue;
            ::pthread_kill(whom, SIGINT);
            fs::remove(file_);
          }
        }) {}
  ~CtrlC() {
    over_ = true;
    thread_.join();
  }
  std::string Script() const {
    return fmt::format("touch {0}; while [ -e {0} ]; do sleep 0.01; done\n", file_);
  }

 private:
  const std::string file_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

TEST_F(FleetSessionTest, WhoLeavesIsToldWhetherItGoesOn) {
  const CtrlC ctrl_c(at_ + "/leave");
  const std::string interrupt = ctrl_c.Script() + "sleep 30";
  const std::string hosts =
      " was broken off; hosts that may be there: worker-000, worker-001, control";
  Write("up.sh", interrupt);
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kUp)), kDeadline);
  EXPECT_THAT(err_, HasSubstr("up" + hosts));
  EXPECT_THAT(err_, Not(HasSubstr("goes on without you")));
  Write("describe.sh", ctrl_c.Script() + "exit 1");
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy)), kDeadline);
  EXPECT_THAT(err_, HasSubstr("deploy" + hosts));
  Write("describe.sh", "");
  Write("down.sh", interrupt);
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDown)), kDeadline);
  EXPECT_THAT(err_, HasSubstr("down" + hosts));
  Write("follow.sh", Tells(JourneyAt(Step::kDeploy)) + interrupt);
  EXPECT_EQ(Go(&Session::GoOn, JourneyAt(Step::kDeploy)), kDeadline);
  EXPECT_THAT(err_, HasSubstr("the run goes on without you"));
  EXPECT_EQ(Go(&Session::Attach, JourneyAt(Step::kDeploy), Step::kReport), kDeadline);
  EXPECT_THAT(err_, HasSubstr("the run goes on without you"));
}

}  // namespace
}  // namespace baiwan::cli
