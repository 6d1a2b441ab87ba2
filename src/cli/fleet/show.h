// What an operator sees of a run: a line for each step and each failure, the step under way, and
// while users play what the live board counts and which hosts hold it up. Text goes to standard
// error, JSON lines to standard output.
//
// Threads: the main one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "fleet/journey.h"
#include "fleet/laggards.h"
#include "fleet/plan.h"
#include "fleet/progress.h"
#include "fleet/tool.h"

namespace baiwan::cli {

class Show {
 public:
  // `board` starts what tells the live board's beats, a line of JSON each (`baiwan top --json`);
  // it may give nothing. `plan` may still be filled in until the first call.
  Show(const fleet::FleetPlan& plan, bool json,
       std::function<std::unique_ptr<fleet::Tool>()> board);

  // What is new in it.
  void Tell(const fleet::Journey& journey);
  // The step under way, in place on a terminal.
  void Live(const fleet::Journey& journey);
  // Nothing is under way any more.
  void Clear();

 private:
  void TakeBoard(const std::string& line);
  void Print(const std::string& text);  // a whole line, above the one in place

  const fleet::FleetPlan& plan_;
  const bool json_;
  const bool terminal_;
  const std::function<std::unique_ptr<fleet::Tool>()> start_board_;
  fleet::Progress progress_;
  std::unique_ptr<fleet::Tool> top_;
  std::optional<fleet::Laggards> laggards_;
  std::string board_;  // its last beat
  std::string live_;   // the line in place
};

}  // namespace baiwan::cli
