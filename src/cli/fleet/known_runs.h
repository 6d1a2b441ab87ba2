// The runs that this user has begun on this machine, wherever their folders are: `baiwan fleet
// list` shows them, and every command finds a run by its name alone. Each is a file in one folder,
// with the plan beside where the run is, so that its hosts can be destroyed even where that is
// gone.
//
// Threads: one; blocks. Failure: a sentence from Remember; what cannot be read is left out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace baiwan::cli {

struct KnownRun {
  std::string run;
  std::string folder;      // absolute
  std::string plan;        // its TOML
  bool destroyed = false;  // nothing of it is left

  bool operator==(const KnownRun&) const = default;
};

// $XDG_STATE_HOME/baiwan/fleet, else ~/.local/state/baiwan/fleet; empty where there is neither.
std::string KnownRunsFolder();

// In place of what was known of this run in this folder. With an empty `at` nothing is kept.
std::optional<std::string> Remember(const std::string& at, const KnownRun& run);
// By name. Those whose folder is gone and of which nothing is left are forgotten here. At most
// kMostKnownRuns are read.
std::vector<KnownRun> KnownRuns(const std::string& at);
inline constexpr std::size_t kMostKnownRuns = 10'000;

// The one with this name: where several have it, the one of which something is left. `wrong` says
// why it is none of several.
std::optional<KnownRun> FindRun(const std::string& at, std::string_view run, std::string* wrong);

}  // namespace baiwan::cli
