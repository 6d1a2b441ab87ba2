// A disk that fills up: refusals first, then waiting, never loss.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/logic/disk_reserve.h"
#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;
constexpr DiskReserve kReserve;  // the default: a GiB or 5 %

DiskState StateOf(std::uint64_t free, std::uint64_t total, DiskState was = DiskState::kRoom) {
  return DiskStateOf(store::DiskRoom{free, total}, kReserve, was);
}

TEST(DiskReserve, IsTheLargerOfBytesAndShare) {
  EXPECT_EQ(StateOf(kGiB, 10 * kGiB), DiskState::kRoom);
  EXPECT_EQ(StateOf(kGiB - 1, 10 * kGiB), DiskState::kNoSubmissions);
  EXPECT_EQ(StateOf(kGiB / 2 - 1, 10 * kGiB), DiskState::kNoDeliveries);
  EXPECT_EQ(StateOf(10 * kGiB, 200 * kGiB), DiskState::kRoom);
  EXPECT_EQ(StateOf(9 * kGiB, 200 * kGiB), DiskState::kNoSubmissions);
  EXPECT_EQ(StateOf(4 * kGiB, 200 * kGiB), DiskState::kNoDeliveries);
  EXPECT_EQ(DiskStateOf(std::nullopt, kReserve, DiskState::kNoDeliveries), DiskState::kRoom);
}

TEST(DiskReserve, ChangesItsMindOnlyWithSomeRoomToSpare) {
  const auto refusing = DiskState::kNoSubmissions;
  EXPECT_EQ(StateOf(kGiB + kGiB / 16, 10 * kGiB, refusing), DiskState::kNoSubmissions);
  EXPECT_EQ(StateOf(kGiB + kGiB / 4, 10 * kGiB, refusing), DiskState::kRoom);
  const auto pausing = DiskState::kNoDeliveries;
  EXPECT_EQ(StateOf(kGiB / 2 + kGiB / 32, 10 * kGiB, pausing), DiskState::kNoDeliveries);
  EXPECT_EQ(StateOf(kGiB / 2 + kGiB / 8, 10 * kGiB, pausing), DiskState::kNoSubmissions);
}

class DiskTest : public CellTest {
 protected:
  void StartTwo() {
    CellsOptions options;
    options.cells = 2;
    options.logic.disk_look = 20 * kMillisecond;
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    a = layout.UserAt(0, 0);
    b = layout.UserAt(0, 1);
    far = layout.UserAt(1, 0);
    Start(options, {{a, b}, {a, far}});
    Say(a, 1, b, "warm");
    Say(a, 2, far, "up");
    ASSERT_TRUE(cells->RunUntil([&] { return User(a)["SendAckId"] == 2; }));
  }
  // And waits until the cell has looked.
  void SetFree(CellId cell, std::uint64_t free) {
    cells->disk(cell).SetRoom(store::DiskRoom{free, 10 * kGiB});
    cells->RunFor(100 * kMillisecond);
  }
  nlohmann::json UserAt(CellId cell, UserId user) {
    return Json(cells->Get("/api/user/" + std::to_string(user), cell));
  }
  net::HttpResponse Submit(CellId cell, UserId user, Seq send_id, UserId to) {
    return cells->Get("/api/c/" + std::to_string(user) + "/" + std::to_string(to) + "/" +
                          std::to_string(send_id) + "/?message=x",
                      cell);
  }

  UserId a = 0;
  UserId b = 0;
  UserId far = 0;
};

TEST_P(DiskTest, BelowTheReserveSubmissionsAreRefusedAndTheRestGoesOn) {
  StartTwo();
  SetFree(0, kGiB - 1);
  const auto refused = Submit(0, a, 3, b);
  ExpectError(refused, 503, "overloaded");
  EXPECT_FALSE(refused.Header("Retry-After").empty());
  EXPECT_THAT(refused.body, ::testing::HasSubstr("disk"));
  EXPECT_EQ(Submit(1, far, 1, a).status, 200);
  ASSERT_TRUE(cells->RunUntil([&] { return UserAt(1, far)["SendAckId"] == 1; }));
  EXPECT_EQ(cells->Get("/v1/users/" + std::to_string(a) + "/inbox").status, 200);
  SetFree(0, 2 * kGiB);
  EXPECT_EQ(Submit(0, a, 3, b).status, 200);
  ASSERT_TRUE(cells->RunUntil([&] { return User(a)["SendAckId"] == 3; }));
}

TEST_P(DiskTest, BelowHalfOfItDeliveriesWaitAtTheSenderAndThenArrive) {
  StartTwo();
  SetFree(1, kGiB / 4);
  EXPECT_EQ(Submit(0, a, 3, far).status, 200);
  EXPECT_EQ(Submit(0, a, 4, b).status, 200);
  ASSERT_TRUE(cells->RunUntil([&] { return User(a)["SendId"] == 4; }));
  cells->RunFor(300 * kMillisecond);
  EXPECT_EQ(User(a)["SendAckId"], 2);  // 3 waits, 4 stands behind it
  EXPECT_EQ(UserAt(1, far)["ReceiveId"], 1);
  EXPECT_EQ(User(b)["ReceiveId"], 2);  // a friend in the own cell has it
  SetFree(1, 2 * kGiB);
  ASSERT_TRUE(cells->RunUntil([&] { return User(a)["SendAckId"] == 4; }));
  EXPECT_EQ(UserAt(1, far)["ReceiveId"], 2);
}

// What was stored just before also stays where it is, and goes on by itself.
TEST_P(DiskTest, AlsoWithinACell) {
  StartTwo();
  cells->disk(0).SetRoom(store::DiskRoom{kGiB / 4, 10 * kGiB});
  Seq sent = 2;
  // Until the cell has looked it takes what comes.
  ASSERT_TRUE(cells->RunUntil([&] {
    const bool taken = Submit(0, a, sent + 1, b).status == 200;
    sent += taken ? 1 : 0;
    return !taken;
  }));
  cells->RunFor(100 * kMillisecond);
  SetFree(0, 2 * kGiB);
  ASSERT_TRUE(cells->RunUntil([&] { return User(a)["SendAckId"] == sent; }));
  EXPECT_EQ(User(b)["ReceiveId"], sent - 1);
}

BAIWAN_ON_BOTH_BACKENDS(DiskTest);

}  // namespace
}  // namespace baiwan::cell
