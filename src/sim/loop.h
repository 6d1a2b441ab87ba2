// A node's event loop in virtual time, with the turns that base/loop.h describes.
//
// A turn happens at one instant. It begins a little after the first reason for it (so that several
// reasons gather, as they do in a real process) and takes a seeded time of CPU, during which no
// further turn begins. Work posted in a turn, and timers set in it, wait for a later one.
//
// Everything a turn does is counted in steps: one callback, or one stream's flush. A crash can be
// set to come between any two steps, so a node also dies in the middle of a turn: with half of its
// replies sent, or a commit begun and nothing else.
//
// Threads: one. Failure: after the end of its life a loop drops what it is given.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/rng.h"
#include "sim/timeline.h"

namespace baiwan::sim {

// The clocks of one node: it may run fast or slow, and its wall clock may jump.
class SimClock final : public Clock {
 public:
  // `boot` is what Monotonic() shows at the world's beginning; `skew_ppm` how much too fast it
  // runs, in millionths.
  SimClock(const Timeline& timeline, Nanos boot, int skew_ppm)
      : timeline_(timeline), boot_(boot), skew_ppm_(skew_ppm) {}

  Nanos Monotonic() const override {
    const Nanos t = timeline_.now();
    return boot_ + t + t * skew_ppm_ / kMillion;
  }
  // How long after the world's beginning this clock shows `instant`, rounded up.
  Nanos WorldTimeOf(Nanos instant) const {
    if (instant <= boot_) return 0;
    const auto shown = static_cast<Wide>(instant - boot_);
    return static_cast<Nanos>(shown * kMillion / static_cast<Wide>(kMillion + skew_ppm_)) + 1;
  }
  std::uint64_t WallMillis() const override {
    return static_cast<std::uint64_t>(kEpochMillis + timeline_.now() / kMillisecond + wall_jump_);
  }
  // Both only ever display and time out things, see I8.
  void JumpWall(std::int64_t millis) { wall_jump_ += millis; }

 private:
  static constexpr std::int64_t kMillion = 1'000'000;
  static constexpr std::int64_t kEpochMillis = 1'700'000'000'000;

  const Timeline& timeline_;
  const Nanos boot_;
  const int skew_ppm_;
  std::int64_t wall_jump_ = 0;
};

struct LoopCosts {
  Nanos min_wake = 1 * kMicrosecond;  // from a reason for a turn to the turn
  Nanos max_wake = 30 * kMicrosecond;
  Nanos min_turn = 1 * kMicrosecond;  // CPU time of a turn
  Nanos max_turn = 50 * kMicrosecond;
};

// The sockets of a node, as its loop drives them. Both stop where SimLoop::StepDone says so.
class TurnSockets {
 public:
  virtual void TakeSockets() = 0;
  virtual void Flush() = 0;

 protected:
  ~TurnSockets() = default;
};

class SimLoop final : public Loop {
 public:
  // `on_death` is called as the last thing of a turn in which the life ended; it may destroy the
  // loop.
  SimLoop(Timeline& timeline, std::shared_ptr<Life> life, SimClock& clock, const LoopCosts& costs,
          Rng rng, std::function<void()> on_death);

  Clock& clock() override { return clock_; }
  void Post(std::function<void()> work) override;
  TimerId After(Nanos delay, std::function<void()> work) override;
  void Cancel(TimerId timer) override;
  void AddTurnHook(TurnHook* hook) override;
  void RemoveTurnHook(TurnHook* hook) override;

  void SetSockets(TurnSockets* sockets) { sockets_ = sockets; }
  // There is a reason for a turn; within a turn, for another one.
  void Wake();
  // Runs `first` as a turn of its own, now: how a node boots. False if the life ended in it; then
  // on_death was not called.
  bool Boot(const std::function<void()>& first);
  bool in_turn() const { return in_turn_; }
  std::uint64_t turns() const { return turns_; }

  // A paused node does nothing, and does not know it.
  void Pause() { paused_ = true; }
  void Resume();
  // The life ends after `steps` more steps.
  void DieAfter(std::uint64_t steps) { steps_to_live_ = steps + 1; }
  // Called after every step: false if the life is over, and the turn must end.
  bool StepDone();
  // Drops all work and timers, and what they hold.
  void DropWork();

 private:
  using TimerKey = std::pair<Nanos, TimerId>;
  void ScheduleTurn(Nanos when);
  void ScheduleNextTimer();
  void OnTurnDue();
  void RunTurn();
  bool RunPosts(std::vector<std::function<void()>>& posts);
  bool RunTimers(TimerId newest);
  bool RunHooks();

  Timeline& timeline_;
  const std::shared_ptr<Life> life_;
  SimClock& clock_;
  const LoopCosts costs_;
  Rng rng_;
  const std::function<void()> on_death_;
  TurnSockets* sockets_ = nullptr;

  std::vector<std::function<void()>> posts_;
  std::map<TimerKey, std::function<void()>> timers_;  // by due time on this node's clock
  std::map<TimerId, Nanos> due_;
  TimerId last_timer_ = 0;
  std::vector<TurnHook*> hooks_;  // null: removed during the hooks

  bool in_turn_ = false;
  bool wake_again_ = false;
  bool in_hooks_ = false;
  bool paused_ = false;
  Nanos busy_until_ = 0;
  Nanos turn_at_ = -1;  // -1: none is scheduled
  std::uint64_t turn_token_ = 0;
  std::uint64_t turns_ = 0;
  std::uint64_t steps_to_live_ = 0;  // 0: no end is set
};

}  // namespace baiwan::sim
