// A program beside ours that carries something out and tells how far it has come: a provider
// (deploy/providers), the step engine (deploy/ansible), a script.
//
//   auto tool = Tool::Start({.name = "up-1", .argv = {…, "up"}, .folder = "tools", .input = json});
//   while (!(*tool)->Ended()) { for (line : (*tool)->NewErrors()) …; sleep; }
//   (*tool)->Output();
//
// Its streams are files, FOLDER/NAME.in, .out and .err: nothing can block on a full pipe, and what
// it said is still there when somebody asks why it failed.
//
// Threads: one, which must live as long as the tool: if it ends, the tool is killed. Failure: a
// sentence from Start; later an exit code. A Tool that is destroyed is asked to end, with its whole
// process group, and killed if it has not within kPatience.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fleet/host_files.h"
#include "supervise/process.h"

namespace baiwan::fleet {

struct ToolSpec {
  std::string name;    // of its files; "-2", "-3" … behind it where there was one before
  Argv argv;           // argv[0]: a path, or a name that is looked up in PATH
  std::string folder;  // for its files; must be there
  std::string input;   // its standard input
  bool keep = true;    // false: its files take the place of those of the last one of this name
};

class Tool {
 public:
  static constexpr Nanos kPatience = 8 * kSecond;
  static constexpr std::size_t kMaxOutput = 64 << 20;  // what is read of each stream

  static Result<std::unique_ptr<Tool>, std::string> Start(const ToolSpec& spec);
  ~Tool();
  Tool(const Tool&) = delete;
  Tool& operator=(const Tool&) = delete;

  // Whole lines of its standard output, and of its standard error, since the last call.
  std::vector<std::string> NewLines() { return out_.New(); }
  std::vector<std::string> NewErrors() { return err_.New(); }
  // Its exit code, or 128 + the signal; nothing while it runs.
  std::optional<int> Ended();
  // Asks it to end; does not wait.
  void Stop() { process_->Signal(SIGTERM); }

  // Half of what is read has come: who wants to hear for ever starts another one in its place.
  bool full() const { return out_.full(); }

  std::string Output() const { return out_.All(); }
  // The end of what it said on standard error.
  std::string ErrorTail(std::size_t bytes) const;
  const std::string& command() const { return command_; }  // for people

 private:
  class Lines {
   public:
    explicit Lines(std::string path) : path_(std::move(path)) {}
    std::vector<std::string> New();
    std::string All() const;
    bool full() const { return read_ >= kMaxOutput / 2; }

   private:
    std::string path_;
    std::size_t read_ = 0;
    std::string begun_;  // a line whose end has not come yet
  };

  Tool(std::unique_ptr<supervise::Process> process, const Argv& argv, const std::string& files);

  std::unique_ptr<supervise::Process> process_;
  std::optional<int> ended_;
  Lines out_;
  Lines err_;
  std::string command_;
};

// Runs it to its end, at most for `limit` (then it is killed and the result is a failure).
struct ToolEnd {
  int code = 0;
  std::string output;
  std::string error_tail;
};
Result<ToolEnd, std::string> RunTool(const ToolSpec& spec, Nanos limit);

}  // namespace baiwan::fleet
