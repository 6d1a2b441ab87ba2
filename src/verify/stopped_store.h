// The store of a process that has stopped, opened for reading only: nothing in it is changed, not
// even what a crash left to be tidied.
//
// RocksDB stays behind this header. Threads: several may read one StoppedStore, each with scans of
// its own. Failure: sentences that name the store and the way out.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace baiwan::verify {

enum class Space : std::uint8_t { kMeta, kLog, kSnap };

class StoppedStore {
 public:
  // Return false to stop.
  using Each = std::function<bool(std::string_view key, std::string_view value)>;

  // Refused while a process has it open.
  static Result<std::unique_ptr<StoppedStore>, std::string> Open(const std::string& path);
  virtual ~StoppedStore() = default;

  // Entries with keys in [from, to), rising; an empty `to`: to the end. What went wrong, or
  // nothing.
  virtual std::optional<std::string> Scan(Space space, std::string_view from, std::string_view to,
                                          const Each& each) const = 0;
  // The same, falling from the last key below `to`.
  virtual std::optional<std::string> ScanBack(Space space, std::string_view to,
                                              const Each& each) const = 0;
  // False: not there. An error otherwise.
  virtual Result<bool, std::string> Get(Space space, std::string_view key,
                                        std::string* value) const = 0;
};

// The bytes of all files in a folder and below.
std::uint64_t BytesOnDisk(const std::string& path);

}  // namespace baiwan::verify
