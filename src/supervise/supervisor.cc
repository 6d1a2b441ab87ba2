#include "supervise/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <limits>
#include <mutex>
#include <thread>

#include "base/rng.h"
#include "supervise/child.h"

namespace baiwan::supervise {
namespace {

constexpr Nanos kLogCheck = kSecond;
constexpr Nanos kAfterKill = 2 * kSecond;  // what a killed process may take to be gone
constexpr Nanos kWithoutPidfd = 20 * kMillisecond;

Nanos Now() { return SystemClock().Monotonic(); }

}  // namespace

const char* Name(State state) {
  switch (state) {
    case State::kStarting:
      return "starting";
    case State::kRunning:
      return "running";
    case State::kWaiting:
      return "waiting to restart";
    case State::kStopping:
      return "stopping";
    case State::kStopped:
      return "stopped";
    case State::kExited:
      return "ended";
    case State::kGaveUp:
      return "given up";
  }
  return "unknown";
}

// Everything but the queue of commands belongs to the supervisor's thread.
class Supervisor::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        rng_(options_.jitter_seed != 0
                 ? options_.jitter_seed
                 : Mix(static_cast<std::uint64_t>(::getpid()), SystemClock().WallMillis())),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    // Signals are for the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { Loop(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~Impl() {
    Call([this] { quit_ = true; });
    thread_.join();
  }

  bool on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

  // Runs `work` on the supervisor's thread and waits for it.
  template <class Work>
  auto Call(Work work) -> decltype(work()) {
    if (on_own_thread()) return work();
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto result = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      commands_.push_back([&task] { task(); });
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(wake_.get(), &one, sizeof one);
    return result.get();
  }

  // Waits until `verdict` says something, and returns that; false after `within`.
  bool Await(Nanos within, std::function<std::optional<bool>()> verdict) {
    auto done = std::make_shared<std::promise<bool>>();
    auto result = done->get_future();
    Call([&] { waiters_.push_back({Now() + within, std::move(verdict), done}); });
    return result.get();
  }

  std::optional<std::string> Start(const ChildSpec& spec);
  void BeginStop(Child& child);
  void BeginStopAll(Nanos within);
  Child* Find(const std::string& name);
  ChildStatus Status(const Child& child) const;
  const std::vector<std::unique_ptr<Child>>& children() const { return children_; }

 private:
  struct Waiter {
    Nanos until;
    std::function<std::optional<bool>()> verdict;
    std::shared_ptr<std::promise<bool>> done;
  };

  void Loop();
  void Wait();
  Nanos NextDeadline() const;
  void RunCommands();
  void LookAt(Child& child);
  std::optional<std::string> Run(Child& child);
  void OnEnd(Child& child, const std::optional<Exit>& exit, const std::string& why);
  void PlanRestart(Child& child, Nanos up_for);
  void Kill(Child& child);
  void AdvanceStopAll();
  void CheckLogs();
  void TellWaiters();
  void Emit(EventKind kind, const Child& child, std::string text, Nanos delay = 0,
            const std::optional<Exit>& exit = std::nullopt, bool asked = false);

  const Options options_;
  Rng rng_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> commands_;  // guarded by mutex_

  std::vector<std::unique_ptr<Child>> children_;
  std::vector<Waiter> waiters_;
  bool quit_ = false;
  bool stopping_all_ = false;
  Nanos kill_all_at_ = kNever;
  Nanos check_logs_at_ = 0;
  std::thread thread_;
};

void Supervisor::Impl::Loop() {
  while (!quit_) {
    Wait();
    RunCommands();
    // By index: a callback may start another child.
    for (std::size_t i = 0; i < children_.size(); ++i) LookAt(*children_[i]);
    if (stopping_all_) AdvanceStopAll();
    if (Now() >= check_logs_at_) CheckLogs();
    TellWaiters();
  }
}

void Supervisor::Impl::Wait() {
  std::vector<pollfd> fds{{wake_.get(), POLLIN, 0}};
  Nanos until = NextDeadline();
  for (const auto& child : children_) {
    if (!child->process) continue;
    const Process& process = *child->process;
    if (process.pidfd() >= 0) fds.push_back({process.pidfd(), POLLIN, 0});
    if (process.pidfd() < 0) until = std::min(until, Now() + kWithoutPidfd);
    if (process.ready_fd() >= 0) fds.push_back({process.ready_fd(), POLLIN, 0});
  }
  timespec wait{};
  if (until != kNever) {
    const Nanos left = std::max<Nanos>(0, until - Now());
    wait = {static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
  }
  ::ppoll(fds.data(), fds.size(), until == kNever ? nullptr : &wait, nullptr);
  std::uint64_t count = 0;
  [[maybe_unused]] const auto n = ::read(wake_.get(), &count, sizeof count);
}

Nanos Supervisor::Impl::NextDeadline() const {
  Nanos next = kill_all_at_;
  bool logs = false;
  for (const auto& child : children_) {
    next = std::min({next, child->restart_at, child->kill_at});
    logs |= child->process && !child->spec.log_file.empty();
  }
  for (const Waiter& waiter : waiters_) next = std::min(next, waiter.until);
  return logs ? std::min(next, check_logs_at_) : next;
}

void Supervisor::Impl::RunCommands() {
  std::vector<std::function<void()>> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const auto& command : commands) command();
}

void Supervisor::Impl::LookAt(Child& child) {
  if (child.process && child.process->ready_fd() >= 0) {
    if (auto text = child.process->ReadReady()) {
      child.ready_text = std::move(*text);
      if (child.state == State::kStarting) child.state = State::kRunning;
      Emit(EventKind::kReady, child,
           fmt::format("{} is ready {}", child.spec.name, child.ready_text));
    }
  }
  if (child.process) {
    if (auto exit = child.process->Reap()) {
      child.process.reset();
      const std::string why = exit->ToString();
      OnEnd(child, exit, why);
    }
  }
  const Nanos now = Now();
  if (child.process && now >= child.kill_at) Kill(child);
  if (child.state == State::kWaiting && now >= child.restart_at) {
    child.restart_at = kNever;
    if (auto error = Run(child)) OnEnd(child, std::nullopt, *error);
  }
}

std::optional<std::string> Supervisor::Impl::Run(Child& child) {
  auto process = Process::Start(child.spec);
  ++child.runs;
  child.started_at = Now();
  child.ready_text.clear();
  if (!process) return process.error();
  child.process = std::move(*process);
  child.state = child.spec.notifies_ready ? State::kStarting : State::kRunning;
  Emit(EventKind::kStarted, child,
       fmt::format("{} started, process {}", child.spec.name, child.process->pid()));
  return std::nullopt;
}

std::optional<std::string> Supervisor::Impl::Start(const ChildSpec& spec) {
  if (stopping_all_)
    return fmt::format("cannot start '{}': everything is being stopped", spec.name);
  if (spec.name.empty()) return std::string("a child needs a name");
  Child* child = Find(spec.name);
  if (child != nullptr && !child->ended()) return fmt::format("'{}' runs already", spec.name);
  const bool is_new = child == nullptr;
  if (is_new) {
    children_.push_back(std::make_unique<Child>(spec));
    child = children_.back().get();
  }
  child->spec = spec;
  child->row = 0;
  child->restarts.clear();
  child->killed = false;
  auto error = Run(*child);
  if (!error) return std::nullopt;
  child->state = State::kExited;
  if (is_new) children_.pop_back();
  return error;
}

void Supervisor::Impl::OnEnd(Child& child, const std::optional<Exit>& exit,
                             const std::string& why) {
  const Nanos up_for = Now() - child.started_at;
  const bool stopped = child.state == State::kStopping;
  const bool success = exit && exit->success();
  child.kill_at = kNever;
  if (exit) {
    Add(child.past, exit->usage);
    child.last_exit = exit;
  }
  const auto& finals = child.spec.final_codes;
  const bool final = exit && !exit->by_signal &&
                     std::find(finals.begin(), finals.end(), exit->code) != finals.end();
  const bool again = !stopped && !final &&
                     (child.spec.restart == Restart::kAlways ||
                      (child.spec.restart == Restart::kOnFailure && !success));
  child.state = stopped ? State::kStopped : State::kExited;
  if (again) PlanRestart(child, up_for);
  Emit(EventKind::kExited, child, fmt::format("{} {}", child.spec.name, why), 0, exit, stopped);
  if (child.state == State::kWaiting) {
    const Nanos delay = child.restart_delay;
    Emit(EventKind::kRestarting, child,
         fmt::format("{} restarts in {} ms", child.spec.name, delay / kMillisecond), delay);
  } else if (child.state == State::kGaveUp) {
    Emit(EventKind::kGaveUp, child,
         fmt::format("{} is given up: {} restarts within {} s; see {}", child.spec.name,
                     child.restarts.size(), child.spec.restart_window / kSecond,
                     child.spec.log_file.empty() ? "its output" : child.spec.log_file));
  }
}

void Supervisor::Impl::PlanRestart(Child& child, Nanos up_for) {
  const ChildSpec& spec = child.spec;
  const Nanos now = Now();
  while (!child.restarts.empty() && child.restarts.front() + spec.restart_window < now) {
    child.restarts.pop_front();
  }
  if (child.restarts.size() >= spec.max_restarts) {
    child.state = State::kGaveUp;
    return;
  }
  child.restarts.push_back(now);
  if (up_for > spec.backoff_max) child.row = 0;
  Nanos delay = std::min(spec.backoff_first, spec.backoff_max);
  for (std::uint32_t i = 0; i < child.row && delay < spec.backoff_max; ++i) {
    delay = std::min(delay * 2, spec.backoff_max);
  }
  ++child.row;
  delay -= static_cast<Nanos>(rng_.Below(static_cast<std::uint64_t>(delay / 2) + 1));
  child.restart_delay = delay;
  child.restart_at = now + delay;
  child.state = State::kWaiting;
}

void Supervisor::Impl::BeginStop(Child& child) {
  if (child.state == State::kWaiting) {
    child.restart_at = kNever;
    child.state = State::kStopped;
  }
  if (!child.process || child.state == State::kStopping) return;
  child.state = State::kStopping;
  child.kill_at = Now() + child.spec.stop_deadline;
  child.process->Signal(child.spec.stop_signal);
  child.process->Signal(SIGCONT);  // one that was halted would not hear it
}

void Supervisor::Impl::BeginStopAll(Nanos within) {
  stopping_all_ = true;
  kill_all_at_ = std::min(kill_all_at_, Now() + within);
  AdvanceStopAll();  // at once, so that nothing that waits is restarted in between
}

// One stage at a time: what still runs in the highest is asked to stop, once.
void Supervisor::Impl::AdvanceStopAll() {
  int stage = std::numeric_limits<int>::min();
  for (const auto& child : children_) {
    if (child->state == State::kWaiting) BeginStop(*child);
    if (child->process) stage = std::max(stage, child->spec.stage);
  }
  const bool late = Now() >= kill_all_at_;
  if (late) kill_all_at_ = kNever;
  for (const auto& child : children_) {
    if (!child->process) continue;
    if (late || child->spec.stage == stage) BeginStop(*child);
    if (late && !child->killed) Kill(*child);
  }
}

void Supervisor::Impl::Kill(Child& child) {
  child.kill_at = kNever;
  child.killed = true;
  child.process->Signal(SIGKILL);
  Emit(EventKind::kKilled, child,
       fmt::format("{} did not stop in time and was killed", child.spec.name));
}

void Supervisor::Impl::CheckLogs() {
  check_logs_at_ = Now() + kLogCheck;
  for (const auto& child : children_) BoundLog(child->spec.log_file, child->spec.log_max_bytes);
}

void Supervisor::Impl::TellWaiters() {
  for (std::size_t i = 0; i < waiters_.size();) {
    auto verdict = waiters_[i].verdict();
    if (!verdict && Now() >= waiters_[i].until) verdict = false;
    if (!verdict) {
      ++i;
      continue;
    }
    waiters_[i].done->set_value(*verdict);
    waiters_.erase(waiters_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

void Supervisor::Impl::Emit(EventKind kind, const Child& child, std::string text, Nanos delay,
                            const std::optional<Exit>& exit, bool asked) {
  if (!options_.on_event) return;
  const pid_t pid = child.process ? child.process->pid() : 0;
  options_.on_event({kind, child.spec.name, pid, delay, exit, asked, std::move(text)});
}

Child* Supervisor::Impl::Find(const std::string& name) {
  for (const auto& child : children_) {
    if (child->spec.name == name) return child.get();
  }
  return nullptr;
}

ChildStatus Supervisor::Impl::Status(const Child& child) const {
  ChildStatus status;
  status.name = child.spec.name;
  status.state = child.state;
  status.runs = child.runs;
  status.last_exit = child.last_exit;
  status.ready_text = child.ready_text;
  status.usage = child.past;
  if (child.process) {
    status.pid = child.process->pid();
    status.up_for = Now() - child.started_at;
    Add(status.usage, child.process->UsageSoFar());
  }
  if (child.state == State::kWaiting) {
    status.restart_in = std::max<Nanos>(0, child.restart_at - Now());
  }
  return status;
}

Supervisor::Supervisor(Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Supervisor::~Supervisor() { StopAll(10 * kSecond); }

std::optional<std::string> Supervisor::Start(const ChildSpec& spec) {
  return impl_->Call([&] { return impl_->Start(spec); });
}

bool Supervisor::WaitReady(Nanos within) {
  return impl_->Await(within, [this]() -> std::optional<bool> {
    bool all = true;
    for (const auto& child : impl_->children()) {
      if (child->state == State::kGaveUp) return false;
      if (!child->spec.notifies_ready) continue;
      if (child->ended()) return false;
      all = all && child->state == State::kRunning;
    }
    if (all) return true;
    return std::nullopt;
  });
}

std::optional<ChildStatus> Supervisor::WaitEnd(const std::string& name, Nanos within) {
  std::optional<ChildStatus> status;
  impl_->Await(within, [&]() -> std::optional<bool> {
    const Child* child = impl_->Find(name);
    if (child == nullptr) return false;
    if (!child->ended()) return std::nullopt;
    status = impl_->Status(*child);
    return true;
  });
  return status;
}

bool Supervisor::Stop(const std::string& name) {
  return impl_->Call([&] {
    Child* child = impl_->Find(name);
    if (child != nullptr) impl_->BeginStop(*child);
    return child != nullptr;
  });
}

bool Supervisor::Signal(const std::string& name, int signal) {
  return impl_->Call([&] {
    Child* child = impl_->Find(name);
    if (child == nullptr || !child->process) return false;
    child->process->Signal(signal);
    return true;
  });
}

StopReport Supervisor::StopAll(Nanos within) {
  impl_->Call([&] { impl_->BeginStopAll(within); });
  StopReport report;
  if (impl_->on_own_thread()) return report;
  impl_->Await(within + kAfterKill, [this]() -> std::optional<bool> {
    for (const auto& child : impl_->children()) {
      if (!child->ended()) return std::nullopt;
    }
    return true;
  });
  impl_->Call([&] {
    for (const auto& child : impl_->children()) {
      if (child->process) report.stuck.push_back(child->spec.name);
      if (child->killed) report.killed.push_back(child->spec.name);
    }
  });
  return report;
}

std::vector<ChildStatus> Supervisor::Snapshot() {
  return impl_->Call([&] {
    std::vector<ChildStatus> result;
    for (const auto& child : impl_->children()) result.push_back(impl_->Status(*child));
    return result;
  });
}

}  // namespace baiwan::supervise
