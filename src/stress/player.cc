#include "stress/player.h"

#include <algorithm>
#include <utility>

namespace baiwan::stress {
namespace {

constexpr Nanos kBackoffFirst = 50 * kMillisecond;
constexpr Nanos kBackoffMax = 2 * kSecond;
constexpr Nanos kPollFirst = 5 * kMillisecond;
constexpr Nanos kPollMax = 500 * kMillisecond;
constexpr Nanos kNoRetriesLeft = 100 * kMillisecond;
constexpr Nanos kResendMax = 30 * kSecond;
constexpr std::size_t kForgetDue = 4096;  // planned times kept of messages that are done

std::uint32_t WindowOf(const DriveOptions& o, const WorkloadSpec& spec) {
  const std::uint32_t wanted = o.rate > 0 ? o.open_in_flight : o.in_flight;
  const std::uint32_t by_bytes = o.window_bytes / std::max(spec.body_bytes, 1U);
  return std::max(std::min({wanted, o.window_messages, by_bytes}), 1U);
}

Nanos Backoff(std::uint32_t failures) {
  return std::min(kBackoffMax, kBackoffFirst << std::min(failures, 8U));
}

}  // namespace

Driver::Player::Player(Driver& driver, std::uint32_t index)
    : driver_(driver),
      index_(index),
      user_(driver.graph_.user(index)),
      window_(WindowOf(driver.options_, driver.spec_)),
      plan_(driver.spec_, user_, driver.graph_.friends(index)),
      in_flight_(driver.options_.window_messages) {
  if (driver.ledger_ == nullptr) return;
  told_stored_ = std::min(driver.ledger_->told(index).send_id, plan_.total());
  told_delivered_ = std::min(driver.ledger_->told(index).send_ack_id, plan_.total());
}

void Driver::Player::Connect() {
  if (client_ == nullptr) client_ = driver_.target_.MakeClient(user_, this);
  state_ = State::kConnecting;
  last_heard_ = Now();
  asked_ = false;
  client_->Connect();
}

void Driver::Player::WakeAt(Nanos when) {
  if (wake_at_ != 0 && wake_at_ <= when) return;
  wake_at_ = when;
  driver_.WakeAt(when, index_);
}

// ---------------------------------------------------------------- what the backend says

void Driver::Player::OnUp(const TargetCounters& counters) {
  if (state_ == State::kEnded) return;
  const Nanos now = Now();
  ++driver_.counters_.connects;
  driver_.exhausted_since_ = 0;
  failed_connects_ = 0;
  state_ = State::kUp;
  Rewind(counters);
  if (!std::exchange(was_up_, true) && open_loop()) {
    due_ = due_base_ = offered_ = stored_;
    if (due_ < plan_.total()) driver_.WantsSchedule(index_);
  }
  Settle(counters, now);
  if (state_ == State::kUp) Pump(now);
}

void Driver::Player::OnAcknowledged(const TargetCounters& counters) {
  if (state_ != State::kUp) return;
  const Nanos now = Now();
  if (counters.send_id < stored_ || counters.send_ack_id < delivered_) Rewind(counters);
  Settle(counters, now);
  if (state_ == State::kUp) Pump(now);
}

// What was submitted and is not stored is of unknown fate: begins again behind what the server
// says is stored, also where that is less than it had said before.
void Driver::Player::Rewind(const TargetCounters& counters) {
  DriveCounters& c = driver_.counters_;
  const Seq total = plan_.total();
  const bool less = std::min(counters.send_id, total) < told_stored_ ||
                    std::min(counters.send_ack_id, total) < told_delivered_;
  if (less && !std::exchange(behind_, true)) {
    ++c.behind_ledger;
    driver_.node_.log.Error(
        "user {}: the server knows {} messages stored and {} delivered, but had told {} and {}: "
        "some are lost",
        user_, counters.send_id, counters.send_ack_id, told_stored_, told_delivered_);
  }
  stored_ = std::min(counters.send_id, total);
  delivered_ = std::min(counters.send_ack_id, total);
  in_flight_.RemoveUpTo(stored_);
  c.repeated += in_flight_.size();
  for (const Seq id : again_) c.repeated += id > stored_ ? 1 : 0;
  in_flight_.Clear(stored_);
  again_.clear();
  const Seq block = std::max(window_ / 2, 1U);
  position_ = open_loop() ? stored_ + 1 : stored_ / block * block + 1;
  poll_at_ = poll_gap_ = 0;
  progress_at_ = Now();
  if (resend_after_ == 0) resend_after_ = driver_.options_.resend_after;
}

void Driver::Player::Settle(const TargetCounters& counters, Nanos now) {
  DriveCounters& c = driver_.counters_;
  last_heard_ = now;
  asked_ = false;
  const Seq total = plan_.total();
  const Seq stored = std::min(counters.send_id, total);
  const Seq delivered = std::min(counters.send_ack_id, total);
  if (stored > stored_) {
    in_flight_.RemoveUpTo(stored);
    progress_at_ = now;
    resend_after_ = driver_.options_.resend_after;
    refusals_in_row_ = 0;
    poll_at_ = poll_gap_ = 0;
  }
  stored_ = std::max(stored_, stored);
  delivered_ = std::max(delivered_, delivered);
  if (stored_ > told_stored_ || delivered_ > told_delivered_) {
    if (open_loop()) Measure(told_stored_, told_delivered_, now);
    if (delivered_ > told_delivered_) c.last_ack = now;
    c.stored += std::max(stored_, told_stored_) - told_stored_;
    c.delivered += std::max(delivered_, told_delivered_) - told_delivered_;
    told_stored_ = std::max(stored_, told_stored_);
    told_delivered_ = std::max(delivered_, told_delivered_);
    if (driver_.ledger_ != nullptr) driver_.ledger_->Told(index_, told_stored_, told_delivered_);
  }
  if (stored_ == total) {
    if (!std::exchange(stored_told_, true)) ++c.users_stored;
    LeaveSlot();
  }
  if (stored_ == total && delivered_ == total) {
    state_ = State::kEnded;
    driver_.Ended(*this);
  }
}

void Driver::Player::LeaveSlot() {
  if (std::exchange(slot_held_, false)) driver_.SlotFree();
}

// Adds the latencies of what is new beyond `stored` and `delivered`.
void Driver::Player::Measure(Seq stored, Seq delivered, Nanos now) {
  const Seq last = due_base_ + due_at_.size();
  for (Seq id = std::max(stored, due_base_) + 1; id <= std::min(stored_, last); ++id) {
    driver_.stored_latency_.Add(now - due_at_[id - due_base_ - 1]);
  }
  for (Seq id = std::max(delivered, due_base_) + 1; id <= std::min(delivered_, last); ++id) {
    driver_.delivered_latency_.Add(now - due_at_[id - due_base_ - 1]);
  }
  if (delivered_ >= due_base_ + kForgetDue) {
    const Seq done = std::min(delivered_, last) - due_base_;
    due_at_.erase(due_at_.begin(), due_at_.begin() + static_cast<std::ptrdiff_t>(done));
    due_base_ += done;
  }
}

void Driver::Player::OnRefused(const TargetRefusal& refusal) {
  if (state_ == State::kEnded) return;
  ++driver_.counters_.refused[refusal.code];
  const Nanos now = last_heard_ = Now();
  asked_ = false;
  // 429, 503 and 504 are of unknown fate; 408 says that the request did not come whole.
  const bool again = refusal.status == 429 || refusal.status >= 503 || refusal.status == 408;
  if (!again) return GiveUp(refusal);
  if (in_flight_.Remove(refusal.send_id)) again_.push_back(refusal.send_id);
  // More of them during a pause are of the same round.
  if (now >= not_before_ || refusals_in_row_ == 0) ++refusals_in_row_;
  const Nanos pause = std::max(refusal.retry_after, Backoff(refusals_in_row_ - 1));
  not_before_ = std::max(
      not_before_,
      now + pause + static_cast<Nanos>(driver_.node_.rng.Below(static_cast<std::uint64_t>(pause))));
  WakeAt(not_before_);
}

void Driver::Player::GiveUp(const TargetRefusal& refusal) {
  DriveCounters& c = driver_.counters_;
  std::string what = fmt::format("user {}: message {} was refused with {} ({})", user_,
                                 refusal.send_id, refusal.status, refusal.code);
  if (c.failures[refusal.code]++ == 0) driver_.node_.log.Error("{}", what);
  if (c.first_failure.empty()) c.first_failure = std::move(what);
  failed_ = true;
  state_ = State::kEnded;
  driver_.Ended(*this);
}

void Driver::Player::OnDown(std::string_view why, Nanos retry_after, NetError error) {
  if (state_ == State::kEnded) return;
  if (error == NetError::kNoLocalPort || error == NetError::kTooManyFiles) driver_.OutOf(error);
  DriveCounters& c = driver_.counters_;
  if (state_ == State::kUp) ++c.disconnects;
  constexpr std::size_t kMostReasons = 32;
  const std::string reason(why);
  ++c.downs[c.downs.size() < kMostReasons || c.downs.contains(reason) ? reason : "other"];
  state_ = State::kDown;
  // Not before the backend wants it, and not all at once.
  const Nanos backoff = Backoff(failed_connects_++);
  Rng& rng = driver_.node_.rng;
  const auto spread = [&rng](Nanos most) {
    return static_cast<Nanos>(rng.Below(static_cast<std::uint64_t>(most) + 1));
  };
  not_before_ =
      Now() + std::max(retry_after + spread(retry_after / 2), backoff / 2 + spread(backoff));
  WakeAt(not_before_);
}

// ---------------------------------------------------------------- what time says

void Driver::Player::OnWake(Nanos now) {
  if (wake_at_ > now) return;  // of an earlier plan
  wake_at_ = 0;
  if (state_ == State::kDown && now >= not_before_) return Connect();
  if (state_ == State::kDown) return WakeAt(not_before_);
  if (state_ == State::kUp) Pump(now);
}

void Driver::Player::OnSweep(Nanos now) {
  const DriveOptions& o = driver_.options_;
  if (state_ != State::kUp && state_ != State::kConnecting) return;
  if (now - last_heard_ > o.stall_timeout) return Stalled("nothing was heard");
  if (state_ != State::kUp) return;
  if (!in_flight_.empty()) {
    const Nanos waited = now - progress_at_;
    if (!driver_.target_.pushes() && waited > resend_after_) {
      driver_.counters_.presumed_lost += in_flight_.size();
      Rewind({stored_, delivered_, 0});
      resend_after_ = std::min(2 * resend_after_, kResendMax);
      return Pump(now);
    }
    if (driver_.target_.pushes() && waited > o.stall_timeout) return Stalled("nothing was stored");
  }
  if (driver_.target_.pushes() && !asked_ && now - last_heard_ > o.stall_timeout / 2) {
    asked_ = true;
    Poll();
  }
}

void Driver::Player::Stalled(std::string_view why) {
  client_.reset();
  OnDown(why, 0, NetError{});
}

// ---------------------------------------------------------------- what this user does

bool Driver::Player::Due(Nanos when) {
  if (state_ == State::kEnded || due_ >= plan_.total()) return false;
  ++due_;
  due_at_.push_back(when);
  if (due_ == plan_.total()) LeaveSlot();
  return true;
}

Seq Driver::Player::IdAt(Seq position) {
  if (open_loop()) return position;
  const Seq size = std::max(window_ / 2, 1U);
  const Seq block = (position - 1) / size;
  if (block != block_) {
    block_ = block;
    const Seq count = std::min(size, plan_.total() - block * size);
    order_.resize(count);
    for (std::size_t i = 0; i < count; ++i) order_[i] = static_cast<std::uint16_t>(i);
    Rng rng(Mix(driver_.spec_.seed, user_, block));
    for (std::size_t i = count; i > 1; --i) std::swap(order_[i - 1], order_[rng.Below(i)]);
  }
  return block * size + 1 + order_[(position - 1) % size];
}

// The next send id to be submitted; 0: none now.
Seq Driver::Player::NextId(Nanos now) {
  while (!again_.empty()) {
    const Seq id = again_.back();
    if (id > stored_ && !driver_.TakeRetry(now)) {
      WakeAt(now + kNoRetriesLeft);
      return 0;
    }
    again_.pop_back();
    if (id <= stored_) continue;
    ++driver_.counters_.repeated;
    return id;
  }
  for (const Seq last = last_due(); position_ <= last; ++position_) {
    const Seq id = IdAt(position_);
    if (id > stored_ + driver_.options_.window_messages) return 0;
    if (id <= stored_) continue;
    ++position_;
    return id;
  }
  return 0;
}

// Frames that are not full go only when nothing else would leave.
bool Driver::Player::WorthAFrame(std::size_t room) const {
  if (in_flight_.empty() || !again_.empty() || open_loop()) return true;
  if (position_ + room > plan_.total()) return true;
  return room >=
         std::min<std::size_t>({driver_.options_.messages_per_frame, window_, client_->room()});
}

void Driver::Player::FillFrame(std::size_t room, Nanos now) {
  frame_.clear();
  if (bodies_.size() < room) bodies_.resize(room);
  while (frame_.size() < room) {
    const Seq id = NextId(now);
    if (id == 0) break;
    std::string& body = bodies_[frame_.size()];
    Body(driver_.spec_, user_, id, &body);
    frame_.push_back({id, plan_.friend_of(id), body});
  }
}

void Driver::Player::SubmitFrame(Nanos now) {
  DriveCounters& c = driver_.counters_;
  if (c.first_submit == 0) c.first_submit = now;
  c.submitted += frame_.size();
  if (in_flight_.empty()) progress_at_ = now;
  for (const TargetMessage& m : frame_) in_flight_.Add(m.send_id);
  if (open_loop()) CountOffered(now);
  since_poll_ += static_cast<std::uint32_t>(frame_.size());
  poll_gap_ = 0;
  if (poll_at_ != 0) poll_at_ = std::min(poll_at_, now + kPollFirst);
  client_->Submit(frame_);
}

void Driver::Player::CountOffered(Nanos now) {
  DriveCounters& c = driver_.counters_;
  for (const TargetMessage& m : frame_) {
    if (m.send_id <= offered_) continue;
    offered_ = m.send_id;
    ++c.offered;
    c.last_offer = now;
  }
}

void Driver::Player::Pump(Nanos now) {
  if (state_ != State::kUp) return;
  if (now < not_before_) return WakeAt(not_before_);
  while (in_flight_.size() < window_) {
    if (PollIfDue(now)) return;
    const std::size_t room = std::min<std::size_t>(
        {client_->room(), driver_.options_.messages_per_frame, window_ - in_flight_.size()});
    if (room == 0) return;  // it will call
    if (!WorthAFrame(room)) break;
    FillFrame(room, now);
    if (frame_.empty()) break;
    SubmitFrame(now);
  }
  PollIfDue(now);
}

// Without pushes the counters are asked for: every half window while there is something to submit,
// so that what was stored meanwhile makes room; and while there is nothing, ever more rarely.
bool Driver::Player::PollIfDue(Nanos now) {
  if (driver_.target_.pushes() || client_->room() == 0) return false;
  const std::uint32_t half = std::min(window_, driver_.options_.in_flight) / 2;
  if (since_poll_ >= std::max(half, 1U)) {
    Poll();
    return true;
  }
  const bool more =
      !open_loop() && in_flight_.size() < window_ && (!again_.empty() || position_ <= last_due());
  if (more || (in_flight_.empty() && delivered_ >= stored_)) return false;
  if (poll_at_ == 0) {
    poll_gap_ = std::clamp(poll_gap_ * 2, kPollFirst, kPollMax);
    poll_at_ = now + poll_gap_;
  }
  if (now < poll_at_) {
    WakeAt(poll_at_);
    return false;
  }
  Poll();
  return true;
}

void Driver::Player::Poll() {
  poll_at_ = 0;
  since_poll_ = 0;
  ++driver_.counters_.polls;
  client_->Poll();
}

}  // namespace baiwan::stress
