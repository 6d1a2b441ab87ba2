#include "cli/prepare.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "base/line_writer.h"

namespace baiwan::cli {
namespace {

void OpenStandardFiles() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest number that is free is this one's.
    if (::fcntl(fd, F_GETFD) < 0) [[maybe_unused]]
      const int opened = ::open("/dev/null", O_RDWR);
  }
}

void RaiseOpenFiles() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

// Whoever parses hears of a bad frame from the parser. Only what protobuf ends the process for is
// told.
void OnProtobuf(google::protobuf::LogLevel level, const char*, int, const std::string& what) {
  if (level != google::protobuf::LOGLEVEL_FATAL) return;
  ProcessStderr().WriteLast(fmt::format("fatal: protobuf: {}", what));
  FlushProcessStderr();
}

}  // namespace

void PrepareProcess() {
  OpenStandardFiles();
  std::signal(SIGPIPE, SIG_IGN);
  RaiseOpenFiles();
  google::protobuf::SetLogHandler(OnProtobuf);
}

}  // namespace baiwan::cli
