#include "verify/gaps.h"

#include <algorithm>

namespace baiwan::verify {

bool Gaps::Add(std::uint64_t key, Seq from, Seq to) {
  if (count_ >= kMostGaps) return false;
  gaps_[key].push_back({from, to});
  ++count_;
  return true;
}

bool Gaps::Take(std::uint64_t key, Seq seq) {
  const auto found = gaps_.find(key);
  if (found == gaps_.end()) return false;
  std::vector<Range>& ranges = found->second;
  const auto at = std::find_if(ranges.begin(), ranges.end(),
                               [seq](const Range& r) { return r.from <= seq && seq <= r.to; });
  if (at == ranges.end()) return false;
  const Range range = *at;
  ranges.erase(at);
  --count_;
  if (range.from < seq) {
    ranges.push_back({range.from, seq - 1});
    ++count_;
  }
  if (seq < range.to) {
    ranges.push_back({seq + 1, range.to});
    ++count_;
  }
  if (ranges.empty()) gaps_.erase(found);
  return true;
}

}  // namespace baiwan::verify
