#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <cstdio>
#include <memory>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/output.h"

namespace baiwan::cli {
namespace {

struct Options {
  std::string what = "describe";
  std::vector<std::string> files;
};

// What a process of such a file listens on.
std::vector<std::string> SectionsOf(const Config& config) {
  std::vector<std::string> sections = {"process", "store"};
  for (const std::string& role : config.list("cell.roles")) sections.push_back(role);
  return sections;
}

int Check(const std::vector<std::string>& files) {
  if (files.empty()) return Fail("config check needs the files: --file a.toml --file b.toml");
  std::vector<Config> configs;
  std::vector<ConfigError> errors;
  for (const std::string& file : files) {
    auto config = LoadConfig(Schema(), {.file = file, .sets = {}, .environment = {}});
    if (config) {
      configs.push_back(std::move(*config));
    } else {
      errors.insert(errors.end(), config.error().begin(), config.error().end());
    }
  }
  struct sysinfo machine {};
  sysinfo(&machine);
  if (errors.empty()) {
    std::vector<DeployedProcess> processes;
    for (std::size_t i = 0; i < configs.size(); ++i) {
      processes.push_back({files[i], "this machine", &configs[i], SectionsOf(configs[i])});
    }
    errors = CheckDeployment(processes, machine.totalram * machine.mem_unit);
  }
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
