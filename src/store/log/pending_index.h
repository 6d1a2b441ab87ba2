// Which users have something unacknowledged: those to bring back at a start, without reading all
// others.
//
// The index stands in the meta space and says what the snapshots say: each is written with them. A
// user who has nothing left keeps an entry that says so, since taking keys out one by one is dear;
// such entries are dropped together when there are many.
//
// A partition counts as indexed from the moment on when all of its snapshots were read once, as
// long as every program that opened the stream since then has kept the index: so a store from
// before the index, or one that an older program has written to meanwhile, is read once more.
//
// Threads: the store's loop. Failure: an index that does not read back is made anew.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "store/engine/kv.h"
#include "store/log/store.h"
#include "wire/user_record.h"

namespace baiwan::store {

class PendingIndex {
 public:
  // Of a stream that this opening, `incarnation`, keeps the index of since `since`.
  PendingIndex(std::uint16_t stream, Incarnation since);
  ~PendingIndex();

  // What an opening of the stream writes: that the index is kept. Since when it has been.
  static Result<Incarnation, StoreError> Keep(Kv& kv, std::uint16_t stream, Incarnation incarnation,
                                              WriteSet& writes);
  // What goes with the snapshot of a user, where nobody knows what the index says of him.
  static void NoteUnknown(PartitionId partition, const wire::UserRecord& record, WriteSet& writes);

  // What goes with the snapshot of a user.
  void Note(PartitionId partition, const wire::UserRecord& record, WriteSet& writes);
  // Every user of a partition with something unacknowledged, by id. Blocks. If the partition is not
  // indexed, `scan` tells all of its snapshots; it is then.
  using Each = std::function<void(const wire::UserRecord&)>;
  StoreError List(Kv& kv, PartitionId partition, const std::function<void(const Each&)>& scan,
                  const std::function<void(UserId)>& each);

 private:
  struct Known;

  const std::uint16_t stream_;
  const Incarnation since_;
  std::unique_ptr<Known> known_;
};

}  // namespace baiwan::store
