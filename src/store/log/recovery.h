// Opening a stream: everything in the log since the last checkpoint is folded into snapshots.
//
// Blocks are read in order and verified. The blocks of one commit are held until the commit is
// whole, then folded, section by section, onto the users concerned. A commit that is not whole at
// the very end of the log is torn: dropped, deleted and counted. Anywhere else damage makes the
// users it hit, as far as they can be told, quarantined: by name, durably, until repaired; the
// others go on. Damage that hides its users is counted, and shows when a later section of such a
// user does not follow.
//
// Folded snapshots are written in batches of bounded size and the checkpoint after them, so a
// crash on the way costs only time. Memory is bounded by kMaxFoldBytes and one commit: past it all
// users are written out and dropped, and loaded again when they come again.
//
// Threads: blocks; before the stream is used. Failure: what concerns the whole store (its format,
// the engine) is an error, what concerns a user is a quarantine.
#pragma once

#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/engine/kv.h"
#include "store/log/block.h"
#include "store/log/store.h"

namespace baiwan::store {

inline constexpr std::size_t kMaxFoldBytes = 64 << 20;  // users in memory while folding
inline constexpr std::size_t kFlushUsers = 2000;        // snapshots in one commit of recovery
inline constexpr std::size_t kFlushBytes = 4 << 20;

struct Recovered {
  Lsn next_lsn = 1;
  Incarnation incarnation = 0;
  std::set<SectionOwner> quarantined;
  Incarnation index_since = 0;  // see PendingIndex
  std::uint64_t life = 0;
  bool put_back = false;
  std::vector<wire::PeerStore> peers;
};

// `report` must not be null. `max_fold_bytes`: see above.
Result<Recovered, StoreError> Recover(Kv& kv, std::uint16_t stream, RecoveryReport* report,
                                      std::size_t max_fold_bytes = kMaxFoldBytes);

}  // namespace baiwan::store
