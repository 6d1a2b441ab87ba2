#include "stress/report.h"

#include <filesystem>
#include <system_error>

#include "base/file.h"
#include "stress/pictures.h"

namespace baiwan::stress {
namespace {

// Reads a run and draws its pictures into `into`.
Result<ReportRun, std::string> Load(const std::string& folder, const std::string& into,
                                    const std::string& prefix, const std::string& gnuplot) {
  auto result = ReadResult(folder + "/" + kResultFile);
  if (!result) return result.error();
  ReportRun run;
  std::error_code ignored;
  const auto path = std::filesystem::canonical(folder, ignored);  // not "latest"
  run.name = result->name.empty() ? path.filename().string() : result->name;
  run.result = std::move(*result);
  run.prefix = prefix;
  auto curves = ReadCurves(folder + "/" + kSeriesFile);
  if (!curves) {
    run.no_pictures = "There are no pictures: " + curves.error() + ".";
    return run;
  }
  run.curves = std::move(*curves);
  if (const auto wrong = DrawPictures(*run.curves, into, prefix, gnuplot)) {
    run.no_pictures = "There are no pictures: " + *wrong + ".";
  }
  return run;
}

}  // namespace

Result<Report, std::string> WriteReport(const ReportOptions& o) {
  Report report;
  report.path = o.folder + "/" + kReportFile;
  const auto run = Load(o.folder, o.folder, "", o.gnuplot);
  if (!run) return run.error();
  if (!run->no_pictures.empty()) report.warnings.push_back(run->no_pictures);
  std::optional<ReportRun> other;
  if (!o.compare.empty()) {
    auto loaded = Load(o.compare, o.folder, "other-", o.gnuplot);
    if (!loaded) return loaded.error();
    other = std::move(*loaded);
    if (!other->no_pictures.empty()) report.warnings.push_back(other->no_pictures);
  }
  if (const auto wrong = ReplaceFile(report.path, ReportHtml(*run, other ? &*other : nullptr))) {
    return *wrong;
  }
  return report;
}

}  // namespace baiwan::stress
