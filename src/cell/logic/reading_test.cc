// Clients who ask for more than anybody can read: what they cause is bounded, waits its turn, and
// ends when they are gone.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kUsers = 40;
constexpr Seq kMessages = 300;  // in the outbox of the first two users, each in a block of its own

// Counts what clients are told.
class Clients final : public ClientPort {
 public:
  void ToClient(SessionId session, const wire::ServerFrame& frame) override {
    if (frame.has_page()) ++pages[session];
    if (frame.stored() > 0) ++stored;
    for (const wire::Refusal& r : frame.refusals()) ++refused[r.reason()];
    order.push_back(session);
  }
  void Taken(SessionId session) override { ++taken[session]; }

  std::map<SessionId, int> pages;
  std::map<SessionId, int> taken;
  std::map<wire::Reason, int> refused;
  int stored = 0;
  std::vector<SessionId> order;
};

class ReadingTest : public ::testing::Test {
 protected:
  static LoneLogic::Options Options() {
    LoneLogic::Options options;
    options.users = kUsers;
    options.store.recent_bytes = 1;
    options.logic.reads = {4, 64};
    options.logic.compares = {2, 4};
    options.logic.max_loads = 4;
    return options;
  }
  void SetUp() override {
    lone.Up(1);
    for (Seq s = 1; s <= kMessages; ++s) {
      for (std::uint32_t u = 0; u < 2; ++u) lone.Submit(User(u), s, far, std::to_string(s));
      ASSERT_TRUE(lone.RunUntil([&] { return lone.logic->counters().stored == 2 * s; }));
    }
    ASSERT_TRUE(lone.AnswerUntil([&] { return lone.logic->AtRest(); }));
    lone.Turns(3);
    lone.store().reads = lone.store().most_reads = 0;
  }
  UserId User(std::uint32_t i) const { return lone.UserOf(0, i); }
  void Read(SessionId session, std::uint32_t user, Seq from = 1) {
    wire::ClientFrame frame;
    frame.set_request_id(1);
    frame.mutable_read()->set_box(wire::BOX_OUTBOX);
    frame.mutable_read()->set_from(from);
    frame.mutable_read()->set_limit(10);
    lone.logic->FromClient(clients, session, User(user), frame);
  }
  // Repeats of what is stored and acknowledged long ago.
  void Repeat(SessionId session, std::uint32_t user, int count, std::string_view body = {}) {
    wire::ClientFrame frame;
    frame.set_request_id(1);
    for (int i = 0; i < count; ++i) {
      const Seq s = 1 + static_cast<Seq>(i) % kMessages;
      wire::Submit* submit = frame.add_submits();
      submit->set_send_id(s);
      submit->set_friend_(far);
      submit->set_body(body.empty() ? std::to_string(s) : std::string(body));
    }
    lone.logic->FromClient(clients, session, User(user), frame);
  }

  LoneLogic lone{Options()};
  const UserId far = lone.UserOf(1, 0);
  Clients clients;
};

TEST_F(ReadingTest, OneWalkOfAUserIsUnderWayAndAFewInAll) {
  for (int i = 0; i < 30; ++i) Read(1, 0);
  lone.Turns(3);
  EXPECT_EQ(lone.store().reading, 1u);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.pages[1] == 30; }));
  EXPECT_EQ(lone.store().most_reads, 1u);
  // Of many users as many as are allowed.
  for (std::uint32_t u = 0; u < 2; ++u) {
    for (int i = 0; i < 5; ++i) Read(10 + u, u);
  }
  lone.Turns(3);
  EXPECT_EQ(lone.store().reading, 2u);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.pages[10] == 5 && clients.pages[11] == 5; }));
  EXPECT_EQ(clients.taken, clients.pages);
  EXPECT_TRUE(clients.refused.empty());
}

TEST_F(ReadingTest, WhoAsksForOnePageHasItBeforeTheFloodEnds) {
  for (int i = 0; i < 60; ++i) Read(1, 0);
  Read(2, 1);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.pages[2] == 1; }));
  EXPECT_LT(clients.pages[1], 5);
}

// Also of what needs no walk.
TEST_F(ReadingTest, AUserHasOneAnswerInATurn) {
  for (int i = 0; i < 50; ++i) Read(1, 0, kMessages + 100);
  lone.Turns(5);
  EXPECT_GT(clients.pages[1], 0);
  EXPECT_LE(clients.pages[1], 5);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.pages[1] == 50; }));
  EXPECT_EQ(lone.store().reads, 0u);
}

TEST_F(ReadingTest, MoreThanMayWaitIsRefused) {
  for (int i = 0; i < 100; ++i) Read(1, 0);
  EXPECT_EQ(clients.refused[wire::REASON_TOO_MANY_REQUESTS], 100 - 64);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.pages[1] == 64; }));
  EXPECT_EQ(clients.taken[1], 100);
}

TEST_F(ReadingTest, NobodyReadsForAClientThatIsGone) {
  for (int i = 0; i < 60; ++i) Read(1, 0);
  for (int i = 0; i < 60; ++i) Read(2, 1);
  lone.Turns(5);
  lone.logic->SessionClosed(clients, 1, User(0));
  lone.Turns(20);
  EXPECT_EQ(lone.store().reading, 1u);
  lone.logic->PortClosed(clients);
  lone.Turns(20);
  EXPECT_EQ(lone.store().reading, 0u);
  EXPECT_LE(lone.store().reads, 3u);
  EXPECT_EQ(clients.pages[1] + clients.pages[2], 0);
}

TEST_F(ReadingTest, NobodyIsLoadedForAClientThatIsGone) {
  const auto loads = lone.logic->counters().loads;
  const auto used = lone.node().budget.used();
  for (std::uint32_t u = 2; u < kUsers; ++u) Read(u, u);
  for (std::uint32_t u = 2; u < kUsers; ++u) lone.logic->SessionClosed(clients, u, User(u));
  lone.Turns(20);
  EXPECT_EQ(lone.logic->counters().loads, loads);
  EXPECT_EQ(lone.node().budget.used(), used);
  // What somebody has sent is stored, whether or not he waits for it.
  wire::ClientFrame frame;
  frame.set_request_id(1);
  wire::Submit* submit = frame.add_submits();
  submit->set_send_id(1);
  submit->set_friend_(far);
  const auto stored = lone.logic->counters().stored;
  lone.logic->FromClient(clients, 5, User(5), frame);
  lone.logic->SessionClosed(clients, 5, User(5));
  EXPECT_TRUE(lone.RunUntil([&] { return lone.logic->counters().stored == stored + 1; }));
  // And a client that comes back for a user whose load was given up is served.
  Read(6, 6);
  EXPECT_TRUE(lone.RunUntil([&] { return clients.pages[6] == 1; }));
}

TEST_F(ReadingTest, AllOldSubmissionsOfAFrameAreComparedInOneWalk) {
  Repeat(1, 0, 1000);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.stored == 1000; }));
  EXPECT_EQ(lone.store().finds, 1u);
  EXPECT_EQ(lone.store().reads, 0u);
  Repeat(1, 0, 1000, "something else");
  ASSERT_TRUE(
      lone.RunUntil([&] { return clients.refused[wire::REASON_SEND_ID_CONFLICT] == 1000; }));
  EXPECT_EQ(lone.store().finds, 2u);
}

TEST_F(ReadingTest, AnOldVoidIsComparedAsOne) {
  wire::ClientFrame frame;
  frame.set_request_id(1);
  frame.add_submits()->set_send_id(kMessages + 1);
  frame.mutable_submits(0)->set_is_void(true);
  for (int i = 1; i <= 2; ++i) {
    lone.logic->FromClient(clients, 1, User(0), frame);
    ASSERT_TRUE(lone.RunUntil([&] { return clients.stored == i; }));
    lone.Turns(5);
  }
  EXPECT_EQ(lone.store().finds, 1u);
  frame.mutable_submits(0)->set_is_void(false);
  frame.mutable_submits(0)->set_friend_(far);
  lone.logic->FromClient(clients, 1, User(0), frame);
  EXPECT_TRUE(lone.RunUntil([&] { return clients.refused[wire::REASON_SEND_ID_CONFLICT] == 1; }));
}

TEST_F(ReadingTest, ComparisonsAreBoundedAndEndWithTheirClient) {
  for (int i = 0; i < 10; ++i) Repeat(1, 0, 20);
  EXPECT_EQ(clients.refused[wire::REASON_TOO_MANY_REQUESTS], 6 * 20);
  lone.Turns(5);
  lone.logic->SessionClosed(clients, 1, User(0));
  Repeat(2, 1, 20);
  ASSERT_TRUE(lone.RunUntil([&] { return clients.stored == 20; }));
  lone.Turns(20);
  EXPECT_EQ(lone.store().finds, 2u);
  EXPECT_EQ(clients.stored, 20);
}

}  // namespace
}  // namespace baiwan::cell
