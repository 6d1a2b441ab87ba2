// A loop without sockets, for tests of the store: posted work, timers and turn hooks.
//
// Threads: as Loop; Post from any thread. Time is the machine's. Failure: RunUntil gives up after
// its deadline and says so.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/loop.h"

namespace baiwan::store::testing {

class TestLoop final : public Loop {
 public:
  Clock& clock() override { return SystemClock(); }

  void Post(std::function<void()> work) override {
    {
      const std::lock_guard lock(mutex_);
      posted_.push_back(std::move(work));
      ++posts_;
    }
    wake_.notify_one();
  }
  TimerId After(Nanos delay, std::function<void()> work) override {
    timers_.emplace(std::make_pair(clock().Monotonic() + delay, ++last_timer_), std::move(work));
    return last_timer_;
  }
  void Cancel(TimerId timer) override {
    const auto is = [timer](const auto& t) { return t.first.second == timer; };
    const auto it = std::find_if(timers_.begin(), timers_.end(), is);
    if (it != timers_.end()) timers_.erase(it);
  }
  void AddTurnHook(TurnHook* hook) override { hooks_.push_back(hook); }
  void RemoveTurnHook(TurnHook* hook) override {
    hooks_.erase(std::remove(hooks_.begin(), hooks_.end(), hook), hooks_.end());
  }

  // Turns until `done()`; false if that takes longer than `deadline`.
  template <class Done>
  bool RunUntil(const Done& done, Nanos deadline = 20 * kSecond) {
    const Nanos end = clock().Monotonic() + deadline;
    while (!done()) {
      if (clock().Monotonic() > end) return false;
      Turn(kMillisecond);
    }
    return true;
  }
  void RunFor(Nanos time) {
    RunUntil([] { return false; }, time);
  }
  // One turn: what was posted before it and timers that are due. Waits at most `patience` for work.
  void Turn(Nanos patience = 0) {
    std::deque<std::function<void()>> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, std::chrono::nanoseconds(timers_.empty() ? patience : 0),
                     [this] { return !posted_.empty(); });
      work.swap(posted_);
    }
    for (auto& w : work) w();
    while (!timers_.empty() && timers_.begin()->first.first <= clock().Monotonic()) {
      const auto timer = timers_.extract(timers_.begin());
      timer.mapped()();
    }
    for (TurnHook* hook : std::vector<TurnHook*>(hooks_)) hook->OnTurnEnd();
    ++turns_;
  }

  std::uint64_t turns() const { return turns_; }
  std::uint64_t posts() {
    const std::lock_guard lock(mutex_);
    return posts_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> posted_;
  std::uint64_t posts_ = 0;
  std::map<std::pair<Nanos, TimerId>, std::function<void()>> timers_;
  TimerId last_timer_ = 0;
  std::vector<TurnHook*> hooks_;
  std::uint64_t turns_ = 0;
};

}  // namespace baiwan::store::testing
