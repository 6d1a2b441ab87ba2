#include "stress/graph_text.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/testing/temp_folder.h"

namespace baiwan::stress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class GraphTextTest : public ::testing::Test {
 protected:
  Result<CellGraph, std::string> Read(std::string_view text) {
    std::ofstream(path_, std::ios::binary) << text;
    return ReadGraphText(path_);
  }
  std::string Refusal(std::string_view text) {
    const auto graph = Read(text);
    return graph ? std::string() : graph.error();
  }
  static std::vector<UserId> FriendsOf(const CellGraph& graph, UserId user) {
    const auto friends = graph.friends(graph.Find(user));
    return {friends.begin(), friends.end()};
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  const std::string path_ = folder_ + "/rp.txt";
};

TEST_F(GraphTextTest, LinesInAnyOrderGiveTheGraph) {
  const auto graph = Read("17,1,3\n2,1,0\r\n\n1,17,4\n1,2\n17,2,0\n2,17,1");
  ASSERT_TRUE(graph.ok()) << graph.error();
  EXPECT_EQ(graph->users(), 3u);
  EXPECT_EQ(graph->relations(), 6u);
  EXPECT_THAT(FriendsOf(*graph, 1), ElementsAre(2, 17));
  EXPECT_THAT(FriendsOf(*graph, 2), ElementsAre(1, 17));
  EXPECT_THAT(FriendsOf(*graph, 17), ElementsAre(1, 2));
}

TEST_F(GraphTextTest, WhatIsWrittenIsReadBackAndSharedOut) {
  WorkloadSpec spec;
  spec.users_per_cell = 100;
  const placement::PlacementTable table(spec.cells, spec.partitions);
  std::vector<CellGraph> cells;
  for (CellId c = 0; c < spec.cells; ++c) cells.push_back(BuildCellGraph(spec, c));
  ASSERT_EQ(WriteGraphText(path_, cells, table), std::nullopt);
  const auto all = ReadGraphText(path_);
  ASSERT_TRUE(all.ok()) << all.error();
  EXPECT_EQ(all->users(), TotalUsers(spec));
  EXPECT_EQ(all->relations(), TotalRelations(spec));
  for (CellId c = 0; c < spec.cells; ++c) {
    const CellGraph share = ShareOf(*all, table, c);
    ASSERT_EQ(share.users(), cells[c].users());
    ASSERT_EQ(share.relations(), cells[c].relations());
    for (std::size_t i = 0; i < share.users(); ++i) {
      ASSERT_EQ(share.user(i), cells[c].user(i));
      const auto a = share.friends(i);
      const auto b = cells[c].friends(i);
      ASSERT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    }
  }
  std::ifstream file(path_);
  std::string first;
  std::getline(file, first);
  EXPECT_EQ(first,
            fmt::format("1,{},{}", cells[0].friends(0)[0], table.CellOf(cells[0].friends(0)[0])));
}

TEST_F(GraphTextTest, WhatIsWrongIsNamedWithItsLine) {
  const std::string good = "1,2,0\n2,1,0\n";
  EXPECT_THAT(Refusal(good + "x,1\n"), HasSubstr("rp.txt:3: 'x' is not a user id"));
  EXPECT_THAT(Refusal(good + "1,\n"), HasSubstr(":3: '' is not a user id"));
  EXPECT_THAT(Refusal(good + "0,1\n"), HasSubstr(":3: '0' is not a user id"));
  EXPECT_THAT(Refusal(good + "-1,1\n"), HasSubstr(":3: '-1' is not a user id"));
  EXPECT_THAT(Refusal(good + "1,12345678901234567890\n"), HasSubstr("is not a user id"));
  EXPECT_THAT(Refusal(good + "1,1000000000000000000\n"), HasSubstr("is not a user id"));
  EXPECT_THAT(Refusal(good + "5\n"), HasSubstr(":3: has 1 fields"));
  EXPECT_THAT(Refusal("1,2,3,4\n" + good), HasSubstr(":1: has 4 fields"));
  EXPECT_THAT(Refusal(good + "7,7,0\n"), HasSubstr(":3: user 7 is its own friend"));
  EXPECT_THAT(Refusal(good + "\n1,2,9\n"), HasSubstr(":4: user 1 has friend 2 twice, first in "
                                                     "line 1"));
  EXPECT_THAT(Refusal(good + "1,5,0\n"),
              HasSubstr(":3: user 1 has friend 5, but there is no line 5,1"));
  EXPECT_THAT(Refusal(""), HasSubstr("has no relations"));
  EXPECT_THAT(Refusal(good + std::string(5'000'000, '7')), HasSubstr(":3: is longer than any"));
  EXPECT_THAT(ReadGraphText(folder_ + "/none").error(), HasSubstr("No such file"));
}

TEST_F(GraphTextTest, MoreFriendsThanAUserMayHaveAreRefused) {
  const auto star = [](UserId friends) {
    std::string text;
    for (UserId f = 2; f < 2 + friends; ++f) text += fmt::format("{},1,0\n1,{},0\n", f, f);
    return text;
  };
  EXPECT_EQ(Refusal(star(kMaxFriends)), "");
  EXPECT_THAT(Refusal(star(kMaxFriends + 1)),
              HasSubstr(":10002: user 1 has more than 5000 friends"));
}

TEST_F(GraphTextTest, AFileThatCannotBeWrittenIsNamed) {
  const placement::PlacementTable table(1, 1);
  EXPECT_THAT(*WriteGraphText(folder_ + "/none/rp.txt", {}, table), HasSubstr("/none/rp.txt"));
  EXPECT_NE(WriteGraphText("/dev/full",
                           std::vector<CellGraph>{CellGraph({1, 2}, {0, 1, 2}, {2, 1})}, table),
            std::nullopt);
}

}  // namespace
}  // namespace baiwan::stress
