#include "fleet/whole_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baiwan::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WholeBoardTest : public ::testing::Test {
 protected:
  WholeBoardTest() {
    plan_.hosts.count = 4;  // with 1,000 users and 150,000 messages each
    std::vector<std::string> workers;
    for (std::uint32_t i = 0; i < 4; ++i) workers.push_back(WorkerName(i));
    journey_ = NewJourney("a", workers, 1);
  }
  void Ends(std::uint32_t worker) {
    for (Task& task : journey_.of(Step::kRun)) {
      if (task.host == WorkerName(worker)) task.state = State::kDone;
    }
  }
  static monitor::BoardState::Cell Cell(std::uint32_t worker, std::uint64_t finished) {
    return {"10.0.2." + std::to_string(20 + worker) + ":9100", finished, 0, true};
  }

  FleetPlan plan_;
  Journey journey_;
};

TEST_F(WholeBoardTest, UsersWhoHaveNotAnsweredYetCount) {
  monitor::BoardState board;
  board.users = 1000;
  board.messages = 150'000;
  board.finished = 10;
  board.cells = {Cell(2, 10)};
  MakeWhole(plan_, journey_, &board);
  EXPECT_EQ(board.users, 4000U);
  EXPECT_EQ(board.messages, 600'000U);
  EXPECT_EQ(board.finished, 10U);
}

TEST_F(WholeBoardTest, LoadClientsThatHaveEndedAreFinishedAndNotMissing) {
  // Ten processes: registry, monitor, four servers, four load clients. Of these 0 was done when it
  // was last seen, 1 ended between two looks, 2 before anybody looked; 3 is killed.
  monitor::BoardState board;
  board.alive = 6;
  board.expected = 9;
  board.missing = {"drive-1", "drive-3"};
  board.finished = 1000 + 900 + 100;
  board.cells = {Cell(0, 1000), Cell(1, 900), Cell(3, 100)};
  board.cells[2].answers = false;
  for (const std::uint32_t worker : {0U, 1U, 2U}) Ends(worker);
  MakeWhole(plan_, journey_, &board);
  EXPECT_EQ(board.expected, 7U);
  EXPECT_THAT(board.missing, ElementsAre("drive-3"));
  EXPECT_EQ(board.finished, 3100U);
  ASSERT_EQ(board.cells.size(), 4U);
  EXPECT_FALSE(board.cells[2].answers);
  EXPECT_FALSE(board.done());
}

TEST_F(WholeBoardTest, WhenAllHaveEndedEverythingIsDelivered) {
  monitor::BoardState board;
  board.alive = 6;
  board.expected = 10;
  board.stored = board.delivered = 7;
  board.cells = {Cell(1, 3)};
  board.finished = 3;
  board.missing = {"drive-1"};
  for (std::uint32_t worker = 0; worker < 4; ++worker) Ends(worker);
  MakeWhole(plan_, journey_, &board);
  EXPECT_TRUE(board.done());
  EXPECT_EQ(board.alive, board.expected);
  EXPECT_THAT(board.missing, IsEmpty());
  EXPECT_EQ(board.delivered, 600'000U);
}

}  // namespace
}  // namespace baiwan::fleet
