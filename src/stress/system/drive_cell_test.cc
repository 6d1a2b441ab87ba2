// The load client against a real cell: everything arrives once each, whoever dies meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "stress/system/world.h"

namespace baiwan::stress {
namespace {

class DriveCell : public ::testing::TestWithParam<Protocol> {
 protected:
  static WorkloadSpec Spec(std::uint32_t rounds) {
    WorkloadSpec spec;
    spec.cells = 1;
    spec.users_per_cell = 50;
    spec.friends_in_cell = 8;
    spec.friends_cross = 0;
    spec.rounds = rounds;
    return spec;
  }

  // Reads every box of the stopped store, and compares it with the plan, message by message.
  void ExpectEverythingExactlyOnce(World& world) {
    const DriveCounters& c = world.driver->counters();
    EXPECT_EQ(c.users_finished, 50u);
    EXPECT_EQ(c.stored, c.messages);
    EXPECT_EQ(c.delivered, c.messages);
    EXPECT_EQ(c.messages, 50u * 8 * 5 * world.spec.rounds);
    EXPECT_TRUE(c.failures.empty()) << c.first_failure;
    EXPECT_EQ(c.behind_ledger, 0u);
    world.KillCell();
    world.StartCell();  // so that all of it comes from the disk
    std::uint64_t received = 0;
    for (std::size_t i = 0; i < world.graph.users(); ++i) received += CheckInbox(world, i);
    EXPECT_EQ(received, c.messages);
    for (std::size_t i = 0; i < world.graph.users(); ++i) {
      EXPECT_EQ(world.ledger->told(i).send_id, Total(world));
      EXPECT_EQ(world.ledger->told(i).send_ack_id, Total(world));
    }
  }

  static Seq Total(World& world) { return 8ULL * 5 * world.spec.rounds; }

  std::uint64_t CheckInbox(World& world, std::size_t index) {
    const UserId user = world.graph.user(index);
    std::map<UserId, Seq> pair_seq;
    std::map<UserId, std::unique_ptr<MessagePlan>> plans;
    Seq next = 1;
    for (bool more = true; more;) {
      const wire::UserRecord record = Load(world, user);
      EXPECT_EQ(record.send_id, Total(world));
      EXPECT_EQ(record.send_ack_id, Total(world));
      EXPECT_EQ(record.receive_id, Total(world));
      bool read = false;
      more = false;
      world.store().ReadBox(user, wire::Box::kIn, record.heads.in, next, 1000, 1 << 20,
                            [&](Result<store::BoxPage, store::StoreError> page) {
                              read = true;
                              ASSERT_TRUE(page.ok());
                              for (const wire::Message& m : page->messages) {
                                more = true;
                                ASSERT_EQ(m.seq, next++);
                                CheckMessage(world, user, m, ++pair_seq[m.peer], plans);
                              }
                            });
      EXPECT_TRUE(world.RunUntil([&] { return read; }));
      if (HasFatalFailure()) return 0;
    }
    return next - 1;
  }

  void CheckMessage(World& world, UserId user, const wire::Message& m, Seq pair_seq,
                    std::map<UserId, std::unique_ptr<MessagePlan>>& plans) {
    auto& plan = plans[m.peer];
    const std::size_t sender = world.graph.Find(m.peer);
    ASSERT_NE(sender, CellGraph::kNotHere);
    const auto friends = world.graph.friends(sender);
    if (plan == nullptr) plan = std::make_unique<MessagePlan>(world.spec, m.peer, friends);
    ASSERT_LE(m.send_id, plan->total());
    EXPECT_EQ(plan->friend_of(m.send_id), user);
    const auto at = std::lower_bound(friends.begin(), friends.end(), user) - friends.begin();
    EXPECT_EQ(m.send_id, plan->send_id_of(static_cast<std::uint32_t>(at), pair_seq));
    EXPECT_TRUE(BodyMatches(world.spec, m.peer, m.send_id, m.body));
  }

  wire::UserRecord Load(World& world, UserId user) {
    wire::UserRecord record;
    bool loaded = false;
    world.store().Load(world.table.PartitionOf(user), user, [&](auto result) {
      loaded = true;
      ASSERT_TRUE(result.ok());
      record = std::move(*result);
    });
    EXPECT_TRUE(world.RunUntil([&] { return loaded; }));
    return record;
  }
};

INSTANTIATE_TEST_SUITE_P(, DriveCell, ::testing::Values(Protocol::kWs, Protocol::kHttp),
                         [](const auto& p) { return p.param == Protocol::kWs ? "ws" : "http"; });

// Nothing is lost in these tests, however slow the machine is: whatever is sent again is a mistake.
constexpr Nanos kLong = 60 * kSecond;

TEST_P(DriveCell, EverythingIsStoredAndDeliveredExactlyOnce) {
  World world(Spec(5), GetParam());
  world.options.concurrency = 20;
  world.options.resend_after = kLong;
  world.StartCell();
  world.StartDriver();
  ASSERT_TRUE(world.RunToDone());
  const DriveCounters& c = world.driver->counters();
  EXPECT_EQ(c.submitted, c.messages);
  EXPECT_EQ(c.repeated, 0u);
  EXPECT_TRUE(c.refused.empty());
  EXPECT_EQ(c.connects, 50u);
  EXPECT_EQ(c.disconnects, 0u);
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, WithAsMuchUnderWayAsIsAllowed) {
  World world(Spec(40), GetParam());
  world.options.in_flight = 1000;
  world.options.messages_per_frame = 64;
  world.options.resend_after = kLong;
  world.StartCell();
  world.StartDriver();
  ASSERT_TRUE(world.RunToDone());
  EXPECT_TRUE(world.driver->counters().refused.empty()) << "the window was exceeded";
  EXPECT_EQ(world.driver->counters().repeated, 0u);
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, LargeBodiesDoNotExceedTheWindow) {
  if (GetParam() == Protocol::kHttp) GTEST_SKIP() << "they do not fit into a request line";
  WorkloadSpec spec = Spec(2);
  spec.body_bytes = 60'000;
  World world(spec, GetParam());
  world.options.in_flight = 1000;
  world.options.messages_per_frame = 64;
  world.options.concurrency = 5;
  world.StartCell();
  world.StartDriver();
  ASSERT_TRUE(world.RunToDone());
  EXPECT_TRUE(world.driver->counters().refused.empty());
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, TheLoadClientIsKilledAndStartedAgain) {
  World world(Spec(10), GetParam());
  world.options.concurrency = 20;
  world.StartCell();
  world.StartDriver();
  DriveResult kept;
  for (int life = 1; life <= 4; ++life) {
    const std::uint64_t target = 4000ULL * life;
    ASSERT_TRUE(world.RunUntil([&] { return world.driver->counters().stored >= target; }));
    DriveResult result = world.driver->Result();
    result.Continue(kept);
    kept = std::move(result);
    world.KillDriver();
    world.StartDriver();
  }
  ASSERT_TRUE(world.RunToDone());
  DriveResult result = world.driver->Result();
  result.Continue(kept);
  EXPECT_EQ(result.stored, result.messages);
  EXPECT_GE(result.submitted, result.messages);
  EXPECT_LE(result.submitted, result.messages + std::uint64_t{4} * 20 * 32);
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, TheCellIsKilledAndStartedAgain) {
  World world(Spec(20), GetParam());
  world.options.concurrency = 50;
  world.StartCell();
  world.StartDriver();
  for (int life = 1; life <= 4; ++life) {
    const std::uint64_t target = 8000ULL * life;
    ASSERT_TRUE(world.RunUntil([&] { return world.driver->counters().stored >= target; }));
    world.KillCell();
    // At once, or after a while in which nobody listens.
    if (life % 2 == 0) world.RunUntil([] { return false; }, 200 * kMillisecond);
    world.StartCell();
  }
  ASSERT_TRUE(world.RunToDone());
  const DriveCounters& c = world.driver->counters();
  EXPECT_LE(c.repeated, 4u * 50 * 32);
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, BothAreKilledAtOnce) {
  World world(Spec(10), GetParam());
  world.StartCell();
  world.StartDriver();
  for (int life = 1; life <= 4; ++life) {
    const std::uint64_t target = 4000ULL * life;
    ASSERT_TRUE(world.RunUntil([&] { return world.driver->counters().stored >= target; }));
    world.KillDriver();
    world.KillCell();
    world.StartDriver();
    world.RunUntil([] { return false; }, 30 * kMillisecond);
    world.StartCell();
  }
  ASSERT_TRUE(world.RunToDone());
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, AnOpenLoopMeasuresEveryMessage) {
  World world(Spec(5), GetParam());
  world.options.rate = 4'000;
  world.StartCell();
  world.StartDriver();
  ASSERT_TRUE(world.RunToDone());
  const DriveResult result = world.driver->Result();
  EXPECT_EQ(result.stored_latency.count(), 10'000u);
  EXPECT_EQ(result.delivered_latency.count(), 10'000u);
  EXPECT_GE(result.last_ack_ms - result.first_submit_ms, 2250u);
  // A message is stored before it is delivered, and nothing takes longer than all of it.
  EXPECT_LE(result.stored_latency.Quantile(0.5), result.delivered_latency.Quantile(0.5));
  const auto all = static_cast<Nanos>(result.last_ack_ms - result.first_submit_ms);
  EXPECT_LE(result.delivered_latency.max(), (all + 100) * kMillisecond);
  ExpectEverythingExactlyOnce(world);
}

TEST_P(DriveCell, AUserThatTheCellDoesNotKnowIsAFailureByName) {
  WorkloadSpec known = Spec(1);
  World world(known, GetParam());
  world.StartCell();
  // Somebody else's graph: the first users are there, the last ten are not.
  WorkloadSpec more = known;
  more.users_per_cell = 60;
  const CellGraph graph = BuildCellGraph(more, 0);
  const GatewayFor gateway = [&](UserId, Endpoint* out) {
    *out = world.cell->http_address();
    return true;
  };
  std::unique_ptr<Target> target;
  if (GetParam() == Protocol::kWs) {
    target = std::make_unique<WsTarget>(world.node, gateway, 8);
  } else {
    target = std::make_unique<HttpTarget>(world.node, gateway);
  }
  Driver driver(world.node, {}, more, graph, *target, nullptr);
  bool done = false;
  driver.Start([&] { done = true; });
  ASSERT_TRUE(world.RunUntil([&] { return done; }));
  EXPECT_EQ(driver.counters().failures.at("unknown_user"), 10u);
  // And their friends are strangers to those who are there.
  EXPECT_GT(driver.counters().failures.at("not_friend"), 0u);
  EXPECT_EQ(driver.counters().users_finished + driver.counters().users_failed, 60u);
}

}  // namespace
}  // namespace baiwan::stress
