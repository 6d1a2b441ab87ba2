#include "monitor/metrics_text.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

namespace baiwan::monitor {
namespace {

constexpr std::string_view kPrefix = "baiwan_";

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == ':';
}

// The length of "name{labels}" at the beginning of the line; 0 if there is none.
std::size_t KeyLength(std::string_view line) {
  std::size_t at = 0;
  while (at < line.size() && IsNameByte(line[at])) ++at;
  if (at == 0 || (line[0] >= '0' && line[0] <= '9')) return 0;
  if (at == line.size() || line[at] != '{') return at;
  bool quoted = false;
  for (++at; at < line.size(); ++at) {
    const char c = line[at];
    if (c < 0x20 || c > 0x7e) return 0;
    if (quoted && c == '\\') {
      ++at;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == '}' && !quoted) {
      return at + 1;
    }
  }
  return 0;
}

std::string_view Word(std::string_view* rest) {
  const auto begin = rest->find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  rest->remove_prefix(begin);
  const auto end = std::min(rest->find_first_of(" \t"), rest->size());
  const std::string_view word = rest->substr(0, end);
  rest->remove_prefix(end);
  return word;
}

// Nothing if the word is no number. What is a number, but not a finite one, is NaN.
std::optional<double> Number(std::string_view word) {
  if (!word.empty() && word.front() == '+') word.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (end != word.data() + word.size() || word.empty()) return std::nullopt;
  if (error != std::errc() || !std::isfinite(value)) return std::nan("");
  return value;
}

}  // namespace

Result<Values, std::string> ParseMetrics(std::string_view text, const MetricsLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return fmt::format("{} bytes of metrics are more than the {} allowed", text.size(),
                       limits.max_bytes);
  }
  Values values;
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#') continue;
    const std::size_t length = KeyLength(line);
    std::string_view key = line.substr(0, length);
    std::string_view rest = line.substr(length);
    const auto value = Number(Word(&rest));
    const std::string_view timestamp = Word(&rest);
    if (length == 0 || !value || (!timestamp.empty() && !Number(timestamp)) ||
        !Word(&rest).empty()) {
      return fmt::format("line {} of the metrics is no value with a name", number);
    }
    if (key.substr(0, kPrefix.size()) != kPrefix || std::isnan(*value)) continue;
    key.remove_prefix(kPrefix.size());
    if (key.size() > limits.max_key) {
      return fmt::format("line {} of the metrics has a name of {} bytes, {} are allowed", number,
                         key.size(), limits.max_key);
    }
    values.insert_or_assign(std::string(key), *value);
    if (values.size() > limits.max_values) {
      return fmt::format("there are more than the {} values allowed", limits.max_values);
    }
  }
  return values;
}

double ValueOf(const Values& values, std::string_view key) {
  const auto it = values.find(key);
  return it == values.end() ? 0 : it->second;
}

double SumOf(const Values& values, std::string_view name) {
  double sum = ValueOf(values, name);
  ForEachLabel(values, name, [&](std::string_view, double value) { sum += value; });
  return sum;
}

void ForEachLabel(const Values& values, std::string_view name,
                  const std::function<void(std::string_view, double)>& each) {
  const std::string begin = std::string(name) + "{";
  for (auto it = values.lower_bound(begin); it != values.end(); ++it) {
    const std::string_view key = it->first;
    if (key.substr(0, begin.size()) != begin) return;
    const auto open = key.find('"');
    const auto close = key.rfind('"');
    each(open < close ? key.substr(open + 1, close - open - 1) : std::string_view(), it->second);
  }
}

}  // namespace baiwan::monitor
