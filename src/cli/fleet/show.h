// What an operator sees of a run: a line for each step and each failure, the step under way, and
// while users play the live board and which hosts hold it up. Text goes to standard error, the
// board drawn in place on a terminal and as a line a beat elsewhere; JSON lines go to standard
// output.
//
// Threads: the main one. Failure: none; a board that ends is started again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "fleet/journey.h"
#include "fleet/laggards.h"
#include "fleet/plan.h"
#include "fleet/progress.h"
#include "fleet/tool.h"
#include "monitor/board_screen.h"

namespace baiwan::cli {

class Show {
 public:
  // `board` starts what tells the live board's beats, a line of JSON each (`baiwan top --json`);
  // it may give nothing. It is asked again where that ended, or has said more than is kept of it,
  // but not before `board_again`. `plan` may still be filled in until the first call.
  Show(const fleet::FleetPlan& plan, bool json, std::function<std::unique_ptr<fleet::Tool>()> board,
       Nanos board_again = 5 * kSecond);

  // What is new in it.
  void Tell(const fleet::Journey& journey);
  // The step under way, in place on a terminal.
  void Live(const fleet::Journey& journey);
  // Nothing is under way any more.
  void Clear();

 private:
  void KeepBoard();
  void TakeBoard(const std::string& line, const fleet::Journey& journey);
  void Print(const std::string& text);  // a whole line, above what is in place
  void Draw();                          // the board, in place

  const fleet::FleetPlan& plan_;
  const bool json_;
  const std::function<std::unique_ptr<fleet::Tool>()> start_board_;
  const Nanos board_again_;
  fleet::Progress progress_;
  std::unique_ptr<fleet::Tool> top_;
  Nanos start_top_at_ = 0;  // not before
  std::optional<fleet::Laggards> laggards_;
  monitor::BoardScreen screen_;
  std::optional<monitor::BoardState> board_;  // its last beat
  std::string live_;                          // the line in place, below the board
};

}  // namespace baiwan::cli
