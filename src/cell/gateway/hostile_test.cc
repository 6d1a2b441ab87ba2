// What has killed systems of this kind, and other nonsense: it is refused, no process ends, and a
// good request after it works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/gateway/json.h"
#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HostileTest : public CellTest {
 protected:
  void SetUp() override {
    CellTest::SetUp();
    if (IsSkipped()) return;
    CellsOptions options;
    options.logic.mailbox.max_body = 2000;
    Start(options, {{1, 2}});
  }
  void TearDown() override {
    if (cells == nullptr) return;
    // Everything still works.
    const Seq next = User(1)["SendId"].get<Seq>() + 1;
    Say(1, next, 2, "still here");
    ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == next; }));
    EXPECT_EQ(User(2)["SendId"], 0);
  }
  std::string Head(const std::string& line) {
    return line + "\r\nHost: " + cells->gateway(0).ToString() + "\r\nConnection: close\r\n\r\n";
  }
};

std::string Encoded(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    char hex[4];
    std::snprintf(hex, sizeof hex, "%%%02x", static_cast<unsigned char>(c));
    out += hex;
  }
  return out;
}

TEST_P(HostileTest, ThePrototypesKillers) {
  ExpectError(cells->Get("/api/c/1/3/1/?message=x"), 403, "not_friend");
  ExpectError(cells->Get("/api/c/1/1/1/?message=x"), 403, "not_friend");
  for (const char* number : {"12345678901234567890", "99999999999999999999", "0", "-1", "+1", "1e3",
                             "0x10", "%31", "a", "1a", "1%00", "9999999999999999999"}) {
    const std::string n = number;
    ExpectError(cells->Get("/api/user/" + n), 400, "bad_request");
    ExpectError(cells->Get("/api/c/" + n + "/2/1/?message=x"), 400, "bad_request");
    ExpectError(cells->Get("/api/c/1/" + n + "/1/?message=x"), 400, "bad_request");
    ExpectError(cells->Get("/api/c/inbox/" + n), 400, "bad_request");
    ExpectError(cells->Get("/v1/users/" + n), 400, "bad_request");
    ExpectError(cells->Get("/v1/users/" + n + "/outbox"), 400, "bad_request");
    ExpectError(cells->Ask(cells->gateway(0), "POST", "/v1/users/" + n + "/messages",
                           R"({"send_id":1,"friend":2,"body":"x"})"),
                400, "bad_request");
    if (n != "0") ExpectError(cells->Get("/api/c/1/2/" + n + "/?message=x"), 400, "bad_request");
  }
  ExpectError(cells->Get("/api/user/999999999999999999"), 404, "unknown_user");
  ExpectError(cells->Get("/api/user/3"), 404, "unknown_user");
  ExpectError(cells->Get("/api/c/3/1/1/?message=x"), 404, "unknown_user");
  ExpectError(cells->Get("/api/c/1/2/0/?message=x"), 400, "bad_send_id");
  const auto window = cells->Get("/api/c/1/2/1025/?message=x");
  ExpectError(window, 429, "window");
  EXPECT_EQ(Json(window)["send_id"], 1025);
  EXPECT_EQ(Json(window)["window_end"], 1024);
  ExpectError(cells->Get("/api/c/1/2/999999999999999999/?message=x"), 429, "window");
  EXPECT_EQ(cells->Get("/api/c/1/2/1/?message=x").body, "OK");
  ExpectError(cells->Get("/api/c/1/2/1/?message=y"), 409, "send_id_conflict");
  EXPECT_EQ(cells->Get("/api/c/1/2/1/?message=x").body, "OK");
  ExpectError(cells->Get("/api/c/1/2/2/?message=" + std::string(2001, 'x')), 413, "body_too_large");
  ExpectError(cells->Get("/api/c/1/2/2/"), 400, "bad_request");
  ExpectError(cells->Get("/api/c/inbox/1/2"), 400, "bad_request");
  ExpectError(cells->Get("/api/c/1/2/2/?massage=x"), 400, "bad_request");
  for (const char* bad : {"%", "%4", "%zz", "ok%", "%%"}) {
    ExpectError(cells->Get(std::string("/api/c/1/2/2/?message=") + bad), 400, "bad_request");
  }
}

TEST_P(HostileTest, BodiesAreBytes) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  const std::string bodies[] = {
      std::string(1, '\0'),   std::string("\0\0x\0", 4), all, "\xFF\xFE", "\xED\xA0\x80", "百万",
      std::string(2000, '\0')};
  Seq id = 0;
  for (const std::string& body : bodies) {
    if (body.size() < 1000) {
      const std::string n = std::to_string(++id);
      EXPECT_EQ(cells->Get("/api/c/1/2/" + n + "/?message=" + Encoded(body)).body, "OK") << n;
    }
    const json message = {{"send_id", ++id}, {"friend", 2}, {"body_base64", Base64(body)}};
    const auto response =
        cells->Ask(cells->gateway(0), "POST", "/v1/users/1/messages", message.dump());
    EXPECT_EQ(response.status, 201) << response.body;
  }
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == id; }));
  const json box = Json(cells->Get("/api/c/inbox/2"));
  std::vector<std::string> got;
  for (const auto& m : box["messages"]) {
    std::string body = m.value("body", "");
    if (m.contains("body_base64")) {
      EXPECT_TRUE(Base64Decode(m["body_base64"].get<std::string>(), &body));
    }
    got.push_back(body);
  }
  std::vector<std::string> expected;
  for (const std::string& body : bodies) {
    if (body.size() < 1000) expected.push_back(body);
    expected.push_back(body);
  }
  EXPECT_EQ(got, expected);
}

// The proper UTF-8 that a browser sends unencoded is not a request target; nor is anything else.
TEST_P(HostileTest, WhatIsNotHttpIsToldSo) {
  const Endpoint to = cells->gateway(0);
  const std::pair<std::string, const char*> cases[] = {
      {"\r\n\r\nnonsense\r\n\r\n", "400"},
      {"GET\r\n\r\n", "400"},
      {std::string("\0\0\0\0\0\0\0\0\r\n\r\n", 12), "400"},
      {"GET /api/user/1 HTTP/1.1\r\n\r\n", "400"},  // no Host
      {"GET /api/user/1 HTTP/9.9\r\nHost: h\r\n\r\n", "505"},
      {Head("GET /api/c/1/2/1/?message=a b HTTP/1.1"), "400"},
      {Head("GET " + std::string(10'000, '/') + " HTTP/1.1"), "414"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(10'000, 'x') + "\r\n\r\n", "431"},
      {"POST /v1/users/1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", "413"},
      {"POST /v1/users/1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST /v1/users/1/messages HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       "400"},
  };
  for (const auto& [bytes, status] : cases) {
    EXPECT_THAT(cells->Raw(to, bytes), StartsWith(std::string("HTTP/1.1 ") + status))
        << bytes.substr(0, 60);
  }
}

TEST_P(HostileTest, JsonIsCheckedBeforeItIsBelieved) {
  const std::string deep(200'000, '[');
  const std::string not_utf8 = R"({"send_id":1,"friend":2,"body":")" + std::string("\xC0\xAF\"}");
  const std::string bad[] = {"",
                             "{",
                             "null",
                             "[]",
                             "\xFF",
                             deep,
                             deep.substr(0, 100'000) + std::string(100'000, ']'),
                             R"({"send_id":1e999,"friend":2,"body":"x"})",
                             not_utf8,
                             R"({"messages":[]})"};
  for (const std::string& body : bad) {
    ExpectError(cells->Ask(cells->gateway(0), "POST", "/v1/users/1/messages", body), 400,
                "bad_request");
    ExpectError(cells->Ask(cells->gateway(0), "PUT", "/v1/users/1/cursor", body), 400,
                "bad_request");
  }
  std::string many = R"({"messages":[)";
  for (int i = 1; i <= 1025; ++i) {
    many += R"({"send_id":)" + std::to_string(i) + R"(,"friend":2,"body":""},)";
  }
  many.back() = ']';
  ExpectError(cells->Ask(cells->gateway(0), "POST", "/v1/users/1/messages", many + "}"), 400,
              "bad_request");
  // Numbers that fit a JSON number but nobody's id.
  ExpectError(cells->Ask(cells->gateway(0), "POST", "/v1/users/1/messages",
                         R"({"send_id":1,"friend":18446744073709551615,"body":"x"})"),
              403, "not_friend");
  ExpectError(cells->Ask(cells->gateway(0), "POST", "/v1/users/1/messages",
                         R"({"send_id":18446744073709551615,"friend":2,"body":"x"})"),
              429, "window");
}

TEST_P(HostileTest, FramesThatMakeNoSenseEndTheirConnection) {
  const auto closes_with = [&](std::uint16_t code, const std::function<void(Device&)>& act) {
    net::WsLimits limits;
    limits.max_unsent = 4 << 20;
    Device device(*cells, cells->gateway(0), "/v1/connect", limits);
    ASSERT_TRUE(device.open());
    act(device);
    ASSERT_TRUE(cells->RunUntil([&] { return device.closed_.has_value(); }));
    EXPECT_EQ(*device.closed_, code) << device.close_reason;
    EXPECT_FALSE(device.close_reason.empty());
  };
  const auto connect_as = [](UserId user, const std::string& name = {}) {
    wire::ClientFrame frame;
    frame.mutable_connect()->set_user(user);
    frame.mutable_connect()->set_device(name);
    return frame;
  };
  closes_with(1007, [](Device& d) { d.SendBytes("\xFF\xFF\xFF"); });
  closes_with(1007, [](Device& d) { d.SendBytes(std::string(100'000, '\x0A')); });
  closes_with(1007, [](Device& d) { d.SendText("not json"); });
  closes_with(1007, [](Device& d) { d.SendText("[1,2]"); });
  closes_with(1007, [](Device& d) { d.SendText(R"({"connect":{"user":-1}})"); });
  closes_with(1007, [](Device& d) { d.SendText(R"({"connect":{"user":"1e99"}})"); });
  for (const char* lenient :
       {"{'connect':{'user':1}}", "{connect:{user:1}}", R"({"connect":{"user":1},})",
        R"({"connect":{"user":1}}{})", R"({"connect":{"user":01}})", R"({"connect":{"user":+1}})",
        "{\"connect\":{\"user\":1}}//", "{\"connect\":\n{\"user\":1,\"device\":\"a\nb\"}}"}) {
    closes_with(1007, [&](Device& d) { d.SendText(lenient); });
  }
  closes_with(1007, [](Device& d) { d.SendText(std::string(500'000, '[')); });
  closes_with(1007, [](Device& d) {
    std::string deep;
    for (int i = 0; i < 50'000; ++i) deep += "{\"connect\":";
    d.SendText(deep);
  });
  closes_with(1007, [&](Device& d) {  // a name that is not UTF-8
    std::string bytes = connect_as(1, "abcd").SerializeAsString();
    bytes.replace(bytes.find("abcd"), 4, "\xFF\xFE\xFD\xFC");
    d.SendBytes(bytes);
  });
  closes_with(1008, [](Device& d) { d.Send({}); });
  closes_with(1008, [](Device& d) { d.Send(Device::Submits({{1, 2, "x"}})); });
  closes_with(1008, [&](Device& d) { d.Send(connect_as(0)); });
  closes_with(1008, [&](Device& d) { d.Send(connect_as(~UserId{0})); });
  closes_with(1008, [&](Device& d) { d.Send(connect_as(3)); });  // nobody
  closes_with(1008, [&](Device& d) { d.Send(connect_as(1, std::string(65, 'x'))); });
  closes_with(1008, [&](Device& d) {
    d.Send(connect_as(1));
    d.Send(connect_as(2));
  });
  closes_with(1008, [&](Device& d) {
    wire::ClientFrame frame = connect_as(1);
    for (int i = 0; i < 1025; ++i) frame.add_submits()->set_send_id(1);
    d.Send(frame);
  });
  closes_with(1009, [](Device& d) { d.SendBytes(std::string((1 << 20) + 1, 'x')); });
}

TEST_P(HostileTest, ConnectIsForWebSockets) {
  ExpectError(cells->Get("/v1/connect"), 400, "bad_request");
  ExpectError(cells->Get("/v1/connect?format=xml"), 400, "bad_request");
  ExpectError(cells->Get("/v1/connect?user=x"), 400, "bad_request");
  const Endpoint to = cells->gateway(0);
  EXPECT_THAT(cells->Raw(to,
                         "GET /v1/connect HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                         [](const std::string& s) { return s.find('}') != std::string::npos; }),
              HasSubstr("426"));
}

// What follows a handshake is WebSocket, or nothing: it is not another request.
TEST_P(HostileTest, WhatFollowsARefusedHandshakeIsNotExecuted) {
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string smuggled = "GET /api/c/1/2/1/?message=smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string shapes[] = {
      "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 8\r\n" + key,
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bad\r\n",
      "Connection: keep-alive\r\nSec-WebSocket-Version: 13\r\n" + key,
      "Connection: Upgrade\r\n" + key};
  for (const std::string& fields : shapes) {
    for (const std::string path : {"/v1/connect", "/v1/connect?format=xml", "/api/user/1", "/no"}) {
      const std::string got =
          cells->Raw(cells->gateway(0), "GET " + path + " HTTP/1.1\r\nHost: h\r\n" +
                                            "Upgrade: websocket\r\n" + fields + "\r\n" + smuggled);
      EXPECT_THAT(got, HasSubstr("Connection: close\r\n")) << path << fields;
      EXPECT_EQ(got.find("HTTP/1.1 ", 1), got.npos) << "one answer: " << got;
    }
  }
  EXPECT_EQ(User(1)["SendId"], 0);
}

// A browser that has a page of another site open does for it what it may do itself.
TEST_P(HostileTest, PagesOfOtherSitesCanDoNothing) {
  const Endpoint to = cells->gateway(0);
  const std::string upgrade =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const std::string connect =
      "GET /v1/connect HTTP/1.1\r\nHost: " + to.ToString() + "\r\n" + upgrade;
  EXPECT_THAT(cells->Raw(to, connect + "Origin: http://evil.example\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
  const auto upgraded = [](const std::string& s) { return s.find("\r\n\r\n") != s.npos; };
  EXPECT_THAT(cells->Raw(to, connect + "Origin: http://" + to.ToString() + "\r\n\r\n", upgraded),
              StartsWith("HTTP/1.1 101 "));
  const std::string chat = "GET /api/c/1/2/1/?message=x HTTP/1.1\r\nConnection: close\r\nHost: ";
  const std::string image = "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n\r\n";
  EXPECT_THAT(cells->Raw(to, chat + to.ToString() + image), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(cells->Raw(to, chat + "evil.example\r\n\r\n"), StartsWith("HTTP/1.1 421 "));
  EXPECT_EQ(User(1)["SendId"], 0);
  EXPECT_THAT(cells->Raw(to, chat + to.ToString() + "\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendId"] == 1; }));
}

// Any bytes at all, on HTTP and behind an upgrade.
TEST_P(HostileTest, Noise) {
  Rng rng(42);
  const Endpoint to = cells->gateway(0);
  for (int round = 0; round < 150; ++round) {
    std::string bytes;
    for (std::uint64_t i = rng.Below(400) + 1; i > 0; --i) {
      bytes.push_back(static_cast<char>(rng.Below(256)));
    }
    if (round % 3 == 1) bytes.insert(0, "GET /api/c/1/2/");
    net::RawSocket socket(to);
    socket.Send(bytes);
    if (round % 3 == 2) {
      Device device(*cells, to);
      ASSERT_TRUE(device.open());
      device.SendBytes(bytes);
      cells->RunFor(kMillisecond);
      device.Hangup();
    }
    cells->RunFor(kMillisecond / 2);
  }
}

BAIWAN_ON_BOTH_BACKENDS(HostileTest);

}  // namespace
}  // namespace baiwan::cell
