// One user that is being played. See driver.h.
//
// What was submitted is either under way, or refused and waiting to be submitted again, or stored.
// New messages go out only when none waits to be submitted again, and only within the backend's
// window behind what is stored; they are shuffled within blocks of half of what may be under way,
// so that the window can never fill with messages that wait for one not yet sent.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stress/driver.h"
#include "stress/in_flight.h"

namespace baiwan::stress {

class Driver::Player final : public TargetListener {
 public:
  Player(Driver& driver, std::uint32_t index);

  void Connect();
  void OnWake(Nanos now);
  // About once a second: does something have to be done about a backend that is silent?
  void OnSweep(Nanos now);
  // Open loop: one more message is due since `when`; false if this user has no more.
  bool Due(Nanos when);
  void Pump(Nanos now);

  std::uint32_t index() const { return index_; }
  bool failed() const { return failed_; }
  bool slot_held() const { return slot_held_; }
  bool touched = false;  // the driver's: got something due that is not sent yet

  void OnUp(const TargetCounters& counters) override;
  void OnAcknowledged(const TargetCounters& counters) override;
  void OnRefused(const TargetRefusal& refusal) override;
  void OnDown(std::string_view why, Nanos retry_after, NetError error) override;

 private:
  enum class State : std::uint8_t { kDown, kConnecting, kUp, kEnded };

  Nanos Now() const { return driver_.node_.clock.Monotonic(); }
  bool open_loop() const { return driver_.options_.rate > 0; }
  Seq last_due() const { return open_loop() ? due_ : plan_.total(); }
  void Rewind(const TargetCounters& counters);
  void Settle(const TargetCounters& counters, Nanos now);
  void LeaveSlot();
  void Measure(Seq stored, Seq delivered, Nanos now);
  Seq IdAt(Seq position);
  Seq NextId(Nanos now);
  bool WorthAFrame(std::size_t room) const;
  void FillFrame(std::size_t room, Nanos now);
  void SubmitFrame(Nanos now);
  void CountOffered(Nanos now);
  bool PollIfDue(Nanos now);
  void Poll();
  void Stalled(std::string_view why);
  void GiveUp(const TargetRefusal& refusal);
  void WakeAt(Nanos when);

  Driver& driver_;
  const std::uint32_t index_;
  const UserId user_;
  const std::uint32_t window_;  // messages not known to be stored
  MessagePlan plan_;
  std::unique_ptr<TargetClient> client_;
  State state_ = State::kDown;
  bool slot_held_ = true;
  bool stored_told_ = false;  // counted in users_stored
  bool failed_ = false;
  bool was_up_ = false;
  bool behind_ = false;  // counted in behind_ledger
  Seq stored_ = 0;       // as the server says
  Seq delivered_ = 0;
  Seq told_stored_ = 0;  // the highest that any server said
  Seq told_delivered_ = 0;
  InFlight in_flight_;
  std::vector<Seq> again_;  // refused, to be submitted again
  Seq position_ = 1;        // the next one of the shuffled order
  Seq block_ = ~Seq{0};     // whose shuffled order is in order_
  std::vector<std::uint16_t> order_;
  Nanos not_before_ = 0;  // backing off
  std::uint32_t refusals_in_row_ = 0;
  std::uint32_t failed_connects_ = 0;
  Nanos last_heard_ = 0;
  Nanos progress_at_ = 0;  // when something was last stored, or began to be under way
  Nanos resend_after_ = 0;
  bool asked_ = false;  // for a sign of life
  Nanos poll_at_ = 0;   // 0: no poll is planned
  Nanos poll_gap_ = 0;
  std::uint32_t since_poll_ = 0;  // messages submitted since
  Nanos wake_at_ = 0;             // 0: no wake is planned
  Seq due_ = 0;                   // open loop: messages that may have been sent by now
  Seq due_base_ = 0;              // due_at_ begins behind it
  Seq offered_ = 0;               // handed to a connection up to here, at some time
  std::vector<Nanos> due_at_;
  std::vector<TargetMessage> frame_;
  std::vector<std::string> bodies_;
};

}  // namespace baiwan::stress
