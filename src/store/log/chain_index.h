// Where the sections of long boxes stand, as far as earlier walks have seen.
//
// Sections name only their predecessor, so a walk to an old page begins at the box's end, and a
// reader who goes through a box page by page from its begin would walk all of it for each page. So
// a walk leaves a trail of points here: dense near where it ended, which is where its reader goes
// on, and ever sparser away from there. The next one begins at the point that is just far enough
// from what it wants. Going through a box then costs about its length, from whatever side.
//
// Pure; one thread. What is written does not move, so points stay true. Bounded in bytes, which are
// charged to the budget's store account: where there is no room, or none at all in the budget, the
// boxes that were not walked for longest are forgotten first. Failure: none; without points a walk
// begins at the box's end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "base/ids.h"
#include "wire/message.h"

namespace baiwan::store {

struct ChainPoint {
  Seq first = 0;  // of the section
  Lsn lsn = 0;
  std::uint64_t bytes = 0;  // of this section and of those down to the next point, if that is known
};

// The points of one walk, newest first.
class WalkTrail {
 public:
  static constexpr std::size_t kMaxPoints = 512;
  static constexpr std::size_t kDense = 128;  // newest of the walk that are never thinned out

  void Add(Seq first, Lsn lsn, std::size_t bytes);
  const std::vector<ChainPoint>& points() const { return points_; }
  void Clear() { points_.clear(); }

 private:
  void Thin();

  std::vector<ChainPoint> points_;
};

class ChainIndex {
 public:
  static constexpr std::size_t kMaxPoints = 1024;  // of one box
  static constexpr std::size_t kShortWalk = 16;    // sections; such a walk is not worth a trail

  // Without a budget nothing is charged.
  explicit ChainIndex(std::size_t max_bytes, Budget* budget = nullptr)
      : max_bytes_(max_bytes), budget_(budget) {}
  ~ChainIndex() { Clear(); }
  ChainIndex(const ChainIndex&) = delete;
  ChainIndex& operator=(const ChainIndex&) = delete;

  // Where a walk begins that is after up to `limit` messages, or `max_bytes`, from `from` on;
  // `head` if nothing better is known. Never beyond `head`.
  Lsn Start(UserId user, wire::Box box, Lsn head, Seq from, std::uint64_t limit,
            std::uint64_t max_bytes);
  void Learn(UserId user, wire::Box box, const WalkTrail& trail);
  void Clear();

  std::size_t bytes() const { return bytes_; }

 private:
  using Key = std::pair<UserId, wire::Box>;
  struct Chain {
    std::vector<ChainPoint> points;  // newest first
    std::list<Key>::iterator use;
  };

  static std::size_t BytesOf(const Chain& chain);
  bool TooLarge() const;
  void Shrink();
  void Charge();

  const std::size_t max_bytes_;
  Budget* const budget_;
  std::map<Key, Chain> chains_;
  std::list<Key> by_use_;  // used longest ago first
  std::size_t bytes_ = 0;
  std::size_t charged_ = 0;  // of them
};

}  // namespace baiwan::store
