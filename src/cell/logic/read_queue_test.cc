#include "cell/logic/read_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "wire/client.pb.h"

namespace baiwan::cell {
namespace {

class Port final : public ClientPort {
 public:
  void ToClient(SessionId, const wire::ServerFrame&) override {}
};

class ReadQueueTest : public ::testing::Test {
 protected:
  void Make(const ReadLimits& limits) {
    queue = std::make_unique<ReadQueue>(budget, limits,
                                        [this](UserId, ClientPort& port, SessionId session) {
                                          return &port != clogged && session != slow;
                                        });
  }
  bool Add(UserId user, SessionId session = 1, ClientPort* port = nullptr) {
    return queue->Add(user, {port != nullptr ? port : &one, session, 100,
                             [this, user, session](const store::Wanted& is_wanted) {
                               begun.emplace_back(user, session);
                               wanted[user] = is_wanted;
                             }});
  }
  std::vector<UserId> Users() const {
    std::vector<UserId> users;
    for (const auto& [user, session] : begun) users.push_back(user);
    return users;
  }

  Budget budget{100'000};
  Port one;
  Port other;
  ClientPort* clogged = nullptr;
  SessionId slow = 0;
  std::vector<std::pair<UserId, SessionId>> begun;
  std::map<UserId, store::Wanted> wanted;
  std::unique_ptr<ReadQueue> queue;
};

TEST_F(ReadQueueTest, UsersHaveTurns) {
  Make({2, 100});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Add(1));
  ASSERT_TRUE(Add(2));
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Add(3));
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{1, 2}));
  queue->Done(1);
  queue->Begin();
  queue->Done(2);
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{1, 2, 3, 1}));
  queue->Done(3);
  queue->Done(1);
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{1, 2, 3, 1, 3, 1}));
  queue->Done(3);
  queue->Done(1);
  queue->Begin();
  EXPECT_EQ(begun.size(), 6u);
  EXPECT_EQ(queue->under_way(), 0u);
}

TEST_F(ReadQueueTest, WhatWaitsIsBoundedAndCharged) {
  Make({1, 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Add(1));
  EXPECT_FALSE(Add(1));
  EXPECT_TRUE(Add(2));
  EXPECT_EQ(budget.used(Account::kUsers), 400u);
  queue->Begin();
  EXPECT_EQ(budget.used(Account::kUsers), 300u);
  EXPECT_TRUE(Add(1));
  budget.ChargeAlways(Account::kStore, 100'000);
  EXPECT_FALSE(Add(2));
  budget.Release(Account::kStore, 100'000);
  queue = nullptr;
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ReadQueueTest, OneAtATimeWhileMemoryIsOut) {
  Make({4, 3});
  for (UserId user = 1; user <= 3; ++user) ASSERT_TRUE(Add(user));
  budget.ChargeAlways(Account::kStore, 100'000);
  queue->Begin();
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{1}));
  queue->Done(1);
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{1, 2}));
  budget.Release(Account::kStore, 100'000);
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{1, 2, 3}));
}

TEST_F(ReadQueueTest, WhatNobodyWaitsForIsDroppedOrEnds) {
  Make({1, 10});
  for (const SessionId session : {1, 1, 2}) ASSERT_TRUE(Add(7, session));
  ASSERT_TRUE(Add(7, 1, &other));
  queue->Begin();
  queue->Cancel(7, one, 1);
  EXPECT_FALSE(*wanted[7]);
  EXPECT_EQ(queue->waiting(), 2u);
  EXPECT_EQ(budget.used(), 200u);
  queue->Done(7);
  queue->Begin();
  EXPECT_TRUE(*wanted[7]);
  EXPECT_EQ(begun.back().second, 2u);
  queue->CancelAll(one);
  EXPECT_FALSE(*wanted[7]);
  queue->Done(7);
  queue->Begin();
  EXPECT_EQ(begun.size(), 3u);
  queue->CancelAll(other);
  queue->Done(7);
  queue->Begin();
  EXPECT_EQ(begun.size(), 3u);
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ReadQueueTest, WhoDoesNotTakeWhatHeIsSentHoldsUpNobody) {
  Make({4, 10});
  slow = 1;
  clogged = &other;
  ASSERT_TRUE(Add(7, 1));
  ASSERT_TRUE(Add(7, 2));
  ASSERT_TRUE(Add(8, 1));
  ASSERT_TRUE(Add(9, 2, &other));
  queue->Begin();
  EXPECT_EQ(begun, (std::vector<std::pair<UserId, SessionId>>{{7, 2}}));
  queue->Done(7);
  slow = 0;
  queue->Wake(7);
  queue->Begin();
  EXPECT_EQ(begun.size(), 2u);  // nobody has said anything of 8
  queue->Wake(8);
  queue->Begin();
  EXPECT_EQ(begun.size(), 3u);
  clogged = nullptr;
  queue->WakeAll();
  queue->Begin();
  EXPECT_EQ(Users(), (std::vector<UserId>{7, 7, 8, 9}));
}

}  // namespace
}  // namespace baiwan::cell
