#include "cli/output.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/args.h"

namespace baiwan::cli {
namespace {

int output_failed = 0;  // an errno

}  // namespace

bool Print(std::string_view text) {
  if (output_failed != 0) return false;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    output_failed = errno;
  }
  return output_failed == 0;
}

int Finish(int code) {
  if (output_failed == 0 && std::fflush(stdout) != 0) output_failed = errno;
  if (output_failed == 0 || output_failed == EPIPE) return code;
  Fail(fmt::format("cannot write to standard output: {}", std::strerror(output_failed)));
  return code == kDone ? kUsage : code;
}

}  // namespace baiwan::cli
