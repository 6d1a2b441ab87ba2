#include "stress/pictures.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/file.h"
#include "supervise/process.h"

namespace baiwan::stress {
namespace {

constexpr int kWidth = 1600;  // pixels; shown at half of that
constexpr int kPanelHeight = 400;
constexpr Nanos kPatience = 60 * kSecond;
constexpr Nanos kLook = 50 * kMillisecond;
// Told apart also by those who see few colours (Okabe and Ito).
constexpr const char* kColours[kCellColours] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7",
                                                "#56b4e9", "#d55e00", "#b8a800", "#8a6fd1"};

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + "'";
}

struct Scale {
  double divisor = 1;
  const char* unit = "";
};
Scale ScaleOf(const Panel& panel) {
  double most = 0;
  for (const Point& point : panel.sum) most = std::max(most, point.value);
  for (const auto& [cell, points] : panel.cells) {
    for (const Point& point : points) most = std::max(most, point.value);
  }
  if (most >= 5e6) return {1e6, "M"};
  if (most >= 5e3) return {1e3, "k"};
  return {};
}

void AppendBlock(const std::string& name, const std::vector<Point>& points, const Scale& scale,
                 bool minutes, std::string* script) {
  *script += fmt::format("${} << END\n", name);
  for (const Point& point : points) {
    *script += fmt::format("{:.3f} {:.6g}\n", minutes ? point.at / 60 : point.at,
                           point.value / scale.divisor);
  }
  *script += "END\n";
}

void AppendPanel(const Panel& panel, std::size_t number, bool last, bool minutes,
                 std::string* script) {
  const Scale scale = ScaleOf(panel);
  const std::string name = fmt::format("p{}", number);
  const bool few = panel.cells.size() <= kCellColours;
  std::string plots;
  for (const auto& [cell, points] : panel.cells) {
    AppendBlock(fmt::format("{}c{}", name, cell), points, scale, minutes, script);
    const bool first = plots.empty();
    const std::string title = few     ? fmt::format("title 'cell {}'", cell)
                              : first ? "title 'each cell'"
                                      : "notitle";
    plots += fmt::format("{}${}c{} with lines lw {} lc rgb '{}' {}", first ? "" : ", ", name, cell,
                         few ? 2 : 1, few ? kColours[cell % kCellColours] : "#7fb2d6", title);
  }
  *script +=
      fmt::format("set label 2 {} at graph 0,1.1 left tc rgb '#222222'\n", Quoted(panel.title));
  *script += fmt::format("set xlabel '{}' offset 0,0.6\n", !last     ? ""
                                                           : minutes ? "minutes"
                                                                     : "seconds");
  if (plots.empty()) {
    *script +=
        "set label 1 'none' at graph 0.5,0.5 center tc rgb '#888888'\n"
        "unset ytics\nplot [0:1][0:1] NaN notitle\nset ytics\nunset label 1\n";
    return;
  }
  AppendBlock(name + "sum", panel.sum, scale, minutes, script);
  *script += fmt::format("set format y '%g{}'\n", scale.unit);
  *script += "plot " + plots +
             fmt::format(", ${}sum with lines lw 3.5 lc rgb '#222222' title '{}'\n", name,
                         panel.mean ? "mean" : "sum");
}

}  // namespace

std::string PictureScript(const Picture& picture, const std::string& png_path) {
  const std::size_t panels = std::max<std::size_t>(1, picture.panels.size());
  double last = 0;
  for (const Panel& panel : picture.panels) {
    for (const Point& point : panel.sum) last = std::max(last, point.at);
  }
  const bool minutes = last > 600;
  std::string script = "reset session\n";
  script += fmt::format(
      "set terminal pngcairo size {},{} font 'DejaVu Sans,19' background rgb '#ffffff'\n", kWidth,
      kPanelHeight * static_cast<int>(panels) + 40);
  script += fmt::format("set output {}\n", Quoted(png_path));
  script +=
      "set border 3 lc rgb '#888888'\n"
      "set tics nomirror scale 0.5 tc rgb '#444444'\n"
      "set grid ytics lc rgb '#dddddd' lt 1\n"
      "set key outside right top Left reverse samplen 1.5 spacing 1.1 tc rgb '#444444'\n"
      "set lmargin 8\nset rmargin 14\nset bmargin 2.6\nset tmargin 2\n"
      "set yrange [0:*]\nset offsets 0,0,graph 0.05,0\n";
  script += fmt::format("set xrange [0:{}]\n", last <= 0 ? 1 : minutes ? last / 60 : last);
  script += fmt::format("set multiplot layout {},1\n", panels);
  if (picture.panels.empty())
    AppendPanel(Panel{"nothing was recorded", {}, {}, false}, 0, true, false, &script);
  for (std::size_t i = 0; i < picture.panels.size(); ++i) {
    AppendPanel(picture.panels[i], i, i + 1 == panels, minutes, &script);
  }
  return script + "unset multiplot\nunset output\n";
}

std::optional<std::string> DrawPictures(const Curves& curves, const std::string& folder,
                                        const std::string& prefix, const std::string& gnuplot) {
  std::string script;
  for (const Picture& picture : curves.pictures) {
    script += PictureScript(picture, fmt::format("{}/{}{}.png", folder, prefix, picture.file));
  }
  const std::string path = fmt::format("{}/{}curves.gp", folder, prefix);
  if (auto wrong = ReplaceFile(path, script)) return wrong;
  supervise::ChildSpec spec;
  spec.name = "gnuplot";
  spec.argv = {gnuplot, path};
  spec.log_file = fmt::format("{}/{}gnuplot.log", folder, prefix);
  const auto process = supervise::Process::Start(spec);
  if (!process) {
    return process.error() + "; install the package gnuplot-nox and run `baiwan report` again";
  }
  for (Nanos waited = 0; waited < kPatience; waited += kLook) {
    pollfd look{(*process)->pidfd(), POLLIN, 0};
    ::poll(&look, look.fd >= 0 ? 1 : 0, static_cast<int>(kLook / kMillisecond));
    const auto exit = (*process)->Reap();
    if (!exit) continue;
    if (!exit->success()) {
      return fmt::format("gnuplot {}; {} says why", exit->ToString(), spec.log_file);
    }
    ::unlink(spec.log_file.c_str());  // nothing but empty, or warnings about fonts
    return std::nullopt;
  }
  return "gnuplot was not done within a minute";
}

}  // namespace baiwan::stress
