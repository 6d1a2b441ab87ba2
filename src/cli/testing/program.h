// The real program, run as a user runs it: for end-to-end tests.
//
// Threads: the test's. Failure: gtest failures name what went wrong; whatever a test does, no
// process of it outlives it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/testing/temp_folder.h"
#include "supervise/process.h"

namespace baiwan::cli {

class Program {
 public:
  // Starts `baiwan <arguments>`; what it prints goes to a file in `folder`.
  // With `network`, in a network of its own that these shell commands set up (needs root).
  Program(const std::string& folder, std::vector<std::string> arguments,
          const std::string& network = "");

  pid_t pid() const { return process_->pid(); }
  // Its exit code (128 + signal if killed by one); nothing if it goes on for longer.
  std::optional<int> Wait(Nanos within);
  void Signal(int signal) { process_->Signal(signal); }
  std::string output() const;
  // Process ids of its children whose command line holds `what`.
  std::vector<pid_t> Children(const std::string& what = "") const;

 private:
  std::string log_;
  std::unique_ptr<supervise::Process> process_;
};

// The only child whose command line holds `what`, once there is one.
pid_t WaitForChild(const Program& program, const std::string& what, Nanos within);
bool Eventually(const std::function<bool()>& condition, Nanos within);
bool Exists(pid_t pid);
nlohmann::json ReadJson(const std::string& path);

}  // namespace baiwan::cli
