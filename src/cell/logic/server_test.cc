// A logic server and a gateway in another process, whose place the test takes.
#include "cell/logic/server.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/bytes.h"
#include "cell/link_types.h"
#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

constexpr Seq kMessages = 800;
constexpr std::size_t kBody = 4000;
constexpr std::string_view kSecret = "a secret of the test's own";

class GatewayLinkTest : public ::testing::Test, private net::LinkHandler {
 protected:
  static LoneLogic::Options Options() {
    LoneLogic::Options options;
    options.users = 2;
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    options.friends = {layout.UserAt(0, 0), layout.UserAt(0, 1)};
    options.logic.mailbox.window_bytes = 4 << 20;
    return options;
  }
  void SetUp() override {
    for (Seq s = 1; s <= kMessages; ++s) {
      lone.Submit(lone.UserOf(0, 0), s, lone.UserOf(0, 1), std::string(kBody, 'x'));
      if (s % 100 != 0) continue;
      ASSERT_TRUE(lone.RunUntil([&] { return lone.logic->counters().delivered == s; }));
    }
    server = std::move(*LogicServer::Create(lone.node(), *lone.logic, 0, {"127.0.0.1", 0},
                                            std::string(kSecret), {}, 16));
    link = net::DialLink(lone.node(), server->local(), {"gateway", 0, 0, 0}, std::string(kSecret),
                         this, {});
    ASSERT_TRUE(lone.RunUntil([&] { return link->up(); }));
  }
  void Send(LinkType type, SessionId session, std::uint32_t user, const std::string& rest) {
    std::string payload;
    Writer(payload).Varint(lone.UserOf(0, user));
    link->Send(Code(type), session, payload + rest);
  }
  void Say(SessionId session, std::uint32_t user, const wire::ClientFrame& frame) {
    Send(LinkType::kClientFrame, session, user, frame.SerializeAsString());
  }
  void Connect(SessionId session, std::uint32_t user) {
    wire::ClientFrame frame;
    frame.mutable_connect()->set_user(lone.UserOf(0, user));
    frame.mutable_connect()->set_receive(true);
    Say(session, user, frame);
  }
  void Credit(SessionId session, std::uint32_t user, std::uint64_t taken) {
    std::string rest;
    Writer(rest).Varint(taken);
    Send(LinkType::kClientCredit, session, user, rest);
  }
  // Until nothing more comes.
  void Rest() {
    for (std::uint64_t before = 1; std::exchange(before, all) != all;) lone.Turns(200);
  }

  LoneLogic lone{Options()};
  std::unique_ptr<LogicServer> server;
  std::unique_ptr<net::Link> link;
  std::map<SessionId, std::uint64_t> bytes;
  std::map<SessionId, int> pushes;
  std::map<SessionId, int> users;
  std::uint64_t all = 0;

 private:
  void OnLinkUp(net::Link&, const net::LinkIdentity&) override {}
  void OnLinkDown(net::Link&, NetError) override {}
  void OnLinkFrame(net::Link&, std::uint8_t type, std::uint64_t tag,
                   std::string_view payload) override {
    if (type != Code(LinkType::kServerFrame)) return;
    all += payload.size();
    bytes[tag] += payload.size();
    wire::ServerFrame frame;
    ASSERT_TRUE(frame.ParseFromArray(payload.data(), static_cast<int>(payload.size())));
    pushes[tag] += frame.pushes_size();
    users[tag] += frame.has_user() ? 1 : 0;
  }
};

TEST_F(GatewayLinkTest, AGatewayThatTakesNothingInIsGivenACreditForEachSession) {
  Connect(1, 1);
  Connect(2, 1);
  Rest();
  for (const SessionId session : {1, 2}) {
    EXPECT_GT(bytes[session], kSessionCredit / 2) << session;
    EXPECT_LT(bytes[session], kSessionCredit + (128 << 10)) << session;
  }
  // Others are served.
  wire::ClientFrame question;
  question.set_request_id(1);
  question.set_get_user(true);
  Say(3, 0, question);
  ASSERT_TRUE(lone.RunUntil([&] { return users[3] == 1; }));
  // And what is taken in goes on.
  std::uint64_t credited = 0;
  ASSERT_TRUE(lone.RunUntil([&] {
    if (bytes[1] > credited) Credit(1, 1, bytes[1] - std::exchange(credited, bytes[1]));
    return pushes[1] == static_cast<int>(kMessages);
  }));
  EXPECT_LT(pushes[2], static_cast<int>(kMessages));
}

TEST_F(GatewayLinkTest, ASlowClientStaysSlowWhenItsGatewayTakesMore) {
  Connect(1, 1);
  Rest();
  Send(LinkType::kClientPaused, 1, 1, std::string(1, '\1'));
  Credit(1, 1, bytes[1]);
  const auto before = bytes[1];
  Rest();
  EXPECT_LT(bytes[1] - before, 1000u);
  Send(LinkType::kClientPaused, 1, 1, std::string(1, '\0'));
  Rest();
  EXPECT_GT(bytes[1] - before, kSessionCredit / 2);
}

}  // namespace
}  // namespace baiwan::cell
