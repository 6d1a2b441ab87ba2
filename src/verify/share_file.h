// A share as a file: see docs/formats.md, "Share of a verification".
//
// Threads: several may read pairs of one ShareFile. Failure: sentences that name the file and the
// way out; whatever its bytes are, nothing is read past their end, and no more memory is taken than
// they have.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "stress/workload.h"
#include "verify/cell_range.h"
#include "verify/report.h"

namespace baiwan::verify {

inline constexpr std::uint32_t kShareVersion = 1;
inline constexpr std::size_t kShareTexts = 100;  // errors, and notes; further ones are counted
inline constexpr std::size_t kShareTextBytes = 4096;

// What an own user and a friend in another share have in common.
struct SharedPair {
  std::uint32_t sent = 0;      // from own to other: the last pair sequence in the outbox
  std::uint32_t acked = 0;     // of these
  std::uint32_t received = 0;  // from other to own: the furthest that stands in the inbox
};

struct ShareHead {
  stress::WorkloadSpec spec;
  CellRange own;
  // Of the own users; `distinct` counts only messages between two of them.
  VerifyReport report;
  std::vector<bool> read;  // by own user, cell by cell: whether all that there is of him was read
};

// Friendships between the own cells and each of the others, those of one pair of cells in the order
// of the lower cell's users, and for each of these of the friend's ids: both shares have the same.
class SharedPairs {
 public:
  SharedPairs(const stress::WorkloadSpec& spec, CellRange own);

  void Add(CellId own, CellId other, const SharedPair& pair);
  // The file.
  std::string Encode(const ShareHead& head) const;

 private:
  const CellRange own_;
  const std::uint32_t others_;
  std::vector<std::string> blocks_;  // by own cell, then by other cell
};

class ShareFile {
 public:
  // Refused unless it is whole, as its checksum says, and of a workload that can be.
  static Result<std::unique_ptr<ShareFile>, std::string> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const ShareHead& head() const { return head_; }
  ShareHead& head() { return head_; }
  // Whether all was read of the user with this index in an own cell.
  bool Read(CellId own, std::size_t index) const {
    return head_.read[(own - head_.own.first) * std::size_t{head_.spec.users_per_cell} + index];
  }
  // The friendships of an own cell and another; refused if there are not `count`.
  Result<std::vector<SharedPair>, std::string> Pairs(CellId own, CellId other,
                                                     std::size_t count) const;

 private:
  ShareFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::optional<std::string> ReadAll();
  std::optional<std::string> ParseHead(std::string_view bytes, std::uint64_t blocks_bytes);
  std::optional<std::string> ReadAt(std::uint64_t at, std::size_t bytes, std::string* out) const;

  std::string path_;
  UniqueFd fd_;
  ShareHead head_;
  std::vector<std::uint64_t> offsets_;  // of blocks, and the end of the last
};

// Whether the file begins like a share, whole or not.
bool LooksLikeShare(const std::string& path);

}  // namespace baiwan::verify
