#include "sim/mishaps.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/bytes.h"
#include "store/log/block.h"
#include "store/log/keys.h"

namespace baiwan::sim {

namespace {

using store::Space;

constexpr std::uint64_t kPurpose = 0x6D69'7368'6170'7300;
constexpr std::uint16_t kStream = 0;
constexpr double kInLog = 0.6;      // of a bit that turns over
constexpr double kInSnap = 0.3;     // likewise; else in meta
constexpr double kRecent = 0.5;     // of a bit in the log that stands in one of the newest blocks
constexpr std::size_t kNewest = 8;  // blocks
constexpr double kCrashes = 0.6;    // of a bit that turns over while its node is down

bool EndsCommit(Lsn lsn, std::string_view block) {
  return store::BlockReader(kStream, lsn, block).last_of_commit();
}

}  // namespace

Mishaps::Mishaps(World& world, Stage& stage, const MishapOptions& options)
    : world_(world), stage_(stage), options_(options), rng_(world.timeline().RngFor(kPurpose)) {}

void Mishaps::Complain(CellId cell, const std::string& what) {
  if (wrong_.empty()) wrong_ = fmt::format("the store of cell {}: {}", cell, what);
}

void Mishaps::Plan(const std::vector<Node*>& stores, Nanos end) {
  stores_ = stores;
  for (int i = 0; i < options_.put_backs; ++i) {
    const CellId cell = AnyCell();
    const Nanos copied = Between(rng_, 0, end * 3 / 4);
    const Nanos back = Between(rng_, copied, end);
    world_.At(copied, [this, cell, back] {
      world_.At(back,
                [this, cell, older = stores_[cell]->disk().contents()] { PutBack(cell, older); });
    });
  }
  for (int i = 0; i < options_.flips; ++i) {
    const CellId cell = AnyCell();
    world_.At(Between(rng_, end / 8, end), [this, cell] { TurnBit(cell); });
  }
}

// ---------------------------------------------------------------------------- an older copy

void Mishaps::PutBack(CellId cell, const SimDisk::Contents& older) {
  world_.timeline().NoteLine(stores_[cell]->id(), What::kFault, "an older disk");
  ++counts_.put_backs;
  world_.Crash(*stores_[cell]);
  stores_[cell]->disk().Replace(older);
  Lost(stage_.workload.UsersOf(cell));
}

void Mishaps::Lost(const std::vector<UserId>& users) {
  for (const UserId user : users) {
    ++stage_.losses[user];
    stage_.hit.insert(user);
  }
}

// ---------------------------------------------------------------------------- a bit

void Mishaps::TurnBit(CellId cell) {
  Node& node = *stores_[cell];
  if (rng_.Chance(kCrashes)) world_.Crash(node);
  const double where = rng_.Unit();
  const Space space = where < kInLog             ? Space::kLog
                      : where < kInLog + kInSnap ? Space::kSnap
                                                 : Space::kMeta;
  const auto& records = node.disk().contents()[static_cast<std::size_t>(space)];
  if (records.empty()) return;
  std::size_t at = rng_.Below(records.size());
  if (space == Space::kLog && rng_.Chance(kRecent)) {
    at = records.size() - 1 - rng_.Below(std::min(records.size(), kNewest));
  }
  const auto& [key, value] = *std::next(records.begin(), static_cast<std::ptrdiff_t>(at));
  if (value.empty()) return;
  Flip flip{cell, space, key, value, value};
  const std::size_t bit = rng_.Below(value.size() * 8);
  flip.after[bit / 8] = static_cast<char>(flip.after[bit / 8] ^ (1 << bit % 8));
  ++counts_.flips;
  world_.timeline().NoteLine(node.id(), What::kFault,
                             fmt::format("bit {} of a record of {} bytes in space {} turns over",
                                         bit, value.size(), static_cast<int>(space)));
  Hit(cell, space, key);
  node.disk().Put(space, flip.key, flip.after);
  flips_.push_back(std::move(flip));
}

// Whom a damaged record may cost something.
void Mishaps::Hit(CellId cell, Space space, const std::string& key) {
  if (space == Space::kLog) return HitCommit(stores_[cell]->disk(), key);
  if (space != Space::kSnap) return;
  Reader r(key);
  r.U32Be();
  stage_.hit.insert(r.U64Be());
}

// A damaged header may cost the whole commit, if it is the last one.
void Mishaps::HitCommit(const SimDisk& disk, const std::string& key) {
  const auto& log = disk.contents()[static_cast<std::size_t>(Space::kLog)];
  const auto ends = [](const auto& at) {
    return EndsCommit(store::LsnOf(at->first).value_or(0), at->second);
  };
  auto at = log.find(key);
  while (at != log.begin() && !ends(std::prev(at))) --at;
  for (bool past = false; at != log.end(); ++at) {
    store::BlockReader reader(kStream, store::LsnOf(at->first).value_or(0), at->second);
    store::BlockReader::Item item;
    while (reader.Next(&item)) {
      if (item.good) stage_.hit.insert(store::OwnerOf(item.payload).user);
    }
    past = past || at->first == key;
    if (past && ends(at)) break;
  }
}

// ---------------------------------------------------------------------------- what stores say

void Mishaps::Opened(CellId cell, const store::RecoveryReport& report) {
  const bool lost = report.damaged_blocks + report.torn_blocks > 0;
  if (!lost && report.quarantined.empty()) return;
  if (std::none_of(flips_.begin(), flips_.end(),
                   [cell](const Flip& flip) { return flip.cell == cell; })) {
    return Complain(
        cell, fmt::format("{} damaged blocks, {} torn ones, {} users in quarantine",
                          report.damaged_blocks, report.torn_blocks, report.quarantined.size()));
  }
  counts_.quarantined += report.quarantined.size();
  stage_.hit.insert(report.quarantined.begin(), report.quarantined.end());
  if (!lost) return;
  ++counts_.losses;
  for (const UserId user : stage_.workload.UsersOf(cell)) {
    if (stage_.hit.count(user) > 0) ++stage_.losses[user];
  }
}

void Mishaps::Refused(CellId cell, store::StoreError why) {
  if (why != store::StoreError::kCorrupt && why != store::StoreError::kVersion) return;
  ++counts_.refused;
  SimDisk::Contents contents = stores_[cell]->disk().contents();
  if (!PutRight(cell, &contents)) {
    return Complain(cell, fmt::format("it refuses to open: {}", Message(why)));
  }
  stores_[cell]->disk().Replace(std::move(contents));
}

// Only a record that concerns the whole store keeps it from opening.
bool Mishaps::PutRight(CellId cell, SimDisk::Contents* contents) const {
  bool any = false;
  for (const Flip& flip : flips_) {
    if (flip.cell != cell || flip.space != Space::kMeta) continue;
    auto& records = (*contents)[static_cast<std::size_t>(flip.space)];
    const auto at = records.find(flip.key);
    if (at == records.end() || at->second != flip.after) continue;
    at->second = flip.before;
    any = true;
  }
  return any;
}

}  // namespace baiwan::sim
