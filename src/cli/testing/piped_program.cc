#include "cli/testing/piped_program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <stdexcept>
#include <thread>

namespace baiwan::cli {
namespace {

constexpr Nanos kLook = 10 * kMillisecond;

struct Pipe {
  explicit Pipe(int bytes) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
    ::fcntl(write.get(), F_SETPIPE_SZ, bytes);
    ::fcntl(read.get(), F_SETFL, O_NONBLOCK);  // this end has a description of its own
  }
  // Until not a byte more goes in.
  void Fill() {
    ::fcntl(write.get(), F_SETFL, O_NONBLOCK);
    const std::string dots(512, '.');
    for (std::size_t size : {dots.size(), std::size_t{1}}) {
      while (::write(write.get(), dots.data(), size) > 0) {
      }
    }
    ::fcntl(write.get(), F_SETFL, 0);
  }

  UniqueFd read;
  UniqueFd write;
};

const std::string& ReadUntil(const UniqueFd& from, std::string* all, const std::string& text,
                             Nanos within) {
  const Nanos until = SystemClock().Monotonic() + within;
  while (all->find(text) == std::string::npos && SystemClock().Monotonic() < until) {
    pollfd some{from.get(), POLLIN, 0};
    if (::poll(&some, 1, static_cast<int>(kLook / kMillisecond)) <= 0) continue;
    char buffer[4096];
    const auto n = ::read(from.get(), buffer, sizeof buffer);
    if (n == 0) break;
    if (n > 0) all->append(buffer, static_cast<std::size_t>(n));
  }
  return *all;
}

}  // namespace

PipedProgram::PipedProgram(const std::vector<std::string>& arguments, const PipedOptions& options) {
  std::vector<std::string> words = {BAIWAN_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  Pipe output(options.pipe_bytes);
  Pipe log(options.pipe_bytes);
  if (options.full) log.Fill();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("no process");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &standard, nullptr);
    ::dup2(output.write.get(), STDOUT_FILENO);
    ::dup2(log.write.get(), STDERR_FILENO);
    if (options.without_output) {
      ::close(STDOUT_FILENO);
      ::close(STDERR_FILENO);
    }
    if (options.open_files != 0) {
      const rlimit files{options.open_files, options.open_files};
      ::setrlimit(RLIMIT_NOFILE, &files);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  output_ = std::move(output.read);
  log_ = std::move(log.read);
}

PipedProgram::~PipedProgram() {
  if (code_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

const std::string& PipedProgram::ReadLogUntil(const std::string& text, Nanos within) {
  return ReadUntil(log_, &log_text_, text, within);
}

const std::string& PipedProgram::ReadOutputUntil(const std::string& text, Nanos within) {
  return ReadUntil(output_, &output_text_, text, within);
}

void PipedProgram::Signal(int signal) {
  if (!code_) ::kill(pid_, signal);
}

std::optional<int> PipedProgram::Wait(Nanos within) {
  const Nanos until = SystemClock().Monotonic() + within;
  while (!code_) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    } else if (SystemClock().Monotonic() > until) {
      break;
    } else {
      std::this_thread::sleep_for(std::chrono::nanoseconds(kLook));
    }
  }
  return code_;
}

}  // namespace baiwan::cli
