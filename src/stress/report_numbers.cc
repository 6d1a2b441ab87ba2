// The numbers of a run's page, and beside them those of another run.
#include <fmt/format.h>

#include <algorithm>

#include "stress/report_parts.h"

namespace baiwan::stress::report_internal {
namespace {

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

std::string Mistakes(const RunResult& r, const ReportRun* other) {
  const auto of = [](std::uint64_t RunMessages::*field) {
    return [field](const RunResult& run) { return run.messages.*field; };
  };
  const bool verified = r.messages.verified > 0 || r.exit_code < 2;
  if (!verified && other == nullptr) {  // noughts would look as if somebody had looked
    return "<div class=\"card\"><h3>Mistakes</h3><p class=\"soft\">Nothing was "
           "verified.</p></div>\n";
  }
  return NumberTable("Mistakes", other)
      .Add("lost", r, of(&RunMessages::lost), WholeCount, true)
      .Add("duplicated", r, of(&RunMessages::duplicated), WholeCount, true)
      .Add("reordered", r, of(&RunMessages::reordered), WholeCount, true)
      .Add("altered", r, of(&RunMessages::altered), WholeCount, true)
      .Add("foreign", r, of(&RunMessages::foreign), WholeCount, true)
      .Add("counters wrong", r, of(&RunMessages::counter), WholeCount, true)
      .Html();
}

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
         Mistakes(r, other);
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

}  // namespace

std::string Numbers(const RunResult& r, const ReportRun* other) {
  return Messages(r, other) + Phases(r, other) + Costs(r, other) + PerCell(r, other) +
         Load(r, other) + Latency(r) + Bill(r);
}

}  // namespace baiwan::stress::report_internal
