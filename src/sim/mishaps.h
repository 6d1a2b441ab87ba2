// What no crash does to a disk: an older copy of it comes back in its place, or a bit turns over.
//
// After a mishap something may be gone that was acknowledged. What is promised then: nobody is ever
// shown anything that was not sent; what is gone is said, by refusing the user, the store, or by
// counting what was damaged; and whoever was not hit notices nothing. So Mishaps keeps whom it hit
// (Stage::hit), and tells the clients of a store that lost something to start over (Stage::losses).
//
// A store that refuses to open is put right, as from a mirror: that refusal is the right answer.
//
// Threads: one. Failure: wrong() says what a store complains of though nothing was done to it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/player.h"
#include "sim/world.h"
#include "store/log/store.h"

namespace baiwan::sim {

struct MishapOptions {
  int put_backs = 0;  // how often an older copy of a cell's disk takes its place
  int flips = 0;      // bits that turn over
};

struct MishapCounts {
  std::uint64_t put_backs = 0;
  std::uint64_t flips = 0;
  std::uint64_t refused = 0;      // stores that did not open
  std::uint64_t losses = 0;       // stores that said that they lost something
  std::uint64_t quarantined = 0;  // users that a store named
};

class Mishaps {
 public:
  Mishaps(World& world, Stage& stage, const MishapOptions& options);

  // Each mishap at some time before `end`. `stores` are the nodes with the cells' disks, by cell.
  void Plan(const std::vector<Node*>& stores, Nanos end);
  // What a store says of itself, told by whoever opens it.
  void Opened(CellId cell, const store::RecoveryReport& report);
  void Refused(CellId cell, store::StoreError why);
  // What a copy of the disk needs to open.
  bool PutRight(CellId cell, SimDisk::Contents* contents) const;

  const MishapCounts& counts() const { return counts_; }
  const std::string& wrong() const { return wrong_; }

 private:
  struct Flip {
    CellId cell;
    store::Space space;
    std::string key;
    std::string before;
    std::string after;
  };

  void PutBack(CellId cell, const SimDisk::Contents& older);
  void TurnBit(CellId cell);
  void Hit(CellId cell, store::Space space, const std::string& key);
  void HitCommit(const SimDisk& disk, const std::string& key);
  void Lost(const std::vector<UserId>& users);
  void Complain(CellId cell, const std::string& what);
  CellId AnyCell() { return static_cast<CellId>(rng_.Below(stores_.size())); }

  World& world_;
  Stage& stage_;
  const MishapOptions options_;
  Rng rng_;
  std::vector<Node*> stores_;
  std::vector<Flip> flips_;
  MishapCounts counts_;
  std::string wrong_;
};

}  // namespace baiwan::sim
