// What verification found: counts by kind, and the first mismatches in words.
//
// Counts are of copies: a message stands in two boxes, its sender's outbox and its receiver's
// inbox, and one that is missing from both is lost twice.
//
// Threads: a Findings belongs to one thread; they are merged when these are done.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace baiwan::verify {

enum class Kind : std::uint8_t {
  kLost,        // should stand there, and does not
  kDuplicated,  // stands there twice
  kReordered,   // stands behind one that it should precede
  kAltered,     // stands there with other bytes, another receiver or a checksum that is not its own
  kForeign,     // nobody sent this to this user, or nobody knows this user
  kCounter,     // a number that contradicts what stands in the boxes
};
inline constexpr std::size_t kKinds = 6;
const char* Name(Kind kind);  // "lost", "duplicated" …

struct Mismatch {
  Kind kind = Kind::kLost;
  std::uint64_t count = 0;
  std::string what;  // a sentence: user, box, sequence, what was expected, what stands there
};

inline constexpr std::size_t kListed = 20;

struct VerifyReport {
  std::array<std::uint64_t, kKinds> counts{};
  std::vector<Mismatch> listed;         // the first kListed
  std::vector<std::string> errors;      // what could not be verified at all, with the way out
  std::vector<std::string> notes;       // worth knowing, and no mismatch
  std::uint64_t users = 0;              // found
  std::uint64_t relations = 0;          // of these, directed
  std::uint64_t expected_messages = 0;  // that the plan has for everybody
  std::uint64_t sent = 0;               // that are numbered: all users' SendId together
  std::uint64_t stored = 0;             // that stand in their outbox as they should
  std::uint64_t delivered = 0;          // that stand in their inbox as they should
  std::uint64_t acknowledged = 0;       // that their senders know to be delivered
  std::uint64_t distinct = 0;           // of which a copy stands somewhere: not more than these
  std::uint64_t voids = 0;
  std::uint64_t disk_bytes = 0;
  double seconds = 0;
  bool complete = true;    // whether everything that the plan has should be there
  bool no_result = false;  // there was nothing to go by, or what was to be made was not: see errors

  std::uint64_t count(Kind kind) const { return counts[static_cast<std::size_t>(kind)]; }
  std::uint64_t mismatches() const;
  // Messages of which both copies are right: at least so many.
  std::uint64_t verified() const;
  // 0 verified, 1 mismatch, 2 something could not be verified.
  int ExitCode() const {
    if (no_result) return 2;
    return mismatches() > 0 ? 1 : errors.empty() ? 0 : 2;
  }
  // Some lines for people, ending with a newline.
  std::string ToText() const;
  // An object on one line, see docs/formats.md.
  std::string ToJson() const;
};

class Findings {
 public:
  template <class... Args>
  void Add(Kind kind, std::uint64_t count, fmt::format_string<Args...> f, Args&&... args) {
    if (count == 0) return;
    counts_[static_cast<std::size_t>(kind)] += count;
    if (listed_.size() < kListed) {
      listed_.push_back({kind, count, fmt::format(f, std::forward<Args>(args)...)});
    }
  }
  void Error(std::string what) { errors_.push_back(std::move(what)); }
  void Note(std::string what) { notes_.push_back(std::move(what)); }

  void MergeInto(VerifyReport* report);

 private:
  std::array<std::uint64_t, kKinds> counts_{};
  std::vector<Mismatch> listed_;
  std::vector<std::string> errors_;
  std::vector<std::string> notes_;
};

}  // namespace baiwan::verify
