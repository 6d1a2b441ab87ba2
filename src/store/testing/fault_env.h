// A disk that loses power, for RocksDB: only for tests.
//
// It stands between RocksDB and a real folder and remembers, for each file, how much of it was
// synced, and for each folder, which entries came, went or were renamed since it was synced.
// PowerOff fails everything that would change a file from then on, as RocksDB learns nothing more
// from a machine without power. LoseUnsynced then does to the files what a disk may do: of the
// bytes that were not synced, a random prefix stays, or none, and of the changes to a folder a
// random first part.
//
// Threads: the environment is used from RocksDB's threads; the functions here from the test's.
// LoseUnsynced only when RocksDB has closed. Failure: SetError makes every write and sync fail, as
// a full or broken disk does.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/rng.h"

namespace rocksdb {
class Env;
}

namespace baiwan::store::testing {

class FaultDisk {
 public:
  // `graveyard`: an empty folder on the same file system, for what is deleted but not yet for good.
  explicit FaultDisk(std::string graveyard);
  ~FaultDisk();

  rocksdb::Env* env();

  // From now on whatever writes, creates, renames or syncs fails with this errno; 0: nothing does.
  void SetError(int error);

  void PowerOff();
  // Right after the next write to a write-ahead log: before the sync that would follow it.
  void PowerOffBeforeNextLogSync();
  bool off() const;
  void LoseUnsynced(Rng& rng);  // and the power is on again

  std::uint64_t wal_syncs() const;           // of write-ahead logs, all together
  std::uint64_t unsynced_wal_bytes() const;  // written to them, not yet synced
  std::uint64_t lost_bytes() const;          // taken away by LoseUnsynced, all calls together
  std::uint64_t lost_entries() const;

 private:
  struct State;
  class Files;

  std::shared_ptr<State> state_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace baiwan::store::testing
