// The page of a run, put together.
#include <fmt/format.h>

#include <algorithm>

#include "monitor/host_use.h"
#include "monitor/machine.h"
#include "stress/report_parts.h"

namespace baiwan::stress {
namespace {

using namespace report_internal;

// Shares of a whole, largest first, with bars.
std::string Shares(const std::string& title, const std::map<std::string, double>& parts,
                   const std::string& unit) {
  if (parts.empty()) return "";
  std::vector<std::pair<std::string, double>> sorted(parts.begin(), parts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  const double most = std::max(sorted.front().second, 1e-9);
  constexpr std::size_t kOpen = 16;  // a longer table is folded
  std::string html = "<div class=\"card scroll\">";
  html += sorted.size() > kOpen ? "<details><summary><b>" + Escaped(title) + "</b></summary>"
                                : "<h3>" + Escaped(title) + "</h3>";
  html += "<table><thead><tr><th></th><th>" + unit + "</th><th></th></tr></thead><tbody>";
  for (const auto& [name, value] : sorted) {
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td class=\"share\"><span class=\"bar\" style=\"width:{:.1f}%\">"
        "</span></td></tr>",
        Escaped(name), Fixed(value), std::clamp(value / most * 100, 0.0, 100.0));
  }
  return html + "</tbody></table>" + (sorted.size() > kOpen ? "</details>" : "") + "</div>\n";
}

std::string TextTable(const char* title,
                      const std::vector<std::pair<const char*, std::string>>& rows) {
  std::string html = fmt::format("<div class=\"card scroll\"><h3>{}</h3><table><tbody>", title);
  for (const auto& [name, value] : rows) {
    html += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td></tr>", name, Escaped(value));
  }
  return html + "</tbody></table></div>\n";
}

// Each host at its worst, those with the most steal first.
std::string Hosts(const RunResult& r) {
  if (r.hosts.empty()) return "";
  std::vector<const RunHost*> sorted;
  for (const RunHost& host : r.hosts) sorted.push_back(&host);
  std::stable_sort(sorted.begin(), sorted.end(), [](const RunHost* a, const RunHost* b) {
    return std::pair(a->steal, a->busy) > std::pair(b->steal, b->busy);
  });
  constexpr std::size_t kOpen = 16;  // a longer table is folded
  std::string html = "<h2>Hosts at their worst</h2>\n<div class=\"card scroll\">";
  if (sorted.size() > kOpen) {
    html += fmt::format("<details><summary><b>{} machines</b></summary>", sorted.size());
  }
  html +=
      "<table><thead><tr><th></th><th>CPUs</th><th>CPU busy</th><th>steal</th><th>memory left</th>"
      "<th>disk left</th><th>over network limit</th></tr></thead><tbody>";
  const auto cell = [](bool wrong, const std::string& text) {
    return fmt::format("<td{}>{}</td>", wrong ? " class=\"wrong\"" : "", Escaped(text));
  };
  const auto left = [](std::uint64_t mib, double share) {
    return fmt::format("{}, {:.0f} %", Mib(static_cast<double>(mib)), share * 100);
  };
  for (const RunHost* h : sorted) {
    std::string exceeded;
    for (const auto& [allowance, count] : h->exceeded) {
      exceeded += fmt::format("{}{} {}", exceeded.empty() ? "" : ", ", allowance, Whole(count));
    }
    html +=
        "<tr>" + cell(false, h->name) + cell(false, std::to_string(h->cpus)) +
        cell(false, fmt::format("{:.0f} %", h->busy * 100)) +
        cell(h->steal > monitor::kMostSteal, fmt::format("{:.1f} %", h->steal * 100)) +
        cell(h->memory_left() < monitor::kLeastMemory, left(h->memory_left_mib, h->memory_left())) +
        cell(h->disk_left() < monitor::kLeastDisk,
             left(h->disk_left_mib, h->disk_left()) +
                 (h->hosts > 1 ? " (" + h->disk_host + ")" : "")) +
        cell(!exceeded.empty(), exceeded) + "</tr>";
  }
  html += "</tbody></table>";
  if (sorted.size() > kOpen) html += "</details>";
  html += "</div>\n";
  if (r.warnings.empty()) return html;
  html += "<div class=\"card warning\"><h3>Warnings, by time of the day (UTC)</h3><ul>";
  for (const std::string& warning : r.warnings) html += "<li>" + Escaped(warning) + "</li>";
  return html + "</ul></div>\n";
}

std::string Circumstances(const ReportRun& run) {
  const RunOptions& o = run.result.options;
  const WorkloadSpec& s = o.spec;
  const RunMachine& m = run.result.machine;
  return TextTable("Workload", {{"cells", Whole(std::uint64_t{s.cells})},
                                {"users a cell", Whole(std::uint64_t{s.users_per_cell})},
                                {"friends in the own cell", std::to_string(s.friends_in_cell)},
                                {"friends in others", std::to_string(s.friends_cross)},
                                {"messages to each friend",
                                 fmt::format("{} × {} rounds", s.messages_per_friend, s.rounds)},
                                {"bytes a message", std::to_string(s.body_bytes)},
                                {"seed", std::to_string(s.seed)}}) +
         TextTable(
             "How it was played",
             {{"protocol", o.protocol},
              {"layout", o.layout},
              {"users at a time, a cell", Whole(std::uint64_t{o.concurrency})},
              {"messages a frame", std::to_string(o.messages_per_frame)},
              {"in flight, a user", std::to_string(o.in_flight)},
              {"loop", o.rate > 0 ? fmt::format("open, {:.0f} messages/s", o.rate) : "closed"}}) +
         TextTable("Where", {{"revision", run.result.revision},
                             {"date", run.result.date},
                             {"CPU", fmt::format("{} × {}", m.cpus, m.cpu)},
                             {"memory", Mib(static_cast<double>(m.memory_mib))},
                             {"system", m.system}});
}

std::string Recording(const Curves& c) {
  const auto each = [&](std::uint32_t of) { return Whole(c.fetched_per_s / std::max(1U, of)); };
  return TextTable(
      "The monitor's record",
      {{"beats", Whole(c.beats)},
       {"processes alive, at least", fmt::format("{} of {}", c.alive_least, c.expected)},
       {"samples that failed", Whole(c.failed)},
       {"lines that cannot be read", Whole(c.unreadable)},
       {"steal at the worst beat", fmt::format("{:.1f} %", c.steal_most * 100)},
       {"metrics fetched", fmt::format("{} bytes/s, {} of each process, {} of each host",
                                       Whole(c.fetched_per_s), each(c.expected), each(c.hosts))}});
}

std::string Image(const ReportRun& run, const Picture& picture) {
  if (!run.no_pictures.empty()) return "<p class=\"soft\">" + Escaped(run.no_pictures) + "</p>";
  return fmt::format(
      "<a href=\"{0}{1}.png\"><img src=\"{0}{1}.png\" "
      "alt=\"{2}: curves over time, one a cell, and their sum\"></a>",
      run.prefix, picture.file, Escaped(picture.title));
}

std::string Pictures(const ReportRun& run, const ReportRun* other) {
  std::string html = "<h2>Curves</h2>\n";
  if (!run.no_pictures.empty()) {
    html += "<p class=\"card\">" + Escaped(run.no_pictures) + "</p>\n";
    if (other == nullptr || !other->curves) return html;
  }
  const Curves* shown = run.curves               ? &*run.curves
                        : other && other->curves ? &*other->curves
                                                 : nullptr;
  if (shown == nullptr) return html;
  for (const Picture& picture : shown->pictures) {
    html += fmt::format("<figure class=\"card\"><h3>{}</h3><figcaption>{}</figcaption>",
                        Escaped(picture.title), Escaped(picture.about));
    if (other == nullptr) {
      html += Image(run, picture);
    } else {
      html += fmt::format(
          "<div class=\"grid beside\"><div><p class=\"soft\">this</p>{}</div><div><p "
          "class=\"soft\">"
          "other</p>{}</div></div>",
          Image(run, picture), Image(*other, picture));
    }
    html += "</figure>\n";
  }
  return html;
}

std::string Figure(const std::string& value, const char* what) {
  return fmt::format("<div class=\"card\"><b>{}</b><span class=\"soft\">{}</span></div>\n", value,
                     what);
}

std::string Head(const ReportRun& run, const ReportRun* other) {
  const RunResult& r = run.result;
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Stress test {}</title>\n<style>{}</style></head>\n<body><main>\n",
      Escaped(run.name), kStyle);
  html += fmt::format("<h1>{} messages between {} users</h1>\n", Whole(r.messages.sent),
                      Whole(r.users));
  html += fmt::format(
      "<p class=\"soft\">Run {}, {}, revision {}, {} cells{}</p>\n", Escaped(run.name),
      Escaped(r.date), Escaped(r.revision), r.cells,
      other ? "; beside it run " + Escaped(other->name + ", " + Verdict(other->result)) : "");
  html += fmt::format("<div class=\"card verdict{}\">{}", r.exit_code == 0 ? "" : " bad",
                      Escaped(Verdict(r)));
  if (r.exit_code != 0 && !r.problems.empty()) {
    html += "<ul>";
    for (const std::string& problem : r.problems) html += "<li>" + Escaped(problem) + "</li>";
    html += "</ul>";
  }
  html += "</div>\n";
  if (r.machine.steal_share > monitor::kStealWarning) {
    html += fmt::format(
        "<p class=\"card warning\">The host kept {:.1f} % of the CPU from this "
        "machine during the run: what was measured means little.</p>\n",
        r.machine.steal_share * 100);
  }
  if (!r.offer.valid) {
    html += "<p class=\"card warning\">The load was not as planned: " + Escaped(r.offer.reason) +
            ".</p>\n";
  }
  html += "<div class=\"grid figures\">\n" + Figure(Whole(r.rate_per_s), "messages a second") +
          Figure(Fixed(r.cpu_us_per_message), "CPU µs a message") +
          Figure(Fixed(r.phase_seconds.run) + " s", "from first to last message") +
          Figure(Mib(r.peak_rss_mib), "memory at the peak") +
          Figure(MibOf(r.disk_bytes), "stores on disk") + "</div>\n";
  return html;
}

}  // namespace

std::string ReportHtml(const ReportRun& run, const ReportRun* other) {
  const RunResult& r = run.result;
  std::string html = Head(run, other);
  html += std::string("<h2>Numbers</h2>\n<div class=\"grid tables") + (other ? " wide" : "") +
          "\">\n" + Numbers(r, other) + "</div>\n";
  html += "<h2>Who used what</h2>\n<div class=\"grid tables\">\n";
  if (r.cpu_us_by_role) html += Shares("CPU by role", *r.cpu_us_by_role, "µs a message");
  html += Shares("CPU by process", r.cpu_us_by_process, "µs a message") +
          Shares("Memory by process", r.peak_rss_mib_by_process, "MiB at the peak") + "</div>\n";
  html += Hosts(r) + TimelineHtml(r) + Pictures(run, other);
  html += "<h2>Circumstances</h2>\n<div class=\"grid tables\">\n" + Circumstances(run);
  if (run.curves) html += Recording(*run.curves);
  return html + "</div>\n</main></body></html>\n";
}

}  // namespace baiwan::stress
