#include "registry/claims.h"

#include <algorithm>

namespace baiwan::registry {

const char* Message(ClaimError error) {
  switch (error) {
    case ClaimError::kNone:
      return "granted";
    case ClaimError::kCopy:
      return "this store is a copy: another opening of it was granted the cell";
    case ClaimError::kServed:
      return "another store of this cell is being served";
    case ClaimError::kReplaced:
      return "another store has taken the place of this one";
  }
  return "unknown";
}

ClaimError Claims::Claim(CellId cell, const StoreClaim& claim, Nanos now, bool settled,
                         Nanos lease) {
  const auto [it, is_new] = cells_.try_emplace(cell);
  Holder& holder = it->second;
  const StoreClaim& known = holder.claim;
  const bool same = !is_new && known.id == claim.id && known.life == claim.life;
  const bool served_before = !settled && claim.held && !known.held;
  if (!is_new && !same && !served_before) {
    if (known.life == claim.life) {
      const bool follows = claim.after == known.id && claim.incarnation > known.incarnation;
      if (!follows) return ClaimError::kCopy;
    } else {
      const auto& gone = holder.replaced;
      if (std::find(gone.begin(), gone.end(), claim.life) != gone.end()) {
        return ClaimError::kReplaced;
      }
      if (!holder.left && now - holder.renewed < lease) return ClaimError::kServed;
    }
  }
  if (!is_new && known.life != claim.life) {
    holder.replaced.push_back(known.life);
    if (holder.replaced.size() > kMaxReplaced) holder.replaced.pop_front();
    std::erase(holder.replaced, claim.life);
  }
  const bool held = claim.held || (same && known.held);
  holder.claim = claim;
  holder.claim.held = held;
  holder.renewed = now;
  holder.left = false;
  return ClaimError::kNone;
}

void Claims::Leave(CellId cell, std::uint64_t id) {
  const auto it = cells_.find(cell);
  if (it != cells_.end() && it->second.claim.id == id) it->second.left = true;
}

}  // namespace baiwan::registry
