// A logic server that has too little memory: who goes, what is dropped, what is refused, and that
// nothing goes that somebody was promised.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cell/logic/logic.h"
#include "cell/testing/strict.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kUsers = 60;
constexpr Seq kMessages = 20;  // of each user, to the next one

// Keeps what clients are told.
class Hears final : public ClientPort {
 public:
  void ToClient(SessionId, const wire::ServerFrame& frame) override { frames.push_back(frame); }
  std::vector<wire::ServerFrame> frames;
};

class EvictTest : public ::testing::Test {
 protected:
  // Everybody is a friend of his two neighbours.
  void Start(std::uint32_t users, const LogicOptions& options = {},
             const store::StoreOptions& store_options = {}) {
    users_ = users;
    kv = std::move(*store::OpenMemoryKv(disk, {}, loop.get()));
    store::RecoveryReport report;
    store = std::move(*store::Store::Open(*kv, 0, store_options, &report));
    std::vector<std::pair<PartitionId, wire::UserRecord>> records;
    for (std::uint32_t i = 0; i < users; ++i) {
      wire::UserRecord record;
      record.user = User(i);
      for (const std::uint32_t j : {i + 1, i + users - 1}) {
        record.friends.push_back({User(j), 0, 0, 0, 0});
      }
      std::sort(record.friends.begin(), record.friends.end(),
                [](const auto& a, const auto& b) { return a.id < b.id; });
      records.emplace_back(table.PartitionOf(record.user), record);
    }
    ASSERT_EQ(store->ImportNow(records), store::StoreError{});
    logic = std::make_unique<Logic>(node, options, table, *store);
    logic->Start();
  }
  UserId User(std::uint32_t i) const { return layout.UserAt(0, i % users_); }
  bool RunUntil(const std::function<bool()>& done) {
    const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
    while (!done() && SystemClock().Monotonic() < until) loop->RunOnce(kMillisecond);
    return done();
  }
  void Connect(ClientPort& client, SessionId session, std::uint32_t user) {
    wire::ClientFrame frame;
    frame.mutable_connect()->set_user(User(user));
    logic->FromClient(client, session, User(user), frame);
  }
  // With the session's own frame if there is no request id.
  void Submit(ClientPort& client, SessionId session, std::uint32_t user, Seq send_id,
              std::uint32_t to, const std::string& body, std::uint64_t request_id) {
    wire::ClientFrame frame;
    frame.set_request_id(request_id);
    frame.set_reply_when(wire::REPLY_TAKEN);
    wire::Submit* submit = frame.add_submits();
    submit->set_send_id(send_id);
    submit->set_friend_(User(to));
    submit->set_body(body);
    logic->FromClient(client, session, User(user), frame);
  }
  // Others leave no memory for any resident.
  void FillBudget() { budget.ChargeAlways(Account::kLinks, budget.soft_limit() + 1); }

  std::unique_ptr<net::RealLoop> loop = std::move(*net::RealLoop::Create({}));
  Rng rng{1};
  Budget budget{16 << 20};
  Unlucky fatal;
  NodeContext node{*loop, loop->transport(), loop->clock(), rng, budget, fatal, NoLog()};
  placement::PlacementTable table{1};
  const placement::UserLayout layout{1, placement::kDefaultPartitions};
  store::MemoryDisk disk;
  std::unique_ptr<store::Kv> kv;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<Logic> logic;

 private:
  std::uint32_t users_ = 1;
};

TEST_F(EvictTest, AUserWhoIsEvictedInTheCommitOfACheckpointIsThereWhenTheNextMessageComes) {
  FillBudget();
  store::StoreOptions store_options;
  store_options.checkpoint_bytes = 1;  // one is always due
  ASSERT_NO_FATAL_FAILURE(Start(kUsers, {}, store_options));
  Nobody clients;
  for (Seq s = 1; s <= kMessages; ++s) {
    for (std::uint32_t i = 0; i < kUsers; ++i) {
      Submit(clients, 1, i, s, i + 1, std::to_string(s), s);
      loop->RunOnce(0);
    }
  }
  const LogicCounters& c = logic->counters();
  const std::uint64_t all = kUsers * kMessages;
  RunUntil([&] { return c.acknowledged >= all && logic->AtRest(); });
  EXPECT_EQ(c.stored, all);
  EXPECT_EQ(c.delivered, all);
  EXPECT_EQ(c.acknowledged, all);
  // Or nothing of this was tried.
  EXPECT_GT(c.evictions, all / 2);
  EXPECT_GT(c.snapshots, all / 2);
}

// What a turn has to tell is told at its end, from the user himself.
TEST_F(EvictTest, AUserWhomATurnHasStillToTellSomethingIsNotDroppedInIt) {
  ASSERT_NO_FATAL_FAILURE(Start(kUsers));
  Hears client;
  Connect(client, 1, 0);
  ASSERT_TRUE(RunUntil([&] { return !client.frames.empty(); }));
  FillBudget();
  Submit(client, 1, 0, 1, 5, "for a stranger", 0);  // refused at the end of the turn …
  logic->SessionClosed(client, 1, User(0));         // … when nobody is connected any more
  loop->RunOnce(0);
  EXPECT_EQ(logic->resident_users(), 1u);
  EXPECT_TRUE(RunUntil([&] { return logic->resident_users() == 0; }));
}

std::size_t Refusals(const Hears& client, wire::Reason reason) {
  std::size_t n = 0;
  for (const auto& frame : client.frames) {
    for (const auto& r : frame.refusals()) n += r.reason() == reason ? 1 : 0;
  }
  return n;
}

TEST_F(EvictTest, UsersWhoAreConnectedAndDoNothingDoNotStandInTheWayOfOthersEviction) {
  ASSERT_NO_FATAL_FAILURE(Start(2000));
  Hears client;
  for (std::uint32_t i = 0; i < 1000; ++i) Connect(client, i + 1, i);
  ASSERT_TRUE(RunUntil([&] { return client.frames.size() == 1000; }));
  client.frames.clear();
  FillBudget();
  for (std::uint32_t i = 1000; i < 2000; ++i) {
    wire::ClientFrame frame;
    frame.set_request_id(1);
    frame.set_get_user(true);
    logic->FromClient(client, i + 1, User(i), frame);
    loop->RunOnce(0);
  }
  EXPECT_TRUE(RunUntil([&] { return logic->resident_users() == 1000; }));
  EXPECT_EQ(client.frames.size(), 1000u);
  EXPECT_EQ(Refusals(client, wire::REASON_OVERLOADED), 0u);
}

// Messages that wait for one that never comes: they may have an eighth of the memory, for a while.
TEST_F(EvictTest, WhatWaitsForItsNumberHasAShareAndATime) {
  LogicOptions options;
  options.reorder_timeout = 2 * kSecond;
  ASSERT_NO_FATAL_FAILURE(Start(kUsers, options));
  Hears client;
  const std::string body(60'000, 'z');
  for (std::uint32_t i = 0; i + 1 < kUsers; ++i) {
    for (Seq s = 2; s <= 5; ++s) Submit(client, i + 1, i, s, i + 1, body, s);
  }
  ASSERT_TRUE(RunUntil([&] { return client.frames.size() == (kUsers - 1) * 4; }));
  const std::size_t refused = Refusals(client, wire::REASON_OVERLOADED);
  EXPECT_GT(refused, (kUsers - 1) * 2);
  EXPECT_LT(refused, (kUsers - 1) * 4);
  EXPECT_LE(budget.used(Account::kReorder), budget.hard_limit() / 8);
  EXPECT_GT(budget.used(Account::kReorder), budget.hard_limit() / 16);
  // What is next in its order needs no share of it.
  client.frames.clear();
  Submit(client, 1000, kUsers - 1, 1, kUsers, "in order", 1);
  ASSERT_TRUE(RunUntil([&] { return logic->counters().stored == 1; }));
  EXPECT_EQ(Refusals(client, wire::REASON_OVERLOADED), 0u);
  EXPECT_TRUE(RunUntil([&] { return budget.used(Account::kReorder) == 0; }));
  EXPECT_EQ(logic->counters().reorder_dropped, (kUsers - 1) * 4 - refused);
  // The first one does not bring back what is gone, but its client can.
  Submit(client, 1, 0, 1, 1, "the first", 6);
  for (Seq s = 2; s <= 5; ++s) Submit(client, 1, 0, s, 1, body, 6 + s);
  EXPECT_TRUE(RunUntil([&] { return logic->counters().stored == 6; }));
}

// It was answered OK, and its client polls for it.
TEST_F(EvictTest, AMessageThatWaitsForItsNumberIsKeptWhileThereIsMemory) {
  ASSERT_NO_FATAL_FAILURE(Start(kUsers));
  Hears client;
  Submit(client, 1, 0, 1, 1, "one", 1);
  ASSERT_TRUE(RunUntil([&] { return logic->counters().acknowledged == 1 && logic->AtRest(); }));
  FillBudget();
  loop->RunOnce(0);  // his last snapshot is being committed
  ASSERT_EQ(logic->counters().stored, 1u);
  Submit(client, 1, 0, 3, 1, "three", 2);
  for (int turn = 0; turn < 200; ++turn) loop->RunOnce(0);
  ASSERT_EQ(Refusals(client, wire::REASON_OVERLOADED), 0u);
  Submit(client, 1, 0, 2, 1, "two", 3);
  EXPECT_TRUE(RunUntil([&] { return logic->counters().stored == 3; }));
}

TEST_F(EvictTest, WhatWaitsForItsNumberGoesWhenThereIsNoMemoryAtAll) {
  ASSERT_NO_FATAL_FAILURE(Start(kUsers));
  Hears client;
  Submit(client, 1, 0, 2, 1, std::string(60'000, 'z'), 1);
  ASSERT_TRUE(RunUntil([&] { return budget.used(Account::kReorder) > 60'000; }));
  budget.ChargeAlways(Account::kLinks, budget.hard_limit());
  EXPECT_TRUE(RunUntil([&] { return budget.used(Account::kReorder) == 0; }));
}

// Knows whether the cell takes what other cells send.
class Knows final : public RelayPort {
 public:
  void Send(CellId, std::string_view) override {}
  void Reply(CellId, std::string_view) override {}
  void SetAccepting(bool accepting) override { accepts = accepting; }
  bool accepts = true;
};

TEST_F(EvictTest, AtTheHardLimitNothingThatNeedsMemoryIsTakenFromAnybody) {
  ASSERT_NO_FATAL_FAILURE(Start(kUsers));
  Knows relay;
  logic->SetRelay(&relay);
  Hears client;
  Submit(client, 1, 0, 1, 1, "one", 1);
  ASSERT_TRUE(RunUntil([&] { return logic->counters().acknowledged == 1; }));
  Submit(client, 1, 0, 2, 1, "two", 2);  // on its way to a friend
  ASSERT_GT(logic->resident_users(), 0u);
  budget.ChargeAlways(Account::kLinks, budget.hard_limit());
  EXPECT_TRUE(RunUntil([&] { return !relay.accepts && logic->counters().stored == 2; }));
  Submit(client, 1, 0, 3, 1, "three", 3);
  EXPECT_TRUE(RunUntil([&] { return Refusals(client, wire::REASON_OVERLOADED) == 1; }));
  for (int turn = 0; turn < 200; ++turn) loop->RunOnce(0);
  EXPECT_EQ(logic->counters().delivered, 1u);
  EXPECT_EQ(logic->counters().stored, 2u);
  budget.Release(Account::kLinks, budget.hard_limit());
  EXPECT_TRUE(RunUntil([&] { return relay.accepts && logic->counters().acknowledged == 2; }));
  Submit(client, 1, 0, 3, 1, "three", 4);
  EXPECT_TRUE(RunUntil([&] { return logic->counters().acknowledged == 3; }));
  logic->SetRelay(nullptr);
}

}  // namespace
}  // namespace baiwan::cell
