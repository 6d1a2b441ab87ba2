// What a logic server is around its Users, in a model world: it gathers batches, commits them,
// releases them, reads outboxes back, starts sessions, and loads its users again after a crash.
//
// Everything that the Users let out passes through here and is checked against the disks before it
// goes on its way. The planted mistakes live here as well. Pure; one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "mailbox/testing/model_disk.h"
#include "mailbox/testing/model_network.h"
#include "mailbox/testing/plan.h"
#include "mailbox/user.h"
#include "wire/commit_batch.h"

namespace baiwan::mailbox::testing {

class World;

class ModelCell final : private Outbound {
 public:
  ModelCell(World& world, CellId id);

  bool up() const { return up_; }
  ModelDisk& disk() { return disk_; }
  const ModelDisk& disk() const { return disk_; }

  // Each says whether it had something to do.
  bool Seal();
  bool Complete();
  bool Fail();
  bool ReadBack();  // begins to read an outbox for Refill, or gives what was read to the user
  bool Evict();
  bool BringBack();  // a user with something pending that is on disk only
  bool Crash();
  bool Start();
  void GoBack();  // the disk becomes an older copy of itself; the cell must be down

  void PathUp(CellId to);
  void Audit(CellId to) { PathUp(to); }
  // Nothing may come for this user now.
  bool Busy(UserId user) const;
  void OnFrame(const Frame& frame, bool late);

  SubmitResult Submit(UserId user, const Submission& submission);
  void ReadUpTo(UserId user, Seq seq);
  Counters CountersOf(UserId user);
  // Empty, or what is not as it must be when nothing is left to do.
  std::string AtRest();

 private:
  struct Resident {
    Resident(const wire::UserRecord& record, PartitionId partition) : user(record, partition) {}
    User user;
    bool rewound = false;
    std::optional<std::vector<StoredMessage>> read;  // from the outbox, for Refill
    bool read_in_calm = false;
  };
  struct UnderWay {
    std::unique_ptr<wire::CommitBatch> batch;
    ModelDisk::Commit commit;
  };

  // Outbound
  Sent Forward(User& from, const wire::Message& message) override;
  void Offer(User& from, UserId receiver, Seq first, Seq last) override;
  void Ack(User& receiver, UserId sender, Seq upto) override;
  void Gap(User& receiver, UserId sender, Seq next) override;

  // `before`: what it is loaded in the place of.
  Resident& Load(UserId user, Resident* before = nullptr);
  void LoadRewoundAgain();
  void StartSession(Resident& resident);
  void LoadPending();
  void Open();
  void TakeSnapshots();
  bool IsUnderWay(UserId user) const;
  void Release(const wire::CommitBatch& batch);
  void Deliver(Resident& to, const Frame& frame);
  void OnGap(Resident& sender, const Frame& frame, bool late);
  void Check(const Resident& resident);
  wire::CommitBatch& open() { return *open_; }

  World& world_;
  const Plan& plan_;
  const CellId id_;
  bool up_ = false;
  ModelDisk disk_;
  std::map<UserId, std::unique_ptr<Resident>> residents_;
  std::unique_ptr<wire::CommitBatch> open_;
  std::unique_ptr<wire::CommitBatch> spare_;
  std::deque<UnderWay> under_way_;
  std::uint64_t next_batch_ = 1;
  std::uint64_t last_released_ = 0;
};

}  // namespace baiwan::mailbox::testing
