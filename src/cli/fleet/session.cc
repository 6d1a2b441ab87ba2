#include "cli/fleet/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file.h"
#include "base/units.h"
#include "cli/args.h"
#include "cli/fleet/fleet.h"
#include "cli/fleet/report.h"
#include "cli/revision.h"
#include "fleet/bill.h"
#include "fleet/control_crew.h"
#include "fleet/plan_check.h"
#include "fleet/status.h"
#include "stress/report.h"
#include "stress/result.h"

namespace baiwan::cli {
namespace {

namespace fs = std::filesystem;
using fleet::Step;

constexpr const char* kHome = "/var/lib/baiwan/fleet";  // on the control host
constexpr const char* kProgram = "/opt/baiwan/bin/baiwan";
constexpr Nanos kDescribeWithin = 30 * kSecond;
constexpr Nanos kHandOverWithin = 300 * kSecond;
constexpr Nanos kFetchWithin = 600 * kSecond;
constexpr Nanos kSilence = 180 * kSecond;  // of the control host, before it counts as lost
constexpr Nanos kLook = 100 * kMillisecond;
constexpr int kHandOvers = 3;

Nanos Now() { return SystemClock().Monotonic(); }
std::int64_t Wall() { return static_cast<std::int64_t>(SystemClock().WallMillis()); }
void Sleep(Nanos time) { std::this_thread::sleep_for(std::chrono::nanoseconds(time)); }

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
  folder_ = fs::absolute(fs::path(o_.runs) / o_.run).lexically_normal().string();
  deploy_ = DeployFolder();
}

Session::~Session() = default;

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
  if (const auto wrong = ReplaceFile(folder_ + "/plan.toml", fleet::WritePlan(plan))) {
    return Wrong(*wrong);
  }
  if (!Save() || !Open(true)) return kUsage;
  return Carry();
}

bool Session::Open(bool to_change) {
  const auto wrong = [this](const std::string& sentence) {
    Wrong(sentence);
    return false;
  };
  if (deploy_.empty()) {
    return wrong("the folder 'deploy' is neither beside this program nor in its source tree");
  }
  auto plan = fleet::ReadPlan(folder_ + "/plan.toml");
  if (!plan) return wrong(fmt::format("no run {}: {}", folder_, ToText(plan.error())));
  plan_ = std::move(*plan);
  auto journey = fleet::LoadJourney(folder_ + "/journey.json");
  if (!journey) return wrong(journey.error());
  journey_ = std::move(*journey);
  std::error_code error;
  fs::create_directories(folder_ + "/tools", error);
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
  if (wrong) Wrong(*wrong);
  return !wrong;
}

fleet::ProviderAt Session::Provider() const {
  return {fmt::format("{}/providers/{}/provider", deploy_, plan_.provider), folder_ + "/tools",
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

// What it came to, into the result and its report.
void Session::AddTheBill() {
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
    return false;
  }
  return !detached_;
}

bool Session::Stopped() {
  if (!detached_ && signals_.Wait(0) != 0) detached_ = true;
  return detached_;
}

int Session::Carry() {
  fleet::Interrupted(&journey_, Wall());
  if (!Mine(Step::kPlan, std::min(o_.until, Step::kUp))) return Finish();
  const auto step = fleet::CurrentStep(journey_);
  const bool theirs = step && *step > Step::kUp && *step < Step::kDown;
  if (theirs && o_.until > Step::kUp) {
    if (HandOver() && !Follow()) return Finish();
  }
  if (o_.until >= Step::kReport && !fleet::HostsLeft(journey_).empty()) Fetch();
  if (o_.until == Step::kDown && Mine(Step::kDown, Step::kDown)) AddTheBill();
  return Finish();
}

int Session::GoOn() { return Open(true) ? Carry() : kUsage; }

int Session::Down() {
  if (!Open(true)) return kUsage;
  fleet::Interrupted(&journey_, Wall());
  const auto step = fleet::CurrentStep(journey_);
  if (step && *step < Step::kDown) {
    fleet::GiveUp(&journey_, "it was ended by its operator", Wall());
    journey_.deadline_ms = 1;  // nothing but destroying from now on
    fleet::Next(&journey_, Wall());
    if (!Save()) return kUsage;
  }
  if (Mine(Step::kDown, Step::kDown)) AddTheBill();
  return Finish();
}

// ---------------------------------------------------------------- the control host

bool Session::Reach() {
  const auto found = fleet::Describe(Provider(), plan_, kDescribeWithin);
  if (!found) return false;
  const fleet::ProvidedHost* control = found->Find(fleet::kControl);
  if (control == nullptr || control->ssh.empty()) return false;
  ssh_ = control->ssh;
  return true;
}

fleet::Argv Session::OnControl(const std::string& command) const {
  fleet::Argv argv = ssh_;
  argv.push_back(command);
  return argv;
}

// What the control host is given, in a folder of its own.
std::optional<std::string> Session::Bundle() {
  const std::string bundle = folder_ + "/bundle";
  std::error_code error;
  fs::remove_all(bundle, error);
  fs::create_directories(bundle, error);
  if (!error) fs::copy(folder_ + "/package", bundle + "/package", error);
  if (!error) fs::copy(folder_ + "/plan.toml", bundle + "/plan.toml", error);
  if (!error) fs::copy(folder_ + "/journey.json", bundle + "/handed-over.json", error);
  if (!error && !plan_.service.folder.empty()) {
    fs::copy(plan_.service.folder, bundle + "/service", fs::copy_options::recursive, error);
  }
  if (!error) fs::copy(deploy_ + "/bootstrap.sh", bundle + "/bootstrap.sh", error);
  if (error) return fmt::format("cannot put together {}: {}", bundle, error.message());
  return ReplaceFile(bundle + "/until.new", fmt::format("{}\n", NameOf(o_.until)));
}

bool Session::HandOver() {
  std::string why = "the control host cannot be reached";
  for (int attempt = 1; attempt <= kHandOvers && !Stopped(); ++attempt) {
    if (attempt > 1) Sleep(2 * kSecond);
    if (!Reach()) continue;
    if (const auto wrong = Bundle()) {
      why = *wrong;
      break;
    }
    fleet::Argv argv = {"/bin/bash", "-c", R"(set -o pipefail; cd "$0" && tar -c . | "$@")",
                        folder_ + "/bundle"};
    const auto ssh = OnControl(fmt::format(
        "umask 077; mkdir -p {0} && tar -x --no-same-owner -C {0} && sh {0}/bootstrap.sh {0}",
        kHome));
    argv.insert(argv.end(), ssh.begin(), ssh.end());
    const auto end =
        fleet::RunTool({"hand-over", argv, folder_ + "/tools", "", true}, kHandOverWithin);
    if (end && end->code == 0) return true;
    why = end ? end->error_tail : end.error();
    std::fprintf(stderr, "baiwan: handing over to the control host (attempt %d of %d): %s\n",
                 attempt, kHandOvers, why.c_str());
  }
  if (detached_) return true;
  fleet::GiveUp(&journey_, "the control host could not take over: " + why, Wall());
  Save();
  return false;
}

// Shows how the control host goes on, until its part is over. False: nobody looks any more.
bool Session::Follow() {
  bool over = false;
  Nanos last_heard = Now();
  while (!over && !Stopped()) {
    if (!FollowOnce(&over, &last_heard)) break;
    if (over || Stopped()) break;
    if (Now() - last_heard > kSilence) {
      const std::string why =
          fmt::format("nothing was heard of the control host for {}", FormatDuration(kSilence));
      if (lock_ == nullptr) {
        Wrong(why);
        return false;
      }
      fleet::GiveUp(&journey_, why, Wall());
      journey_.deadline_ms = 1;  // it cannot stop or collect any more
      fleet::Next(&journey_, Wall());
      return Save();
    }
    Sleep(kSecond);
    Reach();  // it may have started anew
  }
  show_.Clear();
  return !detached_;
}

bool Session::FollowOnce(bool* over, Nanos* last_heard) {
  auto tool = fleet::Tool::Start({"follow",
                                  OnControl(fmt::format("{} fleet follow --home {} --until {}",
                                                        kProgram, kHome, NameOf(o_.until))),
                                  folder_ + "/tools", "", false});
  if (!tool) return Wrong(tool.error()) == kDone;
  while (true) {
    const bool ended = (*tool)->Ended().has_value();
    for (const std::string& line : (*tool)->NewLines()) {
      *last_heard = Now();
      if (line.empty()) continue;  // only a sign of life
      auto journey = fleet::JourneyFromJson(line);
      if (!journey) continue;
      journey_ = std::move(*journey);
      if (lock_ != nullptr && !Save()) return false;
      show_.Tell(journey_);
    }
    show_.Live(journey_);
    if (ended) break;
    if (Stopped()) return true;
    Sleep(kLook);
  }
  *over = *(*tool)->Ended() == 0;
  return true;
}

bool Session::Fetch() {
  if (!Reach()) {
    Wrong("the control host cannot be reached, so there is no report of it");
    return false;
  }
  fleet::Argv argv = {"/bin/bash", "-c",
                      R"(set -o pipefail; "$@" | tar -xz --no-same-owner -C "$0")", folder_};
  const auto ssh = OnControl(fmt::format(
      "cd {} && tar -cz $(ls -d report collected control.log {} hosts.json 2>/dev/null)", kHome,
      fleet::kVerifyFile));
  argv.insert(argv.end(), ssh.begin(), ssh.end());
  const auto end = fleet::RunTool({"fetch", argv, folder_ + "/tools", "", true}, kFetchWithin);
  if (end && end->code == 0) return true;
  Wrong("not fetched: " + (end ? end->error_tail : end.error()));
  return false;
}

int Session::Attach() {
  if (!Open(false)) return kUsage;
  const auto step = fleet::CurrentStep(journey_);
  const bool theirs = step && *step > Step::kUp && *step < Step::kDown;
  show_.Tell(journey_);
  if (theirs) {
    if (!Reach()) return Wrong("the control host cannot be reached");
    Follow();
  }
  return Finish();
}

// A live board on the control host, as JSON lines.
std::unique_ptr<fleet::Tool> Session::Board() {
  if (ssh_.empty() || fleet::IsOther(plan_)) return nullptr;
  auto top =
      fleet::Tool::Start({"top",
                          OnControl(fmt::format("{} top --registry {}:{} --expect {} --json",
                                                kProgram, plan_.network.control,
                                                plan_.ports.registry, fleet::ProcessesOf(plan_))),
                          folder_ + "/tools", "", false});
  return top ? std::move(*top) : nullptr;
}

int Session::Finish() {
  show_.Clear();
  const fleet::Outcome outcome = fleet::OutcomeOf(journey_);
  const std::string result = folder_ + "/report/" + stress::kResultFile;
  const auto found = stress::ReadResult(result);
  if (found && outcome != fleet::Outcome::kUnderWay && !o_.json) {
    std::printf("\n%s", stress::SummaryTable(*found).c_str());
    std::printf("report: %s/report/%s\n", folder_.c_str(), stress::kReportFile);
  }
  if (const auto text = ReadFile(folder_ + "/report/" + kServiceReport);
      text && outcome != fleet::Outcome::kUnderWay && !o_.json) {
    std::printf("\n%s", text->c_str());
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
    std::printf("%s\n", end.dump().c_str());
  }
  if (outcome == fleet::Outcome::kVerified) {
    if (!o_.json) std::fprintf(stderr, "verified, and everything is destroyed\n");
    return kDone;
  }
  // Where it was to go no further than to a step with its hosts, it may still have failed.
  if (outcome == fleet::Outcome::kUnderWay && (detached_ || journey_.gave_up.empty())) {
    if (!detached_) return kDone;
    std::fprintf(stderr,
                 "baiwan: the run goes on without you. `baiwan fleet attach %s` shows it, `resume` "
                 "also finishes it, `down` ends it\n",
                 o_.run.c_str());
    return kDeadline;
  }
  const auto left = fleet::HostsLeft(journey_);
  if (!left.empty()) Wrong(fmt::format("STILL THERE: {}", fmt::join(left, ", ")));
  Wrong(journey_.gave_up);
  return found && found->exit_code == kMismatch ? kMismatch : kUsage;
}

}  // namespace baiwan::cli
