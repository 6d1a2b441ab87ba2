// Whether the end of a RocksDB write-ahead log was torn by a crash or damaged afterwards.
//
// RocksDB takes a last record that runs past the end of its file for one that a crash cut off, and
// forgets it and everything behind it. A flipped bit in a record's length looks the same to it, so
// up to 32 KiB of acknowledged commits would go without a word. The two can be told apart: a record
// that is whole, but for its length, still matches its checksum at its true length.
//
// The format: blocks of 32 KiB; a record is masked CRC-32C of type and payload (4 bytes), payload
// length (2), type (1), payload, and never crosses a block ("Write Ahead Log File Format" in
// RocksDB's wiki; recycled logs, which we do not use, differ).
//
// Reads at most the last block of every log in a folder. Blocks; any thread.
#pragma once

#include <string>
#include <string_view>

namespace baiwan::store::internal {

// `tail` begins at a block's begin and reaches to the end of the file.
bool TailIsDamaged(std::string_view tail);

// The first write-ahead log in `folder` whose end is damaged; empty: none. A file that cannot be
// read is RocksDB's to complain about.
std::string FindDamagedWal(const std::string& folder);

}  // namespace baiwan::store::internal
