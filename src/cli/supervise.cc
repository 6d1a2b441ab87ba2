#include <memory>

#include "cli/commands.h"
#include "supervise/host.h"

namespace baiwan::cli {
namespace {

int Run(const std::string& file) {
  supervise::StopSignals signals;
  const auto plan = supervise::LoadHostPlan(file);
  if (!plan) return Fail(ToText(plan.error()));
  const auto log = MakeStderrLog("supervise");
  return supervise::RunHost(*plan, signals, *log);
}

}  // namespace

Command SuperviseCommand() {
  return {"supervise", "Runs and restarts the processes of one host.",
          "  baiwan supervise --config host.toml\n", [](Args& args) {
            auto file = std::make_shared<std::string>();
            args.Text("--config", file.get(), "TOML file with the [[child]] processes");
            args.Required("--config");
            return [file] { return Run(*file); };
          }};
}

}  // namespace baiwan::cli
