// What a run of another service than ours leaves for people: how long each step took, and the end
// of what its load said on each worker.
#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "cli/fleet/report.h"
#include "fleet/journey_timeline.h"
#include "fleet/status.h"

namespace baiwan::cli {
namespace {

constexpr std::size_t kMostLog = 65 << 20;
constexpr std::size_t kTail = 4096;

std::string EndOf(const std::string& path) {
  const auto text = ReadFile(path, kMostLog);
  if (!text) return text.error() + "\n";
  if (text->size() <= kTail) return *text;
  const auto line = text->find('\n', text->size() - kTail);
  return line == std::string::npos ? text->substr(text->size() - kTail) : text->substr(line + 1);
}

}  // namespace

std::optional<std::string> MakeServiceReport(const fleet::FleetPlan& plan,
                                             const fleet::Journey& journey,
                                             const std::string& home) {
  std::error_code error;
  std::filesystem::create_directories(home + "/report", error);
  if (error) return fmt::format("cannot make {}/report: {}", home, error.message());
  std::string text = fmt::format("{}: {}\n\n", plan.run, fmt::join(plan.service.serve, " "));
  for (auto step = fleet::Step::kUp; step < fleet::Step::kReport;
       step = static_cast<fleet::Step>(static_cast<int>(step) + 1)) {
    text += fleet::StepText(journey, step, journey.began_ms);
  }
  if (!journey.gave_up.empty()) text += fmt::format("\nfailed: {}\n", journey.gave_up);
  stress::Timeline timeline;
  fleet::AddJourney(journey, &timeline);
  text += "\nwhat happened, since the begin\n" +
          stress::TimelineText(timeline.Take(), journey.began_ms);
  for (std::uint32_t i = 0; i < plan.hosts.count && !plan.service.load.empty(); ++i) {
    const std::string host = fleet::WorkerName(i);
    text += fmt::format("\n{}\n{}", host,
                        EndOf(fmt::format("{}/collected/{}/logs/load.log", home, host)));
  }
  return ReplaceFile(home + "/report/" + kServiceReport, text);
}

}  // namespace baiwan::cli
