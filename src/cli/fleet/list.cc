// `baiwan fleet list`.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/fleet/fleet.h"
#include "cli/fleet/known_runs.h"
#include "cli/output.h"
#include "fleet/journey.h"
#include "fleet/plan.h"

namespace baiwan::cli {
namespace {

namespace fs = std::filesystem;

struct ListOptions {
  std::string runs = "fleet";
  bool json = false;
};

// Also those that are in `runs` and were begun elsewhere, or before there was a list.
std::vector<KnownRun> AllRuns(const std::string& runs) {
  std::vector<KnownRun> all = KnownRuns(KnownRunsFolder());
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(runs, error)) {
    const std::string folder = fs::absolute(entry.path()).lexically_normal().string();
    const bool known = std::any_of(all.begin(), all.end(),
                                   [&](const KnownRun& one) { return one.folder == folder; });
    std::error_code ignored;
    if (known || !fs::exists(folder + "/journey.json", ignored)) continue;
    all.push_back({entry.path().filename().string(), folder, "", false});
  }
  return all;
}

struct Row {
  std::string run;
  std::string folder;
  std::int64_t began_ms = 0;
  std::string state;
  std::vector<std::string> left;  // hosts that may be there
};

Row RowOf(const KnownRun& known) {
  Row row{known.run, known.folder, 0, "", {}};
  const auto journey = fleet::LoadJourney(known.folder + "/journey.json");
  if (!journey) {
    row.state = "its folder is gone";
    const auto plan = fleet::ParsePlan(known.plan, "plan.toml");
    if (!plan || known.destroyed) return row;
    row.left.emplace_back(fleet::kControl);
    for (std::uint32_t i = 0; i < plan->hosts.count; ++i) row.left.push_back(fleet::WorkerName(i));
    return row;
  }
  row.began_ms = journey->began_ms;
  row.left = fleet::HostsLeft(*journey);
  switch (fleet::OutcomeOf(*journey)) {
    case fleet::Outcome::kVerified:
      row.state = "verified";
      break;
    case fleet::Outcome::kFailed:
      row.state = "failed";
      break;
    case fleet::Outcome::kUnderWay:
      row.state = fmt::format("{}{}", journey->gave_up.empty() ? "at " : "gives up, at ",
                              fleet::NameOf(*fleet::CurrentStep(*journey)));
      break;
  }
  return row;
}

std::string TextOf(const std::vector<Row>& rows) {
  std::string text = fmt::format("{:<20} {:<16} {:<20} {:>6}  {}\n", "run", "began (UTC)",
                                 "as last seen", "hosts", "folder");
  for (const Row& row : rows) {
    const std::string began =
        row.began_ms == 0 ? "-"
                          : fmt::format("{:%Y-%m-%d %H:%M}",
                                        fmt::gmtime(static_cast<std::time_t>(row.began_ms / 1000)));
    text += fmt::format("{:<20} {:<16} {:<20} {:>6}  {}\n", row.run, began, row.state,
                        row.left.size(), row.folder);
  }
  return text;
}

int RunList(const ListOptions& o) {
  std::vector<Row> rows;
  for (const KnownRun& run : AllRuns(o.runs)) rows.push_back(RowOf(run));
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.began_ms > b.began_ms; });
  if (!o.json) {
    Print(rows.empty() ? "no runs are known\n" : TextOf(rows));
    return kDone;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    all.push_back({{"run", row.run},
                   {"began_ms", row.began_ms},
                   {"state", row.state},
                   {"hosts_left", row.left},
                   {"folder", row.folder}});
  }
  Print(all.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  return kDone;
}

}  // namespace

Command FleetListCommand() {
  return {"list", "The runs begun from here, the newest first: how far, and which have hosts left.",
          "  baiwan fleet list\n"
          "  baiwan fleet list --json | jq -r '.[] | select(.hosts_left != []) | .run'\n",
          [](Args& args) {
            auto o = std::make_shared<ListOptions>();
            args.Text("--runs", &o->runs, "a folder whose runs are shown as well");
            args.Flag("--json", &o->json, "as JSON");
            return [o] { return RunList(*o); };
          }};
}

}  // namespace baiwan::cli
