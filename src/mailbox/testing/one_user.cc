#include "mailbox/testing/one_user.h"

#include <utility>

#include "base/checksum.h"

namespace baiwan::mailbox::testing {
namespace {

wire::UserRecord WithFriends(std::uint32_t friends) {
  wire::UserRecord record;
  record.user = OneUser::kId;
  for (UserId f = 2; f < 2 + friends; ++f) record.friends.push_back({f, 0, 0, 0, 0});
  return record;
}

std::string Place(UserId with, Seq seq) {
  return " " + std::to_string(with) + "#" + std::to_string(seq);
}

}  // namespace

wire::Message ForwardFrom(UserId from, Seq pair_seq, std::string_view body) {
  wire::Message m;
  m.peer = from;
  m.pair_seq = m.send_id = pair_seq;
  m.body = body;
  m.checksum = MessageChecksum(from, OneUser::kId, m.send_id, body);
  return m;
}

OneUser::OneUser(std::uint32_t friends) : OneUser(WithFriends(friends)) {}

OneUser::OneUser(const wire::UserRecord& record) {
  disk.Import(record);
  Open();
  Load();
}

void OneUser::Open() {
  open = std::make_unique<wire::CommitBatch>();
  open->set_number(++batches_);
}

void OneUser::Load() {
  wire::UserRecord record = disk.of(kId).record;
  wire::FinishFold(record);
  user = std::make_unique<User>(record, 0);
  const auto& outbox = disk.of(kId).outbox;
  while (!user->restored()) user->RestorePending(outbox.at(user->restore_from() - 1).View());
}

SubmitResult OneUser::Submit(Seq send_id, UserId to, std::string_view body) {
  return user->Submit({send_id, to, body, MessageChecksum(kId, to, send_id, body), false}, 0,
                      limits, *open);
}

SubmitResult OneUser::SubmitVoid(Seq send_id) {
  return user->Submit({send_id, 0, {}, MessageChecksum(kId, 0, send_id, {}), true}, 0, limits,
                      *open);
}

Delivered OneUser::Deliver(UserId from, Seq pair_seq, std::string_view body) {
  return Deliver(ForwardFrom(from, pair_seq, body));
}

Delivered OneUser::Deliver(const wire::Message& message) {
  return user->Deliver(message, *open, *this);
}

void OneUser::StartSession(UserId with) {
  user->StartSession([with](UserId f) { return with == 0 || f == with; }, *this);
}

void OneUser::Refill() {
  const Seq from = user->RefillFrom();
  if (from == 0) return;
  const auto& outbox = disk.of(kId).outbox;
  for (Seq s = from; s <= outbox.size(); ++s) {
    if (!user->Refill(outbox[s - 1].View(), *this)) return;
  }
}

void OneUser::Seal() {
  const Lsn lsn = disk.commits() + under_way_.size() + 1;
  for (auto& part : open->users()) {
    if (part.out.count > 0) part.heads->out = lsn;
    if (part.in.count > 0) part.heads->in = lsn;
    part.heads_after = *part.heads;
  }
  for (auto& snapshot : open->snapshots()) {
    snapshot.record.heads = *snapshot.heads;
    snapshot.record.as_of = lsn;
  }
  ModelDisk::Commit commit = ModelDisk::Copy(*open);
  under_way_.push_back({std::move(open), std::move(commit)});
  Open();
}

Released OneUser::Finish() {
  const UnderWay done = std::move(under_way_.front());
  under_way_.pop_front();
  const std::string wrong = disk.Append(done.commit);
  if (!wrong.empty()) {
    said_.push_back("WRONG ON DISK: " + wrong);
    return {};
  }
  Released released;
  for (const auto& part : done.batch->users()) {
    released = user->Release(*done.batch, part, *this);
  }
  return released;
}

Released OneUser::Commit() {
  Seal();
  Released released;
  while (!under_way_.empty()) released = Finish();
  return released;
}

void OneUser::Crash() {
  under_way_.clear();
  Open();
  Load();
}

std::vector<std::string> OneUser::Said() { return std::exchange(said_, {}); }

Outbound::Sent OneUser::Forward(User&, const wire::Message& m) {
  if (forwards != Sent::kSent && (forwards_for == 0 || forwards_for == m.peer)) return forwards;
  if (credit == 0) return Sent::kNoCredit;
  --credit;
  said_.push_back("forward" + Place(m.peer, m.pair_seq) + " " + std::string(m.body));
  return Sent::kSent;
}

void OneUser::Offer(User&, UserId receiver, Seq first, Seq last) {
  said_.push_back("offer" + Place(receiver, first) + "-" + std::to_string(last));
}

void OneUser::Ack(User&, UserId sender, Seq upto) { said_.push_back("ack" + Place(sender, upto)); }

void OneUser::Gap(User&, UserId sender, Seq next) { said_.push_back("gap" + Place(sender, next)); }

}  // namespace baiwan::mailbox::testing
