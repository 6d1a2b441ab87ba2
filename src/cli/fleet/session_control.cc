// A session's ways to the control host: hands the journey over, follows it there, fetches what came
// of it.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/units.h"
#include "cli/args.h"
#include "cli/fleet/session.h"
#include "fleet/control_crew.h"

namespace baiwan::cli {
namespace {

namespace fs = std::filesystem;
using fleet::State;
using fleet::Step;

constexpr const char* kHome = "/var/lib/baiwan/fleet";  // on the control host
constexpr const char* kProgram = "/opt/baiwan/bin/baiwan";
constexpr Nanos kDescribeWithin = 30 * kSecond;
constexpr Nanos kHandOverWithin = 300 * kSecond;
constexpr Nanos kPublishWithin = 300 * kSecond;
constexpr const char* kWebSeed = "web-seed";  // in the bundle; as the step engine knows it
constexpr Nanos kFetchWithin = 600 * kSecond;
constexpr Nanos kQuiet = 15 * kSecond;  // of a connection that should give a sign each 5 s
constexpr Nanos kLook = 100 * kMillisecond;
constexpr int kHandOvers = 3;
constexpr int kFetches = 3;
constexpr std::size_t kTail = 2048;

Nanos Now() { return SystemClock().Monotonic(); }
void Sleep(Nanos time) { std::this_thread::sleep_for(std::chrono::nanoseconds(time)); }

// What the program there said of its end, without its name.
std::string ErrorOf(const fleet::Tool& tool) {
  std::string text = tool.ErrorTail(kTail);
  text.erase(text.find_last_not_of('\n') + 1);
  constexpr std::string_view kName = "baiwan: ";
  return text.substr(0, kName.size()) == kName ? text.substr(kName.size()) : text;
}

}  // namespace

std::string Session::Reach() {
  const auto found = fleet::Describe(Provider(), plan_, kDescribeWithin);
  gone_ = false;
  if (!found) return found.error();
  const fleet::ProvidedHost* control = found->Find(fleet::kControl);
  const std::string state = control != nullptr ? control->state : "missing";
  gone_ = state != "running" && state != "starting";
  if (gone_ && plan_.limits.silence == 0) return "it is " + state;
  if (gone_) {
    return fmt::format("it is {} (hosts end themselves {} after the last sign of a controller)",
                       state, FormatDuration(plan_.limits.silence));
  }
  if (control->ssh.empty()) return "its provider knows no way to it";
  ssh_ = control->ssh;
  return "";
}

std::string Session::HasTakenOver(bool* there) {
  const auto end =
      fleet::RunTool({"handed-over", OnControl(fmt::format("test -e {}/handed-over.json", kHome)),
                      tools_, "", false},
                     kQuiet);
  if (!end) return end.error();
  *there = end->code == 0;
  if (end->code <= 1) return "";
  return end->error_tail.empty() ? fmt::format("code {}", end->code) : end->error_tail;
}

fleet::Argv Session::OnControl(const std::string& command) const {
  fleet::Argv argv = ssh_;
  argv.push_back(command);
  return argv;
}

// Where the plan names a bucket it is one more source of the package; without it a run goes on.
std::optional<std::string> Session::PublishPackage(const std::string& bundle) {
  const std::string link = bundle + "/" + kWebSeed;
  if (auto wrong = ReplaceFile(link, "")) return wrong;  // in place of an older one over there
  if (plan_.provider != "aws" || plan_.aws.bucket.empty()) return std::nullopt;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder_ + "/package", error)) {
    if (file.path().extension() != ".gz") continue;
    return fleet::Publish(Provider(), plan_, file.path().string(), link, kPublishWithin);
  }
  return folder_ + "/package has none";
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
  if (const auto wrong = PublishPackage(bundle)) {
    std::fprintf(stderr, "baiwan: workers will not find the package in %s: %s\n",
                 plan_.aws.bucket.c_str(), wrong->c_str());
  }
  return ReplaceFile(bundle + "/until.new", fmt::format("{}\n", NameOf(o_.until)));
}

// True: it is the control host's now, or that is lost and nothing is left but to destroy.
bool Session::HandOver() {
  const bool first = !fleet::HandedOver(journey_);
  std::string why;
  for (int attempt = 1; attempt <= kHandOvers && !Stopped(); ++attempt) {
    if (attempt > 1) Sleep(o_.hand_over_again);
    if (why = Reach(); !why.empty()) continue;
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
    const auto end = fleet::RunTool({"hand-over", argv, tools_, "", true}, kHandOverWithin);
    ::unlink((folder_ + "/bundle/" + kWebSeed).c_str());  // only the hosts need to know it
    if (end && end->code == 0) return goes_on_ = true;
    why = end ? end->error_tail : end.error();
    std::fprintf(stderr, "baiwan: handing over to the control host (attempt %d of %d): %s\n",
                 attempt, kHandOvers, why.c_str());
  }
  if (detached_) return true;
  why = "the control host could not take over: " + why;
  if (first || gone_) return OnlyDestroy(why);
  Wrong(why);
  std::fprintf(stderr, "The run goes on there: `resume` tries again, `down` ends it.\n");
  return false;
}

// Shows how the control host goes on, until its part is over. False: nobody looks any more.
bool Session::Follow() {
  bool over = false;
  int left_alone = 0;
  Nanos last_heard = Now();
  while (!over && !Stopped()) {
    std::string nobody;
    if (!FollowOnce(&over, &last_heard, &nobody)) {
      show_.Clear();
      return false;
    }
    if (over || Stopped()) break;
    show_.Clear();              // its board comes over a connection that may be as dead
    std::string why = Reach();  // it may have started anew
    const Nanos limit = gone_ ? plan_.limits.control_gone : plan_.limits.control_cut;
    const bool silent = Now() - last_heard > limit;
    if (silent) {
      why = fmt::format("nothing was heard of the control host for {} (limits.{}): {}",
                        FormatDuration((Now() - last_heard) / kSecond * kSecond),
                        gone_ ? "control_gone" : "control_cut", why);
      Wrong(why);
    } else if (!nobody.empty()) {
      Wrong(nobody);
      why = "no controller works on the control host: its control.log says why";
    }
    if (silent || !nobody.empty()) {
      if (lock_ == nullptr) return false;
      if (silent || ++left_alone == kHandOvers) return OnlyDestroy(why);
      HandOver();  // starts the controller
      if (fleet::CurrentStep(journey_) == Step::kDown) return true;
    }
    Sleep(kSecond);
  }
  show_.Clear();
  return !detached_;
}

bool Session::FollowOnce(bool* over, Nanos* last_heard, std::string* nobody) {
  auto tool = fleet::Tool::Start({"follow",
                                  OnControl(fmt::format("{} fleet follow --home {} --until {}",
                                                        kProgram, kHome, NameOf(o_.until))),
                                  tools_, "", false});
  if (!tool) {
    Wrong(tool.error());
    broke_off_ = true;
    return false;
  }
  for (const Nanos began = Now(); Now() - std::max(began, *last_heard) < kQuiet;) {
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
    if (ended) {
      // Its word alone is not enough: then the journey as it is here decides what comes next.
      const auto step = fleet::CurrentStep(journey_);
      *over = *(*tool)->Ended() == kDone && (!step || *step > std::min(o_.until, Step::kReport));
      if (*(*tool)->Ended() == kUsage) *nobody = ErrorOf(**tool);
      break;
    }
    if (Stopped() || (*tool)->full()) break;
    Sleep(kLook);
  }
  return true;
}

// False: what is there is not here, so that the hosts have to stay.
bool Session::Fetch() {
  std::string why;
  for (int attempt = 1; attempt <= kFetches && !Stopped(); ++attempt) {
    if (attempt > 1 && signals_.Wait(o_.fetch_again) != 0) {
      detached_ = true;
      break;
    }
    why = Reach();
    if (gone_) break;
    if (why.empty()) why = FetchOnce();
    if (why.empty()) return true;
  }
  if (detached_) return false;
  Wrong("no report could be fetched from the control host: " + why);
  if (gone_ || journey_.Find(Step::kReport, fleet::kControl)->state != State::kDone) return true;
  unfetched_ = fmt::format(
      "its report is still on the control host: `baiwan fleet resume {0}` fetches it, "
      "`baiwan fleet down {0}` destroys it with the hosts",
      o_.run);
  return false;
}

// What came of it, into the run's folder; why not, or nothing.
std::string Session::FetchOnce() {
  fleet::Argv argv = {"/bin/bash", "-c",
                      R"(set -o pipefail; "$@" | tar -xz --no-same-owner -C "$0")", folder_};
  const auto ssh = OnControl(fmt::format(
      "cd {} && tar -cz $(ls -d report collected control.log {} hosts.json 2>/dev/null)", kHome,
      fleet::kVerifyFile));
  argv.insert(argv.end(), ssh.begin(), ssh.end());
  const auto end = fleet::RunTool({"fetch", argv, tools_, "", true}, kFetchWithin);
  if (!end) return end.error();
  if (end->code == 0) return "";
  return end->error_tail.empty() ? fmt::format("code {}", end->code) : end->error_tail;
}

// A live board on the control host, as JSON lines.
std::unique_ptr<fleet::Tool> Session::Board() {
  if (ssh_.empty() || fleet::IsOther(plan_)) return nullptr;
  auto top =
      fleet::Tool::Start({"top",
                          OnControl(fmt::format("{} top --registry {}:{} --expect {} --json",
                                                kProgram, plan_.network.control,
                                                plan_.ports.registry, fleet::ProcessesOf(plan_))),
                          tools_, "", false});
  return top ? std::move(*top) : nullptr;
}

}  // namespace baiwan::cli
