// A gateway that is asked for a user of another cell says where to go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class RedirectTest : public CellTest {
 protected:
  void StartTwo() {
    CellsOptions options;
    options.cells = 2;
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    here = layout.UserAt(0, 0);
    there = layout.UserAt(1, 0);
    Start(options, {{here, there}});
    ASSERT_TRUE(cells->RunUntil([&] { return Asked("/api/user/" + id()).status == 307; }));
  }
  std::string id() const { return std::to_string(there); }
  net::HttpResponse Asked(const std::string& target) { return cells->Get(target); }
  net::HttpResponse Follow(std::string_view method, const net::HttpResponse& redirect,
                           std::string_view body = {}) {
    const std::string location(redirect.Header("Location"));
    const std::string prefix = "http://" + cells->gateway(1).ToString();
    EXPECT_EQ(location.substr(0, prefix.size()), prefix);
    return cells->Ask(cells->gateway(1), method, location.substr(prefix.size()), body);
  }

  UserId here = 0;
  UserId there = 0;
};

TEST_P(RedirectTest, NamesTheRightGateway) {
  StartTwo();
  const char* targets[] = {"/api/user/@", "/api/c/inbox/@/?from=1&limit=5", "/v1/users/@",
                           "/v1/users/@/outbox"};
  for (const std::string target : targets) {
    std::string path = target;
    path.replace(path.find('@'), 1, id());
    const auto response = Asked(path);
    ExpectError(response, 307, "wrong_cell");
    EXPECT_EQ(response.Header("Location"), "http://" + cells->gateway(1).ToString() + path);
    EXPECT_EQ(Follow("GET", response).status, 200);
  }
  // A chat keeps its message, byte by byte.
  auto response = Asked("/api/c/" + id() + "/" + std::to_string(here) + "/1/?message=%00%ff+x");
  EXPECT_EQ(response.status, 307);
  EXPECT_EQ(Follow("GET", response).body, "OK");
  const std::string message = json{{"send_id", 2}, {"friend", here}, {"body", "x"}}.dump();
  response = cells->Ask(cells->gateway(0), "POST", "/v1/users/" + id() + "/messages", message);
  EXPECT_EQ(response.status, 307);
  EXPECT_EQ(Follow("POST", response, message).status, 201);
  response =
      cells->Ask(cells->gateway(0), "PUT", "/v1/users/" + id() + "/cursor", R"({"read_up_to":0})");
  EXPECT_EQ(response.status, 307);
  EXPECT_EQ(Follow("PUT", response, R"({"read_up_to":0})").status, 200);
  // And what was sent arrives here.
  ASSERT_TRUE(cells->RunUntil([&] { return User(here)["ReceiveId"] == 2; }));
  const json inbox = Json(cells->Get("/api/c/inbox/" + std::to_string(here)));
  EXPECT_EQ(inbox["messages"][0]["body_base64"], "AP8geA==");
}

TEST_P(RedirectTest, WhateverTheFormOfTheTarget) {
  StartTwo();
  const std::string path = "/v1/users/" + id() + "/outbox?from=1";
  for (const std::string& target : {path, "http://h" + path, "HTTP://some.host:80" + path}) {
    const std::string got = cells->Raw(cells->gateway(0), "GET " + target +
                                                              " HTTP/1.1\r\nHost: h\r\n"
                                                              "Connection: close\r\n\r\n");
    EXPECT_THAT(got,
                HasSubstr("\r\nLocation: http://" + cells->gateway(1).ToString() + path + "\r\n"));
  }
  for (const char* before : {".evil.example://x", "@evil.example://x", "https://h", "x"}) {
    EXPECT_THAT(
        cells->Raw(cells->gateway(0), "GET " + (before + path) + " HTTP/1.1\r\nHost: h\r\n\r\n"),
        ::testing::StartsWith("HTTP/1.1 400 "));
  }
}

TEST_P(RedirectTest, WebSocketsToo) {
  StartTwo();
  Device early(*cells, cells->gateway(0), "/v1/connect?user=" + id());
  ASSERT_TRUE(early.failure);
  EXPECT_EQ(early.failure->status, 307);
  EXPECT_EQ(early.failure->location,
            "http://" + cells->gateway(1).ToString() + "/v1/connect?user=" + id());
  Device right(*cells, cells->gateway(1), "/v1/connect?user=" + id());
  EXPECT_TRUE(right.open());
  Device late(*cells, cells->gateway(0));
  wire::ClientFrame frame;
  frame.mutable_connect()->set_user(there);
  late.Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return late.closed_.has_value(); }));
  EXPECT_EQ(late.closed_, 1008);
  EXPECT_THAT(late.close_reason, HasSubstr(cells->gateway(1).ToString()));
}

TEST_P(RedirectTest, NobodyKnowsTheOtherGatewayYet) {
  CellsOptions options;
  options.cells = 2;
  const placement::UserLayout layout(2, placement::kDefaultPartitions);
  there = layout.UserAt(1, 0);
  here = layout.UserAt(0, 0);
  cells = std::make_unique<Cells>(GetParam(), options);
  cells->Befriend(here, there);
  cells->Start(0);
  ExpectError(Asked("/api/user/" + id()), 503, "not_ready");
  Device device(*cells, cells->gateway(0), "/v1/connect?user=" + id());
  ASSERT_TRUE(device.failure);
  EXPECT_EQ(device.failure->status, 503);
  EXPECT_GT(device.failure->retry_after_s, 0u);
  Device late(*cells, cells->gateway(0));
  wire::ClientFrame frame;
  frame.mutable_connect()->set_user(there);
  late.Send(frame);
  ASSERT_TRUE(cells->RunUntil([&] { return late.closed_.has_value(); }));
  EXPECT_EQ(late.closed_, 1013);
  cells->Start(1);
  ASSERT_TRUE(cells->RunUntil([&] { return Asked("/api/user/" + id()).status == 307; }));
}

TEST_P(RedirectTest, TheNewAddressIsNamedWhenAGatewayMoves) {
  StartTwo();
  cells->Stop(1);
  cells->Start(1);  // at another port
  ASSERT_TRUE(cells->RunUntil(
      [&] {
        return Asked("/api/user/" + id()).Header("Location") ==
               "http://" + cells->gateway(1).ToString() + "/api/user/" + id();
      },
      20 * kSecond));
}

BAIWAN_ON_BOTH_BACKENDS(RedirectTest);

}  // namespace
}  // namespace baiwan::cell
