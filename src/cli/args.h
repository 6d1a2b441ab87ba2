// The arguments of one command, declared where they are used; CLI11 stays behind this header.
//
//   Command ImportCommand() {
//     return {"import", "Puts a cell's share of the friend graph into its store.", kExamples,
//             [](Args& args) {
//               auto options = std::make_shared<Options>();
//               args.Number("--cell", &options->cell, "which cell", 0, 1023);
//               return [options] { return RunImport(*options); };
//             }};
//   }
//
// Exit codes of every command: 0 done, 1 mismatch, 2 usage or environment, 3 deadline. Threads: the
// main one, before anything runs. Failure: a wrong argument ends in a sentence on standard error,
// with the nearest right name where there is one, and exit code 2.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace CLI {
class App;
}

namespace baiwan::cli {

inline constexpr int kDone = 0;
inline constexpr int kMismatch = 1;
inline constexpr int kUsage = 2;
inline constexpr int kDeadline = 3;
inline constexpr int kNotAsPlanned = 4;  // verified, but the load was not what was asked for

// Every target keeps its value, which is the default, if the argument is not given.
class Args {
 public:
  explicit Args(CLI::App& app) : app_(app) {}

  void Flag(const std::string& name, bool* value, const std::string& what);
  void Text(const std::string& name, std::string* value, const std::string& what);
  void Texts(const std::string& name, std::vector<std::string>* values, const std::string& what);
  void Choice(const std::string& name, std::string* value, const std::vector<std::string>& choices,
              const std::string& what);
  void Number(const std::string& name, std::uint64_t* value, const std::string& what,
              std::uint64_t min, std::uint64_t max);
  void Number(const std::string& name, std::uint32_t* value, const std::string& what,
              std::uint32_t min, std::uint32_t max);
  void Real(const std::string& name, double* value, const std::string& what, double min,
            double max);
  // "10s", "250ms"; see ParseDuration.
  void Duration(const std::string& name, Nanos* value, const std::string& what);
  // What must be given.
  void Required(const std::string& name);
  // Says the same as the others, so that none of them may stand beside it.
  void Instead(const std::string& name, const std::vector<std::string>& others);
  // An argument without a name in front of it; may be left out.
  void Positional(const std::string& name, std::string* value, const std::string& what);

 private:
  CLI::App& app_;
};

struct Command {
  std::string name;
  std::string summary;   // one line
  std::string examples;  // shown by --help, ends with a newline
  // Declares the arguments; what it returns runs the command and gives its exit code.
  std::function<std::function<int()>(Args&)> declare;
  std::vector<Command> commands = {};  // below this one, instead of arguments of its own
};

// Parses and runs.
int RunCommands(const std::string& program, const std::string& about,
                const std::vector<Command>& commands, int argc, char** argv);

// "baiwan: <sentence>" on standard error; returns kUsage.
int Fail(const std::string& sentence);

}  // namespace baiwan::cli
