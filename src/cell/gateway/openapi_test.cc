// docs/openapi.yaml and docs/registry.openapi.yaml against what runs.
#include "cell/testing/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cell/logic/logic.h"
#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;
using ::testing::StartsWith;

const std::string kDocs = BAIWAN_DOCS;

// A request that asks for a WebSocket, and the answer to it, cut in pieces.
net::HttpResponse Upgrade(Cells& cells, const std::string& target, const std::string& version) {
  const std::string got =
      cells.Raw(cells.gateway(0),
                "GET " + target +
                    " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Version: " +
                    version + "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                [](const std::string& s) { return s.find("\r\n\r\n") != std::string::npos; });
  net::HttpResponse response;
  EXPECT_THAT(got, StartsWith("HTTP/1.1 "));
  response.status = std::atoi(got.c_str() + 9);
  const auto type = got.find("Content-Type: ");
  if (type != std::string::npos) {
    response.headers.emplace_back("Content-Type",
                                  got.substr(type + 14, got.find('\r', type) - type - 14));
  }
  response.body = got.substr(got.find("\r\n\r\n") + 4);
  return response;
}

class OpenApiTest : public CellTest {
 protected:
  // A user here, one of a cell that runs, and one of a cell that does not.
  void StartSome() {
    CellsOptions options;
    options.cells = 3;
    options.logic.mailbox.max_body = 100;
    cells = std::make_unique<Cells>(GetParam(), options);
    there = std::to_string(cells->UserOf(1, 0));
    nowhere = std::to_string(cells->UserOf(2, 0));
    unknown = std::to_string(cells->UserOf(0, 50));
    cells->Befriend(1, 2);
    cells->Befriend(1, cells->UserOf(1, 0));
    cells->Start(0);
    cells->Start(1);
    ASSERT_TRUE(cells->RunUntil([&] { return cells->Get("/api/user/" + there).status == 307; }));
  }
  void Ask(const OpenApi::Operation& op, const std::string& target, const std::string& body,
           int status) {
    const auto response = cells->Ask(cells->gateway(0), op.method, target, body);
    EXPECT_EQ(response.status, status) << op.method << " " << target << ": " << response.body;
    api.Check(op, response);
  }
  // Everything as its example says, then for users who are not to be found here.
  void AskForAll(const OpenApi::Operation& op) {
    for (const std::string& body : api.Bodies(op)) {
      Ask(op, api.Target(op), body, api.GoodStatus(op));
    }
    if (op.path.find("{user}") == std::string::npos) return;
    const std::string body = api.Bodies(op).back();
    Ask(op, api.Target(op, {{"user", there}}), body, 307);
    Ask(op, api.Target(op, {{"user", "12345678901234567890"}}), body, 400);
    Ask(op, api.Target(op, {{"user", unknown}}), body, 404);
    Ask(op, api.Target(op, {{"user", nowhere}}), body, 503);
  }
  void SubmitWrongly() {
    const auto& chat = api.Find("GET", "/api/c/{user}/{friend}/{send_id}");
    Ask(chat, api.Target(chat, {{"friend", "77"}, {"send_id", "100"}}), "", 403);
    Ask(chat, api.Target(chat, {{"message", "other"}}), "", 409);
    Ask(chat, api.Target(chat, {{"message", std::string(101, 'x')}, {"send_id", "100"}}), "", 413);
    Ask(chat, api.Target(chat, {{"send_id", "5000"}}), "", 429);
    const auto& post = api.Find("POST", "/v1/users/{user}/messages");
    const auto message = [](int send_id, int to, const std::string& body) {
      return json{{"send_id", send_id}, {"friend", to}, {"body", body}};
    };
    const std::pair<json, int> cases[] = {{message(0, 2, "x"), 400},
                                          {message(100, 77, "x"), 403},
                                          {message(1, 2, "other"), 409},
                                          {message(100, 2, std::string(101, 'x')), 413},
                                          {message(5000, 2, "x"), 429}};
    for (const auto& [one, status] : cases) {
      Ask(post, api.Target(post), one.dump(), status);
      const json many = {{"messages", {message(1, 2, "hello"), one, message(5001, 2, "")}}};
      Ask(post, api.Target(post), many.dump(), status);
    }
  }

  OpenApi api{kDocs + "/openapi.yaml"};
  std::string there;
  std::string nowhere;
  std::string unknown;
};

TEST_P(OpenApiTest, TheGatewayAnswersAsDescribed) {
  StartSome();
  ASSERT_FALSE(api.operations().empty());
  for (const OpenApi::Operation& op : api.operations()) {
    if (op.path != "/v1/connect") AskForAll(op);
    if (op.what["responses"].contains("405")) {
      const auto response = cells->Ask(cells->gateway(0), "DELETE", api.Target(op));
      EXPECT_EQ(response.status, 405);
      api.Check(op, response);
    }
  }
  SubmitWrongly();
  for (const char* path : {"/api/c/inbox/{user}", "/v1/users/{user}/inbox"}) {
    const auto& inbox = api.Find("GET", path);
    Ask(inbox, api.Target(inbox, {{"from", "1000"}}), "", 409);
  }
  const auto& cursor = api.Find("PUT", "/v1/users/{user}/cursor");
  Ask(cursor, api.Target(cursor), R"({"read_up_to":1000})", 409);
  const auto& connect = api.Find("GET", "/v1/connect");
  api.Check(connect, Upgrade(*cells, api.Target(connect), "13"));
  api.Check(connect, Upgrade(*cells, api.Target(connect), "8"));
  Ask(connect, api.Target(connect), "", 400);
  Ask(connect, api.Target(connect, {{"user", there}}), "", 307);
  Ask(connect, api.Target(connect, {{"user", nowhere}}), "", 503);

  // What is left takes a damaged store, a lost answer, or a sick process.
  for (const std::string& unseen : api.Unseen()) {
    const std::string status = unseen.substr(unseen.size() - 3);
    const bool excused = status == "500" || status == "504" || unseen == "GET /healthz 503";
    EXPECT_TRUE(excused) << unseen << " is described, but did not happen";
  }
}

TEST_P(OpenApiTest, EveryRouteIsDescribed) {
  std::set<std::string> served;
  for (const RouteName& route : Gateway::Routes()) {
    served.insert(std::string(route.method) + " " + std::string(route.path));
  }
  for (const char* path : {"/metrics", "/status", "/connections", "/healthz"}) {
    served.insert(std::string("GET ") + path);
  }
  std::set<std::string> described;
  for (const OpenApi::Operation& op : api.operations()) described.insert(op.method + " " + op.path);
  EXPECT_EQ(served, described);
}

TEST_P(OpenApiTest, EveryReasonHasAName) {
  for (int i = 1; i < wire::Reason_ARRAYSIZE; ++i) {
    const auto reason = static_cast<wire::Reason>(i);
    EXPECT_STRNE(CodeOf(reason), "unknown") << i;
    EXPECT_STRNE(Describe(reason), "unknown") << i;
    EXPECT_GE(StatusOf(reason), 300) << i;
  }
}

TEST_P(OpenApiTest, TheRegistryAnswersAsDescribed) {
  StartSome();
  OpenApi registry(kDocs + "/registry.openapi.yaml");
  ASSERT_FALSE(registry.operations().empty());
  const auto ask = [&](const OpenApi::Operation& op, const std::string& target,
                       const std::string& body, int status) {
    const auto response = cells->Ask(cells->registry(), op.method, target, body);
    EXPECT_EQ(response.status, status) << op.method << " " << target << ": " << response.body;
    registry.Check(op, response);
  };
  for (const auto& op : registry.operations()) {
    if (op.method == "DELETE") continue;  // once it is there
    for (const std::string& body : registry.Bodies(op)) {
      ask(op, registry.Target(op), body, registry.GoodStatus(op));
    }
    if (op.what["responses"].contains("405")) {
      const auto response = cells->Ask(cells->registry(), "PATCH", registry.Target(op));
      registry.Check(op, response);
    }
  }
  const auto& put = registry.Find("PUT", "/v1/services/{role}/{cell}/{name}");
  const std::string body = registry.Bodies(put).front();
  ask(put, registry.Target(put, {{"role", "nobody"}}), body, 400);
  ask(put, registry.Target(put, {{"name", "another"}}), body, 409);
  json later = json::parse(body);
  later["incarnation"] = 1;
  ask(put, registry.Target(put), later.dump(), 200);
  ask(put, registry.Target(put), body, 410);
  ask(put, registry.Target(put), std::string(17'000, ' '), 413);
  const auto& remove = registry.Find("DELETE", "/v1/services/{role}/{cell}/{name}");
  ask(remove, registry.Target(remove, {{"incarnation", "x"}}), "", 400);
  ask(remove, registry.Target(remove), "", 200);
  ask(remove, registry.Target(remove), "", 404);
  const auto& claim = registry.Find("PUT", "/v1/claims/{cell}");
  json copy = json::parse(registry.Bodies(claim).front());
  copy["id"] = 18;
  ask(claim, registry.Target(claim), copy.dump(), 409);
  ask(claim, registry.Target(claim), "{}", 400);
  ask(claim, registry.Target(claim), std::string(17'000, ' '), 413);
  const auto& regist = registry.Find("GET", "/regist/{type}/{cell}");
  ask(regist, registry.Target(regist, {{"type", "nonsense"}}), "", 404);
  ask(regist, registry.Target(regist, {{"port", "x"}}), "", 400);
  ask(regist, registry.Target(regist, {{"id", "another"}}), "", 409);
  const auto& list = registry.Find("GET", "/v1/services");
  ask(list, registry.Target(list, {{"cell", "x"}}), "", 400);
  const auto& watch = registry.Find("GET", "/v1/watch");
  ask(watch, registry.Target(watch, {{"after", "x"}}), "", 400);
  for (const std::string& unseen : registry.Unseen()) {
    // The limits of a registry, one with a secret, and callers from elsewhere.
    const std::string status = unseen.substr(unseen.size() - 3);
    EXPECT_TRUE(status == "503" || status == "401" || status == "403") << unseen;
  }
}

BAIWAN_ON_BOTH_BACKENDS(OpenApiTest);

}  // namespace
}  // namespace baiwan::cell
