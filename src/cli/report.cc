// `baiwan report`: pictures and page of a run.
#include "stress/report.h"

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/output.h"

namespace baiwan::cli {
namespace {

int Run(const stress::ReportOptions& o) {
  const auto report = stress::WriteReport(o);
  if (!report) {
    return Fail("no report: " + report.error() + "; give the folder of a run, runs/latest say");
  }
  for (const std::string& warning : report->warnings) {
    std::fprintf(stderr, "baiwan: %s\n", warning.c_str());
  }
  Print(report->path + "\n");
  return kDone;
}

}  // namespace

Command ReportCommand() {
  return {"report", "Draws the curves of a run and writes its report.html.",
          "  baiwan report runs/latest\n"
          "  baiwan report runs/latest --compare runs/20260131-120000\n",
          [](Args& args) {
            auto options = std::make_shared<stress::ReportOptions>();
            options->folder = "runs/latest";
            args.Positional("folder", &options->folder, "the run folder");
            args.Text("--compare", &options->compare, "another run folder, set beside it");
            args.Text("--gnuplot", &options->gnuplot, "the program that draws");
            return [options] { return Run(*options); };
          }};
}

}  // namespace baiwan::cli
