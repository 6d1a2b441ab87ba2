#include "cli/stress/run.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "base/units.h"
#include "cli/args.h"
#include "cli/output.h"
#include "net/sockets.h"
#include "stress/report.h"
#include "verify/verify.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kLook = 50 * kMillisecond;
constexpr Nanos kStartWithin = 60 * kSecond;
constexpr Nanos kImportWithin = 3600 * kSecond;
constexpr Nanos kStopWithin = 60 * kSecond;
constexpr int kLogLines = 5;
constexpr std::uint64_t kShortRun = 2'000'000;  // messages
constexpr Nanos kShortBeat = 500 * kMillisecond;

Nanos Now() { return SystemClock().Monotonic(); }

std::int64_t Wall() { return static_cast<std::int64_t>(SystemClock().WallMillis()); }

double SecondsSince(Nanos begin) { return static_cast<double>(Now() - begin) / kSecond; }

std::uint64_t OwnCpuMicros() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto micros = [](const timeval& t) {
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(t.tv_usec);
  };
  return micros(usage.ru_utime) + micros(usage.ru_stime);
}

bool Ended(const supervise::ChildStatus& child) {
  return child.state == supervise::State::kExited || child.state == supervise::State::kStopped ||
         child.state == supervise::State::kGaveUp;
}

}  // namespace

int StressRun::Run() {
  began_ = Now();
  if (const auto wrong = CheckOptions(options_, machine_)) return cli::Fail(*wrong);
  auto runtime = Runtime::Create({.name = "stress", .take_signals = false});
  if (!runtime) return cli::Fail(runtime.error());
  runtime_ = std::move(*runtime);
  supervisor_ = std::make_unique<supervise::Supervisor>(supervise::Supervisor::Options{
      .on_event = [this](const supervise::Event& event) { OnEvent(event); }});
  exit_ = kUsage;
  outcome_.began_ms = Wall();
  const bool done = Step("prepare", [this] { return Prepare(); }) &&
                    Step("import", [this] { return Import(); }) &&
                    Step("start", [this] { return StartServers(); }) &&
                    Step("run", [this] { return PlayUsers() == Wait::kYes; }) &&
                    Step("stop", [this] { return Stop(); });
  return done ? Verify() : GiveUp();
}

template <class Work>
bool StressRun::Step(const char* name, Work work) {
  stress::TimelineEvent event{Wall(), 0, stress::kStepEvent, name, "", false};
  const bool good = work();
  event.until_ms = Wall();
  event.bad = !good;
  if (!good) event.what = "failed";
  outcome_.happened.push_back(std::move(event));
  return good;
}

// A run that did not come to its end leaves a report as well: what it was to do, how far it came,
// and what happened.
int StressRun::GiveUp() {
  const std::int64_t ended = Wall();
  if (folder_ == nullptr) return exit_;
  if (!outcome_.problems.empty()) {
    outcome_.happened.push_back({ended, 0, stress::kEndEvent, "", outcome_.problems.front(), true});
  }
  supervisor_->StopAll(kStopWithin);
  outcome_.children = supervisor_->Snapshot();
  std::vector<std::string> not_there;  // of load clients that had not begun
  outcome_.load = ReadDriveResults(plan_, folder_->path(), &not_there);
  TakeWhatHappened();
  Report(ResultOfFailure(options_, plan_, folder_->path(), outcome_, exit_));
  return exit_;
}

void StressRun::TakeWhatHappened() {
  stress::Timeline timeline;
  {
    const std::lock_guard lock(mutex_);
    processes_.AddTo(&timeline);
  }
  for (stress::TimelineEvent& event : timeline.Take()) {
    outcome_.happened.push_back(std::move(event));
  }
}

// ---------------------------------------------------------------- phases

bool StressRun::Prepare() {
  const auto port = options_.registry_port != 0 ? static_cast<std::uint16_t>(options_.registry_port)
                                                : net::FreeLoopbackPort();
  const Endpoint registry{"127.0.0.1", port};
  // Once before anything is made, so that wrong options leave everything as it was; and once more
  // with the room that is there when the stores of earlier runs are gone.
  Machine roomy = machine_;
  roomy.disk_free_bytes = ~std::uint64_t{0} / 2;
  if (auto plan = MakePlan(options_, roomy, options_.runs, registry); !plan) {
    return Fail(plan.error());
  }
  auto folder = RunFolder::Make(options_.runs, options_.keep);
  if (!folder) return Fail(folder.error());
  folder_ = std::move(*folder);
  machine_ = look_();
  auto plan = MakePlan(options_, machine_, folder_->path(), registry);
  if (!plan) return Fail(plan.error());
  plan_ = std::move(*plan);
  std::vector<const PlannedProcess*> all = {&plan_.registry, &plan_.monitor};
  for (const auto* list : {&plan_.servers, &plan_.loads}) {
    for (const PlannedProcess& process : *list) all.push_back(&process);
  }
  for (const PlannedProcess* process : all) {
    if (!Write(*process)) return false;
  }
  const stress::WorkloadSpec& s = options_.spec;
  if (const auto wrong = ReplaceFile(folder_->path() + "/seed", fmt::format("{}\n", s.seed))) {
    return Fail(*wrong);
  }
  Say(fmt::format(
      "{} cells × {} users, {} friends each, {} messages; layout {}, protocol {}; in {}/{}",
      s.cells, s.users_per_cell, s.friends_in_cell + s.friends_cross, stress::TotalMessages(s),
      options_.layout, options_.protocol, options_.runs,
      std::filesystem::path(folder_->path()).filename().string()));
  return true;
}

bool StressRun::Import() {
  const Nanos begin = Now();
  std::size_t started = 0;
  std::size_t done = 0;
  const auto wait = Until(
      [&] {
        done = 0;
        for (const auto& child : supervisor_->Snapshot()) done += Ended(child) ? 1 : 0;
        while (started < plan_.imports.size() && started - done < machine_.cores) {
          if (!StartChild(plan_.imports[started++])) return true;
        }
        return done == plan_.imports.size();
      },
      kImportWithin);
  if (wait != Wait::kYes || done != plan_.imports.size()) return false;
  for (const auto& child : supervisor_->Snapshot()) {
    if (!child.last_exit || !child.last_exit->success()) {
      TellLog(child.name);
      return Fail(child.name + " did not succeed");
    }
  }
  outcome_.import_seconds = SecondsSince(begin);
  Say(fmt::format("imported {} users in {:.1f} s", stress::TotalUsers(options_.spec),
                  outcome_.import_seconds));
  return true;
}

bool StressRun::StartServers() {
  const Nanos begin = Now();
  if (!StartChild(plan_.registry) || !StartChild(plan_.monitor)) return false;
  for (const PlannedProcess& server : plan_.servers) {
    if (!StartChild(server)) return false;
  }
  const auto ready = [&] {
    const auto all = supervisor_->Snapshot();
    return std::all_of(all.begin(), all.end(), [](const auto& child) {
      return child.state == supervise::State::kRunning || Ended(child);
    });
  };
  if (Until(ready, kStartWithin) != Wait::kYes) return false;
  outcome_.start_seconds = SecondsSince(begin);
  Say(fmt::format("{} processes serve after {:.1f} s", plan_.servers.size() + 2,
                  outcome_.start_seconds));
  return true;
}

void StressRun::ShowBoard() {
  directory_ = std::make_unique<registry::RegistryClient>(
      runtime_->node(), registry::ClientOptions{.registry = plan_.registry_at});
  monitor::BoardFeedOptions options;
  options.expected = plan_.processes;
  options.users = stress::TotalUsers(options_.spec);
  options.messages = stress::TotalMessages(options_.spec);
  // A short run would be over before the source's beat of 3 s.
  if (stress::TotalMessages(options_.spec) < kShortRun) options.interval = kShortBeat;
  options.poll.registry = plan_.registry_at;
  board_ = std::make_unique<monitor::BoardFeed>(runtime_->node(), *directory_, options, [this] {
    if (!board_->state().cells.empty()) screen_.Draw(board_->state());
  });
}

// As it stands when everybody is finished.
void StressRun::LastBoard() {
  const std::uint64_t beats = board_->beats();
  TellBoard();
  board_->LookNow();
  Until([&] { return board_->beats() > beats; }, kSecond);
}

StressRun::Wait StressRun::PlayUsers() {
  const Nanos begin = Now();
  const std::uint64_t own_cpu = OwnCpuMicros();
  outcome_.cpu_before = monitor::ReadCpuTimes();
  ShowBoard();
  for (const PlannedProcess& load : plan_.loads) {
    if (!StartChild(load)) return Wait::kFailed;
  }
  const auto finished = [&] {
    const auto all = supervisor_->Snapshot();
    return std::all_of(all.begin(), all.end(), [](const auto& child) {
      return child.name.rfind("drive-", 0) != 0 || Ended(child);
    });
  };
  const Wait wait = Until(finished, plan_.deadline);
  if (wait == Wait::kYes) LastBoard();
  outcome_.cpu_after = monitor::ReadCpuTimes();
  outcome_.own_cpu_us = OwnCpuMicros() - own_cpu;
  board_.reset();
  directory_.reset();
  screen_.Keep();
  if (wait == Wait::kYes) {
    Say(fmt::format("every user is finished after {:.1f} s", SecondsSince(begin)));
  }
  return wait;
}

bool StressRun::Stop() {
  const auto report = supervisor_->StopAll(kStopWithin);
  for (const std::string& name : report.killed) {
    std::fprintf(stderr, "baiwan: %s did not stop in time and was killed\n", name.c_str());
  }
  for (const std::string& name : report.stuck) Fail(name + " cannot even be killed");
  outcome_.children = supervisor_->Snapshot();
  return report.stuck.empty();
}

int StressRun::Verify() {
  const Nanos begin = Now();
  verify::VerifyOptions options;
  options.spec = options_.spec;
  options.stores = plan_.stores;
  options.ledgers = plan_.ledgers;
  options.threads = machine_.cores;
  const bool terminal = screen_.terminal();
  options.progress = [terminal](std::uint64_t done, std::uint64_t total) {
    if (!terminal || total == 0) return;
    std::fprintf(stderr, "\rverifying: %3.0f %%",
                 100 * static_cast<double>(done) / static_cast<double>(total));
  };
  Step("verify", [&] {
    outcome_.verified = verify::VerifyStores(options);
    return outcome_.verified.ExitCode() == 0;
  });
  if (terminal) std::fputs("\r\033[K", stderr);
  outcome_.verify_seconds = SecondsSince(begin);
  Say(fmt::format("verified every message in {:.1f} s", outcome_.verify_seconds));
  outcome_.load = ReadDriveResults(plan_, folder_->path(), &outcome_.problems);
  TakeWhatHappened();
  const stress::RunResult result = ResultOf(options_, plan_, folder_->path(), outcome_);
  Report(result);
  return result.exit_code;
}

void StressRun::Report(const stress::RunResult& result) {
  stress::DriveResult all;
  for (const auto& [name, one] : outcome_.load) all.Merge(one);
  if (const auto wrong = ReplaceFile(folder_->path() + "/load.json", all.ToJson())) {
    Fail(*wrong);
  }
  const std::string json = stress::ToJson(result);
  if (const auto wrong = ReplaceFile(folder_->path() + "/" + stress::kResultFile, json)) {
    Fail(*wrong);
  }
  if (!options_.no_report) {
    const auto report = stress::WriteReport({.folder = folder_->path()});
    if (!report) Fail("no report: " + report.error());
    if (report) {
      for (const std::string& warning : report->warnings) Say(warning);
      Say("report: " + report->path);
    }
  }
  // Where nobody has played there is nothing to count.
  if (options_.json) Print(json + "\n");
  if (!options_.json && !outcome_.load.empty()) Print("\n" + stress::SummaryTable(result));
}

// ---------------------------------------------------------------- children

template <class Done>
StressRun::Wait StressRun::Until(const Done& done, Nanos within) {
  const Nanos until = Now() + within;
  while (!done()) {
    runtime_->loop().RunOnce(kLook);
    if (signals_.Wait(0) != 0) {
      Say("stopping everything");
      outcome_.problems.emplace_back(stress::kInterrupted);
      exit_ = kDeadline;
      return Wait::kStopped;
    }
    TellBoard();
    std::string broken;
    {
      const std::lock_guard lock(mutex_);
      broken = broken_;
    }
    if (!broken.empty()) {
      TellLog(broken);
      Fail(fmt::format("{} cannot go on: {}", broken, LastWords(broken)));
      return Wait::kFailed;
    }
    if (Now() > until) {
      Fail(fmt::format("not done after {}; see {}/logs", FormatDuration(within), folder_->path()));
      exit_ = kDeadline;
      return Wait::kTooLate;
    }
  }
  return Wait::kYes;
}

void StressRun::TellBoard() {
  const std::lock_guard lock(mutex_);
  if (board_ == nullptr) return;
  for (const std::string& name : std::exchange(ended_, {})) board_->Leave(name);
}

void StressRun::OnEvent(const supervise::Event& event) {
  using supervise::EventKind;
  {
    const std::lock_guard lock(mutex_);
    processes_.Take(supervise::Kept(event, Wall()));
  }
  if (event.kind == EventKind::kExited && event.exit && !event.exit->by_signal) {
    // A usage or environment error stays what it is, however often one tries.
    const std::lock_guard lock(mutex_);
    if (event.exit->code == kUsage && broken_.empty()) broken_ = event.child;
    // A load client that ends by itself has said what it has to say.
    if (event.child.rfind("drive-", 0) == 0) {
      supervisor_->Stop(event.child);
      ended_.push_back(event.child);
    }
  }
  if (event.kind == EventKind::kGaveUp) {
    const std::lock_guard lock(mutex_);
    if (broken_.empty()) broken_ = event.child;
  }
  if (event.kind == EventKind::kRestarting) {
    std::fprintf(stderr, "baiwan: %s\n", event.text.c_str());
  }
}

bool StressRun::Write(const PlannedProcess& process) {
  const std::string path = fmt::format("{}/config/{}.toml", folder_->path(), process.child.name);
  if (const auto wrong = ReplaceFile(path, process.settings)) return Fail(*wrong);
  return true;
}

bool StressRun::StartChild(const PlannedProcess& process) {
  if (const auto wrong = supervisor_->Start(process.child)) return Fail(*wrong);
  return true;
}

// What a child said last, without the time and who says it.
std::string StressRun::LastWords(const std::string& child) const {
  const auto text = ReadFile(fmt::format("{}/logs/{}.log", folder_->path(), child), 65 << 20);
  std::string line = text ? text->substr(0, text->find_last_not_of('\n') + 1) : "";
  line.erase(0, line.find_last_of('\n') + 1);
  for (const std::string& head : {std::string(" error "), child + ": ", std::string("baiwan: ")}) {
    if (const auto at = line.find(head); at != std::string::npos) line.erase(0, at + head.size());
  }
  return line.empty() ? "it said nothing" : line;
}

void StressRun::TellLog(const std::string& child) {
  const auto text = ReadFile(fmt::format("{}/logs/{}.log", folder_->path(), child), 65 << 20);
  if (!text) return;
  std::size_t at = text->size();
  for (int lines = 0; lines <= kLogLines && at != std::string::npos && at > 0; ++lines) {
    at = text->rfind('\n', at - 1);
  }
  const std::string tail = at == std::string::npos || at == 0 ? *text : text->substr(at + 1);
  std::fprintf(stderr, "%s", tail.c_str());
}

void StressRun::Say(const std::string& line) {
  std::fprintf(stderr, "==> %6.1f s  %s\n", static_cast<double>(Now() - began_) / kSecond,
               line.c_str());
}

bool StressRun::Fail(const std::string& sentence) {
  outcome_.problems.push_back(sentence);
  cli::Fail(sentence);
  return false;
}

}  // namespace baiwan::cli
