// The table at the end of a stress test.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "monitor/board.h"
#include "monitor/machine.h"
#include "stress/result.h"

namespace baiwan::stress {
namespace {

using monitor::WithCommas;

constexpr std::size_t kWidth = 78;

std::string Rule() { return std::string(kWidth, '-') + "\n"; }

std::string Row(std::string_view label, std::string_view value) {
  return fmt::format(" {:<11} {}\n", label, value);
}
std::string Pair(std::string_view a, const std::string& value_a, std::string_view b,
                 const std::string& value_b) {
  return fmt::format(" {:<11} {:<28} {:<9} {}\n", a, value_a, b, value_b);
}

std::string Mib(double mib) {
  return mib >= 10'240 ? fmt::format("{:.1f} GiB", mib / 1024) : fmt::format("{:.1f} MiB", mib);
}

// Three short tables side by side: the left and middle ones count, the right one has seconds.
std::string Tables(const RunResult& r) {
  const RunMessages& m = r.messages;
  const RunPhases& p = r.phase_seconds;
  struct Line {
    const char* left;
    std::uint64_t count;
    const char* middle;
    std::uint64_t mistakes;
    const char* right;
    double seconds;
  };
  const Line lines[] = {
      {"sent", m.sent, "lost", m.lost, "generate", p.generate},
      {"stored", m.stored, "duplicated", m.duplicated, "import", p.import},
      {"delivered", m.delivered, "reordered", m.reordered, "start", p.start},
      {"acknowledged", m.acknowledged, "altered", m.altered, "run", p.run},
      {"verified", m.verified, "foreign", m.foreign, "verify", p.verify},
  };
  std::string text = fmt::format(" {:<29}  {:<24}  {}\n", "messages", "mistakes", "seconds");
  for (const Line& l : lines) {
    text += fmt::format("   {:<12} {:>14}    {:<10} {:>11}    {:<8} {:>10.2f}\n", l.left,
                        WithCommas(l.count), l.middle, WithCommas(l.mistakes), l.right, l.seconds);
  }
  return text + fmt::format("{:34}{:<10} {:>11}\n", "", "counter", WithCommas(m.counter));
}

std::string Latency(const RunLatency& l) {
  return fmt::format("p50 {:.2f}   p99 {:.2f}   p99.9 {:.2f}   max {:.2f} ms", l.p50, l.p99, l.p999,
                     l.max);
}

std::string Rate(double per_s) {
  return WithCommas(static_cast<std::uint64_t>(std::llround(per_s)));
}

// A row whose text may be longer than a line.
std::string Rows(std::string_view label, const std::string& text) {
  constexpr std::size_t kRoom = kWidth - 13;
  std::string rows;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = text.size();
    if (end - at > kRoom) {
      end = text.rfind(' ', at + kRoom);
      if (end == std::string::npos || end <= at) end = at + kRoom;
    }
    rows += Row(at == 0 ? label : "", text.substr(at, end - at));
    at = text.find_first_not_of(' ', end);
  }
  return rows;
}

// Planned, offered and reached beside each other, and what follows for latency.
std::string Load(const RunResult& r) {
  const RunOffer& o = r.offer;
  std::string text;
  if (r.steady) {
    text += Pair("all play", Rate(r.steady->rate_per_s) + " messages/s", "begin",
                 fmt::format("within {:.2f} s", r.steady->begins_apart_s));
    text += Pair("", fmt::format("for {:.2f} s", r.steady->seconds), "end",
                 fmt::format("within {:.2f} s", r.steady->ends_apart_s));
  }
  if (o.planned_per_s > 0) {
    text +=
        Row("messages/s", fmt::format("{} planned   {} offered   {} reached", Rate(o.planned_per_s),
                                      Rate(o.offered_per_s), Rate(r.rate_per_s)));
    text +=
        Row("load client", fmt::format("its loop was late by {:.1f} ms (p99), {:.1f} ms at most",
                                       o.loop_lag_p99_ms, o.loop_lag_max_ms));
  }
  if (!o.valid) return text + Rows("NOT VALID", "latency says nothing: " + o.reason);
  if (r.latency_stored) text += Row("stored", Latency(*r.latency_stored));
  if (r.latency_delivered) text += Row("delivered", Latency(*r.latency_delivered));
  return text;
}

// The worst of all hosts, by name; what parts of one machine share has none.
std::string Hosts(const RunResult& r) {
  const auto worst = WorstOf(r.hosts);
  if (!worst) return "";
  const auto name = [](const RunHost* host) { return host->hosts == 1 ? " " + host->name : ""; };
  std::uint64_t hosts = 0;
  for (const RunHost& host : r.hosts) hosts += host.hosts;
  std::string text = Pair(
      fmt::format("{} hosts", hosts),
      fmt::format("CPU {:.0f} % at most{}", worst->busy->busy * 100, name(worst->busy)), "steal",
      fmt::format("{:.1f} % at most{}", worst->steal->steal * 100, name(worst->steal)));
  text +=
      Pair(r.hosts.size() == 1 && hosts > 1 ? "one machine" : "the worst",
           fmt::format("{:.0f} % memory left{}", worst->memory->memory_left() * 100,
                       name(worst->memory)),
           "disk",
           fmt::format("{:.0f} % left {}", worst->disk->disk_left() * 100, worst->disk->disk_host));
  if (r.warnings.empty()) return text;
  return text + Row("WARNING", "some hosts were in trouble: the report lists when, and which");
}

// What happened that should not have, in a row for each kind: "7: cell-0 3, drive-1 2 …".
std::string Happened(const RunResult& r) {
  std::string text;
  for (const auto& [kind, label] :
       {std::pair{kRestartEvent, "restarts"}, {kHostEvent, "hosts"}, {kStallEvent, "stalls"}}) {
    std::map<std::string, std::size_t> by_who;
    std::size_t count = 0;
    std::int64_t longest = 0;
    for (const TimelineEvent& e : r.timeline) {
      if (e.kind != kind || !e.bad) continue;
      ++count;
      ++by_who[e.who.empty() ? "all" : e.who];
      longest = std::max(longest, e.until_ms - e.at_ms);
    }
    if (count == 0) continue;
    std::vector<std::pair<std::string, std::size_t>> sorted(by_who.begin(), by_who.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    constexpr std::size_t kNamed = 12;
    std::string names;
    for (std::size_t i = 0; i < std::min(kNamed, sorted.size()); ++i) {
      names += (i == 0 ? "" : ", ") + sorted[i].first;
      if (sorted[i].second > 1) names += fmt::format(" {}", sorted[i].second);
    }
    if (sorted.size() > kNamed) names += fmt::format(" and {} more", sorted.size() - kNamed);
    std::string row = fmt::format("{}: {}", count, names);
    if (longest > 0) row += fmt::format("; {} at most", TimelineSpan(longest));
    text += Rows(label, row);
  }
  return text;
}

}  // namespace

std::string Verdict(const RunResult& r) {
  const RunMessages& m = r.messages;
  switch (r.exit_code) {
    case 0:
      return "VERIFIED: every message arrived once, in order, unaltered";
    case 1: {
      std::string text;
      for (const auto& [count, kind] : {std::pair{m.lost, "lost"},
                                        {m.duplicated, "duplicated"},
                                        {m.reordered, "reordered"},
                                        {m.altered, "altered"},
                                        {m.foreign, "foreign"},
                                        {m.counter, "counters wrong"}}) {
        if (count > 0)
          text += fmt::format("{}{} {}", text.empty() ? "" : ", ", WithCommas(count), kind);
      }
      return "MISMATCH: " + (text.empty() ? "see the list of problems" : text);
    }
    case kExitNotAsPlanned:
      return "VERIFIED, but the load was not as planned: what was measured is not valid";
    case 3:
      if (!r.problems.empty() && r.problems.front() == kInterrupted) {
        return "INTERRUPTED: nothing was verified";
      }
      return "OUT OF TIME: the run was stopped at its deadline";
    default:
      return "FAILED: " + (r.problems.empty() ? "see the logs" : r.problems.front());
  }
}

std::string SummaryTable(const RunResult& r) {
  const RunOptions& o = r.options;
  std::string text = Rule();
  text +=
      Row("workload", fmt::format("{} users in {} cells, {} relations, bodies of {} bytes, seed {}",
                                  WithCommas(r.users), r.cells, WithCommas(r.relations),
                                  o.spec.body_bytes, o.spec.seed));
  text += Row("played",
              fmt::format("{}, {} a frame, {} in flight, {} users at a time, layout {}", o.protocol,
                          o.messages_per_frame, o.in_flight, o.concurrency, o.layout));
  text += Rule() + Tables(r) + Rule();
  text += Pair("rate", fmt::format("{} messages/s", Rate(r.rate_per_s)), "CPU",
               fmt::format("{:.2f} us a message", r.cpu_us_per_message));
  text += Pair("memory", Mib(r.peak_rss_mib) + " at the peak", "disk",
               Mib(static_cast<double>(r.disk_bytes) / (1 << 20)));
  text += Pair("re-sent", fmt::format("{:.2f} % of deliveries", r.resent_share * 100), "steal",
               fmt::format("{:.1f} %", r.machine.steal_share * 100));
  text += Hosts(r);
  text += Load(r);
  text += Happened(r);
  if (r.machine.steal_share > monitor::kStealWarning) {
    text += Row("WARNING", "the host kept CPU from this machine: the rate means little");
  }
  text += Rule() + " " + Verdict(r) + "\n";
  if (r.exit_code == 1) {
    for (const std::string& problem : r.problems) text += "   " + problem + "\n";
  }
  return text;
}

}  // namespace baiwan::stress
