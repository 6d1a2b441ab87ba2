#include "sim/timeline.h"

#include <fmt/format.h>

#include <utility>

#include "base/checksum.h"

namespace baiwan::sim {

const char* Name(What what) {
  switch (what) {
    case What::kBoot:
      return "boot";
    case What::kCrash:
      return "crash";
    case What::kTurn:
      return "turn";
    case What::kConnect:
      return "connect";
    case What::kAccept:
      return "accept";
    case What::kData:
      return "data";
    case What::kSend:
      return "send";
    case What::kClosed:
      return "closed";
    case What::kCommit:
      return "commit";
    case What::kDurable:
      return "durable";
    case What::kFault:
      return "fault";
    case What::kLog:
      return "log";
  }
  return "?";
}

void Trace::Add(Nanos at, NodeId node, What what, std::uint64_t a, std::uint64_t b) {
  hash_ = Mix(Mix(hash_, static_cast<std::uint64_t>(at),
                  (std::uint64_t{node} << 8) | static_cast<std::uint64_t>(what)),
              a, b);
  Keep({at, node, what, a, b, {}});
}

void Trace::AddLine(Nanos at, NodeId node, What what, std::string_view line) {
  hash_ = Mix(Mix(hash_, static_cast<std::uint64_t>(at),
                  (std::uint64_t{node} << 8) | static_cast<std::uint64_t>(what)),
              Crc32c(line), line.size());
  Keep({at, node, what, 0, 0, std::string(line)});
}

void Trace::Keep(Entry entry) {
  ++count_;
  if (keep_ == 0) return;
  if (last_.size() == keep_) last_.pop_front();
  last_.push_back(std::move(entry));
}

std::string Trace::Describe(const std::vector<std::string>& names) const {
  std::string text;
  for (const Entry& entry : last_) {
    const std::string_view node =
        entry.node < names.size() ? std::string_view(names[entry.node]) : "world";
    fmt::format_to(std::back_inserter(text), "{:>14.6f}s {:<12} {:<8}",
                   static_cast<double>(entry.at) / kSecond, node, Name(entry.what));
    if (entry.line.empty()) {
      fmt::format_to(std::back_inserter(text), "{} {:x}\n", entry.a, entry.b);
    } else {
      fmt::format_to(std::back_inserter(text), "{}\n", entry.line);
    }
  }
  return text;
}

void Timeline::At(Nanos when, Action action) {
  const std::uint64_t number = scheduled_++;
  queue_.push({when < now_ ? now_ : when, Mix(seed_, number), number, std::move(action)});
}

void Timeline::Step() {
  // The queue's top is const only to keep its order, which a moved-from action does not touch.
  Action action = std::move(const_cast<Event&>(queue_.top()).action);
  now_ = queue_.top().at;
  queue_.pop();
  ++steps_;
  action();
}

void Timeline::SkipTo(Nanos when) {
  if (when > now_) now_ = when;
}

}  // namespace baiwan::sim
