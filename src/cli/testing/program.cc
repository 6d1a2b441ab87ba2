#include "cli/testing/program.h"

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/file.h"

namespace baiwan::cli {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Program::Program(const std::string& folder, std::vector<std::string> arguments,
                 const std::string& network) {
  static int number = 0;
  log_ = folder + "/output-" + std::to_string(++number);
  supervise::ChildSpec spec;
  spec.name = "baiwan";
  spec.argv = std::move(arguments);
  spec.argv.insert(spec.argv.begin(), BAIWAN_PROGRAM);
  if (!network.empty()) {
    const std::string all = network + " && exec \"$0\" \"$@\"";
    spec.argv.insert(spec.argv.begin(), {"unshare", "--net", "sh", "-c", all});
  }
  spec.log_file = log_;
  auto started = supervise::Process::Start(spec);
  if (!started) throw std::runtime_error(started.error());
  process_ = std::move(*started);
}

std::optional<int> Program::Wait(Nanos within) {
  std::optional<int> code;
  Eventually(
      [&] {
        const auto exit = process_->Reap();
        if (exit) code = exit->by_signal ? 128 + exit->code : exit->code;
        return exit.has_value();
      },
      within);
  return code;
}

std::string Program::output() const { return ReadAll(log_); }

std::vector<pid_t> Program::Children(const std::string& what) const {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string stat = ReadAll(entry.path().string() + "/stat");
    const auto behind_name = stat.rfind(')');
    if (behind_name == std::string::npos) continue;
    std::istringstream fields(stat.substr(behind_name + 1));
    char state = 0;
    pid_t parent = 0;
    fields >> state >> parent;
    if (parent != pid() || state == 'Z') continue;
    const std::string line = ReadAll(entry.path().string() + "/cmdline");
    if (line.find(what) != std::string::npos) found.push_back(std::stoi(name));
  }
  return found;
}

pid_t WaitForChild(const Program& program, const std::string& what, Nanos within) {
  std::vector<pid_t> found;
  Eventually(
      [&] {
        found = program.Children(what);
        return found.size() == 1;
      },
      within);
  EXPECT_EQ(found.size(), 1U) << what << "\n" << program.output();
  return found.empty() ? 0 : found.front();
}

bool Eventually(const std::function<bool()>& condition, Nanos within) {
  const Nanos until = SystemClock().Monotonic() + within;
  while (!condition()) {
    if (SystemClock().Monotonic() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

bool Exists(pid_t pid) { return ::kill(pid, 0) == 0; }

nlohmann::json ReadJson(const std::string& path) {
  return nlohmann::json::parse(ReadAll(path), nullptr, false);
}

}  // namespace baiwan::cli
