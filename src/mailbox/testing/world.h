// A small world around mailbox::User, run at random from a seed, that watches over I1 to I5.
//
// First chaos: clients submit, frames arrive, get lost, come late and again, commits gather, finish
// and fail, cells crash and start. Then everything works and the clients only submit what is left:
// the world must come to rest by itself with every message where it belongs. What is checked
// always:
//
//   I1  everything that leaves a User is in the durable part of its cell's log at that moment;
//       counters shown are what the disk says, and never fall
//   I2  an inbox, restricted to one sender, is a prefix of that sender's outbox restricted to it
//   I3  a number is bound to its content: repeats are known, other content is refused
//   I4  at rest SendId == SendAckId, and all that was sent has been received; nobody waits for ever
//   I5  windows and buffers keep their limits
//
// Pure; one thread; the same plan gives the same run.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "mailbox/testing/model_cell.h"
#include "mailbox/testing/model_client.h"
#include "mailbox/testing/model_network.h"
#include "mailbox/testing/plan.h"

namespace baiwan::mailbox::testing {

struct Outcome {
  std::optional<Violation> violation;
  std::uint64_t delivered = 0;  // messages in inboxes at the end
  std::uint64_t delivered_in_chaos = 0;
  std::uint64_t forwarded = 0;  // frames with messages that left their cell, repeats included
  std::uint64_t crashes = 0;
  std::uint64_t late = 0;  // late frames that came
  std::uint64_t rewinds = 0;
  bool needed_audit = false;  // without one it would not have come to rest
};

class World {
 public:
  // With `trace`, everything that happens is written there, a line each.
  explicit World(const Plan& plan, std::string* trace = nullptr);
  Outcome Run();

  // For its parts.
  const Plan& plan() const { return plan_; }
  Rng& rng() { return rng_; }
  bool calm() const { return calm_; }
  ModelNetwork& network() { return network_; }
  CellId CellOf(UserId user) const { return static_cast<CellId>(user % plan_.cells); }
  const ModelDisk::Mailbox& MailboxOf(UserId user) const;
  Outcome& outcome() { return outcome_; }
  void PathsDown(CellId cell);
  void ConnectToSelf(CellId cell);
  void Violated(const char* invariant, const std::string& what);
  bool Require(bool holds, const char* invariant, const std::string& what) {
    if (!holds) Violated(invariant, what);
    return holds;
  }
  // A commit has become durable: the inboxes it filled must be prefixes of the outboxes.
  void CheckStored(const ModelDisk::Commit& commit);
  void Show(UserId user, const Counters& counters);
  // Something has left its cell: from now on it must be on the disk for ever.
  void Told(const Frame& frame);
  void CheckNothingIsGone(CellId cell);
  template <class... Args>
  void Note(const Args&... args) {
    if (trace_ == nullptr) return;
    std::ostringstream line;
    (line << ... << args);
    *trace_ += line.str() + "\n";
  }

 private:
  void MakeUsers();
  void Chaos();
  void Event(std::uint32_t event);
  template <class Act>
  void InSomeCell(const Act& act);
  template <class Act>
  void OnSomePath(const Act& act);
  void ClientActs(ModelClient& client);
  bool SubmitWhatIsDue(ModelClient& client, Seq send_id);  // whether it was taken
  void TryOtherContent(ModelClient& client);
  void TryToBeRefused(ModelClient& client);
  bool DeliverOne(CellId from, CellId to, bool answers);
  void DeliverLate();
  bool Connect(CellId from, CellId to);
  void CalmDown();
  bool CalmRound();
  bool SubmitTheRest();
  void CheckAtRest();
  Seq LastToSend(const ModelClient& client) const;
  CellId AnyCell() { return static_cast<CellId>(rng_.Below(plan_.cells)); }

  const Plan plan_;
  std::string* const trace_;
  Rng rng_;
  bool calm_ = false;
  std::vector<std::unique_ptr<ModelCell>> cells_;
  std::vector<std::unique_ptr<ModelClient>> clients_;  // by user - 1
  struct Pair {
    Seq forwarded = 0;
    Seq acknowledged = 0;
  };
  std::map<std::pair<UserId, UserId>, Pair> told_;  // by sender and receiver
  ModelNetwork network_;
  Outcome outcome_;
};

}  // namespace baiwan::mailbox::testing
