// `baiwan fleet test` and the commands that do a part of it: what an operator calls.
#include <filesystem>
#include <memory>

#include "cli/fleet/fleet.h"
#include "cli/fleet/known_runs.h"
#include "cli/fleet/session.h"

namespace baiwan::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 verified (or done so far), 1 mismatch, 2 failed or broken off, "
    "3 left by Ctrl-C, 4 verified, but the load was not as planned (--rate).\n";

void AddRunArgs(Args& args, SessionOptions* o, bool positional) {
  o->known_runs = KnownRunsFolder();
  if (positional) {
    args.Positional("run", &o->run, "the name of the run");
    args.Required("run");
  }
  args.Text("--runs", &o->runs,
            positional ? "folder of the runs' folders; if not given: fleet, else where the run is"
                       : "folder for the runs' folders; if not given: fleet");
  args.Flag("--json", &o->json, "lines of JSON on standard output instead of text");
}

std::optional<std::string> WrongName(const std::string& run) {
  std::string wrong = fleet::WrongRunName(run);
  if (wrong.empty()) return std::nullopt;
  return run + ": " + wrong;
}

struct TestOptions {
  SessionOptions session;
  FleetPlanOptions plan;
  std::string file;
};

int RunTest(TestOptions o) {
  if (!o.file.empty()) {
    auto plan = fleet::ReadPlan(o.file);
    if (!plan) {
      std::fputs(ToText(plan.error()).c_str(), stderr);
      return kUsage;
    }
    // Only its name may be another than the file's.
    const std::string run = o.plan.plan.run;
    o.plan.plan = std::move(*plan);
    if (!run.empty()) o.plan.plan.run = run;
    // Beside the plan; the run goes on from elsewhere.
    const auto beside = std::filesystem::absolute(o.file).parent_path();
    for (auto* path : {&o.plan.plan.service.folder, &o.plan.plan.aws.ssh_config}) {
      if (!path->empty()) *path = (beside / *path).lexically_normal();
    }
  } else if (const auto wrong = FinishPlan(&o.plan)) {
    return Fail(*wrong);
  }
  o.session.run = o.plan.plan.run;
  if (const auto wrong = WrongName(o.session.run)) return Fail(*wrong);
  return Session(o.session).Begin(o.plan.plan);
}

int WithRun(const SessionOptions& o, int (Session::*what)()) {
  if (const auto wrong = WrongName(o.run)) return Fail(*wrong);
  Session session(o);
  return (session.*what)();
}

Command RunCommand(const std::string& name, const std::string& summary, fleet::Step until,
                   int (Session::*what)(), const char* codes = kExitCodes) {
  return {name, summary, "  baiwan fleet " + name + " run-20260131-120000\n" + codes,
          [until, what](Args& args) {
            auto o = std::make_shared<SessionOptions>();
            o->until = until;
            AddRunArgs(args, o.get(), true);
            return [o, what] { return WithRun(*o, what); };
          }};
}

}  // namespace

Command FleetTestCommand() {
  return {"test", "Makes hosts, deploys, loads, runs, verifies every message, reports, destroys.",
          std::string("  baiwan fleet test --provider netns --hosts 4 --users-per-host 1000\n"
                      "  baiwan fleet test --plan full.toml --json\n"
                      "  baiwan fleet test --hosts 4 --until start    # and `resume` later\n") +
              kExitCodes,
          [](Args& args) {
            auto o = std::make_shared<TestOptions>();
            auto until = std::make_shared<std::string>("down");
            FleetPlanArgs(args, &o->plan);
            args.Text("--plan", &o->file, "a plan's file, instead of the values above");
            args.Instead("--plan", kFleetPlanArgs);
            args.Choice("--until", until.get(),
                        {"plan", "package", "up", "deploy", "import", "start", "run", "stop",
                         "verify", "collect", "report", "down"},
                        "stops when this step is done");
            AddRunArgs(args, &o->session, false);
            return [o, until] {
              o->session.until = *fleet::StepNamed(*until);
              return RunTest(*o);
            };
          }};
}

Command FleetResumeCommand() {
  return RunCommand("resume", "Goes on with a run to its end; nothing that is done is repeated.",
                    fleet::Step::kDown, &Session::GoOn);
}

Command FleetStepCommand(const std::string& step, const std::string& summary) {
  return RunCommand(step, summary, *fleet::StepNamed(step), &Session::GoOn);
}

Command FleetAttachCommand() {
  return RunCommand("attach", "Shows live how a run goes on; changes nothing.",
                    fleet::Step::kReport, &Session::Attach);
}

Command FleetDownCommand() {
  return RunCommand(
      "down", "Destroys the hosts of a run, wherever it is, and nothing else.", fleet::Step::kDown,
      &Session::Down,
      "Exit codes: 0 everything is destroyed, whatever became of the run, 2 it is not, "
      "3 left by Ctrl-C.\n");
}

}  // namespace baiwan::cli
