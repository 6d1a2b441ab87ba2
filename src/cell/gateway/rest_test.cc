// /v1 over REST: what it does, and every status that it answers with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class RestTest : public CellTest {
 protected:
  net::HttpResponse Post(const json& body, UserId user = 1) { return PostText(body.dump(), user); }
  net::HttpResponse PostText(std::string_view body, UserId user = 1) {
    return cells->Ask(cells->gateway(0), "POST", "/v1/users/" + std::to_string(user) + "/messages",
                      body, {{"Content-Type", "application/json"}});
  }
  net::HttpResponse PutCursor(std::string_view body, UserId user = 2) {
    return cells->Ask(cells->gateway(0), "PUT", "/v1/users/" + std::to_string(user) + "/cursor",
                      body);
  }
  static json Message(Seq send_id, UserId to, const std::string& body) {
    return {{"send_id", send_id}, {"friend", std::to_string(to)}, {"body", body}};
  }
};

TEST_P(RestTest, OneMessageIsAnsweredOnceItIsStored) {
  CellsOptions options;
  options.kv.commit_delay = 30 * kMillisecond;
  Start(options, {{1, 2}});
  const auto response = Post(Message(1, 2, "hello"));
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(Json(response), (json{{"stored", 1}}));
  const json user = Json(cells->Get("/v1/users/1"));
  EXPECT_EQ(user["SendId"], 1);
  EXPECT_EQ(user["friends"], (json{"2"}));
  EXPECT_EQ(Json(Post(Message(1, 2, "hello")))["stored"], 1);  // again, no harm
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 1; }));
  EXPECT_EQ(Json(cells->Get("/v1/users/2/inbox"))["messages"][0]["body"], "hello");
  EXPECT_EQ(Json(cells->Get("/v1/users/1/outbox/"))["messages"][0]["body"], "hello");
}

TEST_P(RestTest, ManyMessagesAreOneRequest) {
  Start({}, {{1, 2}, {1, 3}});
  json many = {{"messages", json::array()}};
  for (Seq i = 10; i >= 1; --i) {  // out of order
    many["messages"].push_back(Message(i, i % 2 == 0 ? 2 : 3, std::to_string(i)));
  }
  const auto response = Post(many);
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(Json(response), (json{{"stored", 10}}));
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 10; }));
  const json one = {{"messages", {Message(11, 2, "x")}}};  // a list of one is the same thing
  EXPECT_EQ(Json(Post(one)), (json{{"stored", 11}}));
}

TEST_P(RestTest, OfManyMessagesSomeMayBeRefused) {
  Start({}, {{1, 2}});
  const json many = {{"messages",
                      {Message(1, 2, "good"), Message(2, 99, "stranger"), Message(2, 2, "instead"),
                       Message(5000, 2, "far")}}};
  const auto response = Post(many);
  EXPECT_EQ(response.status, 403);
  const json answer = Json(response);
  EXPECT_EQ(answer["stored"], 2);
  EXPECT_EQ(answer["error"], "not_friend");
  EXPECT_EQ(answer["send_id"], 2);
  ASSERT_EQ(answer["refused"].size(), 2u);
  EXPECT_EQ(answer["refused"][0]["error"], "not_friend");
  EXPECT_EQ(answer["refused"][1]["error"], "window");
  EXPECT_EQ(Json(cells->Get("/v1/users/1/outbox"))["messages"].size(), 2u);
}

TEST_P(RestTest, AVoidTakesItsNumber) {
  Start({}, {{1, 2}});
  EXPECT_EQ(Post({{"messages", {json{{"send_id", 1}, {"void", true}}, Message(2, 2, "x")}}}).status,
            201);
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 2; }));
  EXPECT_EQ(User(2)["ReceiveId"], 1);
  EXPECT_EQ(Json(cells->Get("/v1/users/1/outbox"))["messages"][0]["void"], true);
}

TEST_P(RestTest, TheCursorMovesUpTo) {
  Start({}, {{1, 2}});
  for (Seq i = 1; i <= 3; ++i) Say(1, i, 2, "x");
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ReceiveId"] == 3; }));
  const auto response = PutCursor(R"({"read_up_to":2})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(Json(response), (json{{"read", true}}));
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ClientReceiveId"] == 2; }));
  PutCursor(R"({"read_up_to":1})");
  PutCursor(R"({"read_up_to":0})");
  cells->RunFor(20 * kMillisecond);
  EXPECT_EQ(User(2)["ClientReceiveId"], 2);
  PutCursor(R"({"read_up_to":3})");
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ClientReceiveId"] == 3; }));
  for (const char* bad : {"", "7", "{}", R"({"read_up_to":"x"})", R"({"read_up_to":-1})"}) {
    ExpectError(PutCursor(bad), 400, "bad_request");
  }
}

// Or a client whose store went back would wait for ever for what has come already.
TEST_P(RestTest, APlaceBeyondTheEndOfAnInboxIsToldAndNotTaken) {
  CellsOptions options;
  options.life = 77;
  Start(options, {{1, 2}});
  for (Seq i = 1; i <= 3; ++i) Say(1, i, 2, "x");
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ReceiveId"] == 3; }));
  for (const auto& response :
       {PutCursor(R"({"read_up_to":4})"), PutCursor(R"({"read_up_to":"1000000"})"),
        cells->Get("/v1/users/2/inbox?from=5"), cells->Get("/api/c/inbox/2?from=1000000")}) {
    ExpectError(response, 409, "beyond_end");
    EXPECT_EQ(Json(response)["end"], 3);
    EXPECT_EQ(Json(response)["life"], 77);
  }
  EXPECT_EQ(User(2)["ClientReceiveId"], 0);
  const json page = Json(cells->Get("/v1/users/2/inbox?from=4"));
  EXPECT_EQ(page["messages"], json::array());
  EXPECT_EQ(page["next"], 4);
  EXPECT_EQ(page["life"], 77);
  EXPECT_EQ(Json(cells->Get("/v1/users/2/inbox"))["life"], 77);
  EXPECT_EQ(cells->Get("/v1/users/1/outbox?from=1000").status, 200);
}

TEST_P(RestTest, FieldsThatAreNotKnownAreSkipped) {
  Start({}, {{1, 2}});
  const auto response = cells->Ask(cells->gateway(0), "POST", "/v1/users/1/messages",
                                   R"({"send_id":1,"friend":2,"body":"x","newer":{"a":[1]}})");
  EXPECT_EQ(response.status, 201);
  EXPECT_EQ(PutCursor(R"({"read_up_to":0,"newer":1})").status, 200);
}

TEST_P(RestTest, RefusalsHaveAStatusAndSayWhy) {
  CellsOptions options;
  options.logic.mailbox.window_messages = 100;
  options.logic.mailbox.max_body = 1000;
  Start(options, {{1, 2}});
  ExpectError(Post(Message(0, 2, "x")), 400, "bad_send_id");
  ExpectError(Post(Message(1, 1, "to myself")), 403, "not_friend");
  ExpectError(Post(Message(1, 3, "x")), 403, "not_friend");
  ExpectError(Post(Message(1, 2, "x"), 3), 404, "unknown_user");
  ExpectError(cells->Get("/v1/users/3"), 404, "unknown_user");
  ExpectError(cells->Get("/v1/users/3/inbox"), 404, "unknown_user");
  ExpectError(PutCursor(R"({"read_up_to":1})", 3), 404, "unknown_user");
  ExpectError(Post(Message(1, 2, std::string(1001, 'x'))), 413, "body_too_large");
  const auto window = Post(Message(101, 2, "x"));
  ExpectError(window, 429, "window");
  EXPECT_EQ(Json(window)["send_id"], 101);
  EXPECT_EQ(Json(window)["window_end"], 100);
  EXPECT_EQ(Post(Message(1, 2, std::string(1000, 'x'))).status, 201);
  const auto conflict = Post(Message(1, 2, "other"));
  ExpectError(conflict, 409, "send_id_conflict");
  EXPECT_EQ(Json(conflict)["send_id"], 1);
  // Also when it is old and has to be looked up, and when it is a void.
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 1; }));
  ExpectError(Post(Message(1, 2, "other")), 409, "send_id_conflict");
  ExpectError(Post(json{{"send_id", 1}, {"void", true}}), 409, "send_id_conflict");
  EXPECT_EQ(Post(Message(1, 2, std::string(1000, 'x'))).status, 201);
}

TEST_P(RestTest, AMessageThatWaitsForItsTurnIsBoundToItsContent) {
  Start({}, {{1, 2}});
  EXPECT_EQ(cells->Get("/api/c/1/2/2/?message=second").status, 200);
  ExpectError(cells->Get("/api/c/1/2/2/?message=other"), 409, "send_id_conflict");
  EXPECT_EQ(cells->Get("/api/c/1/2/2/?message=second").status, 200);
}

TEST_P(RestTest, TheOutboxHasALimit) {
  CellsOptions options;
  options.cells = 2;
  options.logic.mailbox.max_unacked = 3;
  const placement::UserLayout layout(2, placement::kDefaultPartitions);
  const UserId here = layout.UserAt(0, 0);
  const UserId there = layout.UserAt(1, 0);
  Start(options, {{here, there}});
  cells->Stop(1);  // nobody acknowledges
  for (Seq i = 1; i <= 3; ++i) EXPECT_EQ(Post(Message(i, there, "x"), here).status, 201);
  ExpectError(Post(Message(4, there, "x"), here), 429, "outbox_full");
  cells->Start(1);
  ASSERT_TRUE(cells->RunUntil([&] { return User(here)["SendAckId"] == 3; }));
  EXPECT_EQ(Post(Message(4, there, "x"), here).status, 201);
}

TEST_P(RestTest, PathsAndMethodsThatDoNotExist) {
  Start({}, {{1, 2}});
  for (const char* path : {"/",
                           "/v1",
                           "/v1/",
                           "/v1/users",
                           "/v1/users/",
                           "/v1/users/1/nothing",
                           "/v1/users/1/inbox/2",
                           "/v1/users/1/cursor/x",
                           "/api",
                           "/api/",
                           "/api/user",
                           "/api/user/",
                           "/api/user/1/inbox",
                           "/api/c",
                           "/api/c/1",
                           "/api/c/1/2",
                           "/api/c/1/2/3/4",

                           "//api/user/1",
                           "/api//user/1",
                           "/API/user/1",
                           "/v1/users/1/../2"}) {
    ExpectError(cells->Get(path), 404, "not_found");
  }
  const std::pair<const char*, const char*> wrong[] = {{"POST", "/v1/users/1"},
                                                       {"DELETE", "/v1/users/1/inbox"},
                                                       {"GET", "/v1/users/1/messages"},
                                                       {"PUT", "/v1/users/1/messages"},
                                                       {"POST", "/v1/users/1/cursor"},
                                                       {"POST", "/v1/connect"},
                                                       {"POST", "/api/user/1"},
                                                       {"PUT", "/api/c/1/2/1/"},
                                                       {"DELETE", "/api/c/inbox/1"},
                                                       {"DELETE", "/metrics"},
                                                       {"POST", "/status"},
                                                       {"PUT", "/connections"},
                                                       {"DELETE", "/healthz"},
                                                       {"OPTIONS", "/v1/users/1"}};
  for (const auto& [method, path] : wrong) {
    const auto response = cells->Ask(cells->gateway(0), method, path);
    ExpectError(response, 405, "method_not_allowed");
    EXPECT_FALSE(response.Header("Allow").empty());
  }
  EXPECT_EQ(cells->Ask(cells->gateway(0), "GET", "/v1/users/1/messages").Header("Allow"), "POST");
  EXPECT_EQ(cells->Ask(cells->gateway(0), "PUT", "/v1/users/1").Header("Allow"), "GET, HEAD");
  EXPECT_EQ(cells->Ask(cells->gateway(0), "PUT", "/metrics").Header("Allow"), "GET, HEAD");
}

TEST_P(RestTest, HeadChangesNothing) {
  Start({}, {{1, 2}});
  Say(1, 1, 2, "one");
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ReceiveId"] == 1; }));
  const auto head = [&](const char* path) { return cells->Ask(cells->gateway(0), "HEAD", path); };
  for (const char* path : {"/api/c/1/2/2/?message=x", "/api/c/inbox/2", "/v1/users/2/inbox",
                           "/v1/users/1/messages", "/v1/connect"}) {
    EXPECT_EQ(head(path).status, 405) << path;
  }
  EXPECT_EQ(head("/api/c/1/2/2/?message=x").Header("Allow"), "GET");
  for (const char* path : {"/api/user/1", "/v1/users/1", "/v1/users/1/outbox", "/metrics"}) {
    EXPECT_EQ(head(path).status, 200) << path;
    EXPECT_EQ(head(path).body, "") << path;
  }
  Say(1, 2, 2, "two");  // would be another message's number
  EXPECT_EQ(User(2)["ClientReceiveId"], 0);
}

// printf … | nc -N, say: the answer needs a commit, and comes after the client has said all.
TEST_P(RestTest, WhoHalfClosesIsStillAnswered) {
  CellsOptions options;
  options.kv.commit_delay = 50 * kMillisecond;
  Start(options, {{1, 2}});
  const std::string body = Message(1, 2, "half").dump();
  net::RawSocket socket(cells->gateway(0));
  socket.Send("POST /v1/users/1/messages HTTP/1.1\r\nHost: h\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body +
              "GET /v1/users/1 HTTP/1.1\r\nHost: h\r\n\r\n");
  shutdown(socket.fd, SHUT_WR);
  std::string got;
  ASSERT_TRUE(cells->RunUntil([&] { return got += socket.Read(), socket.end.has_value(); }));
  EXPECT_THAT(got, StartsWith("HTTP/1.1 201 "));
  EXPECT_THAT(got, HasSubstr("\"SendId\":1,"));
  EXPECT_EQ(*socket.end, 0);
}

TEST_P(RestTest, NotEveryNumberOfRequestsIsTaken) {
  CellsOptions options;
  options.gateway.max_requests = 2;
  options.kv.commit_delay = 200 * kMillisecond;
  Start(options, {{1, 2}});
  User(1);
  std::vector<std::unique_ptr<net::HttpClient>> clients;
  std::map<int, int> statuses;
  for (Seq i = 1; i <= 5; ++i) {
    clients.push_back(net::HttpClient::Create(cells->node(), cells->gateway(0)));
    clients.back()->Request("POST", "/v1/users/1/messages", Message(i, 2, "x").dump(), {},
                            5 * kSecond, [&](Result<net::HttpResponse, NetError> got) {
                              ASSERT_TRUE(got.ok());
                              ++statuses[got->status];
                              if (got->status != 503) return;
                              ExpectError(*got, 503, "overloaded");
                            });
  }
  ASSERT_TRUE(cells->RunUntil([&] { return statuses[201] + statuses[503] == 5; }));
  EXPECT_EQ(statuses[201], 2);
}

TEST_P(RestTest, WithoutAnAnswerInTimeTheFateIsUnknown) {
  CellsOptions options;
  options.gateway.request_timeout = 200 * kMillisecond;
  options.kv.commit_delay = 2 * kSecond;
  Start(options, {{1, 2}});
  const auto response = Post(Message(1, 2, "x"));
  EXPECT_EQ(response.status, 504);
  EXPECT_EQ(Json(response)["error"], "timeout");
  ASSERT_TRUE(
      cells->RunUntil([&] { return User(1)["SendId"] == 1; }));  // it was taken in after all
}

// Who waits for an answer when the cell goes is told, or cut off, and nothing is left behind.
TEST_P(RestTest, ACellMayGoWhileRequestsWait) {
  CellsOptions options;
  options.kv.commit_delay = 500 * kMillisecond;
  Start(options, {{1, 2}});
  User(1);
  auto client = net::HttpClient::Create(cells->node(), cells->gateway(0));
  bool answered = false;
  client->Request("POST", "/v1/users/1/messages", Message(1, 2, "x").dump(), {}, 5 * kSecond,
                  [&](const Result<net::HttpResponse, NetError>&) { answered = true; });
  net::RawSocket idle(cells->gateway(0));
  cells->RunFor(50 * kMillisecond);
  ASSERT_FALSE(answered);
  cells->Stop(0);
  ASSERT_TRUE(cells->RunUntil([&] { return answered; }));
  cells->Start(0);
  EXPECT_EQ(User(1)["SendId"], 0);
}

TEST_P(RestTest, StoppingAnswersWhatWasTakenIn) {
  CellsOptions options;
  options.kv.commit_delay = 100 * kMillisecond;
  Start(options, {{1, 2}});
  User(1);
  auto client = net::HttpClient::Create(cells->node(), cells->gateway(0));
  int status = 0;
  client->Request("POST", "/v1/users/1/messages", Message(1, 2, "x").dump(), {}, 5 * kSecond,
                  [&](Result<net::HttpResponse, NetError> got) {
                    ASSERT_TRUE(got.ok());
                    status = got->status;
                  });
  auto device = Device::Connect(*cells, 2);
  bool stopped = false;
  cells->host(0).Stop([&] { stopped = true; });
  ASSERT_TRUE(cells->RunUntil([&] { return stopped && status != 0 && device->closed_; }));
  EXPECT_EQ(status, 201);
  EXPECT_EQ(device->closed_, 1012);
  cells->Stop(0);
  cells->Start(0);
  EXPECT_EQ(User(1)["SendId"], 1);
}

TEST_P(RestTest, ItCanBeAskedHowItIs) {
  Start({}, {{1, 2}});
  Say(1, 1, 2, "x");
  EXPECT_EQ(cells->Get("/healthz").body, "ok\n");
  EXPECT_THAT(cells->Get("/metrics").body, HasSubstr("baiwan_stored_total 1"));
  EXPECT_THAT(cells->Get("/metrics").body, HasSubstr("baiwan_gateway_requests_total"));
  EXPECT_EQ(Json(cells->Get("/status"))["role"], "cell");
  EXPECT_TRUE(Json(cells->Get("/connections")).is_array());
}

BAIWAN_ON_BOTH_BACKENDS(RestTest);

}  // namespace
}  // namespace baiwan::cell
