#include "monitor/board_screen.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace baiwan::monitor {

BoardScreen::BoardScreen(std::FILE* out) : out_(out) {
  const char* term = std::getenv("TERM");
  terminal_ = ::isatty(::fileno(out)) == 1 && std::string_view(term ? term : "dumb") != "dumb";
  const char* no_color = std::getenv("NO_COLOR");
  colour_ = terminal_ && (no_color == nullptr || *no_color == '\0');
}

BoardStyle BoardScreen::Style() const {
  BoardStyle style;
  style.colour = colour_;
  style.bar = terminal_;
  winsize size{};
  if (terminal_ && ::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
    style.width = size.ws_col - 1U;  // a full line would wrap on some terminals
    style.height = size.ws_row > 1 ? size.ws_row - 1U : 0;
  }
  return style;
}

bool BoardScreen::Draw(const BoardState& state) {
  const std::string text = RenderBoard(state, Style());
  const std::string out = terminal_ ? RedrawOver(lines_, text) : text + "\n";
  lines_ = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  return std::fwrite(out.data(), 1, out.size(), out_) == out.size() && std::fflush(out_) == 0;
}

void BoardScreen::Clear() {
  if (!terminal_) return;
  const std::string out = RedrawOver(lines_, "");
  lines_ = 0;
  std::fwrite(out.data(), 1, out.size(), out_);
  std::fflush(out_);
}

// In one write, and each line cleared as it is drawn rather than all before: nothing flickers.
std::string RedrawOver(std::size_t lines, const std::string& text) {
  std::string out = lines > 0 ? fmt::format("\r\x1b[{}A", lines) : "\r";
  for (const char c : text) {
    if (c == '\n') out += "\x1b[K";
    out += c;
  }
  return out + "\x1b[J";
}

}  // namespace baiwan::monitor
