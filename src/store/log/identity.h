// Whose a store is: the deployment, its cells and partitions, the cells whose streams stand in it,
// and its life. Without this a store that is opened for other cells or partitions looks empty.
//
// A life is a random number that a store gets when it is made, or when somebody says that it was
// put back from a copy. Incarnations count openings, so they mean something within one life only.
//
// Threads: blocks; before the streams are opened. Failure: a StoreError, or a store that says that
// it is somebody else's; nothing has changed then.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "store/engine/kv.h"
#include "store/log/store.h"

namespace baiwan::store {

struct StoreIdentity {
  std::string deployment;
  std::uint32_t cells = 0;                  // of the deployment
  std::uint32_t partitions = 0;             // of the deployment
  std::map<std::uint16_t, CellId> streams;  // those in this store, and whose they are

  bool operator==(const StoreIdentity&) const = default;
  // "of deployment 'baiwan', 4 cells, 256 partitions, holding cells 0 2"
  std::string ToString() const;
};

struct Identified {
  bool ours = false;     // else nothing below but `stored` means anything
  bool adopted = false;  // written before stores said whose they are; it says so now
  std::uint64_t life = 0;
  StoreIdentity stored;  // what it says
};

// Says whose a store is that does not say so yet: a new one, or one of the older format whose
// streams and users can be ours. `holds`: whether a partition is of a cell of this store.
// `new_life`, not 0, is what it gets then.
Result<Identified, StoreError> Identify(Kv& kv, const StoreIdentity& ours,
                                        const std::function<bool(PartitionId)>& holds,
                                        std::uint64_t new_life);

// The id under which this opening claims its cells, and the one that was granted last (0: none).
struct Opening {
  std::uint64_t id = 0;
  std::uint64_t after = 0;
};
// Durable before it returns: an id that may have been granted must not be forgotten. An opening
// that never heard whether it was granted its id has handed it on to this one; else it is `new_id`.
Result<Opening, StoreError> BeginOpening(Kv& kv, std::uint64_t new_id);
// What is to be committed once `id` was granted.
WriteSet OpeningGranted(std::uint64_t id);

// Gives a store that was put back from a copy a life of its own. kVersion: it does not say whose it
// is yet, and gets a life when it is opened.
Result<StoreIdentity, StoreError> BeginLife(Kv& kv, std::uint64_t new_life);

}  // namespace baiwan::store
