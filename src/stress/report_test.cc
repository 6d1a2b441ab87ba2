#include "stress/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/testing/temp_folder.h"
#include "monitor/series.h"
#include "stress/pictures.h"

namespace baiwan::stress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() {
    Line(monitor::ToLine(monitor::SeriesHeader{monitor::kSeriesVersion, 1'000'000, 1000}));
  }

  void Line(const std::string& line) {
    std::ofstream(folder_ + "/series.jsonl", std::ios::app) << line;
  }
  // A look at a cell, `second` seconds after the start of the monitor.
  void Look(int second, CellId cell, monitor::Values values, std::uint64_t incarnation = 1) {
    monitor::Sample sample;
    sample.ms = 1'000'000 + 1000 * static_cast<std::uint64_t>(second);
    sample.name = "cell-" + std::to_string(cell);
    sample.cell = cell;
    sample.roles = {"gateway", "relay"};
    sample.incarnation = incarnation;
    sample.values = std::move(values);
    Line(monitor::ToLine(sample));
  }
  void Silence(int second, CellId cell) {
    monitor::Sample sample;
    sample.ms = 1'000'000 + 1000 * static_cast<std::uint64_t>(second);
    sample.name = "cell-" + std::to_string(cell);
    sample.cell = cell;
    sample.error = "nobody listens there";
    Line(monitor::ToLine(sample));
  }
  void Result(const RunResult& result) {
    std::ofstream(folder_ + "/result.json") << ToJson(result);
  }
  Curves Read() {
    auto curves = ReadCurves(folder_ + "/series.jsonl");
    EXPECT_TRUE(curves.ok());
    return *curves;
  }
  // The panel of messages stored a second.
  Panel Stored() { return Read().pictures.at(1).panels.at(0); }
  static std::vector<double> Values(const std::vector<Point>& points) {
    std::vector<double> values;
    values.reserve(points.size());
    for (const Point& point : points) values.push_back(point.value);
    return values;
  }
  std::string Page() {
    std::stringstream text;
    text << std::ifstream(folder_ + "/report.html").rdbuf();
    return text.str();
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
};

TEST_F(ReportTest, StatesWhatWatchingCostsEachProcessAndEachHost) {
  for (const char* ops : {"10.0.2.20:9500", "10.0.2.20:9100", "10.0.2.21:9500", "10.0.1.11:8089"}) {
    monitor::Sample sample;
    sample.ms = 1'001'000;
    sample.name = ops;
    sample.ops = ops;
    sample.values = {{"stored_total", 5}, {"process_uptime_seconds", 1}};
    Line(monitor::ToLine(sample));
  }
  monitor::Beat beat;
  beat.ms = 1'001'000;
  beat.alive = beat.expected = 4;
  beat.fetched_per_s = 6000;
  Line(monitor::ToLine(beat));
  Result({});
  ASSERT_TRUE(WriteReport({folder_, "", "/no/gnuplot"}).ok());
  EXPECT_THAT(Page(), HasSubstr("6,000 bytes/s, 1,500 of each process, 2,000 of each host"));
}

TEST_F(ReportTest, EachHostAtItsWorstAndItsWarnings) {
  RunResult r;
  r.hosts = {{"worker-000", 1, 2, 0.5, 0, 8000, 4000, 16'000, 12'000, "worker-000", {{"pps", 7}}},
             {"worker-001", 1, 2, 0.9, 0.25, 8000, 400, 16'000, 12'000, "worker-001", {}}};
  r.warnings = {"12:00:01 <steal>"};
  Result(r);
  ASSERT_TRUE(WriteReport({folder_, "", "/no/gnuplot"}).ok());
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("<td>worker-001</td><td>2</td><td>90 %</td><td class=\"wrong\">25.0 %"
                              "</td><td class=\"wrong\">400.0 MiB, 5 %</td>"));
  EXPECT_THAT(page, HasSubstr("<td class=\"wrong\">pps 7</td>"));
  EXPECT_LT(page.find("<td>worker-001"), page.find("<td>worker-000"));
  EXPECT_THAT(page, HasSubstr("<li>12:00:01 &lt;steal&gt;</li>"));
}

TEST_F(ReportTest, CountersBecomeRatesOfEachCellAndTheirSum) {
  for (int i = 0; i < 4; ++i) {
    Look(i, 0, {{"stored_total", 100.0 * i}});
    Look(i, 1, {{"stored_total", 10.0 * i}});
  }
  const Panel panel = Stored();
  EXPECT_THAT(Values(panel.cells.at(0)), ElementsAre(100, 100, 100, 100));
  EXPECT_THAT(Values(panel.cells.at(1)), ElementsAre(10, 10, 10, 10));
  EXPECT_THAT(Values(panel.sum), ElementsAre(110, 110, 110, 110));
  EXPECT_EQ(panel.sum.front().at, 0);
  EXPECT_EQ(panel.sum.back().at, 3);
  const Curves curves = Read();
  ASSERT_EQ(curves.pictures.size(), 5U);
  std::vector<std::string> files;
  for (const Picture& picture : curves.pictures) files.push_back(picture.file);
  EXPECT_THAT(files, ElementsAre("gateway", "messages", "relay", "logic", "store"));
}

TEST_F(ReportTest, ARestartedProcessCountsFromZero) {
  Look(0, 0, {{"stored_total", 1000}});
  Look(1, 0, {{"stored_total", 1100}});
  Look(2, 0, {{"stored_total", 40}}, 2);
  Look(3, 0, {{"stored_total", 90}}, 2);
  Look(4, 0, {{"stored_total", 500}}, 3);  // began again, and has passed its old count
  EXPECT_THAT(Values(Stored().sum), ElementsAre(100, 100, 40, 50, 500));
}

TEST_F(ReportTest, ASilentProcessGetsTheMeanOfItsSilence) {
  Look(0, 0, {});
  Look(1, 0, {{"stored_total", 100}});
  Silence(2, 0);
  Silence(3, 0);
  Look(4, 0, {{"stored_total", 700}});
  EXPECT_THAT(Values(Stored().sum), ElementsAre(100, 100, 200, 200, 200));
  EXPECT_EQ(Read().failed, 2U);
}

TEST_F(ReportTest, AYoungProcessCountedFromItsStartAnOldOneIsUnknown) {
  Look(5, 0, {{"stored_total", 300}, {"process_uptime_seconds", 1.5}});
  Look(5, 1, {{"stored_total", 300}, {"process_uptime_seconds", 900}});
  Look(6, 0, {{"stored_total", 300}});
  Look(6, 1, {{"stored_total", 310}});
  EXPECT_THAT(Values(Stored().cells.at(0)), ElementsAre(200, 200, 0));
  EXPECT_THAT(Values(Stored().cells.at(1)), ElementsAre(0, 0, 10));
}

TEST_F(ReportTest, IdleTimeBeforeAndAfterIsLeftOutAndMeansAreWeighed) {
  Look(0, 0, {});
  Look(1, 0, {});
  Look(2, 0, {{"queue_wait_seconds_total", 0.5}, {"commits_total", 100}});
  Look(2, 1, {{"queue_wait_seconds_total", 0.5}, {"commits_total", 900}});
  Look(3, 0, {{"queue_wait_seconds_total", 1.0}, {"commits_total", 200}});
  Look(3, 1, {{"queue_wait_seconds_total", 1.4}, {"commits_total", 1000}});
  Look(4, 0, {{"queue_wait_seconds_total", 1.0}, {"commits_total", 200}});
  const Panel panel = Read().pictures.at(3).panels.at(2);
  EXPECT_TRUE(panel.mean);
  EXPECT_THAT(Values(panel.cells.at(0)), ElementsAre(5, 5, 5));
  EXPECT_EQ(panel.sum.back().at, 2);
  EXPECT_DOUBLE_EQ(panel.sum.back().value, 7);  // 1.4 s over 200 commits
}

TEST_F(ReportTest, AnEmptySeriesGivesFivePicturesOfNothing) {
  const Curves curves = Read();
  ASSERT_EQ(curves.pictures.size(), 5U);
  EXPECT_THAT(PictureScript(curves.pictures[0], "x.png"), HasSubstr("none"));
}

TEST_F(ReportTest, ScriptsQuotePathsAndFoldManyCells) {
  for (CellId cell = 0; cell < 9; ++cell) Look(0, cell, {});
  for (CellId cell = 0; cell < 9; ++cell) Look(1, cell, {{"stored_total", 1e6}});
  const std::string script = PictureScript(Read().pictures[1], "it's/here.png");
  EXPECT_THAT(script, HasSubstr("set output 'it''s/here.png'"));
  EXPECT_THAT(script, HasSubstr("title 'each cell'"));
  EXPECT_THAT(script, Not(HasSubstr("title 'cell 0'")));
  EXPECT_THAT(script, HasSubstr("set format y '%gM'"));
}

TEST_F(ReportTest, ThePageAndTheFivePicturesAreWritten) {
  for (int i = 0; i < 5; ++i) Look(i, 0, {{"stored_total", 100.0 * i * i}});
  RunResult result;
  result.users = 4000;
  result.messages.sent = 600'000;
  result.revision = "abc<1>234";
  result.exit_code = 1;
  result.problems = {"user <b>5</b> & more"};
  Result(result);
  const auto report = WriteReport({folder_, "", "gnuplot"});
  ASSERT_TRUE(report.ok()) << report.error();
  EXPECT_THAT(report->warnings, SizeIs(0));
  for (const char* file : {"gateway", "messages", "relay", "logic", "store"}) {
    const std::string path = folder_ + "/" + file + ".png";
    ASSERT_TRUE(std::filesystem::exists(path)) << path;
    EXPECT_GT(std::filesystem::file_size(path), 2000U) << path;
  }
  const std::string page = Page();
  EXPECT_THAT(page, HasSubstr("600,000 messages between 4,000 users"));
  EXPECT_THAT(page, HasSubstr("abc&lt;1&gt;234"));
  EXPECT_THAT(page, HasSubstr("user &lt;b&gt;5&lt;/b&gt; &amp; more"));
  EXPECT_THAT(page, HasSubstr("<img src=\"messages.png\""));
  EXPECT_THAT(page, Not(HasSubstr("http://")));  // it needs nothing from elsewhere
  EXPECT_THAT(page, Not(HasSubstr("https://")));
}

TEST_F(ReportTest, WithoutGnuplotThePageSaysHowToGetPictures) {
  Result({});
  const auto report = WriteReport({folder_, "", "no-such-gnuplot"});
  ASSERT_TRUE(report.ok()) << report.error();
  ASSERT_THAT(report->warnings, SizeIs(1));
  EXPECT_THAT(report->warnings[0], HasSubstr("no-such-gnuplot"));
  EXPECT_THAT(report->warnings[0], HasSubstr("install the package gnuplot-nox"));
  EXPECT_THAT(Page(), HasSubstr("install the package gnuplot-nox"));
  EXPECT_THAT(Page(), Not(HasSubstr("<img")));
}

TEST_F(ReportTest, AnotherRunStandsBesideIt) {
  Look(0, 0, {});
  Look(1, 0, {{"stored_total", 100}});
  RunResult result;
  result.rate_per_s = 300;
  Result(result);
  const std::string other = folder_ + "/4-hosts";
  std::filesystem::create_directory(other);
  std::filesystem::copy_file(folder_ + "/series.jsonl", other + "/series.jsonl");
  result.rate_per_s = 200;
  std::ofstream(other + "/result.json") << ToJson(result);
  const auto report = WriteReport({folder_, other, "gnuplot"});
  ASSERT_TRUE(report.ok()) << report.error();
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/other-store.png"));
  EXPECT_THAT(Page(),
              HasSubstr("<td>messages a second</td><td>300</td><td>200</td><td>1.50×</td>"));
  EXPECT_THAT(Page(), HasSubstr("beside it run 4-hosts, VERIFIED"));
}

TEST_F(ReportTest, ARunAcrossHostsHasItsNameItsBillAndWhatEachCellDidOfIt) {
  Look(0, 0, {});
  Look(1, 0, {{"stored_total", 100}});
  RunResult result;
  result.name = "forty";
  result.cells = 40;
  result.users = 400;
  result.rate_per_s = 8000;
  result.cost = RunCost{
      "USD", "us-east-1, 2026-01-31", 0.5, 1.25, {{"c7g.large <spot>", 20.5, "hour", 0.05, 1.25}}};
  Result(result);
  ASSERT_TRUE(WriteReport({folder_, "", "gnuplot"}).ok());
  EXPECT_THAT(Page(), HasSubstr("Run forty,"));
  EXPECT_THAT(Page(), HasSubstr("<td>messages a second</td><td>200</td>"));
  EXPECT_THAT(Page(), HasSubstr("<td>c7g.large &lt;spot&gt;</td><td>20.500 hour</td>"));
  EXPECT_THAT(Page(), HasSubstr("for 0.50 hours, at prices of us-east-1, 2026-01-31"));
  result.cost->prices.clear();  // hosts that cost nothing
  Result(result);
  ASSERT_TRUE(WriteReport({folder_, "", "gnuplot"}).ok());
  EXPECT_THAT(Page(), ::testing::Not(HasSubstr("The bill")));
}

TEST_F(ReportTest, WhatHappenedStandsByTheClock) {
  RunResult result;
  result.exit_code = 2;
  result.problems = {"cell-1 <cannot> go on"};
  result.began_ms = 1'769'860'800'000;  // 12:00:00
  result.timeline = {{1'769'860'861'500, 1'769'860'901'500, kStallEvent, "", "0 messages/s", true},
                     {1'769'860'862'000, 0, kRestartEvent, "cell-<1>", "killed", true}};
  Result(result);
  ASSERT_TRUE(WriteReport({folder_, "", "gnuplot"}).ok());
  EXPECT_THAT(Page(), HasSubstr("FAILED: cell-1 &lt;cannot&gt; go on"));
  EXPECT_THAT(Page(), HasSubstr("Nothing was verified."));
  EXPECT_THAT(Page(), HasSubstr("<td>61.5 s</td><td>12:01:01</td><td>40 s</td><td "
                                "class=\"text\"></td><td class=\"text wrong\">0 messages/s</td>"));
  EXPECT_THAT(Page(),
              HasSubstr("<td>12:01:02</td><td></td><td class=\"text\">cell-&lt;1&gt;</td>"));
}

TEST_F(ReportTest, WithoutAResultThereIsNoReport) {
  const auto none = WriteReport({folder_, "", "gnuplot"});
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error(), HasSubstr("result.json"));
  Result({});
  std::filesystem::remove(folder_ + "/series.jsonl");
  const auto report = WriteReport({folder_, "", "gnuplot"});
  ASSERT_TRUE(report.ok()) << report.error();
  EXPECT_THAT(report->warnings.at(0), HasSubstr("series.jsonl"));
}

}  // namespace
}  // namespace baiwan::stress
