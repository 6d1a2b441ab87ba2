// A logic server that has too little memory for its users while its log asks for a checkpoint:
// users come and go between any two of their messages, and nothing of theirs goes with them.
#include <gtest/gtest.h>

#include <algorithm>

#include "cell/logic/logic.h"
#include "cell/testing/strict.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kUsers = 60;
constexpr Seq kMessages = 20;  // of each user, to the next one

TEST(EvictTest, AUserWhoIsEvictedInTheCommitOfACheckpointIsThereWhenTheNextMessageComes) {
  auto loop = std::move(*net::RealLoop::Create({}));
  Rng rng(1);
  Budget budget(16 << 20);
  budget.ChargeAlways(Account::kUsers, budget.soft_limit() + 1);  // every resident is one too many
  Unlucky fatal;
  NodeContext node{*loop, loop->transport(), loop->clock(), rng, budget, fatal, NoLog()};
  placement::PlacementTable table{1};
  const placement::UserLayout layout(1, placement::kDefaultPartitions);
  store::MemoryDisk disk;
  auto kv = std::move(*store::OpenMemoryKv(disk, {}, loop.get()));
  store::RecoveryReport report;
  store::StoreOptions store_options;
  store_options.checkpoint_bytes = 1;  // one is always due
  auto store = std::move(*store::Store::Open(*kv, 0, store_options, &report));
  std::vector<std::pair<PartitionId, wire::UserRecord>> users;
  for (std::uint32_t i = 0; i < kUsers; ++i) {
    wire::UserRecord record;
    record.user = layout.UserAt(0, i);
    for (const std::uint32_t j : {i + 1, i + kUsers - 1}) {
      record.friends.push_back({layout.UserAt(0, j % kUsers), 0, 0, 0, 0});
    }
    std::sort(record.friends.begin(), record.friends.end(),
              [](const auto& a, const auto& b) { return a.id < b.id; });
    users.emplace_back(table.PartitionOf(record.user), record);
  }
  ASSERT_EQ(store->ImportNow(users), store::StoreError{});
  Logic logic(node, {}, table, *store);
  logic.Start();
  Nobody clients;
  for (Seq s = 1; s <= kMessages; ++s) {
    for (std::uint32_t i = 0; i < kUsers; ++i) {
      wire::ClientFrame frame;
      frame.set_request_id(s);
      frame.set_reply_when(wire::REPLY_TAKEN);
      wire::Submit* submit = frame.add_submits();
      submit->set_send_id(s);
      submit->set_friend_(layout.UserAt(0, (i + 1) % kUsers));
      submit->set_body(std::to_string(s));
      logic.FromClient(clients, 1, layout.UserAt(0, i), frame);
      loop->RunOnce(0);
    }
  }
  const LogicCounters& c = logic.counters();
  const std::uint64_t all = kUsers * kMessages;
  const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
  while ((c.acknowledged < all || !logic.AtRest()) && SystemClock().Monotonic() < until) {
    loop->RunOnce(kMillisecond);
  }
  EXPECT_EQ(c.stored, all);
  EXPECT_EQ(c.delivered, all);
  EXPECT_EQ(c.acknowledged, all);
  // Or nothing of this was tried.
  EXPECT_GT(c.evictions, all / 2);
  EXPECT_GT(c.snapshots, all / 2);
}

}  // namespace
}  // namespace baiwan::cell
