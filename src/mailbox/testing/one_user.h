// One User with a disk of its own and a note of everything it lets out: for tests of single rules.
//
// What it says is noted as text ("forward 2#1 hello", "ack 2#1", "gap 2#4", "offer 2#1-3"), so that
// a test can name all of it in one line.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mailbox/testing/model_disk.h"
#include "mailbox/user.h"

namespace baiwan::mailbox::testing {

class OneUser final : private Outbound {
 public:
  static constexpr UserId kId = 1;

  // A user with friends 2, 3, … and nothing in its boxes.
  explicit OneUser(std::uint32_t friends = 2);
  explicit OneUser(const wire::UserRecord& record);

  SubmitResult Submit(Seq send_id, UserId to, std::string_view body);
  SubmitResult SubmitVoid(Seq send_id);
  Delivered Deliver(UserId from, Seq pair_seq, std::string_view body);
  // As it came, whether or not its checksum is right.
  Delivered Deliver(const wire::Message& message);
  Delivered Offered(UserId from, Seq first, Seq last) {
    return user->Offered(from, first, last, *this);
  }
  Acked Ack(UserId from, Seq upto) { return user->Ack(from, upto, *open); }
  Acked Gap(UserId from, Seq next, bool may_rewind = false) {
    return user->Gap(from, next, may_rewind, *open);
  }
  void ReadUpTo(Seq seq) { user->ReadUpTo(seq, *open); }
  void StartSession(UserId with = 0);  // 0: with everybody
  // Reads the outbox once from where the user wants it, if it does.
  void Refill();

  // The batch that has gathered is handed over, is durable, or both.
  void Seal();
  Released Finish();
  Released Commit();
  std::size_t under_way() const { return under_way_.size(); }
  // The process ends: what was not durable is gone.
  void Crash();
  // What it has said since the last call.
  std::vector<std::string> Said();

  Limits limits;
  Sent forwards = Sent::kSent;  // how they fare
  UserId forwards_for = 0;      // to whom `forwards` applies, others get kSent; 0: everybody
  int credit = 1 << 30;         // forwards that are kSent before it is kNoCredit
  ModelDisk disk;
  std::unique_ptr<User> user;
  std::unique_ptr<wire::CommitBatch> open;

 private:
  struct UnderWay {
    std::unique_ptr<wire::CommitBatch> batch;
    ModelDisk::Commit commit;
  };

  Sent Forward(User& from, const wire::Message& message) override;
  void Offer(User& from, UserId receiver, Seq first, Seq last) override;
  void Ack(User& receiver, UserId sender, Seq upto) override;
  void Gap(User& receiver, UserId sender, Seq next) override;
  void Load();
  void Open();

  std::deque<UnderWay> under_way_;
  std::vector<std::string> said_;
  std::uint64_t batches_ = 0;
};

// A forward as it comes from an honest sender.
wire::Message ForwardFrom(UserId from, Seq pair_seq, std::string_view body);

}  // namespace baiwan::mailbox::testing
