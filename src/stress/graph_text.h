// The friend graph as text, in the form that the source's generator writes: a line for each
// direction of each friendship,
//
//   user,friend,cell of the friend
//
// where the last field may be missing and is not used when reading (the placement table says where
// a user lives). Lines may come in any order, end with \n or \r\n, and may be empty.
//
// Threads: any, on different files; both functions block on the disk. Failure: a sentence with the
// path, the number of the line, and what is wrong there. Bounds: kMaxFriends a user, and
// kMaxTextRelations lines, which take 16 bytes of memory each while reading.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "placement/placement.h"
#include "stress/cell_graph.h"

namespace baiwan::stress {

inline constexpr std::uint64_t kMaxTextRelations = 500'000'000;

// All users that have a line, whatever their cells. Checked: every number is a user id (1 to 18
// digits, not 0), nobody is its own friend, no line stands twice, every friendship stands there
// both ways, and nobody has more than kMaxFriends.
Result<CellGraph, std::string> ReadGraphText(const std::string& path);

// The users of a graph that live in `cell`, with all their friends.
CellGraph ShareOf(const CellGraph& all, const placement::PlacementTable& table, CellId cell);

// Writes the relations of all `graphs` to a new file, or over an old one; user by user. What is
// wrong, or nothing.
std::optional<std::string> WriteGraphText(const std::string& path,
                                          std::span<const CellGraph> graphs,
                                          const placement::PlacementTable& table);

}  // namespace baiwan::stress
