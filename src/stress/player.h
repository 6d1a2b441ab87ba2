// One user that is being played. See driver.h.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "stress/driver.h"

namespace baiwan::stress {

class Driver::Player final : public TargetListener {
 public:
  Player(Driver& driver, std::uint32_t index);

  void Begin();
  void OnTick(Nanos now);
  // Open loop: one more message is due at `when`; false if this user has no more.
  bool Due(Nanos when);
  std::uint32_t index() const { return index_; }

  void OnUp(const TargetCounters& counters) override;
  void OnAcknowledged(const TargetCounters& counters) override;
  void OnRefused(const TargetRefusal& refusal) override;
  void OnDown(std::string_view why, Nanos retry_after) override;

 private:
  enum class State : std::uint8_t { kDown, kConnecting, kUp, kDone };
  struct Planned {
    Seq send_id;
    Nanos due;
  };

  void Pump();
  void Settle(const TargetCounters& counters);
  Seq NextId();
  Seq IdAt(Seq position);
  bool open_loop() const { return driver_.options_.rate > 0; }
  std::uint32_t window() const;

  Driver& driver_;
  const std::uint32_t index_;
  const UserId user_;
  MessagePlan plan_;
  std::unique_ptr<TargetClient> client_;
  State state_ = State::kDown;
  bool slot_held_ = true;
  Seq stored_ = 0;
  Seq counted_stored_ = 0;
  Seq delivered_ = 0;
  Seq position_ = 1;             // the next one of the shuffled order
  std::vector<Seq> in_flight_;   // submitted on this connection, not known to be stored
  std::vector<Seq> again_;       // refused, to be submitted again
  Seq block_ = ~Seq{0};          // whose shuffled order is in order_
  std::vector<std::uint16_t> order_;
  Nanos not_before_ = 0;         // backing off
  Nanos last_heard_ = 0;
  Nanos poll_at_ = 0;
  Nanos poll_gap_ = 0;
  std::uint32_t failed_connects_ = 0;
  std::uint64_t due_ = 0;        // open loop: messages that may have been sent by now
  std::deque<Planned> unstored_; // open loop
  std::deque<Planned> undelivered_;
  std::vector<TargetMessage> frame_;
  std::vector<std::string> bodies_;
};

}  // namespace baiwan::stress
