// The page of a run. Everything from files is escaped; numbers stand in columns that line up.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "monitor/board.h"
#include "monitor/host_use.h"
#include "monitor/machine.h"
#include "stress/report.h"

namespace baiwan::stress {
namespace {

using monitor::WithCommas;

constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5c6670; --line: #d9dee3; --page: #f6f7f9;
  --card: #ffffff; --good: #0a7a4b; --bad: #b3261e; --bar: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa4ae; --line: #343b43;
  --page: #14171a; --card: #1d2125; --good: #4cc38a; --bad: #ff7b72; --bar: #56b4e9; }
  img { filter: invert(0.885) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1100px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 32px 0 10px; }
h3 { font-size: 15px; margin: 0 0 6px; }
p { margin: 0 0 8px; }
.soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 14px 16px; min-width: 0; }
.verdict { border-left: 6px solid var(--good); margin: 16px 0; font-weight: 600; }
.verdict.bad { border-left-color: var(--bad); color: var(--bad); }
.verdict ul { font-weight: 400; margin: 8px 0 0; padding-left: 20px; overflow-wrap: anywhere; }
.warning { border-left: 6px solid var(--bad); margin: 0 0 12px; }
.grid { display: grid; gap: 12px; }
.figures { grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.figures b { display: block; font-size: 22px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tables { grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); align-items: start; }
.wide { grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
.beside { grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 0 4px 16px; text-align: right; border-top: 1px solid var(--line);
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: 13px; }
td.wrong { color: var(--bad); font-weight: 600; }
td.share { width: 30%; min-width: 70px; }
.bar { display: block; height: 8px; border-radius: 2px; background: var(--bar); min-width: 1px; }
td.text { white-space: normal; overflow-wrap: anywhere; }
figure { margin: 0 0 16px; }
figure img { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: 14px; margin-bottom: 8px; }
)css";

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Whole(double value) {
  return value > 0 && value < 1e18 ? WithCommas(static_cast<std::uint64_t>(std::llround(value)))
                                   : "0";
}
std::string Whole(std::uint64_t value) { return WithCommas(value); }
std::string Fixed(double value) { return fmt::format("{:.2f}", value); }
std::string Mib(double mib) {
  return mib >= 10'240 ? fmt::format("{:.1f} GiB", mib / 1024) : fmt::format("{:.1f} MiB", mib);
}
std::string MibOf(std::uint64_t bytes) { return Mib(static_cast<double>(bytes) / (1 << 20)); }
std::string Percent(double share) { return fmt::format("{:.2f} %", share * 100); }

// How many times `value` is of `other`: "1.98×".
std::string Ratio(double value, double other) {
  return other > 0 ? fmt::format("{:.2f}×", value / other) : "–";
}

// A table of numbers: one column for the run, and with another run also its and their ratio.
class NumberTable {
 public:
  NumberTable(std::string_view title, const ReportRun* other) : other_(other) {
    html_ = "<div class=\"card scroll\"><h3>" + Escaped(title) + "</h3><table>";
    if (other != nullptr) {
      html_ += "<thead><tr><th></th><th>this</th><th>other</th><th>ratio</th></tr></thead>";
    }
    html_ += "<tbody>";
  }
  // `of` takes the number from a result, `show` writes it.
  template <class Of, class Show>
  NumberTable& Add(const char* name, const RunResult& run, Of of, Show show, bool mistake = false) {
    const auto value = of(run);
    const bool wrong = mistake && static_cast<double>(value) > 0;
    html_ += fmt::format("<tr><td>{}</td><td{}>{}</td>", name, wrong ? " class=\"wrong\"" : "",
                         show(value));
    if (other_ != nullptr) {
      const auto theirs = of(other_->result);
      html_ += fmt::format("<td>{}</td><td>{}</td>", show(theirs),
                           Ratio(static_cast<double>(value), static_cast<double>(theirs)));
    }
    html_ += "</tr>";
    return *this;
  }
  std::string Html() const { return html_ + "</tbody></table></div>\n"; }

 private:
  const ReportRun* other_;
  std::string html_;
};

std::string WholeCount(std::uint64_t n) { return Whole(n); }

std::string Messages(const RunResult& r, const ReportRun* other) {
  const auto of = [](std::uint64_t RunMessages::*field) {
    return [field](const RunResult& run) { return run.messages.*field; };
  };
  return NumberTable("Messages", other)
             .Add("sent", r, of(&RunMessages::sent), WholeCount)
             .Add("stored", r, of(&RunMessages::stored), WholeCount)
             .Add("delivered", r, of(&RunMessages::delivered), WholeCount)
             .Add("acknowledged", r, of(&RunMessages::acknowledged), WholeCount)
             .Add("verified", r, of(&RunMessages::verified), WholeCount)
             .Html() +
         NumberTable("Mistakes", other)
             .Add("lost", r, of(&RunMessages::lost), WholeCount, true)
             .Add("duplicated", r, of(&RunMessages::duplicated), WholeCount, true)
             .Add("reordered", r, of(&RunMessages::reordered), WholeCount, true)
             .Add("altered", r, of(&RunMessages::altered), WholeCount, true)
             .Add("foreign", r, of(&RunMessages::foreign), WholeCount, true)
             .Add("counters wrong", r, of(&RunMessages::counter), WholeCount, true)
             .Html();
}

std::string Phases(const RunResult& r, const ReportRun* other) {
  const auto of = [](double RunPhases::*field) {
    return [field](const RunResult& run) { return run.phase_seconds.*field; };
  };
  return NumberTable("Phases, seconds", other)
      .Add("generate", r, of(&RunPhases::generate), Fixed)
      .Add("import", r, of(&RunPhases::import), Fixed)
      .Add("start", r, of(&RunPhases::start), Fixed)
      .Add("run", r, of(&RunPhases::run), Fixed)
      .Add("verify", r, of(&RunPhases::verify), Fixed)
      .Html();
}

std::string Costs(const RunResult& r, const ReportRun* other) {
  return NumberTable("Rate and cost", other)
      .Add(
          "messages a second", r, [](const RunResult& x) { return x.rate_per_s; },
          [](double v) { return Whole(v); })
      .Add(
          "while all play", r,
          [](const RunResult& x) { return x.steady ? x.steady->rate_per_s : 0; },
          [](double v) { return Whole(v); })
      .Add(
          "all play for, s", r, [](const RunResult& x) { return x.steady ? x.steady->seconds : 0; },
          Fixed)
      .Add(
          "CPU µs a message", r, [](const RunResult& x) { return x.cpu_us_per_message; }, Fixed)
      .Add(
          "memory at the peak", r, [](const RunResult& x) { return x.peak_rss_mib; }, Mib)
      .Add(
          "stores on disk", r, [](const RunResult& x) { return x.disk_bytes; }, MibOf)
      .Add(
          "re-sent, of deliveries", r, [](const RunResult& x) { return x.resent_share; }, Percent)
      .Add(
          "steal", r, [](const RunResult& x) { return x.machine.steal_share; }, Percent)
      .Html();
}

// What a cell does of it: how a deployment grows.
std::string PerCell(const RunResult& r, const ReportRun* other) {
  const auto each = [](auto of) {
    return [of](const RunResult& x) {
      return static_cast<double>(of(x)) / std::max<std::uint32_t>(x.cells, 1);
    };
  };
  return NumberTable("Growth: each cell's part", other)
      .Add(
          "cells", r, [](const RunResult& x) { return std::uint64_t{x.cells}; }, WholeCount)
      .Add("users", r, each([](const RunResult& x) { return x.users; }),
           [](double v) { return Whole(v); })
      .Add("messages a second", r, each([](const RunResult& x) { return x.rate_per_s; }),
           [](double v) { return Whole(v); })
      .Add("cores", r,
           each([](const RunResult& x) { return x.rate_per_s * x.cpu_us_per_message / 1e6; }),
           Fixed)
      .Add("memory at the peak", r, each([](const RunResult& x) { return x.peak_rss_mib; }), Mib)
      .Add("stores on disk", r, each([](const RunResult& x) { return x.disk_bytes; }),
           [](double bytes) { return Mib(bytes / (1 << 20)); })
      .Html();
}

std::string Load(const RunResult& r, const ReportRun* other) {
  if (r.offer.planned_per_s <= 0) return "";
  const auto whole = [](double v) { return Whole(v); };
  return NumberTable("Load: planned, offered, reached", other)
      .Add(
          "planned, messages a second", r, [](const RunResult& x) { return x.offer.planned_per_s; },
          whole)
      .Add(
          "offered", r, [](const RunResult& x) { return x.offer.offered_per_s; }, whole)
      .Add(
          "reached", r, [](const RunResult& x) { return x.rate_per_s; }, whole)
      .Add(
          "load clients late, ms, p99", r,
          [](const RunResult& x) { return x.offer.loop_lag_p99_ms; }, Fixed)
      .Add(
          "and at most", r, [](const RunResult& x) { return x.offer.loop_lag_max_ms; }, Fixed)
      .Html();
}

std::string Bill(const RunResult& r) {
  if (!r.cost || r.cost->prices.empty()) return "";  // hosts that cost nothing
  const RunCost& c = *r.cost;
  std::string html = fmt::format(
      "<div class=\"card scroll\"><h3>The bill</h3><table><thead><tr><th></th><th>quantity</th>"
      "<th>each</th><th>{}</th></tr></thead><tbody>",
      Escaped(c.currency));
  for (const RunCost::Item& i : c.items) {
    html += fmt::format("<tr><td>{}</td><td>{:.3f} {}</td><td>{:.4f}</td><td>{:.2f}</td></tr>",
                        Escaped(i.item), i.quantity, Escaped(i.unit), i.each, i.cost);
  }
  html += fmt::format("<tr><td><b>together</b></td><td></td><td></td><td><b>{:.2f}</b></td></tr>",
                      c.total);
  return html + fmt::format(
                    "</tbody></table><p class=\"soft\">for {:.2f} hours, at prices of "
                    "{}</p></div>\n",
                    c.hours, Escaped(c.prices));
}

std::string Latency(const RunResult& r) {
  if (!r.offer.valid) {
    return "<div class=\"card warning\"><h3>Latency is not valid</h3><p>" +
           Escaped(r.offer.reason) + "</p></div>\n";
  }
  if (!r.latency_stored && !r.latency_delivered) {
    return "<div class=\"card\"><h3>Latency</h3><p class=\"soft\">Measured with --rate only: a "
           "closed loop sends when it is answered, so its waiting times say little.</p></div>\n";
  }
  std::string html =
      "<div class=\"card scroll\"><h3>Latency, ms</h3><table><thead><tr>"
      "<th></th><th>p50</th><th>p99</th><th>p99.9</th><th>max</th></tr></thead><tbody>";
  const auto row = [&](const char* name, const std::optional<RunLatency>& l) {
    if (!l) return;
    html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", name,
                        Fixed(l->p50), Fixed(l->p99), Fixed(l->p999), Fixed(l->max));
  };
  row("stored", r.latency_stored);
  row("delivered", r.latency_delivered);
  return html + "</tbody></table></div>\n";
}

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
          "\">\n" + Messages(r, other) + Phases(r, other) + Costs(r, other) + PerCell(r, other) +
          Load(r, other) + Latency(r) + Bill(r) + "</div>\n";
  html += "<h2>Who used what</h2>\n<div class=\"grid tables\">\n";
  if (r.cpu_us_by_role) html += Shares("CPU by role", *r.cpu_us_by_role, "µs a message");
  html += Shares("CPU by process", r.cpu_us_by_process, "µs a message") +
          Shares("Memory by process", r.peak_rss_mib_by_process, "MiB at the peak") + "</div>\n";
  html += Hosts(r) + Pictures(run, other);
  html += "<h2>Circumstances</h2>\n<div class=\"grid tables\">\n" + Circumstances(run);
  if (run.curves) html += Recording(*run.curves);
  return html + "</div>\n</main></body></html>\n";
}

}  // namespace baiwan::stress
