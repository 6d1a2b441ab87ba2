// The source's five pictures, as curves: gateway, chat messages, relay, logic, store.
//
// Counters of the series file become rates: what a counter rose by between two looks at a process,
// over the time between them. A counter that fell belongs to a process that began again, and counts
// from 0. A process that was silent for a while gets the mean rate of that while. Each cell is a
// curve, and so is their sum.
//
// Reads the file once, line by line, and keeps only the counters it draws. One thread. Failure: a
// sentence; lines that cannot be read are counted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace baiwan::stress {

struct Point {
  double at = 0;  // seconds since the first beat that shows any activity
  double value = 0;
};
struct Panel {
  std::string title;  // "requests a second"
  std::map<CellId, std::vector<Point>> cells;
  std::vector<Point> sum;  // or the mean over cells, where that is what makes sense
  bool mean = false;
};
struct Picture {
  std::string file;   // "gateway"
  std::string title;  // "Gateway"
  std::string about;  // a line for the report
  std::vector<Panel> panels;
};
struct Curves {
  std::vector<Picture> pictures;  // the five
  std::uint64_t beats = 0;
  std::uint64_t unreadable = 0;   // lines
  std::uint64_t failed = 0;       // samples of processes that did not answer
  std::uint32_t alive_least = 0;  // processes, at the worst beat
  std::uint32_t expected = 0;
  double steal_most = 0;     // 0 … 1
  double fetched_per_s = 0;  // bytes of metrics, mean over the beats
  std::uint32_t hosts = 0;   // addresses that were asked
};

Result<Curves, std::string> ReadCurves(const std::string& series_path);

}  // namespace baiwan::stress
