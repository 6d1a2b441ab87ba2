#include "fleet/whole_board.h"

#include <fmt/format.h>

#include <algorithm>

#include "fleet/layout.h"

namespace baiwan::fleet {
namespace {

class Whole {
 public:
  Whole(const FleetPlan& plan, monitor::BoardState* board) : plan_(plan), board_(*board) {}

  void HasEnded(std::uint32_t worker, CellId cell, std::uint32_t place) {
    const std::string where =
        fmt::format("{}:{}", FormatAddress(WorkerAddress(plan_, worker)), plan_.ports.load + place);
    const auto name = fmt::format("drive-{}", cell);
    const auto missing = std::find(board_.missing.begin(), board_.missing.end(), name);
    auto known = std::find_if(board_.cells.begin(), board_.cells.end(),
                              [&](const auto& one) { return one.where == where; });
    const bool never_seen = known == board_.cells.end();
    if (never_seen) {
      board_.cells.push_back({where});
      known = board_.cells.end() - 1;
      const std::uint64_t messages = stress::TotalMessages(WorkloadOf(plan_)) / CellsOf(plan_);
      board_.stored += messages;
      board_.delivered += messages;
    }
    // Whoever was seen to be done is not expected any more already.
    const bool expected = never_seen || missing != board_.missing.end();
    if (expected && board_.expected > board_.alive) --board_.expected;
    if (missing != board_.missing.end()) board_.missing.erase(missing);
    board_.finished += plan_.hosts.users_per_host -
                       std::min<std::uint64_t>(known->finished, plan_.hosts.users_per_host);
    known->finished = plan_.hosts.users_per_host;
    known->answers = true;
  }

 private:
  const FleetPlan& plan_;
  monitor::BoardState& board_;
};

}  // namespace

void MakeWhole(const FleetPlan& plan, const Journey& journey, monitor::BoardState* board) {
  const stress::WorkloadSpec spec = WorkloadOf(plan);
  board->users = stress::TotalUsers(spec);
  board->messages = stress::TotalMessages(spec);
  Whole whole(plan, board);
  for (std::uint32_t i = 0; i < plan.hosts.count; ++i) {
    const Job job = JobOf(plan, i);
    const Task* run = journey.Find(Step::kRun, WorkerName(i));
    if (!job.has_load() || run == nullptr || run->state != State::kDone) continue;
    for (std::uint32_t place = 0; place < job.count; ++place) {
      whole.HasEnded(i, job.first + place, place);
    }
  }
  if (board->finished >= board->users) board->stored = board->delivered = board->messages;
}

}  // namespace baiwan::fleet
