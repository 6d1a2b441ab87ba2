#include "mailbox/testing/model_disk.h"

namespace baiwan::mailbox::testing {

using wire::CommitBatch;

void ModelDisk::Import(const wire::UserRecord& record) {
  Mailbox& m = mailboxes_[record.user];
  m.first = m.record = record;
}

ModelDisk::Commit ModelDisk::Copy(const CommitBatch& batch) {
  Commit commit;
  for (const CommitBatch::User& u : batch.users()) {
    Section s;
    s.user = u.user;
    for (auto i = u.out.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
      s.out.emplace_back(batch.entry(i).message);
    }
    for (auto i = u.in.first; i != CommitBatch::kEnd; i = batch.entry(i).next) {
      s.in.emplace_back(batch.entry(i).message);
    }
    for (auto i = u.acks.first; i != CommitBatch::kEnd; i = batch.ack(i).next) {
      s.acks.emplace_back(batch.ack(i).from, batch.ack(i).upto);
    }
    s.cursor = u.cursor;
    s.heads = u.heads_after;
    commit.sections.push_back(std::move(s));
  }
  for (const CommitBatch::Snapshot& s : batch.snapshots()) commit.snapshots.push_back(s.record);
  return commit;
}

std::string ModelDisk::Append(Commit commit) {
  for (const Section& s : commit.sections) {
    const std::string wrong = Fold(mailboxes_.at(s.user), s);
    if (!wrong.empty()) return "user " + std::to_string(s.user) + ": " + wrong;
  }
  // A snapshot says the same as the log before it; what it knows better is taken from it.
  for (const wire::UserRecord& snapshot : commit.snapshots) {
    wire::UserRecord& record = mailboxes_.at(snapshot.user).record;
    wire::UserRecord same = snapshot;
    same.send_ack_id = record.send_ack_id;
    same.as_of = record.as_of;
    if (!(same == record)) {
      return "user " + std::to_string(snapshot.user) + ": the snapshot is not what the log says";
    }
    record.send_ack_id = snapshot.send_ack_id;
  }
  log_.push_back(std::move(commit));
  return {};
}

std::string ModelDisk::Fold(Mailbox& mailbox, const Section& section) {
  wire::UserRecord& record = mailbox.record;
  for (const StoredMessage& m : section.out) {
    if (!wire::FoldOut(record, m.View())) return "an outbox section does not follow";
    if (m.head.kind == wire::Kind::kText) {
      mailbox.sent[m.head.peer].push_back(mailbox.outbox.size());
    }
    mailbox.outbox.push_back(m);
  }
  for (const StoredMessage& m : section.in) {
    if (!wire::FoldIn(record, m.View())) return "an inbox section does not follow";
    mailbox.received[m.head.peer].push_back(mailbox.inbox.size());
    mailbox.inbox.push_back(m);
  }
  for (const auto& [from, upto] : section.acks) {
    const Seq before = record.Find(from) == nullptr ? 0 : record.Find(from)->acked;
    if (!wire::FoldAck(record, from, upto)) return "an acknowledgement does not follow";
    if (record.Find(from)->acked < before) mailbox.send_ack_id = 0;
  }
  if (section.cursor > 0 && !wire::FoldCursor(record, section.cursor)) {
    return "a cursor does not follow";
  }
  record.heads = section.heads;
  Settle(mailbox);
  return {};
}

void ModelDisk::Settle(Mailbox& mailbox) {
  while (mailbox.send_ack_id < mailbox.outbox.size()) {
    const wire::Message& m = mailbox.outbox[mailbox.send_ack_id].head;
    if (m.kind == wire::Kind::kText && m.pair_seq > mailbox.record.Find(m.peer)->acked) return;
    ++mailbox.send_ack_id;
  }
}

void ModelDisk::Truncate(std::size_t commits) {
  std::vector<Commit> kept = std::move(log_);
  kept.resize(commits);
  log_.clear();
  for (auto& [user, mailbox] : mailboxes_) {
    const wire::UserRecord first = mailbox.first;
    mailbox = {};
    mailbox.first = mailbox.record = first;
  }
  for (Commit& c : kept) Append(std::move(c));
}

}  // namespace baiwan::mailbox::testing
