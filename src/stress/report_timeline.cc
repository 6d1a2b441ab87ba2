// What happened in a run, for its page.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "stress/report_parts.h"

namespace baiwan::stress::report_internal {
namespace {

constexpr std::size_t kOpen = 60;  // a longer table is folded

std::string Row(const TimelineEvent& e, std::int64_t began_ms) {
  const std::string lasted =
      e.until_ms > e.at_ms ? TimelineSpan(e.until_ms - e.at_ms) : std::string();
  return fmt::format(
      "<tr><td>{:.1f} s</td><td>{:%H:%M:%S}</td><td>{}</td><td class=\"text\">{}</td>"
      "<td class=\"text{}\">{}</td></tr>\n",
      static_cast<double>(e.at_ms - began_ms) / 1000,
      fmt::gmtime(static_cast<std::time_t>(e.at_ms / 1000)), lasted, Escaped(e.who),
      e.bad ? " wrong" : "", Escaped(e.what));
}

}  // namespace

std::string TimelineHtml(const RunResult& r) {
  if (r.timeline.empty()) return "";
  const std::int64_t began = r.began_ms > 0 ? r.began_ms : r.timeline.front().at_ms;
  const bool folded = r.timeline.size() > kOpen;
  std::string html = "<h2>What happened</h2>\n<div class=\"card scroll\">";
  if (folded) {
    html += fmt::format("<details open><summary><b>{} events</b></summary>", r.timeline.size());
  }
  html +=
      "<table class=\"events\"><thead><tr><th>since the begin</th><th>UTC</th><th>lasted</th>"
      "<th>who</th><th>what</th></tr></thead><tbody>\n";
  for (const TimelineEvent& event : r.timeline) html += Row(event, began);
  html += "</tbody></table>";
  if (folded) html += "</details>";
  return html + "</div>\n";
}

}  // namespace baiwan::stress::report_internal
