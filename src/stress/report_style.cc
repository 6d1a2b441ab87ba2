// How the page of a run looks, and how it writes its numbers.
#include <fmt/format.h>

#include <cmath>

#include "monitor/board.h"
#include "stress/report_parts.h"

namespace baiwan::stress::report_internal {

using monitor::WithCommas;

const char* const kStyle = R"css(
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
.events td.text, .events th:nth-child(n+4) { text-align: left; }
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

}  // namespace baiwan::stress::report_internal
