// Virtual time: the one queue of everything that is going to happen in a simulated world, and the
// record of what has happened.
//
// Events run one at a time, by time. Events of the same instant run in an order drawn from the
// seed, so that nothing comes to rely on the order in which they were scheduled; where an order is
// promised (bytes of a stream, posts of a loop, commits of a disk) whoever promises it keeps a
// queue of its own and has one event under way.
//
// The trace keeps the last events for people and a hash over all of them: two runs are the same if
// their hashes are. Threads: one. Failure: none; whoever runs the timeline bounds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"

namespace baiwan::sim {

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = ~NodeId{0};

enum class What : std::uint8_t {
  kBoot,     // a = life
  kCrash,    // a = life, b = CrashMode
  kTurn,     // a = turn
  kConnect,  // a = connection
  kAccept,   // a = connection
  kData,     // a = connection, b = length and checksum
  kSend,     // a = connection, b = length and checksum
  kClosed,   // a = connection, b = NetError
  kCommit,   // a = commit, b = bytes
  kDurable,  // a = commit, b = KvError
  kFault,    // a line
  kLog,      // a line
};
const char* Name(What what);

class Trace {
 public:
  explicit Trace(std::size_t keep) : keep_(keep) {}

  void Add(Nanos at, NodeId node, What what, std::uint64_t a = 0, std::uint64_t b = 0);
  void AddLine(Nanos at, NodeId node, What what, std::string_view line);

  std::uint64_t hash() const { return hash_; }
  std::uint64_t count() const { return count_; }
  // The last events, one a line, oldest first; `names` by node.
  std::string Describe(const std::vector<std::string>& names) const;

 private:
  struct Entry {
    Nanos at;
    NodeId node;
    What what;
    std::uint64_t a;
    std::uint64_t b;
    std::string line;
  };
  void Keep(Entry entry);

  const std::size_t keep_;
  std::deque<Entry> last_;
  std::uint64_t hash_ = 0;
  std::uint64_t count_ = 0;
};

class Timeline {
 public:
  using Action = std::function<void()>;

  Timeline(std::uint64_t seed, std::size_t trace_keep) : seed_(seed), trace_(trace_keep) {}

  std::uint64_t seed() const { return seed_; }
  Nanos now() const { return now_; }
  // An instant that has passed counts as now.
  void At(Nanos when, Action action);
  void In(Nanos delay, Action action) { At(now_ + delay, std::move(action)); }
  bool empty() const { return queue_.empty(); }
  // When the next event is; only if not empty().
  Nanos next_at() const { return queue_.top().at; }
  // Runs the next event; only if not empty().
  void Step();
  // Moves the time on although nothing happens; `when` must not lie beyond next_at().
  void SkipTo(Nanos when);
  std::uint64_t steps() const { return steps_; }

  Trace& trace() { return trace_; }
  void Note(NodeId node, What what, std::uint64_t a = 0, std::uint64_t b = 0) {
    trace_.Add(now_, node, what, a, b);
  }
  void NoteLine(NodeId node, What what, std::string_view line) {
    trace_.AddLine(now_, node, what, line);
  }
  // A stream of random numbers of its own for each `purpose`, all from the one seed.
  Rng RngFor(std::uint64_t purpose) const { return Rng(Mix(seed_, purpose)); }

 private:
  struct Event {
    Nanos at;
    std::uint64_t tie;  // drawn from the seed
    std::uint64_t number;
    Action action;
    bool operator<(const Event& other) const {  // the queue's top is the greatest
      if (at != other.at) return at > other.at;
      if (tie != other.tie) return tie > other.tie;
      return number > other.number;
    }
  };

  const std::uint64_t seed_;
  Nanos now_ = 0;
  std::uint64_t scheduled_ = 0;
  std::uint64_t steps_ = 0;
  std::priority_queue<Event> queue_;
  Trace trace_;
};

// Uniform in [low, high].
inline Nanos Between(Rng& rng, Nanos low, Nanos high) {
  return high <= low
             ? low
             : low + static_cast<Nanos>(rng.Below(static_cast<std::uint64_t>(high - low + 1)));
}

// One run of a node, from boot to crash. What is left over of a run looks here before it acts: once
// a life is over, none of its callbacks fire and nothing that it asks for happens.
struct Life {
  NodeId node = kNoNode;
  std::uint64_t number = 0;
  bool alive = true;
  std::string why;  // of its end
};

}  // namespace baiwan::sim
