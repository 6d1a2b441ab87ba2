#include "stress/steady.h"

#include <algorithm>

namespace baiwan::stress {

std::optional<RunSteady> SteadyOf(const DriveResults& clients) {
  std::uint64_t first_begin = 0;
  std::uint64_t last_begin = 0;
  const std::pair<std::string, DriveResult>* first = nullptr;
  const std::pair<std::string, DriveResult>* last = nullptr;
  for (const auto& one : clients) {
    const DriveResult& r = one.second;
    if (r.messages == 0) continue;  // nobody there has a friend
    if (r.first_submit_ms == 0 || r.last_ack_ms == 0) return std::nullopt;  // it never played
    if (first_begin == 0 || r.first_submit_ms < first_begin) first_begin = r.first_submit_ms;
    last_begin = std::max(last_begin, r.first_submit_ms);
    if (first == nullptr || r.last_ack_ms < first->second.last_ack_ms) first = &one;
    if (last == nullptr || r.last_ack_ms > last->second.last_ack_ms) last = &one;
  }
  if (first == nullptr || first->second.last_ack_ms <= last_begin) return std::nullopt;
  const std::uint64_t end = first->second.last_ack_ms;
  RunSteady steady;
  const auto seconds = [](std::uint64_t from, std::uint64_t to) {
    return static_cast<double>(to - from) / 1000;
  };
  steady.seconds = seconds(last_begin, end);
  steady.begins_apart_s = seconds(first_begin, last_begin);
  steady.ends_apart_s = seconds(end, last->second.last_ack_ms);
  steady.first_to_finish = first->first;
  steady.last_to_finish = last->first;
  double messages = 0;
  for (const auto& [name, r] : clients) messages += r.progress.At(end) - r.progress.At(last_begin);
  steady.rate_per_s = messages / steady.seconds;
  return steady;
}

}  // namespace baiwan::stress
