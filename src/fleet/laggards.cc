#include "fleet/laggards.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::fleet {
namespace {

constexpr int kBeats = 3;  // in trouble, before it is said: one may be chance

std::uint64_t Median(const std::vector<CellBeat>& beat) {
  std::vector<std::uint64_t> finished;
  finished.reserve(beat.size());
  for (const CellBeat& cell : beat) finished.push_back(cell.finished);
  std::sort(finished.begin(), finished.end());
  return finished[finished.size() / 2];
}

}  // namespace

std::vector<std::string> Laggards::Look(std::vector<CellBeat> beat) {
  std::vector<std::string> said;
  for (CellBeat& cell : beat) {
    if (cell.done) cell.finished = users_;
  }
  if (beat.empty()) return said;
  const std::uint64_t median = Median(beat);
  bool others_gain = false;
  for (const CellBeat& cell : beat) others_gain |= cell.finished > seen_[cell.host].finished;
  for (const CellBeat& cell : beat) {
    Seen& seen = seen_[cell.host];
    Trouble now = Trouble::kNone;
    const bool done = cell.finished >= users_;
    if (!done && !cell.answers) {
      now = Trouble::kSilent;
    } else if (!done && others_gain && cell.finished == seen.finished) {
      now = Trouble::kStill;
    } else if (!done && cell.finished * 2 < median) {
      now = Trouble::kSlow;
    }
    seen.beats = now == seen.trouble ? seen.beats + 1 : 1;
    seen.trouble = now;
    seen.finished = cell.finished;
    std::string sentence = Say(cell.host, cell, &seen, median);
    if (!sentence.empty()) said.push_back(std::move(sentence));
  }
  return said;
}

std::string Laggards::Say(const std::string& host, const CellBeat& cell, Seen* seen,
                          std::uint64_t median) const {
  if (seen->trouble == seen->told) return "";
  if (seen->trouble != Trouble::kNone && seen->beats < kBeats) return "";
  seen->told = seen->trouble;
  switch (seen->trouble) {
    case Trouble::kNone:
      return host + " goes on again";
    case Trouble::kSilent:
      return host + " does not answer";
    case Trouble::kStill:
      return fmt::format("{} stands still at {} of {} users while others go on", host,
                         cell.finished, users_);
    case Trouble::kSlow:
      return fmt::format("{} is slow: {} of {} users have finished there, {} elsewhere", host,
                         cell.finished, users_, median);
  }
  return "";
}

}  // namespace baiwan::fleet
