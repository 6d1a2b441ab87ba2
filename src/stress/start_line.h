// When the load clients of a run begin: together, so that what is measured is the load of all.
//
// Each one tells in the registry how far it is, and sees there how far the others are. When all are
// armed, or one plays already, they begin: the registry's watch tells all of them within
// milliseconds, so no clock has a part in it. Who is missing is waited for so long and no longer;
// the first one to lose patience begins, and the others see that and follow.
//
// Threads: one loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/loop.h"

namespace baiwan::stress {

class StartLine {
 public:
  enum class State : std::uint8_t { kArming, kArmed, kPlays };
  struct Options {
    std::uint32_t cells = 1;  // each has a load client; those of 0 … cells - 1
    Nanos wait = 60 * kSecond;
    Nanos settle = 200 * kMillisecond;  // between seeing that all are armed and the first message
  };
  // `begin` is called once, with the cells that were not there.
  using Begin = std::function<void(const std::vector<CellId>& missing)>;
  StartLine(Loop& loop, const Options& options, Begin begin);
  ~StartLine();

  // This one is ready to begin.
  void Armed();
  // How far the load clients are that can be seen, this one's own included.
  void Look(const std::map<CellId, State>& all);

 private:
  void Decide();
  void Go(Nanos after);

  Loop& loop_;
  const Options options_;
  Begin begin_;
  bool armed_ = false;
  bool going_ = false;
  std::map<CellId, State> all_;
  TimerId patience_ = 0;
  TimerId go_ = 0;
};

// As the registry keeps it.
std::string_view NameOf(StartLine::State state);
StartLine::State StartStateNamed(std::string_view name);  // kArming if it is none

}  // namespace baiwan::stress
