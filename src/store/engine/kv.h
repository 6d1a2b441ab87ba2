// A key-value store with group commit, as the log needs it: the seam between layout and engine.
//
// Keys sort as unsigned bytes within a space. A commit is atomic and durable when its callback says
// so: the engine has called fdatasync (or its like) by then. Commits are applied and called back in
// the order in which they were given. If one fails, every later one fails too (kAfterFailure): the
// engine never has a hole.
//
// Threads: a Kv is used from one loop; callbacks come on that loop, in a later turn. The blocking
// functions are for opening and for tools, before a loop runs or in a process that has none;
// without a loop Commit, Get and Post call back at once. An engine that is destroyed calls nobody
// back any more, and keeps only what was committed. Failure: a write or sync that fails poisons the
// engine; reads go on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace baiwan::store {

enum class KvError : std::uint8_t {
  kNone = 0,
  kNotFound,
  kIo,            // the disk said no: see the log
  kNoSpace,       // the disk is full
  kCorrupt,       // something did not read back as written
  kAfterFailure,  // an earlier commit failed
  kLocked,        // another process has this store open
  kVersion,       // written by a program with a newer format
  kReadOnly,      // not permitted to write here
};
const char* Message(KvError error);

enum class Space : std::uint8_t { kMeta = 0, kLog = 1, kSnap = 2 };
inline constexpr std::size_t kSpaces = 3;

struct WriteSet {
  struct Put {
    Space space;
    std::string key;
    std::string value;
  };
  struct Range {  // keys from `from` up to, not including, `to`
    Space space;
    std::string from;
    std::string to;  // empty: to the end of the space
  };
  std::vector<Put> puts;
  std::vector<Range> deletes;  // done before the puts
};

// Of the disk under a store, in bytes.
struct DiskRoom {
  std::uint64_t free = 0;  // for this process
  std::uint64_t total = 0;
};

struct KvStats {
  std::uint64_t commits = 0;
  std::uint64_t syncs = 0;
  std::uint64_t bytes_written = 0;  // keys and values
  std::int64_t sync_nanos = 0;      // time in write and sync, all commits together
};

class Kv {
 public:
  using CommitFn = std::function<void(KvError)>;
  using GetFn = std::function<void(KvError, std::string value)>;
  // Return false to stop.
  using ScanFn = std::function<bool(std::string_view key, std::string_view value)>;

  virtual ~Kv() = default;

  virtual void Commit(WriteSet writes, CommitFn done) = 0;
  virtual void Get(Space space, std::string key, GetFn done) = 0;
  // Runs `work` in a later turn of the engine's loop, unless the engine is gone by then.
  // Any answer of the engine is such a turn; engines that can do it cheaper do.
  virtual void Post(std::function<void()> work) {
    Get(Space::kMeta, {}, [work = std::move(work)](KvError, const std::string&) { work(); });
  }

  virtual KvError GetNow(Space space, std::string_view key, std::string* value) = 0;
  // Keys in [from, to), rising; an empty `to` means to the end of the space. `each` may commit to
  // other spaces, and is not shown what was committed meanwhile.
  virtual KvError ScanNow(Space space, std::string_view from, std::string_view to,
                          const ScanFn& each) = 0;
  virtual KvError CommitNow(const WriteSet& writes) = 0;
  virtual KvStats stats() const = 0;
  // Nothing where there is no disk, or it cannot be asked. A system call.
  virtual std::optional<DiskRoom> disk() const { return std::nullopt; }
};

}  // namespace baiwan::store
