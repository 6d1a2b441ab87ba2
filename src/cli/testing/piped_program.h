// The real program with its output and its log on pipes of the test's, which reads them, lets them
// stand, or closes them.
//
// Threads: the test's. Failure: an exception if it cannot be started; it never outlives the test.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"

namespace baiwan::cli {

struct PipedOptions {
  int pipe_bytes = 4096;         // what each pipe takes while nobody reads it
  std::uint64_t open_files = 0;  // that it may have; 0: as many as the test
  bool without_output = false;   // standard output and error are closed
  bool full = false;             // the log's pipe takes nothing until the test reads from it
};

class PipedProgram {
 public:
  explicit PipedProgram(const std::vector<std::string>& arguments,
                        const PipedOptions& options = {});
  ~PipedProgram();
  PipedProgram(const PipedProgram&) = delete;
  PipedProgram& operator=(const PipedProgram&) = delete;

  pid_t pid() const { return pid_; }
  // What came on standard error (output) so far; reads until `text` is in it, or in vain.
  const std::string& ReadLogUntil(const std::string& text, Nanos within);
  const std::string& ReadOutputUntil(const std::string& text, Nanos within);
  void CloseLog() { log_.Reset(); }
  void CloseOutput() { output_.Reset(); }
  void Signal(int signal);
  // Its exit code (128 + signal if killed by one); nothing if it goes on for longer.
  std::optional<int> Wait(Nanos within);

 private:
  UniqueFd output_;
  UniqueFd log_;
  std::string output_text_;
  std::string log_text_;
  pid_t pid_ = -1;
  std::optional<int> code_;
};

}  // namespace baiwan::cli
