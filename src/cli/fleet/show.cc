#include "cli/fleet/show.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "fleet/layout.h"
#include "fleet/status.h"

namespace baiwan::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kWidth = 110;

std::int64_t Wall() { return static_cast<std::int64_t>(SystemClock().WallMillis()); }

// How far each worker's users are; whoever is not on the board should be.
std::vector<fleet::CellBeat> BeatOf(const json& board, const fleet::FleetPlan& plan) {
  std::map<std::string, fleet::CellBeat> by_address;
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    if (!fleet::JobOf(plan, i).has_load()) continue;
    by_address[fleet::FormatAddress(fleet::WorkerAddress(plan, i))] = {fleet::WorkerName(i), 0,
                                                                       false};
  }
  for (const auto& cell : board.value("cells", json::array())) {
    const std::string where = cell.value("where", std::string());
    const auto host = by_address.find(where.substr(0, where.rfind(':')));
    if (host == by_address.end()) continue;
    host->second.finished = cell.value("finished", 0ULL);
    host->second.answers = cell.value("answers", true);
  }
  std::vector<fleet::CellBeat> beat;
  beat.reserve(by_address.size());
  for (auto& [address, cell] : by_address) beat.push_back(std::move(cell));
  return beat;
}

}  // namespace

Show::Show(const fleet::FleetPlan& plan, bool as_json,
           std::function<std::unique_ptr<fleet::Tool>()> board)
    : plan_(plan),
      json_(as_json),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_board_(std::move(board)) {}

void Show::Print(const std::string& text) {
  if (json_) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    return;
  }
  std::fprintf(stderr, "%s%s", live_.empty() ? "" : "\r\x1b[K", text.c_str());
  live_.clear();
}

void Show::Tell(const fleet::Journey& journey) {
  for (const std::string& text :
       json_ ? progress_.NewsAsJson(journey) : progress_.News(journey, Wall())) {
    Print(text);
  }
}

void Show::Live(const fleet::Journey& journey) {
  const auto step = fleet::CurrentStep(journey);
  if (step != fleet::Step::kRun) {
    top_.reset();
    board_.clear();
  } else if (top_ == nullptr) {
    top_ = start_board_();
  }
  if (top_ != nullptr) {
    for (const std::string& line : top_->NewLines()) TakeBoard(line);
  }
  if (!terminal_ || json_ || !step) return;
  std::string line = fleet::StepText(journey, *step, Wall());
  line.pop_back();
  line += board_;
  if (line == live_) return;
  live_ = line;
  std::fprintf(stderr, "\r%s\x1b[K", line.substr(0, kWidth).c_str());
  std::fflush(stderr);
}

void Show::TakeBoard(const std::string& line) {
  const auto in = json::parse(line, nullptr, false);
  if (!in.is_object()) return;
  board_ =
      fmt::format("   {} of {} users, {:.0f} messages/s, {} of {} processes",
                  in.value("finished", 0ULL), in.value("users", 0ULL),
                  in.value("delivered_rate", 0.0), in.value("alive", 0), in.value("expected", 0));
  if (json_) {
    Print(json{{"event", "board"}, {"board", in}}.dump() + "\n");
  } else if (!terminal_) {
    Print(board_ + "\n");
  }
  if (!laggards_) laggards_.emplace(plan_.hosts.users_per_host);
  for (const std::string& sentence : laggards_->Look(BeatOf(in, plan_))) {
    Print(json_ ? json{{"event", "notice"}, {"text", sentence}}.dump() + "\n" : sentence + "\n");
  }
}

void Show::Clear() {
  top_.reset();
  if (!live_.empty()) std::fputs("\r\x1b[K", stderr);
  live_.clear();
}

}  // namespace baiwan::cli
