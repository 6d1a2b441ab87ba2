#include "fleet/laggards.h"

#include <fmt/format.h>

#include <algorithm>

namespace baiwan::fleet {
namespace {

constexpr int kBeats = 3;  // in trouble, before it is said: one may be chance
// Load clients of many hosts begin one after the other.
constexpr int kBeatsToBegin = 10;
constexpr std::size_t kNamed = 4;

template <class Of>
std::uint64_t Median(const std::vector<CellBeat>& beat, Of of) {
  std::vector<std::uint64_t> all;
  all.reserve(beat.size());
  for (const CellBeat& cell : beat) all.push_back(of(cell));
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

// "a", "a and b", "a, b, c, d and 23 others"
std::string Names(const std::vector<CellBeat>& cells) {
  std::string text;
  for (std::size_t i = 0; i < std::min(cells.size(), kNamed); ++i) {
    const bool last = i + 1 == cells.size();
    text += fmt::format("{}{}", i == 0 ? "" : last ? " and " : ", ", cells[i].host);
  }
  const std::size_t more = cells.size() - std::min(cells.size(), kNamed);
  if (more > 0) text += fmt::format(" and {} other{}", more, more == 1 ? "" : "s");
  return text;
}

}  // namespace

std::vector<std::string> Laggards::Look(std::vector<CellBeat> beat) {
  for (CellBeat& cell : beat) {
    if (cell.done) cell.finished = users_;
  }
  if (beat.empty()) return {};
  SeeWhoBegins(beat);
  const std::uint64_t median = Median(beat, [](const CellBeat& cell) { return cell.finished; });
  const std::uint64_t gain = Median(beat, [this](const CellBeat& cell) { return Gained(cell); });
  bool others_gain = false;
  for (const CellBeat& cell : beat) others_gain |= cell.finished > seen_[cell.host].finished;
  std::map<Trouble, std::vector<CellBeat>> news;
  for (const CellBeat& cell : beat) {
    Seen& seen = seen_[cell.host];
    const Trouble now = TroubleOf(cell, seen, others_gain, gain);
    seen.beats = now == seen.trouble ? seen.beats + 1 : 1;
    seen.trouble = now;
    seen.finished = cell.finished;
    if (IsNews(&seen)) news[now].push_back(cell);
  }
  std::vector<std::string> said;
  said.reserve(news.size());
  for (const auto& [trouble, cells] : news) said.push_back(Sentence(trouble, cells, median));
  return said;
}

// From now on all that can be compared are compared.
void Laggards::SeeWhoBegins(const std::vector<CellBeat>& beat) {
  bool one_begins = false;
  for (const CellBeat& cell : beat) {
    Seen& seen = seen_[cell.host];
    const bool begins = !seen.begun && (cell.answers || cell.done);
    seen.begun |= begins;
    one_begins |= begins;
  }
  if (!one_begins) return;
  for (const CellBeat& cell : beat) seen_[cell.host].base = cell.finished;
}

std::uint64_t Laggards::Gained(const CellBeat& cell) {
  const std::uint64_t base = seen_[cell.host].base;
  return cell.finished - std::min(cell.finished, base);  // less for a moment, when it comes back
}

Laggards::Trouble Laggards::TroubleOf(const CellBeat& cell, const Seen& seen, bool others_gain,
                                      std::uint64_t median_gain) {
  if (cell.finished >= users_) return Trouble::kNone;
  if (!cell.answers) return Trouble::kSilent;
  if (others_gain && cell.finished == seen.finished) return Trouble::kStill;
  return Gained(cell) * 2 < median_gain ? Trouble::kSlow : Trouble::kNone;
}

bool Laggards::IsNews(Seen* seen) const {
  if (seen->trouble == seen->told) return false;
  const int patience = seen->begun ? kBeats : kBeatsToBegin;
  if (seen->trouble != Trouble::kNone && seen->beats < patience) return false;
  seen->told = seen->trouble;
  return true;
}

std::string Laggards::Sentence(Trouble trouble, const std::vector<CellBeat>& cells,
                               std::uint64_t median) const {
  const bool one = cells.size() == 1;
  const std::string who = Names(cells);
  switch (trouble) {
    case Trouble::kNone:
      return who + (one ? " goes on again" : " go on again");
    case Trouble::kSilent:
      return who + (one ? " does not answer" : " do not answer");
    case Trouble::kStill:
      if (!one) return who + " stand still while others go on";
      return fmt::format("{} stands still at {} of {} users while others go on", who,
                         cells.front().finished, users_);
    case Trouble::kSlow:
      if (!one) return fmt::format("{} are slow: {} users have finished elsewhere", who, median);
      return fmt::format("{} is slow: {} of {} users have finished there, {} elsewhere", who,
                         cells.front().finished, users_, median);
  }
  return "";
}

}  // namespace baiwan::fleet
