// Which store speaks for a cell: so that two processes do not serve two copies of one store.
//
// A store has a life (random, new when it was made or put back from a copy) and counts its openings
// (its incarnation). Each opening claims its cell under a random id, and the store remembers the id
// that was granted to it last. So an opening that follows the one that was granted last is the same
// disk; one that does not is a copy of it from earlier, and is refused, however often it is opened.
// A store of another life may only come when the one before is not served any more; a life that was
// replaced so does not come back.
//
// Claims are kept as long as the registry lives. One that has just started knows none: until it has
// settled, a process that says that it was granted its cell before comes before one that was not.
//
// Pure: time comes in. One thread. Failure: a ClaimError, and nothing has changed. Bounds: one
// claim for each cell, kMaxReplaced lives that each replaced.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "base/clock.h"
#include "base/ids.h"

namespace baiwan::registry {

struct StoreClaim {
  std::uint64_t life = 0;
  Incarnation incarnation = 0;
  std::uint64_t id = 0;     // of this opening; 0: nothing is claimed
  std::uint64_t after = 0;  // the id that this store was granted last; 0: none
  bool held = false;        // this process was granted it, by this registry or an earlier one

  bool operator==(const StoreClaim&) const = default;
};

enum class ClaimError : std::uint8_t {
  kNone = 0,
  kCopy,      // an equal or older claim: of a copy of the store that is known
  kServed,    // another store of this cell is served now
  kReplaced,  // a store of another life has taken its place
};
const char* Message(ClaimError error);

class Claims {
 public:
  static constexpr std::size_t kMaxReplaced = 64;

  ClaimError Claim(CellId cell, const StoreClaim& claim, Nanos now, bool settled, Nanos lease);
  // Its process has left: another life may come at once.
  void Leave(CellId cell, std::uint64_t id);
  std::size_t size() const { return cells_.size(); }

 private:
  struct Holder {
    StoreClaim claim;
    Nanos renewed = 0;
    bool left = false;
    std::deque<std::uint64_t> replaced;  // lives
  };

  std::map<CellId, Holder> cells_;
};

}  // namespace baiwan::registry
