// A cell's disk in a model world: a log of commits, and what it folds to.
//
// Folds with wire::Fold*, as recovery does, at the moment a commit becomes durable, so what it says
// about a user is what a restart would find. Pure; one thread.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "wire/commit_batch.h"
#include "wire/message.h"
#include "wire/user_record.h"

namespace baiwan::mailbox::testing {

// A wire::Message that owns its body.
struct StoredMessage {
  StoredMessage() = default;
  explicit StoredMessage(const wire::Message& m) : head(m), body(m.body) { head.body = {}; }
  wire::Message View() const {
    wire::Message m = head;
    m.body = body;
    return m;
  }

  wire::Message head;
  std::string body;
};

class ModelDisk {
 public:
  struct Section {
    UserId user = 0;
    std::vector<StoredMessage> out;
    std::vector<StoredMessage> in;
    std::vector<std::pair<UserId, Seq>> acks;
    Seq cursor = 0;
    wire::BoxHeads heads;
  };
  struct Commit {
    std::vector<Section> sections;
    std::vector<wire::UserRecord> snapshots;
  };
  struct Mailbox {
    wire::UserRecord first;   // as imported
    wire::UserRecord record;  // with the log folded in
    std::vector<StoredMessage> outbox;
    std::vector<StoredMessage> inbox;
    std::map<UserId, std::vector<std::size_t>> sent;      // by friend, places in the outbox
    std::map<UserId, std::vector<std::size_t>> received;  // by friend, places in the inbox
    Seq send_ack_id = 0;                                  // what the record alone does not know
  };

  void Import(const wire::UserRecord& record);
  static Commit Copy(const wire::CommitBatch& batch);
  // Empty, or what does not follow.
  std::string Append(Commit commit);
  // As if only the first `commits` had ever been written.
  void Truncate(std::size_t commits);

  std::size_t commits() const { return log_.size(); }
  const Mailbox& of(UserId user) const { return mailboxes_.at(user); }
  const std::map<UserId, Mailbox>& mailboxes() const { return mailboxes_; }

 private:
  static std::string Fold(Mailbox& mailbox, const Section& section);
  static void Settle(Mailbox& mailbox);

  std::map<UserId, Mailbox> mailboxes_;
  std::vector<Commit> log_;
};

}  // namespace baiwan::mailbox::testing
