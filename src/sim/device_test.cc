// What one device sees that only reads and never hangs up: players do now and then, and so get on
// where a server has forgotten them.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "net/websocket.h"
#include "sim/cluster.h"
#include "wire/client.pb.h"

namespace baiwan::sim {
namespace {

class Device final : public Program, public net::WsHandler {
 public:
  Device(Node& node, const Endpoint& gateway, UserId user) {
    net::WsConnect(node.context(), gateway, "/v1/connect", this, {}, kSecond,
                   [this, user](auto made) {
                     if (!made.ok()) return;
                     socket_ = std::move(*made);
                     wire::ClientFrame frame;
                     frame.mutable_connect()->set_user(user);
                     frame.mutable_connect()->set_receive(true);
                     frame.mutable_connect()->set_device("one that only reads");
                     socket_->SendBinary(frame.SerializeAsString());
                   });
  }
  void OnMessage(bool, std::string_view data) override {
    wire::ServerFrame frame;
    ASSERT_TRUE(frame.ParseFromArray(data.data(), static_cast<int>(data.size())));
    welcome = welcome || frame.has_welcome();
    for (const wire::BoxMessage& push : frame.pushes()) {
      EXPECT_EQ(push.seq(), pushed + 1);
      pushed = push.seq();
    }
  }
  void OnClosed(std::uint16_t, std::string_view) override { closed = true; }

  bool welcome = false;
  bool closed = false;
  Seq pushed = 0;

 private:
  std::unique_ptr<net::WebSocket> socket_;
};

// A deployment at rest, its clients gone, and one device of a user.
class SimDevice : public ::testing::TestWithParam<ClusterLayout> {
 protected:
  SimDevice() : cluster_(1, Options()) {
    EXPECT_EQ(cluster_.Run(), "");
    cluster_.SendClientsAway();
  }
  static ClusterOptions Options() {
    ClusterOptions options;
    options.layout = GetParam();
    options.trouble = 0;
    options.workload.cells = 2;
    options.workload.users_per_cell = 1;
    options.workload.messages = 700;  // more than are pushed at a time
    options.workload.max_body = options.logic.mailbox.max_body = 20;
    return options;
  }
  UserId user() const { return cluster_.stage().workload.UsersOf(0)[0]; }
  Device& Connect() {
    Node& node = cluster_.world().AddNode("device", [this](Node& n) {
      return std::make_unique<Device>(n, cluster_.GatewayOf(0), user());
    });
    auto& device = static_cast<Device&>(*node.program());
    EXPECT_TRUE(Until([&device] { return device.welcome; }));
    return device;
  }
  bool Until(const std::function<bool()>& holds) {
    return cluster_.world().RunUntil(holds, 10 * kSecond) == Ran::kHolds;
  }

  Cluster cluster_;
};

TEST_P(SimDevice, ThatComesLaterIsSentTheWholeInbox) {
  const Seq all = cluster_.stage().workload.Inbound(user());
  ASSERT_GT(all, 600u);
  const Device& device = Connect();
  EXPECT_TRUE(Until([&] { return device.pushed == all; })) << device.pushed << " of " << all;
  EXPECT_FALSE(device.closed);
}

TEST_P(SimDevice, IsLetGoWhenItsLogicServerDies) {
  const Device& device = Connect();
  cluster_.CrashStoreOf(0);
  EXPECT_TRUE(Until([&] { return device.closed; }));
}

INSTANTIATE_TEST_SUITE_P(Layouts, SimDevice,
                         ::testing::Values(ClusterLayout::kCell, ClusterLayout::kRole));

}  // namespace
}  // namespace baiwan::sim
