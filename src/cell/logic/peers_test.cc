// Two logic servers with a path between them that repeats and loses batches: whatever arrives, how
// often and whether at all, every message is delivered once and in order.
#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "cell/logic/logic.h"
#include "cell/testing/strict.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kUsers = 6;  // of each cell, friends of all in the other one
constexpr Seq kMessages = 240;       // of each user

// One cell: store, logic server, and its end of the path.
class Side final : private RelayPort {
 public:
  Side(NodeContext& node, CellId cell, const placement::PlacementTable& table)
      : cell_(cell), kv_(std::move(*store::OpenMemoryKv(disk_, {}, &node.loop))) {
    store::RecoveryReport report;
    store_ = std::move(*store::Store::Open(*kv_, 0, {}, &report));
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    std::vector<std::pair<PartitionId, wire::UserRecord>> users;
    for (std::uint32_t i = 0; i < kUsers; ++i) {
      wire::UserRecord record;
      record.user = layout.UserAt(cell, i);
      for (std::uint32_t j = 0; j < kUsers; ++j) {
        record.friends.push_back({layout.UserAt(1 - cell, j), 0, 0, 0, 0});
      }
      users.emplace_back(table.PartitionOf(record.user), record);
    }
    EXPECT_EQ(store_->ImportNow(users), store::StoreError{});
    LogicOptions options;
    options.cell = cell;
    options.audit_interval = 50 * kMillisecond;  // finds out where the last batch was lost
    logic = std::make_unique<Logic>(node, options, table, *store_);
    logic->SetRelay(this);
    logic->Start();
  }

  ~Side() override { logic.reset(); }

  std::deque<std::pair<bool, std::string>> out;  // true: a reply
  std::unique_ptr<Logic> logic;

 private:
  void Send(CellId to, std::string_view batch) override {
    EXPECT_NE(to, cell_);
    out.emplace_back(false, batch);
  }
  void Reply(CellId to, std::string_view batch) override {
    EXPECT_NE(to, cell_);
    out.emplace_back(true, batch);
  }
  void SetAccepting(bool) override {}

  const CellId cell_;
  store::MemoryDisk disk_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Store> store_;
};

class PeersTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  PeersTest()
      : loop_(std::move(*net::RealLoop::Create({}))),
        rng_(GetParam()),
        node_{*loop_, loop_->transport(), loop_->clock(), rng_, budget_, fatal_, NoLog()},
        sides_{{node_, 0, table_}, {node_, 1, table_}} {
    for (CellId cell : {0, 1}) Connect(cell);
  }

  void Connect(CellId from) {
    sides_[from].logic->PathUp(1 - from, sides_[1 - from].logic->incarnation());
  }

  // Everything that is under way arrives: once, several times, or never.
  void Carry() {
    for (CellId from : {0, 1}) {
      while (!sides_[from].out.empty()) {
        const auto [reply, batch] = sides_[from].out.front();
        sides_[from].out.pop_front();
        const auto luck = rng_.Below(20);
        const int times = luck == 0 ? 0 : luck < 4 ? 2 : 1;
        Logic& to = *sides_[1 - from].logic;
        for (int i = 0; i < times; ++i)
          reply ? to.ReplyFromPeer(from, batch) : to.FromPeer(from, batch);
        if (luck != 19) continue;
        // The connection breaks: what was on it is gone, and the next session begins.
        sides_[from].out.clear();
        sides_[from].logic->PathDown(1 - from);
        Connect(from);
      }
    }
  }

  void SubmitSome(Seq send_id) {
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    for (CellId cell : {0, 1}) {
      for (std::uint32_t i = 0; i < kUsers; ++i) {
        wire::ClientFrame frame;
        frame.set_request_id(send_id);
        frame.set_reply_when(wire::REPLY_TAKEN);
        wire::Submit* submit = frame.add_submits();
        submit->set_send_id(send_id);
        submit->set_friend_(layout.UserAt(1 - cell, rng_.Below(kUsers)));
        submit->set_body(std::to_string(send_id));
        sides_[cell].logic->FromClient(clients_, 1, layout.UserAt(cell, i), frame);
      }
    }
  }

  bool Done() const {
    std::uint64_t acknowledged = 0;
    for (const Side& side : sides_) acknowledged += side.logic->counters().acknowledged;
    return acknowledged == std::uint64_t{2} * kUsers * kMessages;
  }

  std::unique_ptr<net::RealLoop> loop_;
  Rng rng_;
  Budget budget_{1ULL << 30};
  Unlucky fatal_;
  NodeContext node_;
  Nobody clients_;
  placement::PlacementTable table_{2};
  Side sides_[2];
};

TEST_P(PeersTest, RepeatedAndLostBatchesDoNoHarm) {
  for (Seq s = 1; s <= kMessages; ++s) {
    SubmitSome(s);
    loop_->RunOnce(0);
    Carry();
  }
  const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
  while (!Done() && SystemClock().Monotonic() < until) {
    loop_->RunOnce(kMillisecond);
    Carry();
  }
  ASSERT_TRUE(Done());
  std::uint64_t delivered = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t gaps = 0;
  for (const Side& side : sides_) {
    const LogicCounters& c = side.logic->counters();
    EXPECT_EQ(c.diverged, 0U);
    EXPECT_EQ(c.unknown_users, 0U);
    EXPECT_TRUE(side.logic->AtRest());
    delivered += c.delivered;
    duplicates += c.duplicates;
    gaps += c.gaps;
  }
  EXPECT_EQ(delivered, std::uint64_t{2} * kUsers * kMessages);
  // Or the path was too good to prove anything.
  EXPECT_GT(duplicates, 0U);
  EXPECT_GT(gaps, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seed, PeersTest, ::testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace baiwan::cell
