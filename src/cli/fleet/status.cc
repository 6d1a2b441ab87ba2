// `baiwan fleet status`.
#include "fleet/status.h"

#include <cstdio>
#include <memory>

#include "cli/fleet/fleet.h"

namespace baiwan::cli {
namespace {

struct StatusOptions {
  std::string file;
  bool json = false;
};

int RunStatus(const StatusOptions& o) {
  const auto journey = fleet::LoadJourney(o.file);
  if (!journey) return Fail(journey.error());
  const std::string text =
      o.json ? fleet::ToJson(*journey) : fleet::StatusText(*journey, SystemClock().WallMillis());
  std::fputs(text.c_str(), stdout);
  return fleet::OutcomeOf(*journey) == fleet::Outcome::kFailed ? kMismatch : kDone;
}

}  // namespace

Command FleetStatusCommand() {
  return {"status", "How far a run has come: failures first, then a line for each step.",
          "  baiwan fleet status journey.json\n"
          "  baiwan fleet status journey.json --json\n"
          "Exit codes: 0 under way or verified, 1 failed, 2 no such run.\n",
          [](Args& args) {
            auto o = std::make_shared<StatusOptions>();
            args.Positional("file", &o->file, "the state file of the run");
            args.Required("file");
            args.Flag("--json", &o->json, "everything that is known, as JSON");
            return [o] { return RunStatus(*o); };
          }};
}

}  // namespace baiwan::cli
