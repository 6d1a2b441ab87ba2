#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "cli/cell_loop.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/output.h"

namespace baiwan::cli {
namespace {

struct Options {
  std::string what = "describe";
  std::vector<std::string> files;
};

// A file that loads.
struct Checked {
  std::string file;
  Config config;
};

// Whether such a file is of a process that serves cells, and not of a registry or a load client.
bool ServesCells(const Config& config) {
  const auto set = [&](const ConfigKey& key) { return config.source(key.name) != "default"; };
  bool other = false;
  for (const ConfigKey& key : config.keys()) {
    if (!set(key)) continue;
    const std::string section = key.name.substr(0, key.name.find('.'));
    for (const char* serving : {"gateway", "relay", "logic", "store"}) {
      if (section == serving) return true;
    }
    for (const char* serving : {"cell.first", "cell.count", "cell.roles"}) {
      if (key.name == serving) return true;
    }
    other |= key.name == "registry.listen" || key.name == "ops.listen";
  }
  return !other;
}

// What a process of such a file listens on.
std::vector<std::string> SectionsOf(const Config& config) {
  if (!ServesCells(config)) {
    const bool registry = config.source("registry.listen") != "default";
    return {"process", registry ? "registry" : "ops"};
  }
  std::vector<std::string> sections = {"process", "store"};
  const bool gateway = HasRole(config, "gateway");
  const bool relay = HasRole(config, "relay");
  if (gateway) sections.emplace_back("gateway");
  if (relay) sections.emplace_back("relay");
  if (HasRole(config, "logic") && !(gateway && relay)) sections.emplace_back("logic");
  if (!gateway) sections.emplace_back("ops");
  return sections;
}

bool HasStore(const Config& config) {
  return ServesCells(config) && HasRole(config, "logic") &&
         config.choice("store.engine") == "rocksdb";
}

std::string StoreOf(const Config& config) {
  std::error_code error;
  const auto path = std::filesystem::weakly_canonical(config.string("store.path"), error);
  return error ? config.string("store.path") : path.string();
}

// The first cell that both serve in one of their roles, and the role.
std::optional<std::pair<std::int64_t, std::string>> ServedTwice(const Config& a, const Config& b) {
  if (!ServesCells(a) || !ServesCells(b)) return std::nullopt;
  const std::int64_t first = std::max(a.integer("cell.first"), b.integer("cell.first"));
  const std::int64_t end = std::min(a.integer("cell.first") + a.integer("cell.count"),
                                    b.integer("cell.first") + b.integer("cell.count"));
  if (first >= end) return std::nullopt;
  for (const char* role : {"gateway", "logic", "relay"}) {
    if (HasRole(a, role) && HasRole(b, role)) return std::pair(first, std::string(role));
  }
  return std::nullopt;
}

// What two files of a deployment must not both say.
void CheckPair(const Checked& a, const Checked& b, std::vector<ConfigError>* errors) {
  for (const char* key : {"cell.cells", "cell.partitions"}) {
    if (a.config.integer(key) == b.config.integer(key)) continue;
    errors->push_back({b.file, key,
                       fmt::format("{} here and {} in {}: a deployment has one number",
                                   b.config.integer(key), a.config.integer(key), a.file)});
  }
  if (const auto twice = ServedTwice(a.config, b.config)) {
    errors->push_back({b.file, "cell.first",
                       fmt::format("cell {} has its {} in {} already: give each cell one",
                                   twice->first, twice->second, a.file)});
  }
  if (HasStore(a.config) && HasStore(b.config) && StoreOf(a.config) == StoreOf(b.config)) {
    errors->push_back({b.file, "store.path",
                       fmt::format("{} is the store of {} too: give each its own folder",
                                   b.config.string("store.path"), a.file)});
  }
}

// Whether a process that is started here has the descriptors and the memory for its settings.
void CheckShares(const Checked& c, std::vector<ConfigError>* errors) {
  if (!ServesCells(c.config)) return;
  const auto shares = ShareDescriptors(c.config, DescriptorLimit());
  if (!shares) {
    errors->push_back({c.file, "", shares.error()});
  } else if (!shares->fits()) {
    errors->push_back({c.file, "gateway.max_connections", shares->WayOut()});
  }
  const auto memory = ShareMemory(c.config);
  if (!memory) errors->push_back({c.file, "process.memory", memory.error()});
}

std::vector<ConfigError> CheckTogether(const std::vector<Checked>& all) {
  std::vector<DeployedProcess> processes;
  std::vector<ConfigError> errors;
  for (const Checked& c : all) {
    processes.push_back({c.file, "this machine", &c.config, SectionsOf(c.config),
                         static_cast<std::uint32_t>(c.config.integer("cell.count"))});
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    CheckShares(all[i], &errors);
    for (std::size_t j = 0; j < i; ++j) {
      const std::size_t before = errors.size();
      CheckPair(all[j], all[i], &errors);
      if (errors.size() > before) break;  // what it has in common with others is told of them
    }
  }
  struct sysinfo machine {};
  sysinfo(&machine);
  for (ConfigError& error : CheckDeployment(processes, machine.totalram * machine.mem_unit)) {
    errors.push_back(std::move(error));
  }
  return errors;
}

int Check(const std::vector<std::string>& files) {
  if (files.empty()) return Fail("config check needs the files: --file a.toml --file b.toml");
  std::vector<Checked> right;
  std::vector<ConfigError> errors;
  std::set<std::string> seen;
  for (const std::string& file : files) {
    if (!seen.insert(file).second) {
      errors.push_back({file, "", "is given more than once"});
      continue;
    }
    auto config = LoadConfig(Schema(), {.file = file, .sets = {}, .environment = {}});
    if (config) {
      right.push_back({file, std::move(*config)});
    } else {
      errors.insert(errors.end(), config.error().begin(), config.error().end());
    }
  }
  for (ConfigError& error : CheckTogether(right)) errors.push_back(std::move(error));
  std::fputs(ToText(errors).c_str(), stderr);
  if (!errors.empty()) return kUsage;
  Print(fmt::format("{} files are right and fit together\n", files.size()));
  return kDone;
}

int Run(const Options& o) {
  if (o.what == "check") return Check(o.files);
  if (o.what != "describe") return Fail("config takes describe or check, not '" + o.what + "'");
  Print(Schema().Describe());
  return kDone;
}

}  // namespace

Command ConfigCommand() {
  return {"config", "Describes every setting, or checks the files of a deployment together.",
          "  baiwan config describe > baiwan.toml\n"
          "  baiwan config check --file cell-0.toml --file cell-1.toml\n",
          [](Args& args) {
            auto options = std::make_shared<Options>();
            args.Positional("what", &options->what, "describe or check");
            args.Texts("--file", &options->files, "a file to check; may be repeated");
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
