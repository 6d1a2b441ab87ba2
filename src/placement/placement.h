// Which cell serves a user: user → partition → cell.
//
// The number of partitions is fixed for a deployment; which cell owns a partition may change, under
// a rising epoch. Users are spread over partitions by their number, so a block of partitions is
// also, in closed form, a block of users of any size: the stress test's users are laid out that
// way.
//
// Pure; a table is a value. Any number of threads may read one; whoever changes it is alone with
// it. Failure: a TableError, or false, and nothing has changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace baiwan::placement {

inline constexpr std::uint32_t kDefaultPartitions = 256;

struct Owner {
  CellId cell = 0;
  Epoch epoch = 1;
  bool operator==(const Owner&) const = default;
};

enum class TableError : std::uint8_t {
  kTruncated = 1,
  kVersion,  // written in a format that this program does not know
  kChecksum,
  kMalformed,
};
const char* Message(TableError error);

// What a deployment can be divided into: 1 … kMaxPartitions partitions, and 1 … kMaxCells cells,
// not more than partitions.
constexpr bool CanDivide(std::uint64_t cells, std::uint64_t partitions) {
  return cells >= 1 && cells <= kMaxCells && cells <= partitions && partitions <= kMaxPartitions;
}

class PlacementTable {
 public:
  // Version 1, every epoch 1, contiguous ranges: cell c owns partitions [c·P/C, (c+1)·P/C).
  // Requires CanDivide(cells, partitions).
  PlacementTable(std::uint32_t cells, std::uint32_t partitions = kDefaultPartitions);

  PartitionId PartitionOf(UserId user) const {
    return static_cast<PartitionId>((user - 1) % owners_.size());
  }
  CellId CellOf(UserId user) const { return owners_[PartitionOf(user)].cell; }
  CellId OwnerOf(PartitionId partition) const { return owners_[partition].cell; }
  Epoch EpochOf(PartitionId partition) const { return owners_[partition].epoch; }
  std::vector<PartitionId> PartitionsOf(CellId cell) const;  // rising; empty: it owns none

  // Moves a partition to another cell under the next epoch; the version rises.
  void Move(PartitionId partition, CellId to);
  // Takes over `newer` if it is of the same size and of a higher version; says whether it did.
  // One that contradicts this table is not taken: an epoch has one owner and never goes back.
  bool Merge(const PlacementTable& newer);

  std::uint64_t version() const { return version_; }
  std::uint32_t partitions() const { return static_cast<std::uint32_t>(owners_.size()); }
  std::uint32_t cells() const { return cells_; }
  bool operator==(const PlacementTable&) const = default;

  // Format version 1, see docs/formats.md; neighbours with one owner and epoch share an entry.
  std::string Encode() const;
  static Result<PlacementTable, TableError> Decode(std::string_view data);

 private:
  PlacementTable() = default;

  std::uint32_t cells_ = 0;
  std::uint64_t version_ = 1;
  std::vector<Owner> owners_;  // by partition
};

// The users of a generated workload: every cell has the same number of them, whatever C and P are.
// The k-th user of a cell is the k-th number, counted from 1 upwards, whose partition the default
// table gives to that cell. Partitions that move later renumber nobody.
class UserLayout {
 public:
  // Requires CanDivide(cells, partitions).
  UserLayout(std::uint32_t cells, std::uint32_t partitions)
      : cells_(cells), partitions_(partitions) {}

  // `index` counts from 0; ids rise with it. index · partitions stays below kMaxUserId.
  UserId UserAt(CellId cell, std::uint64_t index) const {
    const std::uint64_t first = First(cell);
    const std::uint64_t n = First(cell + 1) - first;
    return 1 + index / n * partitions_ + first + index % n;
  }
  // The c with floor(c·P/C) <= partition < floor((c+1)·P/C).
  CellId CellOf(UserId user) const {
    return static_cast<CellId>((((user - 1) % partitions_ + 1) * cells_ - 1) / partitions_);
  }
  // UserAt(CellOf(user), IndexOf(user)) == user.
  std::uint64_t IndexOf(UserId user) const {
    const CellId cell = CellOf(user);
    const std::uint64_t first = First(cell);
    const std::uint64_t n = First(cell + 1) - first;
    return (user - 1) / partitions_ * n + (user - 1) % partitions_ - first;
  }

 private:
  std::uint64_t First(std::uint64_t cell) const { return cell * partitions_ / cells_; }

  std::uint64_t cells_;
  std::uint64_t partitions_;
};

}  // namespace baiwan::placement
