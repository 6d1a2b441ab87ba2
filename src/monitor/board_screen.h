// Where the board is drawn: redrawn in place on a terminal, plain lines each beat in anything else.
//
// Colours and progress bar only on a terminal; no colours where NO_COLOR is set (no-color.org);
// TERM=dumb counts as no terminal. Threads: one. Failure: what cannot be written is not drawn.
#pragma once

#include <cstdio>
#include <string>

#include "monitor/board.h"

namespace baiwan::monitor {

class BoardScreen {
 public:
  explicit BoardScreen(std::FILE* out);
  // False: it cannot be written, as when nobody reads any more.
  bool Draw(const BoardState& state);
  // The next board is drawn below what stands there now. For whoever writes other lines between.
  void Keep() { lines_ = 0; }
  // Takes the last board off a terminal, and the line below it.
  void Clear();
  // Columns that a line may have.
  std::size_t width() const { return Style().width; }
  bool terminal() const { return terminal_; }

 private:
  BoardStyle Style() const;

  std::FILE* out_;
  bool terminal_ = false;
  bool colour_ = false;
  std::size_t lines_ = 0;  // drawn the last time
};

// What replaces the last `lines` lines of a terminal by `text`. Pure.
std::string RedrawOver(std::size_t lines, const std::string& text);

}  // namespace baiwan::monitor
