#include "placement/placement.h"

#include <cassert>

#include "base/bytes.h"
#include "base/checksum.h"

namespace baiwan::placement {
namespace {

constexpr std::uint8_t kVersion = 1;

}  // namespace

const char* Message(TableError error) {
  switch (error) {
    case TableError::kTruncated:
      return "the placement table is cut short";
    case TableError::kVersion:
      return "the placement table has a format that is not known here";
    case TableError::kChecksum:
      return "the placement table's checksum does not match";
    case TableError::kMalformed:
      return "the placement table contradicts itself";
  }
  return "unknown";
}

PlacementTable::PlacementTable(std::uint32_t cells, std::uint32_t partitions)
    : cells_(cells), owners_(partitions) {
  assert(CanDivide(cells, partitions));
  for (CellId cell = 0; cell < cells; ++cell) {
    const std::uint64_t first = std::uint64_t{cell} * partitions / cells;
    const std::uint64_t last = std::uint64_t{cell + 1} * partitions / cells;
    for (std::uint64_t p = first; p < last; ++p) owners_[p].cell = cell;
  }
}

std::vector<PartitionId> PlacementTable::PartitionsOf(CellId cell) const {
  std::vector<PartitionId> found;
  for (PartitionId p = 0; p < owners_.size(); ++p) {
    if (owners_[p].cell == cell) found.push_back(p);
  }
  return found;
}

void PlacementTable::Move(PartitionId partition, CellId to) {
  owners_[partition].cell = to;
  ++owners_[partition].epoch;
  ++version_;
}

bool PlacementTable::Merge(const PlacementTable& newer) {
  if (newer.owners_.size() != owners_.size() || newer.cells_ != cells_ ||
      newer.version_ <= version_) {
    return false;
  }
  for (std::size_t p = 0; p < owners_.size(); ++p) {
    const Owner& mine = owners_[p];
    const Owner& theirs = newer.owners_[p];
    if (theirs.epoch < mine.epoch || (theirs.epoch == mine.epoch && theirs.cell != mine.cell)) {
      return false;
    }
  }
  *this = newer;
  return true;
}

std::string PlacementTable::Encode() const {
  std::string out;
  Writer w(out);
  w.U8(kVersion);
  w.Varint(version_);
  w.Varint(cells_);
  w.Varint(owners_.size());
  for (std::size_t p = 0; p < owners_.size();) {
    std::size_t end = p + 1;
    while (end < owners_.size() && owners_[end] == owners_[p]) ++end;
    w.Varint(end - p);
    w.Varint(owners_[p].cell);
    w.Varint(owners_[p].epoch);
    p = end;
  }
  w.U32(Crc32c(out));
  return out;
}

Result<PlacementTable, TableError> PlacementTable::Decode(std::string_view data) {
  if (data.size() < 5) return TableError::kTruncated;
  const std::string_view content = data.substr(0, data.size() - 4);
  Reader in(content);
  if (in.U8() != kVersion) return TableError::kVersion;
  if (Reader(data.substr(content.size())).U32() != Crc32c(content)) return TableError::kChecksum;
  PlacementTable table;
  table.version_ = in.Varint();
  const std::uint64_t cells = in.Varint();
  const std::uint64_t partitions = in.Varint();
  if (!in.ok() || table.version_ == 0 || !CanDivide(cells, partitions)) {
    return TableError::kMalformed;
  }
  table.cells_ = static_cast<std::uint32_t>(cells);
  table.owners_.reserve(partitions);
  while (table.owners_.size() < partitions) {
    const std::uint64_t run = in.Varint();
    const std::uint64_t cell = in.Varint();
    const Epoch epoch = in.Varint();
    if (run == 0 || run > partitions - table.owners_.size() || cell >= cells || epoch == 0) {
      return TableError::kMalformed;
    }
    table.owners_.insert(table.owners_.end(), run, {static_cast<CellId>(cell), epoch});
  }
  if (!in.ok() || !in.done()) return TableError::kMalformed;
  return table;
}

}  // namespace baiwan::placement
