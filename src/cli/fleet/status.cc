// `baiwan fleet status`.
#include "fleet/status.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/fleet/fleet.h"
#include "cli/fleet/known_runs.h"
#include "cli/fleet/session.h"
#include "cli/output.h"
#include "fleet/plan.h"

namespace baiwan::cli {
namespace {

struct StatusOptions {
  std::string file;
  std::string runs;
  bool json = false;
};

int RunStatus(const StatusOptions& o) {
  // A run by its name, or any file.
  std::error_code none;
  const bool name =
      fleet::WrongRunName(o.file).empty() &&
      (!std::filesystem::exists(o.file, none) || std::filesystem::is_directory(o.file, none));
  std::string file = o.file;
  if (name) {
    file = fmt::format("{}/{}/journey.json", o.runs.empty() ? kRunsHere : o.runs, o.file);
    std::string wrong;
    if (o.runs.empty() && !std::filesystem::exists(file, none)) {
      if (const auto known = FindRun(KnownRunsFolder(), o.file, &wrong)) {
        file = known->folder + "/journey.json";
      }
    }
    if (!wrong.empty()) return Fail(wrong);
  }
  const auto journey = fleet::LoadJourney(file);
  if (!journey) return Fail(journey.error());
  const std::string text =
      o.json ? fleet::ToJson(*journey) : fleet::StatusText(*journey, SystemClock().WallMillis());
  Print(text);
  return fleet::OutcomeOf(*journey) == fleet::Outcome::kFailed ? kMismatch : kDone;
}

}  // namespace

Command FleetStatusCommand() {
  return {"status", "How far a run has come: failures first, then a line for each step.",
          "  baiwan fleet status run-20260131-120000\n"
          "  baiwan fleet status fleet/run-20260131-120000/journey.json --json\n"
          "Exit codes: 0 under way or verified, 1 failed, 2 no such run.\n",
          [](Args& args) {
            auto o = std::make_shared<StatusOptions>();
            args.Positional("run", &o->file, "its name, or its state file");
            args.Required("run");
            args.Text("--runs", &o->runs,
                      "folder of the runs' folders; if not given: fleet, else where the run is");
            args.Flag("--json", &o->json, "everything that is known, as JSON");
            return [o] { return RunStatus(*o); };
          }};
}

}  // namespace baiwan::cli
