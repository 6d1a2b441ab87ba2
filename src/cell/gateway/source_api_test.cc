// The source's HTTP interface, on real sockets, as any client written for it expects it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cell/gateway/json.h"
#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class SourceApiTest : public CellTest {
 protected:
  // 1 – 2, 1 – 17.
  void StartThree(const CellsOptions& options = {}) { Start(options, {{1, 2}, {1, 17}}); }
  std::string Body(const std::string& target) { return cells->Get(target).body; }
};

TEST_P(SourceApiTest, AUserIsTheSourcesJson) {
  StartThree();
  const auto response = cells->Get("/api/user/1");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.Header("Content-Type"), "application/json");
  EXPECT_EQ(response.body,
            R"({"SendId":0,"ReceiveId":0,"SendAckId":0,"ClientReceiveId":0,"friends":["2","17"]})");
  EXPECT_EQ(Body("/api/user/1/"), response.body);
  EXPECT_EQ(Body("/api/user/1?anything=else"), response.body);
  EXPECT_EQ(Body("/api/user/1/?anything=else"), response.body);
}

TEST_P(SourceApiTest, AChatIsTakenInInAllItsForms) {
  StartThree();
  const char* forms[] = {"/api/c/1/2/1/?message=1", "/api/c/1/2/2?message=2",
                         "/api/c/1/2/3/?x=y&message=3", "/api/c/1/2/4/?message=3+%2B+1&z",
                         "/api/c/1/2/5/?message="};
  for (const char* form : forms) {
    const auto response = cells->Get(form);
    EXPECT_EQ(response.status, 200) << form;
    EXPECT_EQ(response.body, "OK") << form;
  }
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 5; }));
  const json box = Json(cells->Get("/api/c/inbox/2"));
  ASSERT_EQ(box["messages"].size(), 5u);
  EXPECT_EQ(box["next"], 6);
  const char* bodies[] = {"1", "2", "3", "3 + 1", ""};
  for (int i = 0; i < 5; ++i) {
    const json& m = box["messages"][i];
    EXPECT_EQ(m["seq"], i + 1);
    EXPECT_EQ(m["send_id"], i + 1);
    EXPECT_EQ(m["sender"], "1");
    EXPECT_EQ(m["receiver"], "2");
    EXPECT_EQ(m["body"], bodies[i]);
    EXPECT_GT(m["timestamp"].get<std::uint64_t>(), 1'600'000'000'000u);
  }
}

// The answer does not wait for the disk: it says "taken in", and SendId says "stored".
TEST_P(SourceApiTest, OkComesBeforeTheCommit) {
  CellsOptions options;
  options.kv.commit_delay = 300 * kMillisecond;
  StartThree(options);
  User(1);  // loaded
  const std::uint64_t commits = cells->disk(0).commits();
  EXPECT_EQ(Body("/api/c/1/2/1/?message=1"), "OK");
  EXPECT_EQ(cells->disk(0).commits(), commits);
  EXPECT_EQ(User(1)["SendId"], 0);
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendId"] == 1; }));
  EXPECT_GT(cells->disk(0).commits(), commits);
}

TEST_P(SourceApiTest, ClientsCloseOrKeepTheirConnections) {
  StartThree();
  const Endpoint to = cells->gateway(0);
  const std::string host = "Host: " + to.ToString() + "\r\n";
  // HTTP/1.0: closed after the answer.
  std::string got = cells->Raw(to, "GET /api/user/2 HTTP/1.0\r\n\r\n");
  EXPECT_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(got, EndsWith("\"friends\":[\"1\"]}"));
  // HTTP/1.1 that asks for it.
  got = cells->Raw(to,
                   "GET /api/c/1/2/1/?message=1 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n");
  EXPECT_THAT(got, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(got, EndsWith("\r\n\r\nOK"));
  // Kept, and several in one go: answered in order.
  got = cells->Raw(to, "GET /api/c/1/2/2/?message=2 HTTP/1.1\r\n" + host + "\r\n" +
                           "GET /api/user/17 HTTP/1.1\r\n" + host + "\r\n" +
                           "GET /api/c/1/2/3/?message=3 HTTP/1.1\r\n" + host +
                           "Connection: close\r\n\r\n");
  const auto first = got.find("\r\n\r\nOK");
  const auto second = got.find("\"friends\":[\"1\"]}");
  ASSERT_NE(first, std::string::npos);
  ASSERT_NE(second, std::string::npos);
  EXPECT_LT(first, second);
  EXPECT_THAT(got, EndsWith("\r\n\r\nOK"));
  // HTTP/1.0 that keeps.
  got = cells->Raw(to, "GET /api/user/2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
                   [](const std::string& s) { return s.find("]}") != std::string::npos; });
  EXPECT_THAT(got, HasSubstr("Connection: keep-alive\r\n"));
  // One that is gone before it is answered does no harm.
  for (int i = 0; i < 20; ++i) {
    net::RawSocket socket(to);
    socket.Send("GET /api/c/1/2/4/?message=4 HTTP/1.1\r\n" + host + "\r\n");
    if (i % 2 == 0) socket.Reset();
  }
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 4; }));
}

TEST_P(SourceApiTest, MessagesAreOrderedByTheirNumbers) {
  StartThree();
  for (const int id : {3, 1, 2, 3, 2}) {  // repeats are harmless
    EXPECT_EQ(Body("/api/c/1/2/" + std::to_string(id) + "/?message=" + std::to_string(id)), "OK");
    if (id == 3) {
      EXPECT_EQ(User(2)["ReceiveId"].get<int>() % 3, 0);
    }
  }
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 3; }));
  const json box = Json(cells->Get("/api/c/outbox/1/"));
  ASSERT_EQ(box["messages"].size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(box["messages"][i]["body"], std::to_string(i + 1));
}

TEST_P(SourceApiTest, BoxesAreReadInPages) {
  StartThree();
  for (Seq i = 1; i <= 250; ++i) Say(1, i, i % 2 == 0 ? 2 : 17, std::to_string(i));
  ASSERT_TRUE(cells->RunUntil([&] { return User(1)["SendAckId"] == 250; }));
  json page = Json(cells->Get("/api/c/outbox/1"));
  EXPECT_EQ(page["messages"].size(), 100u);
  EXPECT_EQ(page["next"], 101);
  page = Json(cells->Get("/api/c/outbox/1?from=101&limit=1000"));
  EXPECT_EQ(page["messages"].size(), 150u);
  EXPECT_EQ(page["messages"][0]["seq"], 101);
  EXPECT_EQ(page["messages"][149]["body"], "250");
  EXPECT_EQ(page["next"], 251);
  page = Json(cells->Get("/api/c/outbox/1/?from=251"));
  EXPECT_EQ(page["messages"], json::array());
  EXPECT_EQ(page["next"], 251);
  EXPECT_EQ(User(1)["ClientReceiveId"], 0);  // reading one's outbox says nothing about the inbox

  page = Json(cells->Get("/api/c/inbox/2?limit=7"));
  EXPECT_EQ(page["messages"].size(), 7u);
  EXPECT_EQ(page["messages"][6]["body"], "14");
  EXPECT_EQ(page["messages"][6]["sender"], "1");
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ClientReceiveId"] == 7; }));
  cells->Get("/api/c/inbox/2?from=8&limit=1000");
  ASSERT_TRUE(cells->RunUntil([&] { return User(2)["ClientReceiveId"] == 125; }));
  cells->Get("/api/c/inbox/2?limit=1");  // never back
  cells->RunFor(20 * kMillisecond);
  EXPECT_EQ(User(2)["ClientReceiveId"], 125);
  // It is journalled with a commit, and survives.
  cells->Stop(0);
  cells->Start(0);
  EXPECT_EQ(User(2)["ClientReceiveId"], 125);
  EXPECT_EQ(User(2)["ReceiveId"], 125);
}

TEST_P(SourceApiTest, FromAndLimitAreChecked) {
  StartThree();
  for (const char* query : {"from=0", "from=-1", "from=x", "from=", "from=1.5", "from=1%",
                            "from=%zz", "from=9999999999999999999", "limit=0", "limit=1001",
                            "limit=-1", "limit=x", "limit=", "limit=%zz"}) {
    ExpectError(cells->Get(std::string("/api/c/inbox/1?") + query), 400, "bad_request");
    ExpectError(cells->Get(std::string("/v1/users/1/outbox?") + query), 400, "bad_request");
  }
  EXPECT_EQ(cells->Get("/api/c/outbox/1?from=999999999999999999&limit=1000").status, 200);
  ExpectError(cells->Get("/api/c/inbox/1?from=999999999999999999&limit=1000"), 409, "beyond_end");
}

TEST_P(SourceApiTest, FriendCircleIsNotBuilt) {
  StartThree();
  for (const char* path : {"/api/f", "/api/f/", "/api/f/1", "/api/f/1/2/?x=y"}) {
    ExpectError(cells->Get(path), 501, "not_implemented");
    ExpectError(cells->Ask(cells->gateway(0), "POST", path), 501, "not_implemented");
  }
}

TEST_P(SourceApiTest, HeadIsGetWithoutItsBody) {
  StartThree();
  const auto head = cells->Ask(cells->gateway(0), "HEAD", "/api/user/1");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body, "");
}

BAIWAN_ON_BOTH_BACKENDS(SourceApiTest);

}  // namespace
}  // namespace baiwan::cell
