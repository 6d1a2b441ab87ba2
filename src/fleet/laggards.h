// Which hosts hold a run up, from what the live board says of each cell, beat by beat: named once
// when it begins and once when it is over, those with the same trouble together. Who is slow is
// judged by what came since the last one has begun, so that a late begin is not taken for it.
//
// Threads: one. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace baiwan::fleet {

struct CellBeat {
  std::string host;
  std::uint64_t finished = 0;  // users
  bool answers = true;
  bool done = false;  // its load client has ended well, and answers nobody any more
};

class Laggards {
 public:
  // Of a cell with so many users each.
  explicit Laggards(std::uint64_t users_per_cell) : users_(users_per_cell) {}

  // A beat of all cells. Sentences: a host that does not answer, one that stands still while others
  // go on, one that has come less than half as far as most.
  std::vector<std::string> Look(std::vector<CellBeat> beat);

 private:
  enum class Trouble : std::uint8_t { kNone, kSilent, kStill, kSlow };
  struct Seen {
    std::uint64_t finished = 0;
    std::uint64_t base = 0;  // that had finished when the last one began
    int beats = 0;           // in this trouble
    bool begun = false;      // has answered once
    Trouble trouble = Trouble::kNone;
    Trouble told = Trouble::kNone;
  };

  void SeeWhoBegins(const std::vector<CellBeat>& beat);
  std::uint64_t Gained(const CellBeat& cell);
  Trouble TroubleOf(const CellBeat& cell, const Seen& seen, bool others_gain,
                    std::uint64_t median_gain);
  bool IsNews(Seen* seen) const;
  std::string Sentence(Trouble trouble, const std::vector<CellBeat>& cells,
                       std::uint64_t median) const;

  const std::uint64_t users_;
  std::map<std::string, Seen> seen_;
};

}  // namespace baiwan::fleet
