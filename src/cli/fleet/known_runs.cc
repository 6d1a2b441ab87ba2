#include "cli/fleet/known_runs.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/checksum.h"
#include "base/file.h"

namespace baiwan::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMostBytes = 2 << 20;

std::optional<KnownRun> Read(const fs::path& file) {
  const auto text = ReadFile(file.string(), kMostBytes);
  const json in = text ? json::parse(*text, nullptr, false) : json();
  if (!in.is_object()) return std::nullopt;
  KnownRun run;
  try {
    in.at("run").get_to(run.run);
    in.at("folder").get_to(run.folder);
    in.at("plan").get_to(run.plan);
    in.at("destroyed").get_to(run.destroyed);
  } catch (const json::exception&) {
    return std::nullopt;
  }
  return run;
}

}  // namespace

std::string KnownRunsFolder() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return std::string(state) + "/baiwan/fleet";
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') {
    const passwd* user = ::getpwuid(::getuid());
    home = user != nullptr ? user->pw_dir : nullptr;
  }
  if (home == nullptr || *home != '/') return "";
  return std::string(home) + "/.local/state/baiwan/fleet";
}

std::optional<std::string> Remember(const std::string& at, const KnownRun& run) {
  if (at.empty()) return std::nullopt;
  std::error_code error;
  fs::create_directories(at, error);
  if (error) return fmt::format("cannot make {}: {}", at, error.message());
  const json out = {
      {"run", run.run}, {"folder", run.folder}, {"plan", run.plan}, {"destroyed", run.destroyed}};
  // The same name may be taken in several folders.
  return ReplaceFile(fmt::format("{}/{}-{:08x}.json", at, run.run, Crc32c(run.folder)),
                     out.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

std::vector<KnownRun> KnownRuns(const std::string& at) {
  std::vector<KnownRun> runs;
  std::error_code error;
  if (at.empty()) return runs;
  for (const auto& entry : fs::directory_iterator(at, error)) {
    if (entry.path().extension() != ".json" || runs.size() >= kMostKnownRuns) continue;
    auto run = Read(entry.path());
    if (!run) continue;
    std::error_code ignored;
    if (run->destroyed && !fs::exists(run->folder, ignored)) {
      fs::remove(entry.path(), ignored);
      continue;
    }
    runs.push_back(std::move(*run));
  }
  std::sort(runs.begin(), runs.end(), [](const KnownRun& a, const KnownRun& b) {
    return std::tie(a.run, a.folder) < std::tie(b.run, b.folder);
  });
  return runs;
}

std::optional<KnownRun> FindRun(const std::string& at, std::string_view run, std::string* wrong) {
  std::vector<KnownRun> found = KnownRuns(at);
  const auto erase = [&found](auto unwanted) {
    found.erase(std::remove_if(found.begin(), found.end(), unwanted), found.end());
  };
  erase([&](const KnownRun& one) { return one.run != run; });
  const bool something_left =
      std::any_of(found.begin(), found.end(), [](const KnownRun& one) { return !one.destroyed; });
  erase([&](const KnownRun& one) { return something_left && one.destroyed; });
  if (found.size() == 1) return std::move(found.front());
  if (found.size() > 1) {
    *wrong = fmt::format("several runs are called {}: say with --runs which one;", run);
    for (const KnownRun& one : found) {
      *wrong += fmt::format("\n  --runs {}", fs::path(one.folder).parent_path().string());
    }
  }
  return std::nullopt;
}

}  // namespace baiwan::cli
