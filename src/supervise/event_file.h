// What became of a host's processes, as a file: for whoever tells a run's story when they are gone.
//
//   {"ms": 1764500000123, "child": "cell-3", "event": "exited", "asked": false, "success": false,
//    "text": "killed by signal 9 (Killed)"}
//
// A line each, appended, over all lives of the supervisor; a crash may tear the last one. A file
// that has reached kMostEventBytes takes no more.
//
// Threads: an EventFile belongs to one thread at a time (a supervisor's events come on one). Its
// writes are small. Failure: a sentence from Open; a write that fails is passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "supervise/supervisor.h"

namespace baiwan::supervise {

inline constexpr std::uint64_t kMostEventBytes = 4 << 20;

// An Event as it is kept.
struct KeptEvent {
  std::int64_t ms = 0;  // since 1970
  EventKind kind = EventKind::kStarted;
  std::string child;
  bool asked = false;    // kExited: it had been asked to stop
  bool success = false;  // kExited: with code 0
  std::string text;      // kExited: how; kGaveUp: why

  bool operator==(const KeptEvent&) const = default;
};
KeptEvent Kept(const Event& event, std::int64_t ms);

class EventFile {
 public:
  // With an empty path nothing is kept.
  std::optional<std::string> Open(const std::string& path);
  void Add(const KeptEvent& event);

 private:
  UniqueFd fd_;
  std::uint64_t bytes_ = 0;
};

// Lines that cannot be read are passed over. Nothing where there is no file.
std::vector<KeptEvent> ReadEvents(const std::string& path);

}  // namespace baiwan::supervise
