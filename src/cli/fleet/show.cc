#include "cli/fleet/show.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "fleet/layout.h"
#include "fleet/status.h"
#include "fleet/whole_board.h"

namespace baiwan::cli {
namespace {

using nlohmann::json;

std::int64_t Wall() { return static_cast<std::int64_t>(SystemClock().WallMillis()); }

// How far each worker's users are; whoever is not on the board should be.
std::vector<fleet::CellBeat> BeatOf(const monitor::BoardState& board, const fleet::FleetPlan& plan,
                                    const fleet::Journey& journey) {
  std::map<std::string, fleet::CellBeat> by_address;
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    if (!fleet::JobOf(plan, i).has_load()) continue;
    const std::string name = fleet::WorkerName(i);
    const fleet::Task* run = journey.Find(fleet::Step::kRun, name);
    const bool done = run != nullptr && run->state == fleet::State::kDone;
    by_address[fleet::FormatAddress(fleet::WorkerAddress(plan, i))] = {name, 0, false, done};
  }
  for (const monitor::BoardState::Cell& cell : board.cells) {
    const auto host = by_address.find(cell.where.substr(0, cell.where.rfind(':')));
    if (host == by_address.end()) continue;
    host->second.finished = cell.finished;
    host->second.answers = cell.answers;
  }
  std::vector<fleet::CellBeat> beat;
  beat.reserve(by_address.size());
  for (auto& [address, cell] : by_address) beat.push_back(std::move(cell));
  return beat;
}

}  // namespace

Show::Show(const fleet::FleetPlan& plan, bool as_json,
           std::function<std::unique_ptr<fleet::Tool>()> board, Nanos board_again)
    : plan_(plan),
      json_(as_json),
      start_board_(std::move(board)),
      board_again_(board_again),
      screen_(stderr) {}

void Show::Print(const std::string& text) {
  if (json_) {
    cli::Print(text);
    return;
  }
  screen_.Clear();
  live_.clear();
  std::fputs(text.c_str(), stderr);
  Draw();
}

void Show::Draw() {
  if (!board_ || json_ || !screen_.terminal()) return;
  screen_.Draw(*board_);
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
    if (board_) Clear();
    top_.reset();
  } else {
    KeepBoard();
  }
  if (top_ != nullptr) {
    for (const std::string& line : top_->NewLines()) TakeBoard(line, journey);
  }
  if (!screen_.terminal() || json_ || !step) return;
  std::string line = fleet::StepText(journey, *step, Wall());
  line.pop_back();
  line.resize(std::min(line.size(), screen_.width()));
  if (line == live_) return;
  live_ = line;
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
}

void Show::KeepBoard() {
  if (top_ != nullptr && !top_->Ended() && !top_->full()) return;
  const Nanos now = SystemClock().Monotonic();
  if (now < start_top_at_) return;
  start_top_at_ = now + board_again_;
  top_.reset();  // before the next one takes its files' place
  top_ = start_board_();
}

void Show::TakeBoard(const std::string& line, const fleet::Journey& journey) {
  auto board = monitor::BoardFromJson(line);
  if (!board) return;
  fleet::MakeWhole(plan_, journey, &*board);
  if (!laggards_) laggards_.emplace(plan_.hosts.users_per_host);
  const auto sentences = laggards_->Look(BeatOf(*board, plan_, journey));
  board_ = std::move(board);
  if (json_) {
    std::string text = monitor::BoardToJson(*board_);
    text.pop_back();
    Print(R"({"event":"board","board":)" + text + "}\n");
  } else if (!screen_.terminal()) {
    Print(fmt::format("   {} of {} users, {:.0f} messages/s, {} of {} processes\n",
                      board_->finished, board_->users, board_->delivered_rate, board_->alive,
                      board_->expected));
  }
  Draw();
  for (const std::string& sentence : sentences) {
    Print(json_ ? json{{"event", "notice"}, {"text", sentence}}.dump() + "\n" : sentence + "\n");
  }
}

void Show::Clear() {
  top_.reset();
  board_.reset();
  screen_.Clear();
  live_.clear();
}

}  // namespace baiwan::cli
