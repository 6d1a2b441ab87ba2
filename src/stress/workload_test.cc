#include "stress/workload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <map>
#include <numeric>
#include <set>

#include "base/rng.h"

namespace baiwan::stress {
namespace {

using ::testing::HasSubstr;

std::vector<UserId> Friends(std::size_t n) {
  std::vector<UserId> friends(n);
  for (std::size_t i = 0; i < n; ++i) friends[i] = 10 + 3 * i;
  return friends;
}

TEST(WorkloadSpec, TheSourcesTestIsValid) {
  WorkloadSpec spec;
  EXPECT_EQ(Validate(spec), std::nullopt);
  EXPECT_EQ(TotalUsers(spec), 4000u);
  EXPECT_EQ(TotalRelations(spec), 120'000u);
  EXPECT_EQ(TotalMessages(spec), 600'000u);
  spec.cells = 40;
  spec.users_per_cell = 25'000;
  EXPECT_EQ(Validate(spec), std::nullopt);
  EXPECT_EQ(TotalMessages(spec), 150'000'000u);
}

struct Refusal {
  const char* what;
  void (*spoil)(WorkloadSpec&);
  const char* way_out;
};

TEST(WorkloadSpec, WhatCannotBeIsRefusedWithTheWayOut) {
  const Refusal refusals[] = {
      {"no cells", [](WorkloadSpec& s) { s.cells = 0; }, "choose 1 to 1024"},
      {"too many cells", [](WorkloadSpec& s) { s.cells = 1025; }, "choose 1 to 1024"},
      {"more cells than partitions", [](WorkloadSpec& s) { s.cells = 300; }, "raise --partitions"},
      {"partitions", [](WorkloadSpec& s) { s.partitions = 65537; }, "choose 1 to 65536"},
      {"no users", [](WorkloadSpec& s) { s.users_per_cell = 0; }, "choose 1 to"},
      {"too many users", [](WorkloadSpec& s) { s.users_per_cell = 1 << 30; }, "choose 1 to"},
      {"users for the degree", [](WorkloadSpec& s) { s.users_per_cell = 20; },
       "raise --users-per-cell or lower --friends-in-cell"},
      {"odd in the cell",
       [](WorkloadSpec& s) {
         s.users_per_cell = 1001;
         s.friends_in_cell = 21;
       },
       "make --users-per-cell or --friends-in-cell even"},
      {"one cell", [](WorkloadSpec& s) { s.cells = 1; }, "set --friends-cross to 0"},
      {"odd across",
       [](WorkloadSpec& s) {
         s.cells = 3;
         s.users_per_cell = 1001;
         s.friends_cross = 9;
       },
       "make one of --cells, --users-per-cell and --friends-cross even"},
      {"users across",
       [](WorkloadSpec& s) {
         s.users_per_cell = 22;
         s.friends_cross = 67;
       },
       "raise --users-per-cell or lower --friends-cross"},
      {"too many friends",
       [](WorkloadSpec& s) {
         s.users_per_cell = 100'000;
         s.friends_in_cell = 4000;
         s.friends_cross = 1002;
       },
       "more than a user may have: 5000"},
      {"nobody", [](WorkloadSpec& s) { s.friends_in_cell = s.friends_cross = 0; }, "raise"},
      {"no messages", [](WorkloadSpec& s) { s.messages_per_friend = 0; }, "at least 1"},
      {"no rounds", [](WorkloadSpec& s) { s.rounds = 0; }, "at least 1"},
      {"long rounds", [](WorkloadSpec& s) { s.messages_per_friend = 40'000; }, "raise --rounds"},
      {"pairs",
       [](WorkloadSpec& s) {
         s.messages_per_friend = 10'000;
         s.rounds = 1 << 20;
       },
       "lower --rounds"},
      {"everything",
       [](WorkloadSpec& s) {
         s.users_per_cell = kMaxUsersPerCell;
         s.cells = 256;
         s.rounds = 1 << 20;
       },
       "lower --rounds"},
      {"empty bodies", [](WorkloadSpec& s) { s.body_bytes = 0; }, "choose 1 to"},
      {"huge bodies", [](WorkloadSpec& s) { s.body_bytes = 1 << 20; }, "choose 1 to"},
  };
  for (const Refusal& refusal : refusals) {
    WorkloadSpec spec;
    refusal.spoil(spec);
    const auto wrong = Validate(spec);
    ASSERT_TRUE(wrong.has_value()) << refusal.what;
    EXPECT_THAT(*wrong, HasSubstr(refusal.way_out)) << refusal.what;
  }
}

TEST(MessagePlan, EveryFriendGetsItsShareOfEveryRound) {
  Rng rng(5);
  for (int i = 0; i < 50; ++i) {
    WorkloadSpec spec;
    spec.seed = rng.Next();
    spec.messages_per_friend = static_cast<std::uint32_t>(1 + rng.Below(7));
    spec.rounds = static_cast<std::uint32_t>(1 + rng.Below(4));
    const auto friends = Friends(1 + rng.Below(40));
    MessagePlan plan(spec, 77, friends);
    ASSERT_EQ(plan.total(), friends.size() * spec.messages_per_friend * spec.rounds);
    const Seq per_round = plan.total() / spec.rounds;
    std::map<std::uint32_t, Seq> sent;
    for (Seq n = 1; n <= plan.total(); ++n) {
      const std::uint32_t to = plan.friend_index(n);
      ASSERT_LT(to, friends.size());
      ASSERT_EQ(plan.friend_of(n), friends[to]);
      ASSERT_EQ(plan.pair_seq(n), ++sent[to]);
      ASSERT_EQ(plan.send_id_of(to, sent[to]), n);
      if (n % per_round != 0) continue;
      for (const auto& [f, count] : sent) {
        ASSERT_EQ(count, n / per_round * spec.messages_per_friend);
      }
    }
  }
}

TEST(MessagePlan, IsTheSameInWhateverOrderItIsAsked) {
  WorkloadSpec spec;
  spec.rounds = 3;
  const auto friends = Friends(10);
  MessagePlan forward(spec, 5, friends);
  std::vector<std::uint32_t> order;
  for (Seq n = 1; n <= forward.total(); ++n) order.push_back(forward.friend_index(n));
  MessagePlan backward(spec, 5, friends);
  for (Seq n = backward.total(); n >= 1; --n) ASSERT_EQ(backward.friend_index(n), order[n - 1]);
}

TEST(MessagePlan, IsShuffledAndOtherwiseForEveryUserRoundAndSeed) {
  WorkloadSpec spec;
  spec.rounds = 2;
  const auto friends = Friends(30);
  const auto order = [&](std::uint64_t seed, UserId user, Seq round) {
    WorkloadSpec s = spec;
    s.seed = seed;
    MessagePlan plan(s, user, friends);
    std::vector<std::uint32_t> out;
    for (Seq n = 1; n <= 150; ++n) out.push_back(plan.friend_index(round * 150 + n));
    return out;
  };
  const auto first = order(1, 1, 0);
  EXPECT_NE(first, order(1, 1, 1));
  EXPECT_NE(first, order(1, 2, 0));
  EXPECT_NE(first, order(2, 1, 0));
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  // The friend of a user's first message is anyone of them, about equally often.
  std::map<std::uint32_t, int> firsts;
  for (UserId user = 1; user <= 3000; ++user) ++firsts[order(1, user, 0).front()];
  EXPECT_EQ(firsts.size(), 30u);
  for (const auto& [f, times] : firsts) EXPECT_NEAR(times, 100, 50) << f;
}

TEST(Body, HasTheLengthAskedForAndAllKindsOfBytes) {
  WorkloadSpec spec;
  std::set<char> bytes;
  std::string body;
  for (std::uint32_t size : {1u, 7u, 8u, 9u, 16u, 100u, 65536u}) {
    spec.body_bytes = size;
    for (Seq n = 1; n <= 20; ++n) {
      Body(spec, 3, n, &body);
      ASSERT_EQ(body.size(), size);
      EXPECT_TRUE(BodyMatches(spec, 3, n, body));
      bytes.insert(body.begin(), body.end());
    }
  }
  EXPECT_EQ(bytes.size(), 256u);
}

TEST(Body, OfTextHasLettersAndDigitsOnly) {
  WorkloadSpec spec;
  spec.text = true;
  spec.body_bytes = 1001;
  std::set<char> chars;
  std::string body;
  for (Seq n = 1; n <= 20; ++n) {
    Body(spec, 3, n, &body);
    EXPECT_TRUE(BodyMatches(spec, 3, n, body));
    chars.insert(body.begin(), body.end());
  }
  EXPECT_EQ(chars.size(), 62u);
  for (const char c : chars) EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)));
}

TEST(Body, NeitherAnAlteredNorAnotherMessagesBodyMatches) {
  WorkloadSpec spec;
  std::string body;
  for (const std::uint32_t size : {1u, 13u, 16u, 40u}) {
    spec.body_bytes = size;
    Body(spec, 9, 4, &body);
    for (std::size_t at = 0; at < body.size(); ++at) {
      body[at] = static_cast<char>(body[at] ^ 1);
      EXPECT_FALSE(BodyMatches(spec, 9, 4, body)) << at;
      body[at] = static_cast<char>(body[at] ^ 1);
    }
    EXPECT_FALSE(BodyMatches(spec, 9, 4, body + "x"));
    EXPECT_FALSE(BodyMatches(spec, 9, 4, body.substr(1)));
  }
  spec.body_bytes = 8;
  std::set<std::string> bodies;
  for (const std::uint64_t seed : {1, 2, 3}) {
    spec.seed = seed;
    for (UserId user = 1; user <= 100; ++user) {
      for (Seq n = 1; n <= 100; ++n) {
        Body(spec, user, n, &body);
        bodies.insert(body);
      }
    }
  }
  EXPECT_EQ(bodies.size(), 30'000u);
}

// What is on disk in a run folder must be verifiable by a later build.
TEST(Body, AndPlanStayWhatTheyAre) {
  WorkloadSpec spec;
  std::string body;
  Body(spec, 1, 1, &body);
  std::uint64_t word = 0;
  std::memcpy(&word, body.data(), 8);
  const auto friends = Friends(6);
  MessagePlan plan(spec, 1, friends);
  std::uint64_t digest = 0;
  for (Seq n = 1; n <= plan.total(); ++n) digest = Mix(digest, plan.friend_index(n));
  EXPECT_EQ(word, 6654953048204110715u);
  EXPECT_EQ(digest, 13993543977331254158u);
}

}  // namespace
}  // namespace baiwan::stress
