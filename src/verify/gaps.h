// What was stepped over in a sequence and may still come: how a message that is late is told from
// one that is there twice, without a bit for every message.
//
// Costs nothing while nothing is missing. Bounded: past kMostGaps gaps no further ones are
// remembered, and Add says so.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace baiwan::verify {

class Gaps {
 public:
  static constexpr std::size_t kMostGaps = 1 << 20;

  struct Range {
    Seq from = 0;
    Seq to = 0;  // included
  };

  // Sequences `from` … `to` of `key` are missing. False: too many gaps, this one is forgotten.
  bool Add(std::uint64_t key, Seq from, Seq to);
  // True, and it is missing no longer, if `seq` was.
  bool Take(std::uint64_t key, Seq seq);
  // What is still missing, by key.
  const std::map<std::uint64_t, std::vector<Range>>& all() const { return gaps_; }

 private:
  std::map<std::uint64_t, std::vector<Range>> gaps_;
  std::size_t count_ = 0;
};

}  // namespace baiwan::verify
