// /v1/connect: what devices are told, and what they can rely on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class ConnectTest : public CellTest {
 protected:
  std::unique_ptr<Device> Connect(UserId user, bool receive = false, Seq after = 0,
                                  std::string_view name = {}) {
    return Device::Connect(*cells, user, receive, after, name);
  }
  // `count` messages of `from` to `to`, numbered on from what is stored, in one frame each `per`.
  void SendMany(Device& device, UserId to, Seq first, Seq count, std::size_t body = 10,
                Seq per = 50) {
    for (Seq at = first; at < first + count;) {
      std::vector<std::tuple<Seq, UserId, std::string>> messages;
      for (Seq i = 0; i < per && at < first + count; ++i, ++at) {
        std::string text = std::to_string(at);
        text.resize(body, '.');
        messages.emplace_back(at, to, text);
      }
      device.Send(Device::Submits(messages));
      const Seq last = at - 1;
      ASSERT_TRUE(cells->RunUntil([&] { return device.stored >= last || device.closed_; }));
    }
  }
  void ExpectPushed(const Device& device, Seq first, Seq last) {
    ASSERT_EQ(device.pushes.size(), last + 1 - first);
    for (std::size_t i = 0; i < device.pushes.size(); ++i) {
      ASSERT_EQ(device.pushes[i].seq(), first + i);
      ASSERT_EQ(device.pushes[i].body().find(std::to_string(device.pushes[i].send_id())), 0u);
    }
  }
  bool Waits(const Device& device) const { return !device.closed_; }
};

TEST_P(ConnectTest, TheWelcomeSaysWhereAUserStands) {
  Start({}, {{1, 2}, {1, 3}});
  auto device = Connect(1);
  ASSERT_TRUE(device->welcome);
  EXPECT_EQ(device->welcome->user(), 1u);
  EXPECT_EQ(device->welcome->counters().send_id(), 0u);
  EXPECT_EQ(device->welcome->window_end(), 1024u);
  EXPECT_EQ(device->welcome->window_bytes(), 256u << 10);
  EXPECT_EQ(device->welcome->heartbeat_s(), 240u);
  SendMany(*device, 2, 1, 7);
  ASSERT_TRUE(cells->RunUntil([&] { return device->delivered == 7; }));
  auto again = Connect(1);
  ASSERT_TRUE(again->welcome);
  EXPECT_EQ(again->welcome->counters().send_id(), 7u);
  EXPECT_EQ(again->welcome->counters().send_ack_id(), 7u);
  EXPECT_EQ(again->welcome->window_end(), 1031u);
  auto receiver = Connect(2);
  EXPECT_EQ(receiver->welcome->counters().receive_id(), 7u);
}

TEST_P(ConnectTest, WhoDoesNotSayWhoHeIsHasToGo) {
  CellsOptions options;
  options.gateway.connect_timeout = 200 * kMillisecond;
  Start(options, {{1, 2}});
  auto known = Connect(1);
  Device silent(*cells, cells->gateway(0));
  ASSERT_TRUE(silent.open());
  ASSERT_TRUE(cells->RunUntil([&] { return silent.closed_.has_value(); }));
  EXPECT_EQ(*silent.closed_, 1008);
  EXPECT_TRUE(known->open());
}

TEST_P(ConnectTest, AcknowledgementsAreCumulative) {
  Start({}, {{1, 2}, {1, 3}});
  auto device = Connect(1);
  std::vector<std::tuple<Seq, UserId, std::string>> messages;
  for (Seq i = 1000; i >= 1; --i) messages.emplace_back(i, i % 2 == 0 ? 2 : 3, "x");
  device->Send(Device::Submits(messages));
  ASSERT_TRUE(cells->RunUntil([&] { return device->delivered == 1000; }));
  EXPECT_EQ(device->stored, 1000u);
  EXPECT_TRUE(device->refusals.empty());
  EXPECT_LT(device->frames.size(), 100u);  // not one each
  // Only what is there without a gap counts.
  device->Send(Device::Submits({{1002, 2, "x"}}));
  cells->RunFor(30 * kMillisecond);
  EXPECT_EQ(device->stored, 1000u);
  device->Send(Device::Submits({{1001, 2, "x"}}));
  ASSERT_TRUE(cells->RunUntil([&] { return device->stored == 1002; }));
  // A repeat is answered with the counters, in case they were missed.
  const std::size_t before = device->frames.size();
  device->Send(Device::Submits({{5, 3, "x"}}));
  ASSERT_TRUE(cells->RunUntil([&] { return device->frames.size() > before; }));
  EXPECT_EQ(device->frames.back().stored(), 1002u);
}

TEST_P(ConnectTest, RefusalsNameTheirMessages) {
  CellsOptions options;
  options.logic.mailbox.max_body = 100;
  Start(options, {{1, 2}});
  auto device = Connect(1);
  device->Send(Device::Submits({{1, 2, "good"},
                                {2, 9, "stranger"},
                                {3, 2, std::string(101, 'x')},
                                {0, 2, "zero"},
                                {5000, 2, "far"},
                                {1, 2, "other"}}));
  ASSERT_TRUE(cells->RunUntil([&] { return device->refusals.size() == 5 && device->stored == 1; }));
  std::map<Seq, wire::Reason> reasons;
  for (const auto& refusal : device->refusals) {
    reasons[refusal.send_id()] = refusal.reason();
    EXPECT_EQ(refusal.window_end(), 1024u);
    EXPECT_FALSE(refusal.detail().empty());
    EXPECT_EQ(refusal.retry_after_ms() > 0, refusal.reason() == wire::REASON_WINDOW);
  }
  EXPECT_EQ(reasons, (std::map<Seq, wire::Reason>{{0, wire::REASON_BAD_SEND_ID},
                                                  {1, wire::REASON_SEND_ID_CONFLICT},
                                                  {2, wire::REASON_NOT_FRIEND},
                                                  {3, wire::REASON_BODY_TOO_LARGE},
                                                  {5000, wire::REASON_WINDOW}}));
  // The numbers are free: a void, and something else.
  wire::ClientFrame frame = Device::Submits({{3, 2, "short"}});
  frame.add_submits()->set_send_id(2);
  frame.mutable_submits(1)->set_is_void(true);
  device->Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return device->delivered == 3; }));
  EXPECT_EQ(User(2)["ReceiveId"], 2);
}

TEST_P(ConnectTest, TheSameFramesAsJsonText) {
  Start({}, {{1, 2}});
  Device device(*cells, cells->gateway(0), "/v1/connect?format=json");
  ASSERT_TRUE(device.open());
  device.SendText(R"({"connect":{"user":"1","receive":true}})");
  ASSERT_TRUE(cells->RunUntil([&] { return device.texts.size() == 1; }));
  const json welcome = json::parse(device.texts[0])["welcome"];
  EXPECT_EQ(welcome["user"], "1");
  EXPECT_EQ(welcome["windowEnd"], "1024");
  device.SendText(R"({"submits":[{"sendId":1,"friend":2,"body":"aGk="},)"
                  R"({"send_id":"2","friend":"2","body":"/w=="}]})");
  const auto told = [&](const char* field, const char* value) {
    return std::any_of(device.texts.begin(), device.texts.end(), [&](const std::string& text) {
      const json frame = json::parse(text);
      return frame.contains(field) && frame[field] == value;
    });
  };
  ASSERT_TRUE(cells->RunUntil([&] { return told("delivered", "2"); }));
  EXPECT_TRUE(told("stored", "2"));
  Say(2, 1, 1, "back");
  ASSERT_TRUE(cells->RunUntil([&] { return json::parse(device.texts.back()).contains("pushes"); }));
  EXPECT_EQ(json::parse(device.texts.back())["pushes"][0]["body"], "YmFjaw==");
  EXPECT_TRUE(device.frames.empty());  // nothing binary
  EXPECT_EQ(Json(cells->Get("/v1/users/2/inbox"))["messages"][0]["body"], "hi");
}

TEST_P(ConnectTest, AConnectionCanAskWhatRestCan) {
  Start({}, {{1, 2}});
  auto device = Connect(2);
  for (Seq i = 1; i <= 120; ++i) Say(1, i, 2, std::to_string(i));
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ReceiveId"] == 120; }));
  device->frames.clear();
  wire::ClientFrame frame;
  frame.set_get_user(true);
  frame.set_ping(77);
  frame.set_request_id(5);
  device->Send(frame);
  frame.Clear();
  frame.mutable_read()->set_from(3);
  frame.set_request_id(6);
  device->Send(frame);
  frame.Clear();
  frame.mutable_read()->set_box(wire::BOX_OUTBOX);
  frame.set_request_id(7);
  device->Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return device->frames.size() >= 3; }));
  std::map<std::uint64_t, wire::ServerFrame> answers;
  for (const auto& f : device->frames) answers[f.request_id()] = f;
  EXPECT_EQ(answers[5].pong(), 77u);
  EXPECT_EQ(answers[5].user().counters().receive_id(), 120u);
  EXPECT_EQ(answers[5].user().friends_size(), 1);
  ASSERT_EQ(answers[6].page().messages_size(), 100);
  EXPECT_EQ(answers[6].page().messages(0).body(), "3");
  EXPECT_EQ(answers[6].page().next(), 103u);
  EXPECT_EQ(answers[7].page().messages_size(), 0);
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ClientReceiveId"] == 102; }));
  frame.Clear();
  frame.set_read_up_to(110);
  device->Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ClientReceiveId"] == 110; }));
  // A submission with a request id is answered once it is stored.
  frame = Device::Submits({{1, 1, "back"}});
  frame.set_request_id(8);
  device->Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] {
    return std::any_of(device->frames.begin(), device->frames.end(),
                       [](const auto& f) { return f.request_id() == 8 && f.stored() == 1; });
  }));
}

TEST_P(ConnectTest, APlaceBeyondTheEndOfTheInboxIsTold) {
  CellsOptions options;
  options.life = 77;
  Start(options, {{1, 2}});
  auto sender = Connect(1);
  SendMany(*sender, 2, 1, 5);
  ASSERT_TRUE(cells->RunUntil([&] { return sender->delivered == 5; }));
  auto there = Connect(2, true, 5, "there");
  ASSERT_TRUE(there->welcome);
  EXPECT_EQ(there->welcome->life(), 77u);
  EXPECT_FALSE(there->welcome->beyond_end());
  auto device = Connect(2, true, 1'000'000);
  ASSERT_TRUE(device->welcome);
  EXPECT_TRUE(device->welcome->beyond_end());
  EXPECT_EQ(device->welcome->life(), 77u);
  EXPECT_EQ(device->welcome->counters().receive_id(), 5u);
  SendMany(*sender, 2, 6, 1);
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() == 1; }));
  EXPECT_EQ(device->pushes[0].seq(), 6u);

  wire::ClientFrame frame;
  frame.set_read_up_to(7);
  frame.set_ping(3);
  device->Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return device->refusals.size() == 1; }));
  frame.Clear();
  frame.mutable_read()->set_from(8);
  device->Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return device->refusals.size() == 2; }));
  for (const wire::Refusal& refusal : device->refusals) {
    EXPECT_EQ(refusal.reason(), wire::REASON_BEYOND_END);
    EXPECT_EQ(refusal.end(), 6u);
    EXPECT_EQ(refusal.life(), 77u);
  }
  EXPECT_TRUE(std::any_of(device->frames.begin(), device->frames.end(),
                          [](const auto& f) { return f.pong() == 3; }));
  EXPECT_EQ(User(2)["ClientReceiveId"], 0);
}

TEST_P(ConnectTest, FieldsThatAreNotKnownAreSkipped) {
  Start({}, {{1, 2}});
  for (const char* text :
       {R"({"connect":{"user":"1"},"newer":1})", R"({"connect":{"user":1,"newer":{"a":[1]}}})",
        R"({"connect":{"user":"1"},"reply_when":"REPLY_NEWER"})"}) {
    Device device(*cells, cells->gateway(0));
    device.SendText(text);
    ASSERT_TRUE(cells->RunUntil([&] { return !device.texts.empty() || device.closed_; }));
    ASSERT_FALSE(device.closed_) << text << device.close_reason;
    EXPECT_THAT(device.texts.front(), HasSubstr("\"welcome\""));
  }
  wire::ClientFrame frame;
  frame.mutable_connect()->set_user(1);
  Device device(*cells, cells->gateway(0));
  device.SendBytes(frame.SerializeAsString() + "\x98\x06\x01");
  ASSERT_TRUE(cells->RunUntil([&] { return device.welcome || device.closed_; }));
  EXPECT_TRUE(device.welcome);
}

TEST_P(ConnectTest, PushesGoOnWhereADeviceWas) {
  Start({}, {{1, 2}});
  auto sender = Connect(1);
  SendMany(*sender, 2, 1, 450);  // before anybody listens
  auto device = Connect(2, true, 0);
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= 450; }));
  SendMany(*sender, 2, 451, 50);  // while it does
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= 500; }));
  ExpectPushed(*device, 1, 500);
  device->Hangup();
  SendMany(*sender, 2, 501, 70);  // while it is away
  device = Connect(2, true, 500);
  SendMany(*sender, 2, 571, 30, 10, 1);  // while it catches up
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= 100; }));
  cells->RunFor(20 * kMillisecond);
  ExpectPushed(*device, 501, 600);
  // From the middle; from the end; from beyond it.
  auto middle = Connect(2, true, 590);
  auto end = Connect(2, true, 600);
  auto beyond = Connect(2, true, 1'000'000);
  auto silent = Connect(2, false, 0);
  ASSERT_TRUE(cells->RunUntil([&] { return middle->pushes.size() >= 10; }));
  SendMany(*sender, 2, 601, 1);
  ASSERT_TRUE(cells->RunUntil([&] { return beyond->pushes.size() == 1; }));
  ExpectPushed(*middle, 591, 601);
  ExpectPushed(*end, 601, 601);
  ExpectPushed(*beyond, 601, 601);
  EXPECT_TRUE(silent->pushes.empty());
}

TEST_P(ConnectTest, PushesSurviveTheCell) {
  Start({}, {{1, 2}});
  auto device = Connect(2, true, 0);
  for (Seq i = 1; i <= 20; ++i) Say(1, i, 2, std::to_string(i));
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() == 20; }));
  cells->Stop(0);
  ASSERT_TRUE(cells->RunUntil([&] { return device->closed_.has_value(); }));
  cells->Start(0);
  Say(1, 21, 2, "21");
  device = Connect(2, true, 20);
  ASSERT_TRUE(cells->RunUntil([&] { return !device->pushes.empty(); }));
  ExpectPushed(*device, 21, 21);
}

TEST_P(ConnectTest, EveryDeviceReadsEverything) {
  Start({}, {{1, 2}});
  std::vector<std::unique_ptr<Device>> devices;
  devices.reserve(8);
  for (int i = 0; i < 8; ++i) devices.push_back(Connect(2, true, 0, "device " + std::to_string(i)));
  auto sender = Connect(1);
  SendMany(*sender, 2, 1, 300);
  for (const auto& device : devices) {
    ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= 300; }));
    ExpectPushed(*device, 1, 300);
  }
  auto ninth = Connect(2, true);
  EXPECT_EQ(ninth->closed_, 1008);
  EXPECT_FALSE(ninth->welcome);
  // One that has lost its connection unnoticed takes its own place.
  auto back = Connect(2, true, 250, "device 3");
  EXPECT_TRUE(back->welcome);
  ASSERT_TRUE(cells->RunUntil([&] { return devices[3]->closed_ && back->pushes.size() >= 50; }));
  EXPECT_EQ(devices[3]->closed_, 4001);
  ExpectPushed(*back, 251, 300);
  // One that goes makes room.
  devices[0]->Hangup();
  cells->RunFor(20 * kMillisecond);
  EXPECT_TRUE(Connect(2, true)->welcome);
}

TEST_P(ConnectTest, ANewSendingConnectionTakesOver) {
  Start({}, {{1, 2}, {1, 3}});
  auto first = Connect(1);
  auto reader = Connect(1, true);
  SendMany(*first, 2, 1, 3);
  auto second = Connect(1);
  cells->RunFor(10 * kMillisecond);
  EXPECT_TRUE(Waits(*first));  // connecting alone takes nothing away
  EXPECT_EQ(second->welcome->counters().send_id(), 3u);
  SendMany(*second, 2, 4, 3);
  ASSERT_TRUE(cells->RunUntil([&] { return first->closed_.has_value(); }));
  EXPECT_EQ(first->closed_, 4001);
  EXPECT_THAT(first->close_reason, HasSubstr("another connection"));
  EXPECT_EQ(second->stored, 6u);
  Say(2, 1, 1, "to the reader");
  ASSERT_TRUE(cells->RunUntil([&] { return reader->pushes.size() == 1; }));
  EXPECT_TRUE(Waits(*reader));
  // REST has no session, and takes nothing over.
  Say(1, 7, 2, "by the way");
  SendMany(*second, 2, 8, 1);
  EXPECT_TRUE(Waits(*second));
}

// What comes in one commit may be more than a connection may have unsent.
TEST_P(ConnectTest, ABurstDoesNotCostAConnection) {
  CellsOptions options;
  options.logic.mailbox.window_bytes = 16 << 20;
  options.kv.commit_delay = 200 * kMillisecond;  // time for it all to come together
  Start(options, {{1, 2}});
  auto device = Connect(2, true);
  auto sender = Connect(1);
  for (Seq i = 1; i <= 60; ++i) {
    sender->Send(Device::Submits({{i, 2, std::to_string(i) + std::string(60'000, '.')}}));
    ASSERT_TRUE(cells->RunUntil([&] { return sender->socket().unsent() < 100'000; }));
  }
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= 60 || device->closed_; }));
  EXPECT_FALSE(device->closed_) << device->close_reason;
  ExpectPushed(*device, 1, 60);
}

class SlowReaderTest : public ConnectTest {
 protected:
  static constexpr std::size_t kBody = 60'000;
  static constexpr Seq kMessages = 400;  // 24 MB: more than the kernel keeps for a connection
  static constexpr std::size_t kMaxUnsent = 512 << 10;
  static constexpr Nanos kLong = 120 * kSecond;  // sanitizers are slow

  void StartSlow() {
    CellsOptions options;
    options.logic.mailbox.window_bytes = 4 << 20;
    options.http.websocket.max_unsent = kMaxUnsent;
    options.gateway.push_high_water = 1;  // less than makes sense
    Start(options, {{1, 2}});
    device = Connect(2, true);
    device->socket().PauseReading();
    auto sender = Connect(1);
    SendMany(*sender, 2, 1, kMessages, kBody, 10);
    ASSERT_TRUE(cells->RunUntil([&] { return sender->delivered == kMessages; }, kLong));
  }
  std::uint64_t Unsent() {
    std::uint64_t most = 0;
    for (const auto& c : Json(cells->Get("/connections"))) {
      most = std::max(most, c["unsent"].get<std::uint64_t>());
    }
    return most;
  }

  std::unique_ptr<Device> device;
};

TEST_P(SlowReaderTest, WaitsForWhatItReadsInItsOwnTime) {
  StartSlow();
  EXPECT_LT(device->pushes.size(), kMessages);
  EXPECT_LE(Unsent(), kMaxUnsent);
  device->socket().ResumeReading();
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= kMessages || device->closed_; },
                              kLong));
  EXPECT_FALSE(device->closed_) << device->close_reason;
  ExpectPushed(*device, 1, kMessages);
}

TEST_P(SlowReaderTest, LosesItsConnectionButNoMessage) {
  StartSlow();
  wire::ClientFrame frame;
  for (int i = 0; i < 1000; ++i) frame.add_submits();  // refused, at some length
  for (int i = 0; i < 50; ++i) device->Send(frame);
  cells->RunFor(100 * kMillisecond);
  EXPECT_LE(Unsent(), 2 * kMaxUnsent);
  device->socket().ResumeReading();
  ASSERT_TRUE(cells->RunUntil([&] { return device->closed_.has_value(); }, kLong));
  EXPECT_EQ(device->closed_, 1013);
  const Seq got = device->pushes.size();
  ASSERT_LT(got, kMessages);
  if (got > 0) ExpectPushed(*device, 1, got);
  device = Connect(2, true, got);
  ASSERT_TRUE(cells->RunUntil([&] { return device->pushes.size() >= kMessages - got; }, kLong));
  ExpectPushed(*device, got + 1, kMessages);
}

BAIWAN_ON_BOTH_BACKENDS(ConnectTest);
BAIWAN_ON_BOTH_BACKENDS(SlowReaderTest);

}  // namespace
}  // namespace baiwan::cell
