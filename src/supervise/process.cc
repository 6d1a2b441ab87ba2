#include "supervise/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "supervise/ready.h"

namespace baiwan::supervise {
namespace {

constexpr int kReadyFd = 3;     // in the child
constexpr int kFirstFree = 10;  // our own ends stay clear of the numbers that the child gets

std::string Because(std::string_view what) {
  return fmt::format("{}: {}", what, std::strerror(errno));
}

UniqueFd OutOfTheWay(int fd) {
  if (fd < 0) return {};
  UniqueFd low(fd);
  return UniqueFd(::fcntl(low.get(), F_DUPFD_CLOEXEC, kFirstFree));
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
bool MakePipe(Pipe& pipe) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return false;
  pipe.read = OutOfTheWay(fds[0]);
  pipe.write = OutOfTheWay(fds[1]);
  return pipe.read && pipe.write;
}

bool IsProgram(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

// As execvp would, but before the fork, where an error can still be told in words.
// Replaces `*program` by its path, or says why not.
std::optional<std::string> FindProgram(std::string* program) {
  const std::string name = *program;
  if (name.find('/') != std::string::npos) {
    if (IsProgram(name)) return std::nullopt;
    struct stat info {};
    if (::stat(name.c_str(), &info) != 0) return Because(fmt::format("cannot run {}", name));
    return fmt::format("cannot run {}: it is not an executable file", name);
  }
  const char* variable = std::getenv("PATH");
  std::string_view path = variable != nullptr ? variable : "/usr/bin:/bin";
  while (!name.empty() && !path.empty()) {
    const auto colon = path.find(':');
    const std::string_view folder = path.substr(0, colon);
    *program = fmt::format("{}/{}", folder.empty() ? "." : folder, name);
    if (IsProgram(*program)) return std::nullopt;
    path.remove_prefix(colon == std::string_view::npos ? path.size() : colon + 1);
  }
  return fmt::format("cannot run '{}': there is no such program in PATH", name);
}

std::vector<std::string> Environment(const ChildSpec& spec) {
  auto env = spec.env;
  if (spec.notifies_ready) env.emplace_back(kReadyVariable, std::to_string(kReadyFd));
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    bool replaced = name == kReadyVariable;  // ours, if any, is not the child's
    for (const auto& [key, value] : env) replaced |= name == key;
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [key, value] : env) result.push_back(fmt::format("{}={}", key, value));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (std::string& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

// Everything that the child needs between fork and exec, made before: there it may only make
// system calls, since other threads may have held any lock at the moment of the fork.
struct Plan {
  const char* program;
  char* const* argv;
  char* const* envp;
  int input;
  int output;
  int ready;  // or -1
  int error;  // takes errno if the program cannot be started
  pid_t parent;
};

[[noreturn]] void BecomeChild(const Plan& plan) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != plan.parent) ::_exit(127);  // it died before the line above

  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  ::dup2(plan.input, STDIN_FILENO);
  ::dup2(plan.output, STDOUT_FILENO);
  ::dup2(plan.output, STDERR_FILENO);
  if (plan.ready >= 0) ::dup2(plan.ready, kReadyFd);
  const unsigned first = plan.ready >= 0 ? kReadyFd + 1 : kReadyFd;
  if (::close_range(first, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    for (rlim_t fd = first; fd < files.rlim_cur; ++fd) {
      ::fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC);
    }
  }
  ::execve(plan.program, plan.argv, plan.envp);
  const int error = errno;
  [[maybe_unused]] const auto n = ::write(plan.error, &error, sizeof error);
  ::_exit(127);
}

// Signals stay blocked over the fork, so that none of our handlers runs in the child.
pid_t Fork(const Plan& plan) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) BecomeChild(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

// 0 when the program runs (the pipe closed with the exec), or the errno of the exec.
int WaitForExec(const UniqueFd& pipe) {
  int error = 0;
  for (;;) {
    const ssize_t n = ::read(pipe.get(), &error, sizeof error);
    if (n < 0 && errno == EINTR) continue;
    return n == sizeof error ? error : 0;
  }
}

// glibc 2.36 declares pidfd_open without C linkage, so C++ cannot link it.
UniqueFd PidFd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

std::uint64_t Micros(const timeval& t) {
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(t.tv_usec);
}

}  // namespace

std::string Exit::ToString() const {
  if (!by_signal) return fmt::format("exited with code {}", code);
  return fmt::format("killed by signal {} ({})", code, ::strsignal(code));
}

Process::Process(pid_t pid, UniqueFd pidfd, UniqueFd ready)
    : pid_(pid), pidfd_(std::move(pidfd)), ready_(std::move(ready)) {}

Process::~Process() {
  if (reaped_) return;
  Signal(SIGKILL);
  // It dies at once unless it sits in a system call that cannot be interrupted: a bad disk must not
  // hang its supervisor as well.
  for (int tries = 0; tries < 100 && !Reap(); ++tries) {
    pollfd wait{pidfd_.get(), POLLIN, 0};
    ::poll(&wait, pidfd_ ? 1 : 0, 10);
  }
}

Result<std::unique_ptr<Process>, std::string> Process::Start(const ChildSpec& spec) {
  if (spec.argv.empty()) return fmt::format("'{}' has no command to run", spec.name);
  std::string program = spec.argv.front();
  if (auto error = FindProgram(&program)) return std::move(*error);

  const UniqueFd input = OutOfTheWay(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::string log = spec.log_file.empty() ? "/dev/null" : spec.log_file;
  const UniqueFd output =
      OutOfTheWay(::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644));
  if (!output) return Because(fmt::format("cannot write the log {}", log));
  Pipe error;
  Pipe ready;
  if (!input || !MakePipe(error) || (spec.notifies_ready && !MakePipe(ready))) {
    return Because(fmt::format("cannot start '{}'", spec.name));
  }

  std::vector<std::string> argv = spec.argv;
  std::vector<std::string> env = Environment(spec);
  const std::vector<char*> argp = Pointers(argv);
  const std::vector<char*> envp = Pointers(env);
  const Plan plan{program.c_str(), argp.data(),       envp.data(),       input.get(),
                  output.get(),    ready.write.get(), error.write.get(), ::getpid()};
  const pid_t pid = Fork(plan);
  if (pid < 0) return Because(fmt::format("cannot start '{}'", spec.name));
  ::setpgid(pid, pid);  // also here: whoever comes first, a signal to the group finds it
  error.write.Reset();
  ready.write.Reset();
  std::unique_ptr<Process> process(new Process(pid, PidFd(pid), std::move(ready.read)));
  if (const int code = WaitForExec(error.read); code != 0) {
    return fmt::format("cannot run {}: {}", program, std::strerror(code));
  }
  if (process->ready_) ::fcntl(process->ready_.get(), F_SETFL, O_NONBLOCK);
  return process;
}

std::optional<std::string> Process::ReadReady() {
  char buffer[1024];
  while (ready_) {
    const ssize_t n = ::read(ready_.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return std::nullopt;
    if (n <= 0) {  // closed without a line: it will not tell any more
      ready_.Reset();
      return std::nullopt;
    }
    ready_text_.append(buffer, static_cast<std::size_t>(n));
    const auto end = ready_text_.find('\n');
    if (end == std::string::npos && ready_text_.size() < kMaxReadyText) continue;
    ready_.Reset();
    return ready_text_.substr(0, std::min(end, kMaxReadyText));
  }
  return std::nullopt;
}

void Process::Signal(int signal) {
  if (reaped_) return;  // the number may be somebody else's by now
  if (::kill(-pid_, signal) != 0) ::kill(pid_, signal);
}

std::optional<Exit> Process::Reap() {
  if (reaped_) return std::nullopt;
  siginfo_t info{};
  const int seen = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
  if (seen == 0 && info.si_pid == 0) return std::nullopt;
  // While the child is unburied nobody else can get its number, so this hits only its own group.
  Signal(SIGKILL);
  int status = 0;
  rusage used{};
  const pid_t pid = ::wait4(pid_, &status, 0, &used);
  reaped_ = true;
  if (pid != pid_) return Exit{true, SIGKILL, {}};  // buried by someone else: nothing is known
  Exit exit;
  exit.by_signal = WIFSIGNALED(status);
  exit.code = exit.by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
  exit.usage = {Micros(used.ru_utime), Micros(used.ru_stime),
                static_cast<std::uint64_t>(used.ru_maxrss)};
  return exit;
}

// Total time from the process's CPU clock (nanoseconds); the kernel tells how it divides only in
// ticks of 10 ms, so the division is approximate while the total is not.
Usage Process::UsageSoFar() const {
  Usage usage;
  clockid_t clock{};
  timespec total{};
  if (reaped_ || ::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &total) != 0) {
    return usage;
  }
  const auto total_us = static_cast<std::uint64_t>(total.tv_sec) * 1'000'000 +
                        static_cast<std::uint64_t>(total.tv_nsec) / 1000;
  usage.user_us = total_us;
  if (const auto stat = ReadFile(fmt::format("/proc/{}/stat", pid_))) {
    // proc(5): the program's name, in brackets, may hold anything; utime and stime are the 12th and
    // 13th field behind it.
    unsigned long user = 0;
    unsigned long system = 0;
    const auto bracket = stat->rfind(')');
    if (bracket != std::string::npos &&
        std::sscanf(stat->c_str() + bracket + 1,
                    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2 &&
        user + system > 0) {
      usage.system_us = total_us * system / (user + system);
      usage.user_us = total_us - usage.system_us;
    }
  }
  if (const auto status = ReadFile(fmt::format("/proc/{}/status", pid_))) {
    const auto at = status->find("VmHWM:");
    if (at != std::string::npos) {
      usage.max_rss_kib = std::strtoull(status->c_str() + at + 6, nullptr, 10);
    }
  }
  return usage;
}

void BoundLog(const std::string& path, std::uint64_t max_bytes) {
  struct stat info {};
  if (path.empty() || ::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) <= max_bytes) {
    return;
  }
  // The child keeps its file open in append mode, so the file is emptied instead of replaced: its
  // next line then lands at the beginning.
  const UniqueFd from(::open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC));
  const std::string old = path + ".1";
  const UniqueFd to(::open(old.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!from || !to) return;
  char buffer[64 << 10];
  // A little more than there was: what the child wrote meanwhile, but not for ever.
  for (auto left = info.st_size + (1 << 20); left > 0;) {
    const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
    if (n <= 0 || ::write(to.get(), buffer, static_cast<std::size_t>(n)) != n) break;
    left -= n;
  }
  if (::ftruncate(from.get(), 0) != 0) return;
  const std::string note = fmt::format("--- older lines are in {}\n", old);
  [[maybe_unused]] const auto n = ::write(from.get(), note.data(), note.size());
}

}  // namespace baiwan::supervise
