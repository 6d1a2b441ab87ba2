// A cell whose roles are hosts of their own, talking over links: nothing that a client sees
// differs.
#include "cell/host.h"

#include <gtest/gtest.h>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

class SplitCellTest : public CellTest {
 protected:
  void StartTwo() {
    CellsOptions options;
    options.cells = 2;
    options.split = true;
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    near = layout.UserAt(0, 1);
    far = layout.UserAt(1, 0);
    Start(options, {{1, near}, {1, far}});
    ASSERT_TRUE(cells->RunUntil([&] { return Status("/api/user/1") == 200; }));
  }
  int Status(const std::string& target, CellId cell = 0) { return cells->Get(target, cell).status; }
  int Chat(Seq id, UserId to) {
    return Status("/api/c/1/" + std::to_string(to) + "/" + std::to_string(id) +
                  "/?message=" + std::to_string(id));
  }

  UserId near = 0;
  UserId far = 0;
};

TEST_P(SplitCellTest, MessagesPassThroughAllOfThem) {
  StartTwo();
  for (Seq i = 1; i <= 20; ++i) EXPECT_EQ(Chat(i, i % 2 == 0 ? near : far), 200);
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 20; }));
  const auto inbox = Json(cells->Get("/api/c/inbox/" + std::to_string(far), 1));
  ASSERT_EQ(inbox["messages"].size(), 10u);
  EXPECT_EQ(inbox["messages"][9]["body"], "19");
  auto device = Device::Connect(*cells, near, true, 5);
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() == 5; }));
  ExpectError(cells->Get("/api/c/1/99/21/?message=x"), 403, "not_friend");
  ExpectError(cells->Get("/api/user/" + std::to_string(cells->UserOf(0, 9))), 404, "unknown_user");
  ExpectError(cells->Get("/api/user/" + std::to_string(far)), 307, "wrong_cell");
}

TEST_P(SplitCellTest, TheGatewayOutlivesItsLogicServer) {
  StartTwo();
  auto device = Device::Connect(*cells, 1);
  ASSERT_TRUE(device->welcome);
  EXPECT_EQ(Chat(1, far), 200);
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 1; }));
  cells->StopLogic(0);
  ASSERT_TRUE(cells->RunUntil([&] { return device->closed_.has_value(); }));
  EXPECT_EQ(device->closed_, 1012);
  ExpectError(cells->Get("/api/user/1"), 503, "not_ready");
  Device early(*cells, cells->gateway(0));
  ASSERT_TRUE(early.failure);
  EXPECT_EQ(early.failure->status, 503);
  cells->StartLogic(0);
  ASSERT_TRUE(cells->RunUntil([&] { return Status("/api/user/1") == 200; }, 20 * kSecond));
  EXPECT_EQ(User(1)["SendId"], 1);
  EXPECT_EQ(Chat(2, far), 200);
  EXPECT_EQ(Chat(3, near), 200);
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 3; }, 20 * kSecond));
}

TEST_P(SplitCellTest, AGatewayThatComesBackIsServed) {
  StartTwo();
  auto device = Device::Connect(*cells, 1, true);
  cells->Stop(0);
  cells->Start(0);
  ASSERT_TRUE(cells->RunUntil([&] { return Status("/api/user/1") == 200; }, 20 * kSecond));
  EXPECT_EQ(Chat(1, near), 200);
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 1; }));
}

BAIWAN_ON_BOTH_BACKENDS(SplitCellTest);

}  // namespace
}  // namespace baiwan::cell
