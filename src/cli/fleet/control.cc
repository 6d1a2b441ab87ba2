// What runs on the control host: the controller of a journey, as a service that is started again
// when it dies, and what tells operators how far it is.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "base/file.h"
#include "cli/fleet/fleet.h"
#include "cli/fleet/report.h"
#include "cli/output.h"
#include "fleet/control_crew.h"
#include "fleet/health.h"
#include "fleet/home.h"
#include "fleet/pulse.h"
#include "supervise/stop_signals.h"

namespace baiwan::cli {
namespace {

using fleet::Step;

constexpr int kDescribeTries = 5;
constexpr Nanos kPause = 2 * kSecond;
constexpr Nanos kLook = 200 * kMillisecond;
constexpr Nanos kSignOfLife = 5 * kSecond;
constexpr Nanos kLookForLost = 30 * kSecond;  // netns: 0.4 s of a core each
constexpr Nanos kNobodyFor = 30 * kSecond;    // works on the journey: then it is told
constexpr int kMostLives = 5;  // of controllers, one after the other, none of which comes further
constexpr std::size_t kTail = 2048;

void Sleep(Nanos time) { std::this_thread::sleep_for(std::chrono::nanoseconds(time)); }
std::int64_t Wall() { return static_cast<std::int64_t>(SystemClock().WallMillis()); }

struct Options {
  std::string home = "/var/lib/baiwan/fleet";
  std::string until = "report";
};

// The journey as the controller keeps it, or as it was handed over.
Result<fleet::Journey, std::string> LoadHome(const std::string& home) {
  const std::string own = home + "/journey.json";
  return fleet::LoadJourney(::access(own.c_str(), F_OK) == 0 ? own : home + "/handed-over.json");
}

Step UntilOf(const std::string& home) {
  const auto text = ReadFile(home + "/until", 64);
  const std::string name = text ? text->substr(0, text->find('\n')) : "";
  const auto step = fleet::StepNamed(name);
  return std::min(step ? *step : Step::kReport, Step::kReport);
}

// ---------------------------------------------------------------- control

// Who works in `home`, for as long as it is held; its number in there is for whoever follows.
Result<UniqueFd, std::string> LockHome(const std::string& home) {
  using Out = Result<UniqueFd, std::string>;
  UniqueFd lock(::open((home + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Out::Failure("another controller works in " + home);
  }
  const std::string number = std::to_string(::getpid()) + "\n";
  const auto size = static_cast<::ssize_t>(number.size());
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), number.data(), size, 0) != size) {
    return Out::Failure("cannot write " + home + "/lock");
  }
  return lock;
}

// Writes what every host is given; what it learnt from the provider goes to `pulse` as well.
std::optional<std::string> PutTogether(const fleet::FleetPlan& plan, const std::string& home,
                                       const fleet::ProviderAt& provider,
                                       fleet::PulseOptions* pulse) {
  const Nanos limit = fleet::DescribeWithin(plan);
  auto found = fleet::Describe(provider, plan, limit);
  for (int tried = 1; !found && tried < kDescribeTries; ++tried) {
    Sleep(kPause);
    found = fleet::Describe(provider, plan, limit);
  }
  if (!found) return "the provider does not tell of the hosts: " + found.error();
  fleet::HomeOptions options;
  const auto package = ReadFile(home + "/package.name", 256);
  if (!package) return package.error();
  options.package = "package/" + package->substr(0, package->find('\n'));
  options.ssh_key = found->ssh_key;
  options.known_hosts = found->known_hosts;
  pulse->silence = plan.limits.silence;
  pulse->file = found->heartbeat;
  pulse->ssh_key = found->ssh_key;
  pulse->known_hosts = found->known_hosts;
  pulse->folder = home + "/tools";
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    pulse->workers.push_back(fleet::FormatAddress(fleet::WorkerAddress(plan, i)));
  }
  return fleet::WriteHome(plan, home, options);
}

int RunControl(const Options& o) {
  supervise::StopSignals signals;
  const auto lock = LockHome(o.home);
  if (!lock) return Fail(lock.error());
  const auto plan = fleet::ReadPlan(o.home + "/plan.toml");
  if (!plan) return Fail(ToText(plan.error()));
  auto journey = LoadHome(o.home);
  if (!journey) return Fail(journey.error());
  fleet::Interrupted(&*journey, Wall(), true);
  const std::string deploy = DeployFolder();
  if (deploy.empty()) return Fail("the folder 'deploy' is not beside this program");
  if (::mkdir((o.home + "/tools").c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail("cannot make " + o.home + "/tools");
  }
  fleet::ControlCrewOptions crew_options;
  crew_options.home = o.home;
  crew_options.engine = deploy + "/ansible/step";
  crew_options.provider = {fmt::format("{}/providers/{}/provider", deploy, plan->provider),
                           o.home + "/tools", o.home + "/provider"};
  crew_options.report = [&]() -> std::optional<fleet::Failure> {
    const auto wrong = fleet::IsOther(*plan) ? MakeServiceReport(*plan, *journey, o.home)
                                             : MakeFleetReport(*plan, *journey, o.home);
    if (!wrong) return std::nullopt;
    return fleet::Failure{*wrong, "", "", false};
  };
  fleet::Health health(*plan, fleet::HostPaths().folder + "/series.jsonl", journey->notices);
  crew_options.ready = [&](const fleet::HostReady& host) { return health.Ready(host); };
  fleet::PulseOptions pulse_options;
  if (const auto wrong = PutTogether(*plan, o.home, crew_options.provider, &pulse_options)) {
    return Fail(*wrong);
  }
  fleet::Pulse pulse(pulse_options);
  fleet::ControlCrew crew(*plan, crew_options);
  fleet::ControllerOptions options;
  options.watch = [&](const fleet::Journey& now) { return health.Look(now, Wall()); };
  options.first = Step::kDeploy;
  options.last = UntilOf(o.home);
  options.file = o.home + "/journey.json";
  options.look_for_lost = kLookForLost;
  bool stopped = false;
  options.stop = [&] {
    pulse.Beat(true);
    return stopped = stopped || signals.Wait(0) != 0;
  };
  if (const auto wrong = fleet::RunJourney(&*journey, crew, SystemClock(), options)) {
    return Fail(*wrong);
  }
  // Until an operator comes for the rest; who may be cut off between `until` and this controller's
  // restart. When everything is collected the workers are needed no more: without a beat they end
  // themselves, and this host keeps what they brought.
  const auto step = fleet::CurrentStep(*journey);
  const bool workers_needed = step && *step < Step::kDown;
  while (!stopped && signals.Wait(kSecond) == 0 && UntilOf(o.home) == options.last) {
    pulse.Beat(workers_needed);
  }
  return kDone;
}

// ---------------------------------------------------------------- follow

bool SomebodyWorks(const std::string& home) {
  const UniqueFd lock(::open((home + "/lock").c_str(), O_RDWR | O_CLOEXEC));
  return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0;
}

// Counts controllers that begin one after the other: one that ends soon after it began, and is
// started again and again, holds the lock nearly all the time.
class Lives {
 public:
  explicit Lives(const std::string& home) : file_(home + "/lock") { Look(); }
  // That many have begun since the journey was seen to come further.
  int Look() {
    const auto number = ReadFile(file_, 64);  // empty: one begins just now
    if (number && !number->empty() && *number != last_) {
      last_ = *number;
      ++lives_;
    }
    return lives_;
  }
  void CameFurther() { lives_ = 0; }

 private:
  const std::string file_;
  std::string last_;
  int lives_ = 0;
};

int NobodyWorks(const std::string& home, const std::string& why) {
  const auto log = ReadFile(home + "/control.log", 64 << 20);
  std::string tail = log ? *log : "";
  if (tail.size() > kTail) tail.erase(0, tail.size() - kTail);
  return Fail(why + (tail.empty() ? "" : "; its log ends with:\n" + tail));
}

int RunFollow(const Options& o) {
  const auto last = std::min(fleet::StepNamed(o.until).value_or(Step::kReport), Step::kReport);
  std::string told;
  Nanos sign = 0;
  Nanos worked = SystemClock().Monotonic();
  Lives lives(o.home);
  while (true) {
    const Nanos now = SystemClock().Monotonic();
    const auto journey = LoadHome(o.home);
    if (!journey) return Fail(journey.error());
    const std::string text = fleet::ToJson(*journey);
    if (text != told) {
      told = text;
      std::string line = text;
      for (char& c : line) c = c == '\n' ? ' ' : c;
      if (!Print(line + "\n")) return kUsage;  // nobody listens any more
      sign = now;
      lives.CameFurther();
    }
    if (now - sign > kSignOfLife) {
      if (!Print("\n")) return kUsage;
      sign = now;
    }
    const auto step = fleet::CurrentStep(*journey);
    if (!step || *step > last) return kDone;
    if (SomebodyWorks(o.home)) worked = now;
    if (now - worked > kNobodyFor) return NobodyWorks(o.home, "no controller works on it");
    if (lives.Look() > kMostLives) {
      return NobodyWorks(o.home, fmt::format("{} controllers, one after the other, have ended "
                                             "without coming any further",
                                             kMostLives));
    }
    Sleep(kLook);
  }
}

Command HomeCommand(const char* name, const char* summary, bool until, int (*run)(const Options&)) {
  return {name, summary, fmt::format("  baiwan fleet {} --home /var/lib/baiwan/fleet\n", name),
          [until, run](Args& args) {
            auto o = std::make_shared<Options>();
            args.Text("--home", &o->home, "the run's folder on the control host");
            if (until) args.Text("--until", &o->until, "the step after which it is over");
            return [o, run] { return run(*o); };
          }};
}

// ---------------------------------------------------------------- files

struct FilesOptions {
  std::string plan;
  std::string folder;
  fleet::HomeOptions home;
};

int RunFiles(const FilesOptions& o) {
  const auto plan = fleet::ReadPlan(o.plan);
  if (!plan) {
    std::fputs(ToText(plan.error()).c_str(), stderr);
    return kUsage;
  }
  if (const auto wrong = fleet::WriteHome(*plan, o.folder, o.home)) return Fail(*wrong);
  return kDone;
}

}  // namespace

Command FleetControlCommand() {
  return HomeCommand("control", "On the control host: carries the journey out (a service).", false,
                     RunControl);
}

Command FleetFollowCommand() {
  return HomeCommand("follow", "On the control host: tells how far the journey is, as JSON lines.",
                     true, RunFollow);
}

Command FleetFilesCommand() {
  return {"files", "Writes what every host of a plan is given, for the step engine or to look at.",
          "  baiwan fleet files plan.toml --folder home\n", [](Args& args) {
            auto o = std::make_shared<FilesOptions>();
            args.Positional("plan", &o->plan, "the plan's file");
            args.Required("plan");
            args.Text("--folder", &o->folder, "gets hosts.json, hosts/NAME/… and link.secret");
            args.Required("--folder");
            args.Text("--package", &o->home.package, "the tarball, for hosts.json");
            args.Text("--ssh-key", &o->home.ssh_key, "of the run, for hosts.json");
            args.Text("--known-hosts", &o->home.known_hosts, "likewise");
            args.Choice("--payload", &o->home.payload, {"p2p", "copy"}, "how the package travels");
            return [o] { return RunFiles(*o); };
          }};
}

}  // namespace baiwan::cli
