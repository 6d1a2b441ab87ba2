#include "verify/population.h"

#include <gtest/gtest.h>

#include <string>

namespace baiwan::verify {
namespace {

stress::WorkloadSpec Spec() {
  stress::WorkloadSpec spec;
  spec.seed = 11;
  spec.cells = 5;
  spec.users_per_cell = 40;
  spec.friends_in_cell = 6;
  spec.friends_cross = 5;
  spec.messages_per_friend = 3;
  spec.partitions = 16;
  return spec;
}

// What is known of own users and of whoever has to do with them is what the whole graph says.
class PopulationTest : public ::testing::TestWithParam<CellRange> {
 protected:
  bool Holds(UserId user) const { return GetParam().Holds(stress::LayoutOf(spec).CellOf(user)); }

  const stress::WorkloadSpec spec = Spec();
  const Population all = Population::Generate(spec, {0, 4}, 2);
  const Population part = Population::Generate(spec, GetParam(), 2);
};

INSTANTIATE_TEST_SUITE_P(Cells, PopulationTest,
                         ::testing::Values(CellRange{0, 0}, CellRange{1, 2}, CellRange{3, 4},
                                           CellRange{0, 4}),
                         [](const auto& test) {
                           return std::to_string(test.param.first) + "to" +
                                  std::to_string(test.param.last);
                         });

TEST_P(PopulationTest, EverybodyHasANumberAndOwnUsersTheFirstOnes) {
  EXPECT_EQ(part.users(), all.users());
  EXPECT_EQ(part.own_users(), std::size_t{GetParam().count()} * spec.users_per_cell);
  EXPECT_EQ(part.most_friends(), all.most_friends());
  for (Population::Number n = 0; n < all.users(); ++n) {
    const UserId user = all.user(n);
    const Population::Number here = part.Find(user);
    ASSERT_LT(here, part.users());
    EXPECT_EQ(part.user(here), user);
    EXPECT_EQ(part.IsOwn(here), Holds(user));
    EXPECT_EQ(part.degree(here), all.degree(n));
  }
  EXPECT_EQ(part.Find(0), Population::kNobody);
  EXPECT_EQ(part.Find(987'654), Population::kNobody);
}

TEST_P(PopulationTest, RelationsOfOwnUsersBothWaysAreKnownAndNoOthers) {
  std::vector<unsigned> seen(part.relations(), 0);
  for (Population::Number n = 0; n < all.users(); ++n) {
    const UserId user = all.user(n);
    const Population::Number here = part.Find(user);
    const auto friends = all.friends(n);
    for (std::size_t i = 0; i < friends.size(); ++i) {
      const Population::Friend known = part.FriendAt(here, i);
      EXPECT_EQ(part.RelationTo(here, friends[i]), known.relation);
      if (!Holds(user) && !Holds(friends[i])) {
        EXPECT_EQ(known.user, 0u);
        EXPECT_EQ(known.relation, Population::kNoRelation);
        continue;
      }
      EXPECT_EQ(known.user, friends[i]);
      ASSERT_LT(known.relation, part.relations());
      EXPECT_EQ(known.relation < part.own_relations(), Holds(user));
      ++seen[known.relation];
      const auto [whose, index] = part.At(known.relation);
      EXPECT_EQ(whose, here);
      EXPECT_EQ(index, i);
    }
    EXPECT_EQ(part.RelationTo(here, user), Population::kNoRelation);
  }
  for (const unsigned times : seen) EXPECT_EQ(times, 1u);
}

TEST_P(PopulationTest, ThePlanOfAnybodyIsThatOfTheWholeGraph) {
  PlanCache whole(spec, all);
  PlanCache here(spec, part);
  for (Population::Number n = 0; n < all.users(); n += 7) {
    const Population::Number m = part.Find(all.user(n));
    ASSERT_EQ(here.total(m), whole.total(n));
    for (Seq id = 1; id <= whole.total(n); ++id) {
      EXPECT_EQ(here.At(m, id).friend_index, whole.At(n, id).friend_index);
      EXPECT_EQ(here.At(m, id).pair_seq, whole.At(n, id).pair_seq);
    }
  }
}

}  // namespace
}  // namespace baiwan::verify
