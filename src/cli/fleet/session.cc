#include "cli/fleet/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/args.h"
#include "cli/fleet/fleet.h"
#include "cli/fleet/known_runs.h"
#include "cli/fleet/report.h"
#include "cli/output.h"
#include "cli/revision.h"
#include "fleet/bill.h"
#include "fleet/plan_check.h"
#include "fleet/status.h"
#include "stress/report.h"
#include "stress/result.h"

namespace baiwan::cli {
namespace {

namespace fs = std::filesystem;
using fleet::Step;

std::int64_t Wall() { return static_cast<std::int64_t>(SystemClock().WallMillis()); }

}  // namespace

// One session at a time changes a run.
class Session::Lock {
 public:
  explicit Lock(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    held_ = fd_ && ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0;
  }
  bool held() const { return held_; }

 private:
  UniqueFd fd_;
  bool held_ = false;
};

Session::Session(SessionOptions options)
    : o_(std::move(options)), show_(plan_, o_.json, [this] { return Board(); }) {
  const fs::path runs = o_.runs.empty() ? kRunsHere : o_.runs;
  folder_ = fs::absolute(runs / o_.run).lexically_normal().string();
  deploy_ = o_.deploy.empty() ? DeployFolder() : o_.deploy;
}

Session::~Session() {
  const bool only_looks = lock_ == nullptr && !tools_.empty();
  if (!only_looks) return;
  show_.Clear();  // ends what writes there
  std::error_code error;
  fs::remove_all(tools_, error);
}

int Session::Wrong(const std::string& sentence) { return Fail(sentence); }

// ---------------------------------------------------------------- the run's folder

int Session::Begin(const fleet::FleetPlan& plan) {
  std::error_code error;
  fs::create_directories(fs::path(folder_).parent_path(), error);
  if (!error && !fs::create_directory(folder_, error) && !error) {
    return Wrong(
        fmt::format("there is a run {} already: `baiwan fleet resume {}` goes on with it; "
                    "choose another name with --run",
                    folder_, o_.run));
  }
  if (error) return Wrong(fmt::format("cannot make {}: {}", folder_, error.message()));
  plan_ = plan;
  std::vector<std::string> workers;
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) workers.push_back(fleet::WorkerName(i));
  journey_ = fleet::NewJourney(plan.run, workers, Wall());
  journey_.max_attempts = plan.limits.attempts;
  journey_.deadline_ms = journey_.began_ms + plan.deadline / kMillisecond;
  journey_.cut_limit_ms = plan.limits.cut / kMillisecond;
  journey_.back_limit_ms = plan.limits.host_back / kMillisecond;
  if (const auto wrong = ReplaceFile(folder_ + "/plan.toml", fleet::WritePlan(plan))) {
    return Wrong(*wrong);
  }
  if (!Save() || !Open(true)) return kUsage;
  Known(false);
  return Carry();
}

void Session::Known(bool destroyed) {
  const auto wrong = Remember(o_.known_runs, {o_.run, folder_, fleet::WritePlan(plan_), destroyed});
  if (!wrong) return;
  std::fprintf(stderr, "baiwan: `baiwan fleet list` will not show this run as it is: %s\n",
               wrong->c_str());
}

// Where it is not here, and nobody has said where.
bool Session::FindFolder() {
  std::error_code error;
  if (!o_.runs.empty() || fs::exists(folder_ + "/plan.toml", error)) return true;
  std::string wrong;
  const auto known = FindRun(o_.known_runs, o_.run, &wrong);
  if (!wrong.empty()) Wrong(wrong);
  if (!known) return wrong.empty();
  folder_ = known->folder;
  if (known->destroyed || fs::exists(folder_ + "/journey.json", error)) return true;
  if (const auto why = MakeFolderAgain(known->plan)) {
    Wrong(*why);
    return false;
  }
  return true;
}

// The run's folder is gone, and its hosts may be there: they can be destroyed, and no more.
std::optional<std::string> Session::MakeFolderAgain(const std::string& text) {
  const std::string gone = fmt::format("the folder {} is gone", folder_);
  if (!only_destroys_) {
    return fmt::format(
        "{}, and with it what is known of the run: `baiwan fleet down {}` destroys "
        "its hosts",
        gone, o_.run);
  }
  const auto plan = fleet::ParsePlan(text, "plan.toml");
  if (!plan) return ToText(plan.error());
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) return fmt::format("cannot make {}: {}", folder_, error.message());
  std::vector<std::string> workers;
  for (std::uint32_t i = 0; i < plan->hosts.count; ++i) workers.push_back(fleet::WorkerName(i));
  fleet::Journey journey = fleet::NewJourney(plan->run, workers, Wall());
  for (const Step step : {Step::kPlan, Step::kPackage, Step::kUp}) {
    for (const fleet::Task& task : std::vector<fleet::Task>(journey.of(step))) {
      fleet::Begin(&journey, step, task.host, Wall());
      if (step != Step::kUp) fleet::Done(&journey, step, task.host, Wall());
    }
  }
  fleet::GiveUp(&journey, gone, Wall());
  if (auto wrong = ReplaceFile(folder_ + "/plan.toml", text)) return wrong;
  return fleet::SaveJourney(folder_ + "/journey.json", journey);
}

bool Session::Open(bool to_change) {
  const auto wrong = [this](const std::string& sentence) {
    Wrong(sentence);
    return false;
  };
  if (deploy_.empty()) {
    return wrong("the folder 'deploy' is neither beside this program nor in its source tree");
  }
  if (!FindFolder()) return false;
  auto plan = fleet::ReadPlan(folder_ + "/plan.toml");
  if (!plan) return wrong(fmt::format("no run {}: {}", folder_, ToText(plan.error())));
  plan_ = std::move(*plan);
  auto journey = fleet::LoadJourney(folder_ + "/journey.json");
  if (!journey) return wrong(journey.error());
  journey_ = std::move(*journey);
  std::string tools = folder_ + "/tools";
  if (!to_change) tools += fmt::format("/attach-{}", ::getpid());
  std::error_code error;
  fs::create_directories(tools, error);
  if (error) return wrong(fmt::format("cannot make {}: {}", tools, error.message()));
  tools_ = tools;
  if (!to_change) return true;
  lock_ = std::make_unique<Lock>(folder_ + "/lock");
  if (!lock_->held()) {
    return wrong(fmt::format("another session works on {}: `baiwan fleet attach {}` shows it",
                             folder_, o_.run));
  }
  return true;
}

bool Session::Save() {
  const auto wrong = fleet::SaveJourney(folder_ + "/journey.json", journey_);
  if (!wrong) return true;
  Wrong(*wrong);
  broke_off_ = true;
  return false;
}

fleet::ProviderAt Session::Provider() const {
  return {fmt::format("{}/providers/{}/provider", deploy_, plan_.provider), tools_,
          folder_ + "/provider"};
}

// ---------------------------------------------------------------- the operator's own steps

std::optional<fleet::Failure> Session::CheckThePlan() {
  fleet::ProviderFacts facts;
  facts.architecture = plan_.hosts.architecture;
  facts.packages = {ThisArchitecture()};
  AddMachineFacts(plan_, &facts);
  const auto answer = fleet::CheckWithProvider(Provider(), plan_, facts);
  if (!answer) return answer.error();
  if (answer->price && answer->price->total > 0) {
    std::fputs(fleet::CostText(*answer->price, "until the deadline it may cost").c_str(), stderr);
  }
  if (!answer->errors.empty()) {
    const std::size_t count = answer->errors.size();
    return fleet::Failure{
        count == 1 ? "the plan has a mistake" : fmt::format("the plan has {} mistakes", count), "",
        ToText(answer->errors), true};
  }
  if (const auto wrong = ReplaceFile(folder_ + "/estimate.json", fleet::ToJson(*answer->price))) {
    return fleet::Failure{*wrong, "", "", false};
  }
  return std::nullopt;
}

// Where the control host has made no report: what is known here. Of a run that was refused before
// anything was made there is nothing to report.
void Session::ReportHere() {
  std::error_code error;
  const bool made = !journey_.of(Step::kUp).empty() && journey_.of(Step::kUp).front().began_ms > 0;
  const char* file = fleet::IsOther(plan_) ? kServiceReport : stress::kResultFile;
  if (!made || fs::exists(folder_ + "/report/" + file, error)) return;
  const auto wrong = fleet::IsOther(plan_) ? MakeServiceReport(plan_, journey_, folder_)
                                           : MakeFleetReport(plan_, journey_, folder_);
  if (wrong) Wrong("no report: " + *wrong);
}

// What it came to, into the result and its report.
void Session::AddTheBill() {
  if (!journey_.gave_up.empty()) ReportHere();
  const auto text = ReadFile(folder_ + "/estimate.json");
  const auto estimate = text ? fleet::CostFromJson(*text)
                             : Result<stress::RunCost, std::string>::Failure(text.error());
  if (!estimate) return;
  const auto cost = fleet::ActualCost(*estimate, journey_);
  if (!cost) return;
  if (cost->total > 0) std::fputs(fleet::CostText(*cost, "it has cost").c_str(), stderr);
  const std::string report = folder_ + "/report";
  auto result = stress::ReadResult(report + "/" + stress::kResultFile);
  if (!result) return;
  result->cost = *cost;
  if (const auto wrong = ReplaceFile(report + "/" + stress::kResultFile, stress::ToJson(*result))) {
    Wrong(*wrong);
    return;
  }
  if (const auto made = stress::WriteReport({.folder = report}); !made) Wrong(made.error());
}

fleet::OperatorCrewOptions Session::Crew() {
  fleet::OperatorCrewOptions crew;
  crew.provider = Provider();
  std::error_code error;
  const std::string program = fs::read_symlink("/proc/self/exe", error).string();
  crew.package = {deploy_ + "/package.sh", program, Revision(), folder_ + "/package"};
  crew.check = [this] { return CheckThePlan(); };
  return crew;
}

// True: went to its end; whatever became of the journey is in it.
bool Session::Mine(Step first, Step last) {
  fleet::OperatorCrew crew(plan_, Crew());
  fleet::ControllerOptions options;
  options.first = first;
  options.last = last;
  options.file = folder_ + "/journey.json";
  options.on_change = [this](const fleet::Journey& journey) { show_.Tell(journey); };
  options.stop = [this] {
    show_.Live(journey_);
    return Stopped();
  };
  if (const auto wrong = fleet::RunJourney(&journey_, crew, SystemClock(), options)) {
    Wrong(*wrong);
    broke_off_ = true;
    return false;
  }
  return !detached_;
}

bool Session::Stopped() {
  if (!detached_ && signals_.Wait(0) != 0) detached_ = true;
  return detached_;
}

bool Session::Theirs() const {
  const auto step = fleet::CurrentStep(journey_);
  return step && (*step > Step::kUp || fleet::HandedOver(journey_)) && *step < Step::kDown;
}

int Session::Carry() {
  fleet::Interrupted(&journey_, Wall());
  if (o_.until == Step::kDown) fleet::DestroyAgain(&journey_);
  if (!Theirs() && !Mine(Step::kPlan, std::min(o_.until, Step::kUp))) return Finish();
  if (Theirs() && o_.until > Step::kUp) {
    if (!HandOver()) return kUsage;
    const bool lost = fleet::CurrentStep(journey_) == Step::kDown;
    if (!lost && !Follow()) return Finish();
  }
  if (o_.until >= Step::kReport && !fleet::HostsLeft(journey_).empty() && !Fetch()) return Finish();
  if (o_.until == Step::kDown && Mine(Step::kDown, Step::kDown)) AddTheBill();
  return Finish();
}

int Session::GoOn() { return Open(true) ? Carry() : kUsage; }

// Where the control host can do nothing more. A deadline that has passed is the better reason.
bool Session::OnlyDestroy(const std::string& why) {
  fleet::Next(&journey_, Wall());
  fleet::GiveUp(&journey_, why, Wall());
  journey_.deadline_ms = 1;
  fleet::Next(&journey_, Wall());
  return Save();
}

int Session::Down() {
  only_destroys_ = true;
  if (!Open(true)) return kUsage;
  fleet::Interrupted(&journey_, Wall());
  fleet::DestroyAgain(&journey_);
  const auto step = fleet::CurrentStep(journey_);
  if (step && *step < Step::kDown) {
    const std::string why = Theirs() ? Reach() : "";
    const std::string before = gone_ ? ", after the control host had gone: " + why : "";
    if (!OnlyDestroy("it was ended by its operator" + before)) return kUsage;
  }
  if (Mine(Step::kDown, Step::kDown)) AddTheBill();
  return Finish();
}

int Session::Attach() {
  if (!Open(false)) return kUsage;
  show_.Tell(journey_);
  if (Theirs()) {
    std::string why = Reach();
    bool there = true;
    if (why.empty() && !fleet::HandedOver(journey_)) why = HasTakenOver(&there);
    if (!why.empty()) return Wrong("the control host cannot be reached: " + why);
    if (there && !Follow() && !detached_) return kUsage;
    if (there) return Finish();
  }
  const auto step = fleet::CurrentStep(journey_);
  if (!step || *step == Step::kDown) return Finish();
  return Wrong(
      fmt::format("the run is at {0}, not yet the control host's: who began it is shown that; if "
                  "nobody goes on with it, `baiwan fleet resume {1}` does",
                  fleet::NameOf(*step), o_.run));
}

// Where it is not as far as was asked for, and nobody has given up.
int Session::LeftOff() {
  const auto step = *fleet::CurrentStep(journey_);
  const bool only_looks = lock_ == nullptr;
  if (only_looks || (Theirs() && (goes_on_ || fleet::HandedOver(journey_)))) {
    std::fprintf(stderr,
                 "baiwan: the run goes on without you. `baiwan fleet attach %s` shows it, `resume` "
                 "also finishes it, `down` ends it\n",
                 o_.run.c_str());
  } else {
    const auto left = fleet::HostsLeft(journey_);
    Wrong(
        fmt::format("{0} was broken off; hosts that may be there: {1}. `baiwan fleet resume {2}` "
                    "goes on, `baiwan fleet down {2}` destroys",
                    fleet::NameOf(step),
                    left.empty() ? "none" : fmt::format("{}", fmt::join(left, ", ")), o_.run));
  }
  return detached_ ? kDeadline : kUsage;
}

int Session::Finish() {
  show_.Clear();
  if (lock_ != nullptr && fleet::OutcomeOf(journey_) == fleet::Outcome::kFailed) ReportHere();
  if (lock_ != nullptr && !fleet::CurrentStep(journey_) && fleet::HostsLeft(journey_).empty()) {
    Known(true);
  }
  const fleet::Outcome outcome = fleet::OutcomeOf(journey_);
  const std::string result = folder_ + "/report/" + stress::kResultFile;
  const auto found = stress::ReadResult(result);
  if (found && outcome != fleet::Outcome::kUnderWay && !o_.json) {
    const bool played = found->messages.stored > 0;  // else there is nothing to count
    Print(fmt::format("\n{}report: {}/report/{}\n", played ? stress::SummaryTable(*found) : "",
                      folder_, stress::kReportFile));
  }
  if (const auto text = ReadFile(folder_ + "/report/" + kServiceReport);
      text && outcome != fleet::Outcome::kUnderWay && !o_.json) {
    Print("\n" + *text);
  }
  if (o_.json) {
    const auto left = fleet::HostsLeft(journey_);
    nlohmann::json end = {{"event", "end"},
                          {"run", journey_.run},
                          {"outcome", outcome == fleet::Outcome::kVerified ? "verified"
                                      : outcome == fleet::Outcome::kFailed ? "failed"
                                                                           : "under way"},
                          {"gave_up", journey_.gave_up},
                          {"hosts_left", left},
                          {"folder", folder_}};
    Print(end.dump() + "\n");
  }
  if (outcome == fleet::Outcome::kVerified) {
    if (!o_.json) std::fprintf(stderr, "verified, and everything is destroyed\n");
    return found && found->exit_code == kNotAsPlanned ? kNotAsPlanned : kDone;
  }
  if (outcome == fleet::Outcome::kUnderWay) {
    if (!detached_ && !unfetched_.empty()) return Wrong(unfetched_);
    const bool enough = !broke_off_ && *fleet::CurrentStep(journey_) > o_.until;
    if (!detached_ && journey_.gave_up.empty()) return enough ? kDone : LeftOff();
    if (!detached_) {
      Wrong(journey_.gave_up + "\n`baiwan fleet down " + o_.run + "` destroys what is left");
      return found && found->exit_code == kMismatch ? kMismatch : kUsage;
    }
    return LeftOff();
  }
  const auto left = fleet::HostsLeft(journey_);
  if (only_destroys_ && left.empty()) {  // what became of the run is another question
    std::fprintf(stderr, "everything is destroyed; the run was not verified: %s\n",
                 journey_.gave_up.c_str());
    return kDone;
  }
  if (!left.empty()) Wrong(fmt::format("STILL THERE: {}", fmt::join(left, ", ")));
  Wrong(journey_.gave_up);
  return found && found->exit_code == kMismatch ? kMismatch : kUsage;
}

}  // namespace baiwan::cli
