// What happened in a run, by the clock: steps, processes that ended and began again, hosts that
// were lost and made again, stalls, warnings. A report has it whether the run went well or not.
//
// Threads: a value; one at a time. Pure. Bounds: kMost events, of which kMostOfOne of one kind of
// one process or host; what is beyond is counted, and told as one event.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace baiwan::stress {

struct TimelineEvent {
  std::int64_t at_ms = 0;     // since 1970
  std::int64_t until_ms = 0;  // 0: it was a moment, or has not ended
  std::string kind;           // one of those below
  std::string who;            // of a step its name, else a process or a host; empty: the run
  std::string what;           // for people
  bool bad = false;

  bool operator==(const TimelineEvent&) const = default;
};

inline constexpr const char* kStepEvent = "step";
inline constexpr const char* kRestartEvent = "restart";  // of a process, until it serves again
inline constexpr const char* kSilenceEvent = "silence";  // a process did not answer the monitor
inline constexpr const char* kHostEvent = "host";
inline constexpr const char* kStallEvent = "stall";
inline constexpr const char* kWarningEvent = "warning";
inline constexpr const char* kEndEvent = "end";  // why the run ended where it should not

class Timeline {
 public:
  static constexpr std::size_t kMost = 1000;
  static constexpr std::size_t kMostOfOne = 40;

  void Add(TimelineEvent event);
  // In the order of time, with those that say what was left out.
  std::vector<TimelineEvent> Take();

 private:
  struct LeftOut {
    std::uint64_t count = 0;
    std::int64_t from_ms = 0;
    std::int64_t until_ms = 0;
  };
  using Key = std::pair<std::string, std::string>;  // kind and who

  std::vector<TimelineEvent> events_;
  std::map<Key, std::size_t> count_;
  std::map<Key, LeftOut> left_out_;
};

// Lines, each with its end: when since `began_ms`, how long, who, what.
std::string TimelineText(const std::vector<TimelineEvent>& events, std::int64_t began_ms);
// "0.4 s", "54 s", "3 min 20 s"
std::string TimelineSpan(std::int64_t ms);

}  // namespace baiwan::stress
