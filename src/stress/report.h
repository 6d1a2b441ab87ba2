// The report of a run: report.html and the source's five pictures, made from result.json and the
// series file of its run folder.
//
// Threads: one; blocks. Failure: without a readable result there is no report, and a sentence says
// why; without a series file, or without gnuplot, the report has no pictures, and a sentence in it
// and in `warnings` says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "stress/curves.h"
#include "stress/result.h"

namespace baiwan::stress {

// Files of a run folder, by the names that docs/run-folder.md gives them.
inline constexpr const char* kResultFile = "result.json";
inline constexpr const char* kSeriesFile = "series.jsonl";
inline constexpr const char* kReportFile = "report.html";

struct ReportOptions {
  std::string folder;   // gets the report
  std::string compare;  // another run folder to set beside it; empty: none
  std::string gnuplot = "gnuplot";
};
struct Report {
  std::string path;  // of report.html
  std::vector<std::string> warnings;
};
Result<Report, std::string> WriteReport(const ReportOptions& options);

// One run in the report.
struct ReportRun {
  std::string name;
  RunResult result;
  std::optional<Curves> curves;
  std::string no_pictures;  // why there are none
  std::string prefix;       // of their file names
};
// The page; `other` may be null. Pure.
std::string ReportHtml(const ReportRun& run, const ReportRun* other);

}  // namespace baiwan::stress
