#include "sim/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/checksum.h"
#include "sim/world.h"

namespace baiwan::sim {

namespace {

using store::Store;

constexpr std::uint32_t kPage = 64;
constexpr std::size_t kPageBytes = 64 << 10;

// Opens a store and reads all of its users, one after the other.
class Inspector final : public Program {
 public:
  Inspector(Node& node, const Workload& workload, CellId cell, const store::StoreOptions& options,
            const std::set<UserId>& hit, Disks& disks, std::string& wrong)
      : workload_(workload),
        cell_(cell),
        users_(workload.UsersOf(cell)),
        hit_(hit),
        disks_(disks),
        wrong_(wrong) {
    Open(node, options);
  }
  bool done() const { return done_; }

 private:
  void Open(Node& node, const store::StoreOptions& options) {
    auto opened = Store::Open(node.kv(), 0, options, &report_);
    if (!opened.ok()) return Complain(Message(opened.error()));
    store_ = std::move(*opened);
    const bool any = std::any_of(users_.begin(), users_.end(), [this](UserId u) { return Hit(u); });
    loss_ = report_.damaged_blocks + report_.torn_blocks > 0;
    if (!any && (loss_ || !report_.quarantined.empty())) {
      return Complain(fmt::format("{} damaged blocks, {} torn ones, {} users in quarantine",
                                  report_.damaged_blocks, report_.torn_blocks,
                                  report_.quarantined.size()));
    }
    LoadNext();
  }
  bool Hit(UserId user) const { return hit_.count(user) > 0; }
  // This user's records do not read back; on with the next one, if that may be.
  void Refuse(UserId user, const std::string& why) {
    const auto& named = report_.quarantined;
    if (!Hit(user) && std::count(named.begin(), named.end(), user) == 0) {
      return Complain(fmt::format("user {}: {}", user, why));
    }
    disks_[user].refused = why;
    ++at_;
    LoadNext();
  }
  void Complain(const std::string& what) {
    if (wrong_.empty()) wrong_ = fmt::format("the store of cell {}: {}", cell_, what);
    done_ = true;
  }
  void LoadNext() {
    if (at_ == users_.size()) {
      done_ = true;
      return;
    }
    const UserId user = users_[at_];
    store_->Load(workload_.table().PartitionOf(user), user, [this, user](auto record) {
      disks_[user].loss = loss_;
      if (!record.ok()) return Refuse(user, Message(record.error()));
      wire::FinishFold(*record);  // as whoever loads a user does
      disks_[user].record = std::move(*record);
      ReadNext(user, wire::Box::kOut);
    });
  }
  void ReadNext(UserId user, wire::Box box) {
    UserOnDisk& u = disks_[user];
    auto& entries = box == wire::Box::kOut ? u.out : u.in;
    const Seq last = box == wire::Box::kOut ? u.record.send_id : u.record.receive_id;
    if (entries.size() >= last) {
      if (box == wire::Box::kOut) return ReadNext(user, wire::Box::kIn);
      ++at_;
      return LoadNext();
    }
    const Lsn head = box == wire::Box::kOut ? u.record.heads.out : u.record.heads.in;
    store_->ReadBox(
        user, box, head, entries.size() + 1, kPage, kPageBytes,
        [this, user, box, &entries](auto page) {
          if (!page.ok() || page->messages.empty()) {
            return Refuse(
                user, fmt::format("the {} cannot be read from {} on: {}",
                                  box == wire::Box::kOut ? "outbox" : "inbox", entries.size() + 1,
                                  page.ok() ? "nothing there" : Message(page.error())));
          }
          for (const wire::Message& m : page->messages) {
            entries.push_back({m, std::string(m.body)});
            entries.back().message.body = {};
          }
          ReadNext(user, box);
        });
  }

  const Workload& workload_;
  const CellId cell_;
  const std::vector<UserId> users_;
  const std::set<UserId>& hit_;
  Disks& disks_;
  std::string& wrong_;
  store::RecoveryReport report_;
  std::unique_ptr<Store> store_;
  std::size_t at_ = 0;
  bool loss_ = false;
  bool done_ = false;
};

std::string CheckOutbox(const Stage& stage, UserId user, const UserOnDisk& u) {
  const Workload& workload = stage.workload;
  std::map<UserId, Seq> pair;
  for (std::size_t i = 0; i < u.out.size(); ++i) {
    const auto& [m, body] = u.out[i];
    const Seq n = i + 1;
    const Workload::Item item = workload.At(user, n);
    if (m.seq != n || m.send_id != n) return fmt::format("outbox: {} stands at {}", m.seq, n);
    if (m.kind == wire::Kind::kVoid) {
      // Also what waited for its number when its pair stopped.
      if (item.is_void || stage.hit.count(item.to) > 0 || stage.hit.count(user) > 0) continue;
    }
    if ((m.kind == wire::Kind::kVoid) != item.is_void) {
      return fmt::format("outbox: {} is a void, or should be", n);
    }
    if (m.peer != item.to || body != item.body) return fmt::format("outbox: {} was altered", n);
    if (m.pair_seq != ++pair[item.to]) return fmt::format("outbox: pair sequence of {}", n);
    if (m.checksum != MessageChecksum(user, item.to, n, body)) {
      return fmt::format("outbox: checksum of {}", n);
    }
  }
  if (u.record.send_id != u.out.size()) return "SendId is not the length of the outbox";
  return {};
}

std::string CheckInbox(const Workload& workload, UserId user, const UserOnDisk& u) {
  std::map<UserId, Seq> pair;
  for (std::size_t i = 0; i < u.in.size(); ++i) {
    const auto& [m, body] = u.in[i];
    if (m.seq != i + 1) return fmt::format("inbox: {} stands at {}", m.seq, i + 1);
    if (!workload.AreFriends(user, m.peer)) return fmt::format("inbox: {} is foreign", m.seq);
    const Workload::Item item = workload.At(m.peer, m.send_id);
    if (item.is_void || item.to != user || item.body != body) {
      return fmt::format("inbox: {} is not what {} sent", m.seq, m.peer);
    }
    if (m.pair_seq != ++pair[m.peer]) return fmt::format("inbox: pair sequence of {}", m.seq);
    if (m.checksum != MessageChecksum(m.peer, user, m.send_id, body)) {
      return fmt::format("inbox: checksum of {}", m.seq);
    }
  }
  if (u.record.receive_id != u.in.size()) return "ReceiveId is not the length of the inbox";
  return {};
}

std::string CheckTold(const UserOnDisk& u, const Notebook& told) {
  if (u.record.send_id < told.send_id) {
    return fmt::format("was told SendId {}, and there is {}", told.send_id, u.record.send_id);
  }
  if (u.record.receive_id < told.receive_id) {
    return fmt::format("was told ReceiveId {}, and there is {}", told.receive_id,
                       u.record.receive_id);
  }
  for (std::size_t i = 0; i < told.received.size(); ++i) {
    const wire::Message& m = u.in[i].message;
    if (told.received[i] != std::pair<UserId, Seq>{m.peer, m.send_id}) {
      return fmt::format("was pushed another message as {} than is there", i + 1);
    }
  }
  return {};
}

std::string Unacknowledged(const wire::UserRecord& record) {
  std::string text;
  for (const wire::FriendRecord& f : record.friends) {
    if (f.acked < f.sent) text += fmt::format(", to {} {} of {}", f.id, f.acked, f.sent);
  }
  return text;
}

}  // namespace

Result<Disks, std::string> ReadDisks(const Workload& workload,
                                     const std::vector<SimDisk::Contents>& by_cell,
                                     const store::StoreOptions& options,
                                     const std::set<UserId>& hit) {
  World world(1);
  Disks disks;
  std::string wrong;
  std::vector<const Inspector*> inspectors;
  for (CellId cell = 0; cell < by_cell.size(); ++cell) {
    Node& node = world.AddNode(fmt::format("inspector{}", cell), [&, cell](Node& n) {
      n.disk().Replace(by_cell[cell]);
      return std::make_unique<Inspector>(n, workload, cell, options, hit, disks, wrong);
    });
    inspectors.push_back(static_cast<const Inspector*>(node.program()));
  }
  const Ran ran = world.RunUntil(
      [&] {
        for (const Inspector* i : inspectors) {
          if (!i->done()) return false;
        }
        return true;
      },
      1000 * kSecond);
  if (wrong.empty() && ran != Ran::kHolds) wrong = "a store does not answer";
  if (!wrong.empty()) return wrong;
  return disks;
}

std::string CheckBoxes(const Stage& stage, const Disks& disks) {
  for (const auto& [user, u] : disks) {
    if (!u.refused.empty()) continue;
    std::string wrong = CheckOutbox(stage, user, u);
    if (wrong.empty()) wrong = CheckInbox(stage.workload, user, u);
    const auto told = stage.notebooks.find(user);
    const bool lost = u.loss && stage.hit.count(user) > 0;
    // Who has not been back since a loss was told of what is gone.
    const bool asked = told != stage.notebooks.end() && told->second.losses == stage.LossesOf(user);
    if (wrong.empty() && asked && !lost) wrong = CheckTold(u, told->second);
    if (!wrong.empty()) return fmt::format("user {}: {}", user, wrong);
  }
  return {};
}

std::string CheckDelivered(const Stage& stage, const Disks& disks) {
  const auto hit = [&stage, &disks](UserId user) {
    return (stage.hit.count(user) > 0 && !stage.comes_back) || !disks.at(user).refused.empty();
  };
  Seq sent = 0;
  Seq received = 0;
  for (const auto& [receiver, r] : disks) {
    if (hit(receiver)) continue;
    std::map<UserId, std::vector<Seq>> by_sender;
    for (const BoxEntry& e : r.in) by_sender[e.message.peer].push_back(e.message.send_id);
    bool all = true;
    for (const UserId sender : stage.workload.FriendsOf(receiver)) {
      all = all && !hit(sender);
      if (hit(sender)) continue;
      received += by_sender[sender].size();
      std::vector<Seq> to_receiver;
      for (const BoxEntry& e : disks.at(sender).out) {
        if (e.message.kind == wire::Kind::kText && e.message.peer == receiver) {
          to_receiver.push_back(e.message.send_id);
        }
      }
      if (by_sender[sender] == to_receiver) continue;
      return fmt::format("{} has {} messages from {}, who sent {}: not the same", receiver,
                         by_sender[sender].size(), sender, to_receiver.size());
    }
    if (all && r.record.send_ack_id != r.record.send_id) {
      return fmt::format("user {}: SendId {}, SendAckId {}{}", receiver, r.record.send_id,
                         r.record.send_ack_id, Unacknowledged(r.record));
    }
    for (const BoxEntry& e : r.out) {
      sent += e.message.kind == wire::Kind::kText && !hit(e.message.peer) ? 1 : 0;
    }
  }
  if (sent != received) return fmt::format("{} messages sent, {} received", sent, received);
  return {};
}

std::string CheckFinished(const Stage& stage, const Disks& disks) {
  for (const auto& [user, book] : stage.notebooks) {
    const UserOnDisk& u = disks.at(user);
    if (!stage.MustFinish(user) || !u.refused.empty()) continue;
    const Seq messages = stage.workload.messages();
    if (u.record.send_id != messages) {
      return fmt::format("user {}: SendId {} of {}", user, u.record.send_id, messages);
    }
    if (book.send_id != u.record.send_id || book.send_ack_id != u.record.send_ack_id) {
      return fmt::format("user {}: was not told the last counters", user);
    }
    const Seq inbound = stage.workload.Inbound(user);
    for (const Seq place : book.read_up_to) {
      if (place == inbound || !stage.MustRead(user)) continue;
      return fmt::format("user {}: a device read {} of {}, in {} connections", user, place, inbound,
                         book.connects);
    }
  }
  return {};
}

}  // namespace baiwan::sim
