// What the board shows, kept up to date: a look at every process each `interval`.
//
// Threads: one loop. Failure: a process that does not answer leaves its last numbers, marked as
// such. Bounds: those of RollCall and PollOptions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/node_context.h"
#include "monitor/board.h"
#include "monitor/machine.h"
#include "monitor/processes.h"
#include "monitor/roll_call.h"

namespace baiwan::monitor {

struct BoardFeedOptions {
  Nanos interval = 3 * kSecond;
  std::uint32_t expected = 0;  // processes; 0: whoever has been seen
  // Of the whole run, where that is known; else of the load clients that have been seen.
  std::uint64_t users = 0;
  std::uint64_t messages = 0;
  PollOptions poll;
};

// Looks put together to a board; pure.
class BoardKeeper {
 public:
  explicit BoardKeeper(std::uint32_t expected = 0, std::uint64_t users = 0,
                       std::uint64_t messages = 0)
      : users_(users), messages_(messages), roll_call_(expected) {}
  void Take(const std::vector<Look>& looks, Nanos now, const CpuTimes& cpu);
  // A load client that may have ended between two looks: from the next one on it counts as done.
  void Leave(const std::string& name) {
    ended_.insert(name);
    roll_call_.Leave(name);
  }
  const BoardState& state() const { return state_; }

 private:
  struct Seen {
    Process process;
    Values values;
    Nanos at = 0;
    bool answers = false;
    // Over the last two looks that were answered.
    double stored = 0;  // messages a second; of logic servers
    double delivered = 0;
    double client_stored = 0;  // of load clients
    double client_delivered = 0;
    double refused = 0;
    double cores = 0;
    double gained = 0;  // users
  };

  void Update(Seen& seen, const Look& look, Nanos now);
  std::set<std::string> Withdrawn(const std::vector<Look>& looks, Nanos now) const;
  static void Finish(Seen& seen);
  void AddLoad(const Seen& seen);
  void AddProcesses();
  void AddRefusals();
  void AddHosts(const std::vector<Look>& looks, Nanos now);

  const std::uint64_t users_;
  const std::uint64_t messages_;
  RollCall roll_call_;
  std::map<std::string, Seen> seen_;  // by Process::id()
  std::set<std::string> ended_;
  std::set<std::string> withdrawn_;  // ids, at the last look
  CpuTimes cpu_;
  HostTracker tracker_;
  std::map<std::string, HostUse> hosts_;
  Nanos looked_at_ = 0;
  Nanos began_ = 0;  // the first user
  BoardState state_;
};

class BoardFeed {
 public:
  // `on_beat` is called after every look. `directory` outlives this.
  BoardFeed(NodeContext& node, const registry::Directory& directory,
            const BoardFeedOptions& options, std::function<void()> on_beat = nullptr);
  ~BoardFeed() { node_.loop.Cancel(timer_); }

  const BoardState& state() const { return keeper_.state(); }
  void Leave(const std::string& name) { keeper_.Leave(name); }
  // Looks once more, whatever the beat.
  void LookNow();
  std::uint64_t beats() const { return beats_; }

 private:
  void Tick();

  NodeContext& node_;
  const BoardFeedOptions options_;
  const std::function<void()> on_beat_;
  ProcessPoll poll_;
  BoardKeeper keeper_;
  const Nanos started_;
  std::uint64_t beats_ = 0;
  TimerId timer_ = 0;
};

}  // namespace baiwan::monitor
