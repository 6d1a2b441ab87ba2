#include "stress/player.h"

#include <algorithm>

namespace baiwan::stress {
namespace {

constexpr Nanos kBackoffFirst = 50 * kMillisecond;
constexpr Nanos kBackoffMax = 2 * kSecond;
constexpr Nanos kPollFirst = 5 * kMillisecond;
constexpr Nanos kPollMax = 500 * kMillisecond;

}  // namespace

Driver::Player::Player(Driver& driver, std::uint32_t index)
    : driver_(driver),
      index_(index),
      user_(driver.graph_.user(index)),
      plan_(driver.spec_, user_, driver.graph_.friends(index)) {}

std::uint32_t Driver::Player::window() const {
  return open_loop() ? driver_.options_.open_in_flight : driver_.options_.in_flight;
}

void Driver::Player::Begin() {
  client_ = driver_.target_.MakeClient(user_, this);
  state_ = State::kConnecting;
  last_heard_ = driver_.node_.clock.Monotonic();
  client_->Connect();
}

// ---------------------------------------------------------------- what the backend says

void Driver::Player::OnUp(const TargetCounters& counters) {
  ++driver_.counters_.connects;
  failed_connects_ = 0;
  state_ = State::kUp;
  in_flight_.clear();
  again_.clear();
  if (driver_.ledger_ != nullptr && !driver_.ledger_->Covers(index_, counters.send_id,
                                                             counters.send_ack_id)) {
    ++driver_.counters_.behind_ledger;
    driver_.node_.log.Error("user {}: the server knows {} stored and {} delivered, less than it "
                            "had told: messages are lost",
                            user_, counters.send_id, counters.send_ack_id);
  }
  // What was submitted before is of unknown fate: begin again behind what is stored.
  const Seq block = std::max<Seq>(window() / 2, 1);
  stored_ = std::max(stored_, counters.send_id);
  position_ = open_loop() ? counters.send_id + 1 : counters.send_id / block * block + 1;
  Settle(counters);
  if (state_ == State::kUp) Pump();
}

void Driver::Player::OnAcknowledged(const TargetCounters& counters) {
  Settle(counters);
  if (state_ == State::kUp) Pump();
}

void Driver::Player::Settle(const TargetCounters& counters) {
  DriveCounters& c = driver_.counters_;
  const Nanos now = driver_.node_.clock.Monotonic();
  last_heard_ = now;
  const Seq total = plan_.total();
  const Seq stored = std::min(counters.send_id, total);
  const Seq delivered = std::min(counters.send_ack_id, total);
  const bool moved = stored > stored_ || delivered > delivered_ || !in_flight_.empty();
  if (counted_stored_ < stored) {
    c.stored += stored - counted_stored_;
    counted_stored_ = stored;
    std::erase_if(in_flight_, [stored](Seq id) { return id <= stored; });
  }
  stored_ = std::max(stored_, stored);
  if (delivered > delivered_) {
    c.delivered += delivered - delivered_;
    delivered_ = delivered;
    c.last_ack = now;
  }
  if (moved && driver_.ledger_ != nullptr) driver_.ledger_->Told(index_, stored_, delivered_);
  while (!unstored_.empty() && unstored_.front().send_id <= stored_) {
    driver_.stored_latency_.Add(now - unstored_.front().due);
    unstored_.pop_front();
  }
  while (!undelivered_.empty() && undelivered_.front().send_id <= delivered_) {
    driver_.delivered_latency_.Add(now - undelivered_.front().due);
    undelivered_.pop_front();
  }
  if (stored_ == total && std::exchange(slot_held_, false)) driver_.SlotFree();
  if (delivered_ == total) {
    state_ = State::kDone;
    driver_.Finished(*this);
  }
}

void Driver::Player::OnRefused(const TargetRefusal& refusal) {
  DriveCounters& c = driver_.counters_;
  ++c.refused[refusal.code];
  last_heard_ = driver_.node_.clock.Monotonic();
  std::erase(in_flight_, refusal.send_id);
  const bool unknown_fate = refusal.status == 429 || refusal.status >= 503;
  if (!unknown_fate) {
    if (c.failures[refusal.code]++ == 0) {
      driver_.node_.log.Error("user {}: message {} was refused with {} ({})", user_,
                              refusal.send_id, refusal.status, refusal.code);
    }
    return;
  }
  again_.push_back(refusal.send_id);
  const auto pause = static_cast<std::uint64_t>(
      std::max(refusal.retry_after, kBackoffFirst));
  not_before_ = last_heard_ + static_cast<Nanos>(pause + driver_.node_.rng.Below(pause));
}

void Driver::Player::OnDown(std::string_view, Nanos retry_after) {
  if (state_ == State::kDone) return;
  if (state_ == State::kUp) ++driver_.counters_.disconnects;
  state_ = State::kDown;
  in_flight_.clear();
  const Nanos backoff =
      std::min(kBackoffMax, kBackoffFirst << std::min(failed_connects_++, 8U));
  const auto pause = static_cast<std::uint64_t>(std::max(retry_after, backoff));
  not_before_ = driver_.node_.clock.Monotonic() +
                static_cast<Nanos>(pause / 2 + driver_.node_.rng.Below(pause));
}

// ---------------------------------------------------------------- what this user does

void Driver::Player::OnTick(Nanos now) {
  if (state_ == State::kDone) return;
  if (state_ == State::kDown) {
    if (now >= not_before_) Begin();
    return;
  }
  if (now - last_heard_ > driver_.options_.stall_timeout) {
    client_.reset();
    return OnDown("nothing was heard", 0);
  }
  if (state_ != State::kUp) return;
  Pump();
  const bool waits = !driver_.target_.pushes() &&
                     (in_flight_.size() >= window() || position_ > plan_.total());
  if (waits && now >= poll_at_) {
    poll_gap_ = std::clamp(poll_gap_ * 2, kPollFirst, kPollMax);
    poll_at_ = now + poll_gap_;
    ++driver_.counters_.polls;
    client_->Poll();
  }
}

bool Driver::Player::Due(Nanos when) {
  if (state_ == State::kDone || due_ >= plan_.total() || !slot_held_) return false;
  ++due_;
  unstored_.push_back({due_, when});
  undelivered_.push_back({due_, when});
  return true;
}

// The id at a position of the shuffled order: whole blocks of half the window are shuffled, so that
// the window never fills with messages that wait for one not yet sent.
Seq Driver::Player::IdAt(Seq position) {
  if (open_loop()) return position;
  const Seq size = std::max<Seq>(window() / 2, 1);
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
Seq Driver::Player::NextId() {
  while (!again_.empty()) {
    const Seq id = again_.back();
    if (id > stored_ && !driver_.TakeRetry()) return 0;
    again_.pop_back();
    if (id <= stored_) continue;
    ++driver_.counters_.repeated;
    return id;
  }
  const Seq last = open_loop() ? due_ : plan_.total();
  while (position_ <= last) {
    const Seq id = IdAt(position_++);
    if (id > stored_) return id;
  }
  return 0;
}

void Driver::Player::Pump() {
  if (driver_.node_.clock.Monotonic() < not_before_) return;
  const DriveOptions& o = driver_.options_;
  while (in_flight_.size() < window()) {
    const std::size_t room = std::min<std::size_t>(
        {client_->room(), o.messages_per_frame, window() - in_flight_.size()});
    if (room == 0) return;
    // Half-full frames only when nothing else would leave.
    const bool little_left = position_ + room > plan_.total() || open_loop();
    if (room < std::min<std::size_t>(o.messages_per_frame, client_->room()) &&
        !in_flight_.empty() && !little_left) {
      return;
    }
    frame_.clear();
    bodies_.resize(std::max(bodies_.size(), room));
    while (frame_.size() < room) {
      const Seq id = NextId();
      if (id == 0) break;
      std::string& body = bodies_[frame_.size()];
      Body(driver_.spec_, user_, id, &body);
      frame_.push_back({id, plan_.friend_of(id), body});
    }
    if (frame_.empty()) return;
    DriveCounters& c = driver_.counters_;
    if (c.first_submit == 0) c.first_submit = driver_.node_.clock.Monotonic();
    c.submitted += frame_.size();
    for (const TargetMessage& m : frame_) in_flight_.push_back(m.send_id);
    poll_gap_ = 0;
    client_->Submit(frame_);
  }
}

}  // namespace baiwan::stress
