#include "stress/start_line.h"

#include <utility>

namespace baiwan::stress {

StartLine::StartLine(Loop& loop, const Options& options, Begin begin)
    : loop_(loop), options_(options), begin_(std::move(begin)) {}

StartLine::~StartLine() {
  loop_.Cancel(patience_);
  loop_.Cancel(go_);
}

void StartLine::Armed() {
  if (std::exchange(armed_, true)) return;
  patience_ = loop_.After(options_.wait, [this] { Go(0); });
  Decide();
}

void StartLine::Look(const std::map<CellId, State>& all) {
  all_ = all;
  Decide();
}

void StartLine::Decide() {
  if (!armed_ || going_) return;
  std::uint32_t ready = 0;
  for (const auto& [cell, state] : all_) {
    if (state == State::kPlays) return Go(0);
    ready += state == State::kArmed && cell < options_.cells ? 1 : 0;
  }
  if (ready >= options_.cells) Go(options_.settle);
}

void StartLine::Go(Nanos after) {
  if (std::exchange(going_, true)) return;
  go_ = loop_.After(after, [this] {
    loop_.Cancel(patience_);
    std::vector<CellId> missing;
    for (CellId cell = 0; cell < options_.cells; ++cell) {
      const auto it = all_.find(cell);
      if (it == all_.end() || it->second == State::kArming) missing.push_back(cell);
    }
    begin_(missing);
  });
}

std::string_view NameOf(StartLine::State state) {
  switch (state) {
    case StartLine::State::kArming:
      return "arming";
    case StartLine::State::kArmed:
      return "armed";
    case StartLine::State::kPlays:
      return "plays";
  }
  return "";
}

StartLine::State StartStateNamed(std::string_view name) {
  if (name == "armed") return StartLine::State::kArmed;
  return name == "plays" ? StartLine::State::kPlays : StartLine::State::kArming;
}

}  // namespace baiwan::stress
