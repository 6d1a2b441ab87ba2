// The live board of a stress test: how many users are finished, cell by cell, like a stock ticker,
// and whether all is well.
//
// Pure: a state and a style to text. The text holds nothing but printable characters, line ends
// and, where the style has colours, their escape sequences; every line fits the width.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "monitor/host_use.h"

namespace baiwan::monitor {

struct BoardState {
  struct Cell {
    std::string where;           // of the load client, "127.0.0.1:9500"
    std::uint64_t finished = 0;  // users
    std::uint64_t gained = 0;    // since the beat before
    bool answers = true;         // else the numbers are the last that are known
  };
  struct Role {
    std::string name;  // "cell" for processes with several roles
    std::uint32_t processes = 0;
    double cores = 0;  // CPU seconds a second
  };

  double seconds = 0;       // since the first user began; stands still when all are finished
  std::uint64_t users = 0;  // 0: no load client is known
  std::uint64_t finished = 0;
  std::uint64_t messages = 0;   // to be sent
  std::uint64_t stored = 0;     // of these, as the load clients know
  std::uint64_t delivered = 0;  // of these
  double stored_rate = 0;       // a second, over the last beat
  double delivered_rate = 0;
  std::uint32_t alive = 0;
  std::uint32_t expected = 0;
  std::vector<std::string> missing;  // names
  std::uint64_t refused = 0;
  double refused_rate = 0;
  std::vector<std::pair<std::string, std::uint64_t>> reasons;  // most frequent first
  std::vector<Role> roles;
  std::uint32_t cpus = 0;  // of this machine, with how they are used: 0 … 1
  double busy = 0;
  double steal = 0;
  std::vector<HostUse> hosts;  // that tell of themselves; shown instead of this machine
  double fetched_per_host =
      0;  // bytes of metrics a second that each host is asked for by the board
  std::vector<Cell> cells;

  bool done() const { return users > 0 && finished >= users; }
};

struct BoardStyle {
  std::size_t width = 100;  // columns
  std::size_t height = 0;   // lines at most, for which the grid is cut short; 0: any number
  bool colour = false;
  bool bar = false;  // with a progress bar, for a terminal that is redrawn in place
};

// Lines, each with its end.
std::string RenderBoard(const BoardState& state, const BoardStyle& style);

// One line of JSON, with the names of the fields above.
std::string BoardToJson(const BoardState& state);
// What is not in it is as in an empty state. Nothing if it is no board.
std::optional<BoardState> BoardFromJson(std::string_view line);

// "1,234,567"
std::string WithCommas(std::uint64_t number);

}  // namespace baiwan::monitor
