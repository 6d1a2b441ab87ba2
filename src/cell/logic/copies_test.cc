// Cells whose stores are put back from copies while everybody talks to everybody: in the end each
// inbox has what its senders' outboxes have, once and in order, and no number is given out twice.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "cell/logic/logic.h"
#include "cell/testing/strict.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"
#include "store/log/keys.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kCells = 3;
constexpr std::uint32_t kUsers = 3;  // of each cell, friends of everybody
constexpr int kRounds = 120;

// Keeps the SendId that each user was told last; the session is the user.
class Clients final : public ClientPort {
 public:
  void ToClient(SessionId session, const wire::ServerFrame& frame) override {
    if (frame.has_user()) send_id[session] = frame.user().counters().send_id();
  }
  std::map<UserId, Seq> send_id;
};

class CopiedCell final : private RelayPort {
 public:
  struct Carried {
    CellId to = 0;
    bool reply = false;
    std::string batch;
  };

  CopiedCell(NodeContext& node, CellId cell, const placement::PlacementTable& table)
      : node_(node), cell_(cell), table_(table), layout_(kCells, placement::kDefaultPartitions) {
    Open();
    std::vector<std::pair<PartitionId, wire::UserRecord>> users;
    for (const UserId user : Users()) {
      wire::UserRecord record;
      record.user = user;
      for (const UserId f : Everybody()) {
        if (f != user) record.friends.push_back({f, 0, 0, 0, 0});
      }
      users.emplace_back(table.PartitionOf(user), record);
    }
    EXPECT_EQ(store_->ImportNow(users), store::StoreError{});
    Start();
  }
  ~CopiedCell() override { Stop(); }

  std::vector<UserId> Users() const {
    std::vector<UserId> users;
    for (std::uint32_t i = 0; i < kUsers; ++i) users.push_back(layout_.UserAt(cell_, i));
    return users;
  }
  std::vector<UserId> Everybody() const {
    std::set<UserId> users;
    for (CellId c = 0; c < kCells; ++c) {
      for (std::uint32_t i = 0; i < kUsers; ++i) users.insert(layout_.UserAt(c, i));
    }
    return {users.begin(), users.end()};
  }

  store::MemoryDisk::Image Copy() const { return disk_.Snapshot(); }
  // With `said` as `baiwan restore` does, else as somebody does who forgets it.
  void PutBack(store::MemoryDisk::Image copy, bool said) {
    Stop();
    out.clear();
    if (said) {
      auto& meta = copy[static_cast<std::size_t>(store::Space::kMeta)];
      meta["life"] = store::MetaValue("life", ++lives_);
      meta[store::PutBackKey(0)] = store::MetaValue(store::PutBackKey(0), 1);
    }
    disk_.Restore(std::move(copy));
    Open();
    Start();
  }
  void Restart() {
    Stop();
    out.clear();
    Open();
    Start();
  }

  std::vector<wire::Message> ReadBox(net::RealLoop& loop, UserId user, wire::Box box) {
    std::vector<wire::Message> all;
    bool done = false;
    Lsn head = 0;
    store_->Load(table_.PartitionOf(user), user, [&](auto record) {
      EXPECT_TRUE(record);
      if (record) head = box == wire::Box::kOut ? record->heads.out : record->heads.in;
      done = true;
    });
    while (!done) loop.RunOnce(kMillisecond);
    done = head == 0;
    while (!done) {
      bool answered = false;
      store_->ReadBox(user, box, head, all.size() + 1, 1000, 1 << 20, [&](auto page) {
        answered = true;
        EXPECT_TRUE(page);
        done = !page || page->messages.empty();
        if (!page) return;
        for (const wire::Message& m : page->messages) all.push_back(m);
      });
      while (!answered) loop.RunOnce(kMillisecond);
    }
    return all;
  }

  std::deque<Carried> out;
  std::unique_ptr<Logic> logic;

 private:
  void Open() {
    store::MemoryKvOptions kv;
    kv.commit_delay = kMillisecond / 2;
    kv_ = std::move(*store::OpenMemoryKv(disk_, kv, &node_.loop));
    store::RecoveryReport report;
    store_ = std::move(*store::Store::Open(*kv_, 0, {}, &report));
  }
  void Start() {
    LogicOptions options;
    options.cell = cell_;
    options.audit_interval = 50 * kMillisecond;
    logic = std::make_unique<Logic>(node_, options, table_, *store_);
    logic->SetRelay(this);
    logic->Start();
  }
  void Stop() {
    logic.reset();
    store_.reset();
    kv_.reset();
  }
  void Send(CellId to, std::string_view batch) override {
    out.push_back({to, false, std::string(batch)});
  }
  void Reply(CellId to, std::string_view batch) override {
    out.push_back({to, true, std::string(batch)});
  }
  void SetAccepting(bool) override {}

  NodeContext& node_;
  const CellId cell_;
  const placement::PlacementTable& table_;
  const placement::UserLayout layout_;
  store::MemoryDisk disk_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Store> store_;
  std::uint64_t lives_ = 1000;
};

// What all logic servers of a run counted, those that are gone included.
struct Seen {
  std::uint64_t comparisons = 0;
  std::uint64_t rewinds = 0;
  std::uint64_t returned = 0;
  std::uint64_t lost = 0;
  void Add(const LogicCounters& c) {
    comparisons += c.comparisons;
    rewinds += c.rewinds;
    returned += c.returned;
    lost += c.lost;
  }
};

class CopiesWorld {
 public:
  explicit CopiesWorld(std::uint64_t seed)
      : loop_(std::move(*net::RealLoop::Create({}))),
        rng_(seed),
        node_{*loop_, loop_->transport(), loop_->clock(), rng_, budget_, fatal_, NoLog()} {
    for (CellId c = 0; c < kCells; ++c) {
      cells_.push_back(std::make_unique<CopiedCell>(node_, c, table_));
    }
    for (CellId c = 0; c < kCells; ++c) Reconnect(c);
  }

  void Run(bool said, int victims) {
    const bool same = !said;
    std::map<CellId, store::MemoryDisk::Image> copies;
    const int copied = static_cast<int>(rng_.Below(kRounds / 2));
    for (int round = 0; round < kRounds; ++round) {
      Talk(same);
      for (std::uint64_t n = rng_.Below(6); n > 0; --n) {
        loop_->RunOnce(kMillisecond);
        Carry(rng_.Chance(0.5));
      }
      if (round == copied) {
        for (CellId c = 0; c < static_cast<CellId>(victims); ++c) copies[c] = cells_[c]->Copy();
      }
      if (rng_.Chance(0.03)) {
        const auto cell = static_cast<CellId>(rng_.Below(kCells));
        seen.Add(cells_[cell]->logic->counters());
        cells_[cell]->Restart();
        Reconnect(cell);
      }
      if (round < copied + 5 || copies.empty() || !rng_.Chance(0.1)) continue;
      const CellId cell = copies.begin()->first;
      seen.Add(cells_[cell]->logic->counters());
      cells_[cell]->PutBack(copies.begin()->second, said);
      copies.erase(copies.begin());
      for (const UserId user : cells_[cell]->Users()) clients_.send_id[user] = 0;
      Reconnect(cell);
    }
    const auto at_rest = [&] {
      for (auto& cell : cells_) {
        if (!cell->logic->AtRest() || cell->logic->mending()) return false;
      }
      return true;
    };
    const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
    for (int calm = 0; calm < 50 && SystemClock().Monotonic() < until;) {
      loop_->RunOnce(kMillisecond);
      Carry(true);
      calm = at_rest() ? calm + 1 : 0;
    }
    EXPECT_TRUE(at_rest());
    Check();
  }

  Seen seen;

 private:
  // All links of this cell are made anew.
  void Reconnect(CellId cell) {
    for (auto& c : cells_) {
      std::erase_if(c->out, [&](const auto& b) { return b.to == cell || c == cells_[cell]; });
    }
    for (CellId other = 0; other < kCells; ++other) {
      if (other == cell) continue;
      Connect(cell, other);
      Connect(other, cell);
    }
  }
  void Connect(CellId from, CellId to) {
    cells_[from]->logic->PathDown(to);
    cells_[from]->logic->PathUp(to, cells_[to]->logic->incarnation());
  }

  void Carry(bool all) {
    for (CellId from = 0; from < kCells; ++from) {
      auto& out = cells_[from]->out;
      for (std::size_t n = all ? out.size() : rng_.Below(out.size() + 1); n > 0; --n) {
        const CopiedCell::Carried c = std::move(out.front());
        out.pop_front();
        Logic& to = *cells_[c.to]->logic;
        c.reply ? to.ReplyFromPeer(from, c.batch) : to.FromPeer(from, c.batch);
      }
    }
  }

  // What a client says under a number: the same each time, or what just comes to its mind.
  std::string Body(UserId user, Seq n, bool same) {
    return fmt::format("{} says {} {}", user, n, same ? 0 : ++said_);
  }
  void Talk(bool same) {
    const std::vector<UserId> everybody = cells_[0]->Everybody();
    for (auto& cell : cells_) {
      for (const UserId user : cell->Users()) {
        wire::ClientFrame frame;
        frame.set_request_id(1);
        frame.set_reply_when(wire::REPLY_TAKEN);
        frame.set_get_user(true);
        const Seq known = clients_.send_id[user];
        for (Seq n = known + 1; n <= known + rng_.Below(4); ++n) {
          Rng which(Mix(user, n));
          const UserId to =
              everybody[same ? which.Below(everybody.size()) : rng_.Below(everybody.size())];
          wire::Submit* submit = frame.add_submits();
          submit->set_send_id(n);
          submit->set_is_void(to == user);
          if (to == user) continue;
          submit->set_friend_(to);
          submit->set_body(Body(user, n, same));
        }
        cell->logic->FromClient(clients_, user, user, frame);
      }
    }
  }

  void Check() {
    using Named = std::pair<Seq, std::uint32_t>;  // send id, checksum
    std::map<std::pair<UserId, UserId>, std::vector<Named>> sent;
    std::map<std::pair<UserId, UserId>, std::vector<Named>> received;
    std::uint64_t lost = 0;
    for (auto& cell : cells_) {
      EXPECT_EQ(cell->logic->counters().diverged, 0U);
      seen.Add(cell->logic->counters());
      cell->Restart();  // or snapshots would not say everything
      for (const UserId user : cell->Users()) {
        for (const wire::Message& m : cell->ReadBox(*loop_, user, wire::Box::kOut)) {
          if (m.kind == wire::Kind::kText) sent[{user, m.peer}].emplace_back(m.send_id, m.checksum);
          lost += m.reason == wire::VoidReason::kLost ? 1 : 0;
        }
        for (const wire::Message& m : cell->ReadBox(*loop_, user, wire::Box::kIn)) {
          received[{m.peer, user}].emplace_back(m.send_id, m.checksum);
        }
      }
    }
    for (const auto& [pair, messages] : received) sent[pair];
    for (const auto& [pair, messages] : sent) {
      EXPECT_EQ(messages, received[pair]) << pair.first << " to " << pair.second;
    }
    EXPECT_LE(lost, seen.lost);  // some were found twice, if that was not durable
  }

  std::unique_ptr<net::RealLoop> loop_;
  Rng rng_;
  Budget budget_{1ULL << 30};
  Unlucky fatal_;
  NodeContext node_;
  Clients clients_;
  placement::PlacementTable table_{kCells};
  std::vector<std::unique_ptr<CopiedCell>> cells_;
  std::uint64_t said_ = 0;
};

Seen RunSeeds(bool said, int victims) {
  Seen all;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    CopiesWorld world(seed);
    world.Run(said, victims);
    all.comparisons += world.seen.comparisons;
    all.rewinds += world.seen.rewinds;
    all.returned += world.seen.returned;
    all.lost += world.seen.lost;
  }
  // Or nothing was missing, and nothing is proved.
  EXPECT_GT(all.rewinds, 0U);
  EXPECT_GT(all.returned, 0U);
  EXPECT_GT(all.comparisons, 0U);
  return all;
}

TEST(CopiesTest, OneStoreThatWasPutBackGetsAllThatAnybodyHas) {
  EXPECT_GT(RunSeeds(true, 1).lost, 0U);
}

TEST(CopiesTest, TwoStoresAreMendedFromEachOther) { EXPECT_GT(RunSeeds(true, 2).lost, 0U); }

TEST(CopiesTest, ACopyThatNobodySpeaksOfIsFoundByTheOthers) { RunSeeds(false, 1); }

}  // namespace
}  // namespace baiwan::cell
