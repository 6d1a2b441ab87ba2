#include "sim/loop.h"

#include <algorithm>

namespace baiwan::sim {

SimLoop::SimLoop(Timeline& timeline, std::shared_ptr<Life> life, SimClock& clock,
                 const LoopCosts& costs, Rng rng, std::function<void()> on_death)
    : timeline_(timeline),
      life_(std::move(life)),
      clock_(clock),
      costs_(costs),
      rng_(rng),
      on_death_(std::move(on_death)) {}

void SimLoop::Post(std::function<void()> work) {
  if (!life_->alive) return;
  posts_.push_back(std::move(work));
  Wake();
}

TimerId SimLoop::After(Nanos delay, std::function<void()> work) {
  const TimerId id = ++last_timer_;
  if (!life_->alive) return id;
  const Nanos due = clock_.Monotonic() + std::max<Nanos>(delay, 0);
  due_.emplace(id, due);
  timers_.emplace(TimerKey{due, id}, std::move(work));
  if (!in_turn_) ScheduleNextTimer();
  return id;
}

void SimLoop::Cancel(TimerId timer) {
  const auto at = due_.find(timer);
  if (at == due_.end()) return;
  timers_.erase(TimerKey{at->second, timer});
  due_.erase(at);
}

void SimLoop::AddTurnHook(TurnHook* hook) { hooks_.push_back(hook); }

void SimLoop::RemoveTurnHook(TurnHook* hook) {
  if (in_hooks_) {
    std::replace(hooks_.begin(), hooks_.end(), hook, static_cast<TurnHook*>(nullptr));
  } else {
    hooks_.erase(std::remove(hooks_.begin(), hooks_.end(), hook), hooks_.end());
  }
}

void SimLoop::Wake() {
  if (!life_->alive) return;
  if (in_turn_) {
    wake_again_ = true;
  } else {
    ScheduleTurn(timeline_.now() + Between(rng_, costs_.min_wake, costs_.max_wake));
  }
}

void SimLoop::ScheduleTurn(Nanos when) {
  when = std::max(when, busy_until_);
  if (turn_at_ >= 0 && turn_at_ <= when) return;
  turn_at_ = when;
  const std::uint64_t token = ++turn_token_;
  timeline_.At(when, [this, life = life_, token] {
    if (life->alive && token == turn_token_) OnTurnDue();
  });
}

void SimLoop::ScheduleNextTimer() {
  if (timers_.empty() || !life_->alive) return;
  ScheduleTurn(clock_.WorldTimeOf(timers_.begin()->first.first));
}

void SimLoop::OnTurnDue() {
  turn_at_ = -1;
  if (paused_) return;
  RunTurn();
  if (life_->alive) return;
  const auto on_death = on_death_;  // which destroys this loop
  on_death();
}

void SimLoop::Resume() {
  paused_ = false;
  Wake();
}

bool SimLoop::StepDone() {
  if (steps_to_live_ > 0 && --steps_to_live_ == 0 && life_->alive) {
    life_->alive = false;
    life_->why = "crash in a turn";
  }
  return life_->alive;
}

void SimLoop::RunTurn() {
  ++turns_;
  timeline_.Note(life_->node, What::kTurn, turns_);
  busy_until_ = timeline_.now() + Between(rng_, costs_.min_turn, costs_.max_turn);
  in_turn_ = true;
  std::vector<std::function<void()>> posts;
  posts.swap(posts_);
  const TimerId newest = last_timer_;
  sockets_->TakeSockets();
  if (life_->alive && RunPosts(posts) && RunTimers(newest) && RunHooks()) sockets_->Flush();
  in_turn_ = false;
  if (!life_->alive) return;
  if (std::exchange(wake_again_, false)) Wake();
  ScheduleNextTimer();
}

bool SimLoop::Boot(const std::function<void()>& first) {
  in_turn_ = true;
  first();
  if (StepDone() && RunHooks()) sockets_->Flush();
  in_turn_ = false;
  if (!life_->alive) return false;
  if (std::exchange(wake_again_, false)) Wake();
  ScheduleNextTimer();
  return true;
}

bool SimLoop::RunPosts(std::vector<std::function<void()>>& posts) {
  for (auto& work : posts) {
    work();
    work = nullptr;  // lets go of what it holds while everything else is there
    if (!StepDone()) return false;
  }
  return true;
}

bool SimLoop::RunTimers(TimerId newest) {
  std::vector<TimerKey> due;
  const Nanos now = clock_.Monotonic();
  for (const auto& [key, work] : timers_) {
    if (key.first > now) break;
    if (key.second <= newest) due.push_back(key);
  }
  for (const TimerKey& key : due) {
    const auto at = timers_.find(key);
    if (at == timers_.end()) continue;  // cancelled by an earlier one
    const auto work = std::move(at->second);
    timers_.erase(at);
    due_.erase(key.second);
    work();
    if (!StepDone()) return false;
  }
  return true;
}

bool SimLoop::RunHooks() {
  in_hooks_ = true;
  for (std::size_t i = 0; i < hooks_.size(); ++i) {  // a hook may add hooks
    if (hooks_[i] == nullptr) continue;
    hooks_[i]->OnTurnEnd();
    if (!StepDone()) break;
  }
  in_hooks_ = false;
  hooks_.erase(std::remove(hooks_.begin(), hooks_.end(), static_cast<TurnHook*>(nullptr)),
               hooks_.end());
  return life_->alive;
}

void SimLoop::DropWork() {
  // What they hold may come back here while it goes: with everything empty, it finds nothing.
  const auto posts = std::exchange(posts_, {});
  const auto timers = std::exchange(timers_, {});
  due_.clear();
}

}  // namespace baiwan::sim
