#include "registry/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "registry/json.h"
#include "registry/proof.h"

namespace baiwan::registry {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A loop and clock that stand still until told.
class FakeLoop final : public Loop, public Clock {
 public:
  Clock& clock() override { return *this; }
  void Post(std::function<void()> work) override { After(0, std::move(work)); }
  TimerId After(Nanos delay, std::function<void()> work) override {
    timers_[{now_ + delay, ++last_}] = std::move(work);
    return last_;
  }
  void Cancel(TimerId timer) override {
    std::erase_if(timers_, [&](const auto& t) { return t.first.second == timer; });
  }
  void AddTurnHook(TurnHook*) override {}
  void RemoveTurnHook(TurnHook*) override {}
  Nanos Monotonic() const override { return now_; }
  std::uint64_t WallMillis() const override { return 0; }

  void Advance(Nanos how_long) {
    const Nanos until = now_ + how_long;
    while (!timers_.empty() && timers_.begin()->first.first <= until) Step();
    now_ = until;
  }
  // The next that is due, whenever that is.
  void Step() {
    const auto first = timers_.begin();
    now_ = std::max(now_, first->first.first);
    const auto work = std::move(first->second);
    timers_.erase(first);
    work();
  }

 private:
  Nanos now_ = 5000 * kSecond;
  TimerId last_ = 0;
  std::map<std::pair<Nanos, TimerId>, std::function<void()>> timers_;
};

class NoTransport final : public Transport {
 public:
  Result<std::unique_ptr<Listener>, NetError> Listen(const Endpoint&, AcceptFn) override {
    return NetError::kOther;
  }
  void Connect(const Endpoint&, Nanos, ConnectFn) override {}
};

class FakeExchange final : public net::HttpExchange {
 public:
  FakeExchange(std::string method, std::string target, std::string body)
      : method_(std::move(method)), target_(std::move(target)), body_(std::move(body)) {
    const std::string_view all = target_;
    request_.method = method_;
    request_.target = all;
    request_.path = all.substr(0, all.find('?'));
    request_.query = all.find('?') == std::string_view::npos ? "" : all.substr(all.find('?') + 1);
    request_.body = body_;
  }
  const net::HttpRequest& request() const override { return request_; }
  void Reply(int status, std::string_view content_type, std::string_view body,
             const net::Headers& extra) override {
    EXPECT_EQ(status_, 0) << "answered twice";
    status_ = status;
    type_ = content_type;
    answer_ = body;
    headers_ = extra;
    if (on_reply) on_reply();
  }
  std::unique_ptr<net::WebSocket> Upgrade(net::WsHandler*) override { return nullptr; }
  const Endpoint& peer() const override { return peer_; }
  void SetPeer(const Endpoint& peer) { peer_ = peer; }
  void SetProof(const std::string& proof) {
    proof_ = proof;
    request_.headers = {{kProofHeader, proof_}};
  }

  int status() const { return status_; }
  const std::string& answer() const { return answer_; }
  json Json() const { return json::parse(answer_); }
  std::string Header(const std::string& name) const {
    for (const auto& [key, value] : headers_) {
      if (key == name) return value;
    }
    return "";
  }
  std::function<void()> on_reply;

 private:
  const std::string method_;
  const std::string target_;
  const std::string body_;
  std::string proof_;
  net::HttpRequest request_;
  Endpoint peer_{"127.0.0.1", 1};
  int status_ = 0;
  std::string type_;
  std::string answer_;
  net::Headers headers_;
};

class MemoryStore final : public PlacementStore {
 public:
  Result<std::string, std::string> Load() override { return saved; }
  std::optional<std::string> Save(const std::string& encoded) override {
    if (!error.empty()) return error;
    saved = encoded;
    return std::nullopt;
  }
  std::string saved;
  std::string error;
};

class ServerTest : public ::testing::Test {
 protected:
  std::unique_ptr<FakeExchange> Call(const std::string& method, const std::string& target,
                                     const std::string& body = "") {
    auto exchange = std::make_unique<FakeExchange>(method, target, body);
    server_->OnRequest(*exchange);
    return exchange;
  }
  std::unique_ptr<FakeExchange> Get(const std::string& target) { return Call("GET", target); }
  int Put(const std::string& path, const std::string& body) {
    return Call("PUT", "/v1/services/" + path, body)->status();
  }
  std::string WatchTarget(const json& last, const std::string& timeout = "30s") {
    return "/v1/watch?after=" + last["revision"].dump() + "&registry=" + last["registry"].dump() +
           "&timeout=" + timeout;
  }
  void Restart(const ServerOptions& options) {
    server_ = std::make_unique<RegistryServer>(node_, options, placement::PlacementTable(4));
  }

  FakeLoop loop_;
  NoTransport transport_;
  Rng rng_{1};
  Budget budget_{1 << 20};
  NodeContext node_{loop_, transport_, loop_, rng_, budget_, ProcessFatal(), NoLog()};
  MemoryStore store_;
  std::unique_ptr<RegistryServer> server_ = std::make_unique<RegistryServer>(
      node_, ServerOptions{.max_watchers = 3, .placement_store = &store_},
      placement::PlacementTable(4));
};

// A registry that wants the link secret proved.
class ProofTest : public ServerTest {
 protected:
  ProofTest() { Restart({.member = member_}); }
  int Ask(const std::string& method, const std::string& target, const std::string& body,
          const std::string& proof) {
    FakeExchange exchange(method, target, body);
    exchange.SetProof(proof);
    server_->OnRequest(exchange);
    if (exchange.status() == 401) number_ = RegistryIn(exchange.answer());
    return exchange.status();
  }
  std::string Proof(const std::string& method, const std::string& target, const std::string& body) {
    return ProveRequest(member_, number_, method, target, body);
  }

  const Membership member_{"the secret of this test", "d"};
  std::uint64_t number_ = 0;
  const std::string target_ = "/v1/services/relay/1/real";
  const std::string body_ = R"({"host":"10.0.0.1","port":9500,"incarnation":7})";
};

TEST_F(ProofTest, RegisteringAndLeavingNeedTheSecret) {
  EXPECT_EQ(Ask("PUT", target_, body_, ""), 401);
  ASSERT_NE(number_, 0u);
  const Membership stranger{"another secret than it", "d"};
  EXPECT_EQ(Ask("PUT", target_, body_, ProveRequest(stranger, number_, "PUT", target_, body_)),
            401);
  EXPECT_EQ(Ask("PUT", "/v1/claims/1", R"({"life":1,"incarnation":1,"id":1})", ""), 401);
  EXPECT_EQ(Get("/v1/services")->Json()["services"].size(), 0u);
  EXPECT_EQ(Ask("PUT", target_, body_, Proof("PUT", target_, body_)), 200);
  EXPECT_EQ(Ask("DELETE", target_, "", ""), 401);
  EXPECT_EQ(Get("/v1/services")->Json()["services"].size(), 1u);
  EXPECT_EQ(Ask("DELETE", target_, "", Proof("DELETE", target_, "")), 200);
  EXPECT_EQ(Get("/v1/services")->Json()["services"].size(), 0u);
}

TEST_F(ProofTest, AProofIsOfOneRequestToOneStartOfTheRegistry) {
  Ask("PUT", target_, body_, "");
  const std::string proof = Proof("PUT", target_, body_);
  EXPECT_EQ(Ask("PUT", "/v1/services/relay/1/other", body_, proof), 401);
  EXPECT_EQ(Ask("PUT", target_, R"({"host":"10.0.0.2","port":9500,"incarnation":7})", proof), 401);
  EXPECT_EQ(Ask("DELETE", target_, body_, proof), 401);
  Restart({.member = member_});
  EXPECT_EQ(Ask("PUT", target_, body_, proof), 401);
  EXPECT_EQ(Ask("PUT", target_, body_, Proof("PUT", target_, body_)), 200);
}

TEST_F(ProofTest, TheSourcesWayIsForLoopbackAndTakesNothingFromWhoHasProvedHimself) {
  FakeExchange far("GET", "/regist/gw/2/?id=a&host=10.0.0.1&port=1", "");
  far.SetPeer({"10.0.0.9", 1});
  server_->OnRequest(far);
  EXPECT_EQ(far.status(), 403);
  EXPECT_EQ(Get("/regist/poster/1/?id=fake&host=10.0.0.1&port=9500")->status(), 200);
  Ask("PUT", target_, body_, "");
  EXPECT_EQ(Ask("PUT", target_, body_, Proof("PUT", target_, body_)), 200)
      << "who has proved himself takes his address from who has not";
  EXPECT_EQ(Get("/v1/services")->Json()["services"].size(), 1u);
  EXPECT_EQ(Get("/regist/poster/1/?id=fake&host=10.0.0.1&port=9500")->status(), 409);
  EXPECT_EQ(Get("/regist/poster/1/?id=real&host=10.0.0.1&port=9501")->status(), 409);
  EXPECT_EQ(Get("/v1/services")->Json()["services"][0]["port"], 9500);
}

constexpr const char* kBody = R"({"host":"10.0.0.1","port":9500,"incarnation":7})";

TEST_F(ServerTest, TheSourcesRegistrationAndListAreServedExactly) {
  EXPECT_EQ(Get("/server")->answer(), "[]\n");
  for (const char* target : {"/regist/gw/2/?id=gw1&host=10.0.0.1&port=9500&cellid=2",
                             "/regist/localposter/2/?id=l1&host=10.0.0.1&port=9700&cellid=0",
                             "/regist/poster/2?id=p1&host=10.0.0.1&port=11000&cellid=2",
                             "/regist/cache/2/?id=c1&host=10.0.0.1&port=9600",
                             "/regist/redis/2/?id=r1&host=10.0.0.1&port=1500&cellid=2",
                             "/regist/memcached/2/?id=m1&host=10.0.0.1&port=1600&cellid=2"}) {
    const auto answer = Get(target);
    EXPECT_EQ(answer->status(), 200) << target;
    EXPECT_EQ(answer->answer(), "OK") << target;
  }
  std::map<std::string, json> by_name;
  for (const auto& entry : Get("/server")->Json()) by_name[entry["name"]] = entry;
  ASSERT_EQ(by_name.size(), 6u);
  EXPECT_EQ(by_name["gw1"], json::parse(R"({"name":"gw1","srvtype":"gw","host":"10.0.0.1",
                                            "port":9500,"rg":2,"cellid":2})"));
  EXPECT_EQ(by_name["l1"]["srvtype"], "localposter");
  EXPECT_EQ(by_name["l1"]["cellid"], 0);  // what it said, not what we think
  EXPECT_EQ(by_name["c1"]["cellid"], 2);
  EXPECT_EQ(by_name["p1"]["srvtype"], "poster");
  EXPECT_EQ(by_name["r1"]["srvtype"], "redis");
  EXPECT_EQ(by_name["m1"]["srvtype"], "memcached");
  // The names of here.
  EXPECT_EQ(Get("/v1/services?role=gateway")->Json()["services"].size(), 1u);
  EXPECT_EQ(Get("/v1/services?role=store")->Json()["services"].size(), 2u);
}

TEST_F(ServerTest, WhatThisProgramRegistersIsInTheSourcesListWhereTheSourceHasAName) {
  EXPECT_EQ(Put("gateway/1/cell-1", kBody), 200);
  EXPECT_EQ(Put("monitor/0/m", R"({"host":"10.0.0.1","port":8000})"), 200);
  EXPECT_EQ(Get("/server/")->answer(),
            R"([{"cellid":1,"host":"10.0.0.1","name":"cell-1","port":9500,"rg":1,"srvtype":"gw"}])"
            "\n");
}

TEST_F(ServerTest, RepeatingARegistrationRenewsItAndSilenceEndsIt) {
  const std::string target = "/regist/gw/0/?id=a&host=10.0.0.1&port=1&cellid=0";
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Get(target)->status(), 200);
    loop_.Advance(9 * kSecond);
    EXPECT_EQ(Get("/server")->Json().size(), 1u);
  }
  loop_.Advance(kSecond);
  EXPECT_EQ(Get("/server")->Json().size(), 0u);
}

TEST_F(ServerTest, AnAddressUnderLeaseIsRefusedToAnotherWithTheHoldersName) {
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  const auto clash = Call("PUT", "/v1/services/relay/1/b", kBody);
  EXPECT_EQ(clash->status(), 409);
  EXPECT_EQ(clash->Json()["error"], "taken");
  EXPECT_EQ(clash->Json()["message"],
            "10.0.0.1:9500 belongs to gateway a of cell 0: give relay b of cell 1 another port");
  EXPECT_EQ(Get("/regist/gw/0/?id=b&host=10.0.0.1&port=9500&cellid=0")->status(), 409);
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  EXPECT_EQ(Put("gateway/0/a", R"({"host":"10.0.0.1","port":9500,"incarnation":3})"), 200);
  EXPECT_EQ(Put("gateway/0/a", kBody), 410);  // 7 has been replaced by 3
}

TEST_F(ServerTest, LeasesAreListedWithTheirAgesAndFiltered) {
  EXPECT_EQ(Put("gateway/0/a", R"({"host":"10.0.0.1","port":1,"ops_port":2,"incarnation":7,
                                   "meta":{"zone":"b"}})"),
            200);
  EXPECT_EQ(Put("gateway/1/b", R"({"host":"10.0.0.1","port":3})"), 200);
  EXPECT_EQ(Put("relay/1/c", R"({"host":"10.0.0.1","port":4})"), 200);
  loop_.Advance(4 * kSecond);
  const json all = Get("/v1/services")->Json();
  ASSERT_EQ(all["services"].size(), 3u);
  EXPECT_EQ(all["services"][0],
            json::parse(R"({"role":"gateway","name":"a","cell":0,"host":"10.0.0.1","port":1,
                            "ops_port":2,"incarnation":7,"meta":{"zone":"b"},
                            "age_ms":4000,"lease_left_ms":6000})"));
  EXPECT_EQ(Get("/v1/services?role=gateway")->Json()["services"].size(), 2u);
  EXPECT_EQ(Get("/v1/services?cell=1")->Json()["services"].size(), 2u);
  EXPECT_EQ(Get("/v1/services?role=gateway&cell=1")->Json()["services"][0]["name"], "b");
  EXPECT_EQ(Get("/v1/services?role=king")->status(), 400);
  EXPECT_EQ(Get("/v1/services?cell=x")->status(), 400);
}

// Each that knows another state needs a listing of its own.
TEST_F(ServerTest, AFewListingsAreMadeInATurnAndOneIsHeldAtATime) {
  Restart({});
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  std::vector<std::unique_ptr<FakeExchange>> watches;
  std::size_t answered = 0;
  for (int after = 1; after <= 100; ++after) {
    watches.push_back(Get("/v1/watch?after=" + std::to_string(1000 + after)));
    watches.back()->on_reply = [&answered] { ++answered; };
  }
  std::size_t most = 0;
  for (int i = 0; i < 1000 && answered < watches.size(); ++i) {
    const std::size_t before = answered;
    loop_.Step();
    most = std::max(most, answered - before);
  }
  EXPECT_EQ(answered, watches.size());
  EXPECT_LE(most, 8U);
}

TEST_F(ServerTest, ItsTablesAreChargedAndBoundWhoIsTaken) {
  EXPECT_EQ(budget_.used(Account::kStore), 0U);
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  const std::uint64_t one = budget_.used(Account::kStore);
  EXPECT_GT(one, 1000U);
  EXPECT_EQ(Put("relay/0/b", R"({"host":"10.0.0.1","port":1})"), 200);
  EXPECT_GT(budget_.used(Account::kStore), one);
  budget_.ChargeAlways(Account::kConnections, budget_.hard_limit());
  EXPECT_EQ(Put("relay/0/c", R"({"host":"10.0.0.1","port":2})"), 503);
  EXPECT_EQ(Put("gateway/0/a", kBody), 200) << "who is there stays";
  budget_.Release(Account::kConnections, budget_.hard_limit());
  loop_.Advance(20 * kSecond);
  EXPECT_EQ(budget_.used(Account::kStore), 0U);
}

TEST_F(ServerTest, LeavingIsForTheIncarnationThatLeaves) {
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  EXPECT_EQ(Call("DELETE", "/v1/services/gateway/0/a?incarnation=6")->status(), 404);
  EXPECT_EQ(Call("DELETE", "/v1/services/gateway/0/a?incarnation=x")->status(), 400);
  EXPECT_EQ(Call("DELETE", "/v1/services/gateway/0/a?incarnation=7")->status(), 200);
  EXPECT_EQ(Call("DELETE", "/v1/services/gateway/0/a")->status(), 404);
}

TEST_F(ServerTest, AWatchWaitsForAChangeAndThenTellsOnlyThat) {
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  loop_.Advance(kSecond);
  const json first = Get("/v1/watch?after=0")->Json();
  EXPECT_EQ(first["full"], true);
  EXPECT_EQ(first["services"].size(), 1u);
  const auto watch = Get(WatchTarget(first));
  loop_.Advance(5 * kSecond);
  EXPECT_EQ(watch->status(), 0);
  EXPECT_EQ(Put("relay/0/r", R"({"host":"10.0.0.1","port":4})"), 200);
  loop_.Advance(100 * kMillisecond);
  ASSERT_EQ(watch->status(), 200);
  EXPECT_EQ(watch->Json()["full"], false);
  ASSERT_EQ(watch->Json()["services"].size(), 1u);
  EXPECT_EQ(watch->Json()["services"][0]["name"], "r");
  const auto next = Get(WatchTarget(watch->Json()));
  EXPECT_EQ(Call("DELETE", "/v1/services/gateway/0/a")->status(), 200);
  loop_.Advance(100 * kMillisecond);
  ASSERT_EQ(next->status(), 200);
  EXPECT_EQ(next->Json()["removed"], json::parse(R"([{"role":"gateway","cell":0,"name":"a"}])"));
}

TEST_F(ServerTest, AWatchHearsOfAnExpiryAndEndsByItselfAfterItsTime) {
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  loop_.Advance(9 * kSecond);
  const json first = Get("/v1/watch")->Json();
  const auto watch = Get(WatchTarget(first));
  loop_.Advance(2 * kSecond);  // the lease ends, and the registry is settled
  ASSERT_EQ(watch->status(), 200);
  EXPECT_EQ(watch->Json()["settled"], true);
  EXPECT_EQ(watch->Json()["removed"].size(), 1u);
  const auto quiet = Get(WatchTarget(watch->Json(), "2"));
  const auto bounded = Get(WatchTarget(watch->Json(), "999h"));
  loop_.Advance(1900 * kMillisecond);
  EXPECT_EQ(quiet->status(), 0);
  loop_.Advance(400 * kMillisecond);
  ASSERT_EQ(quiet->status(), 200);
  EXPECT_EQ(quiet->Json()["revision"], watch->Json()["revision"]);
  EXPECT_EQ(quiet->Json()["services"].size(), 0u);
  loop_.Advance(60 * kSecond);
  EXPECT_EQ(bounded->status(), 200);
}

TEST_F(ServerTest, ManyChangesThatComeTogetherAreToldInOneAnswer) {
  const json first = Get("/v1/watch")->Json();
  const auto watch = Get(WatchTarget(first));
  for (int i = 1; i <= 50; ++i) {
    EXPECT_EQ(Put("load/0/l" + std::to_string(i),
                  R"({"host":"10.0.0.1","port":)" + std::to_string(i) + "}"),
              200);
  }
  EXPECT_EQ(watch->status(), 0);
  const auto late = Get("/v1/watch?after=0");  // comes while they are gathered
  EXPECT_EQ(late->status(), 0);
  loop_.Advance(100 * kMillisecond);
  EXPECT_EQ(watch->Json()["services"].size(), 50u);
  EXPECT_EQ(late->Json()["services"].size(), 50u);
}

TEST_F(ServerTest, WhoAsksWithARevisionOfAnotherRegistryIsToldEverything) {
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  loop_.Advance(kSecond);
  const json before = Get("/v1/watch")->Json();
  Restart({});
  EXPECT_EQ(Put("relay/0/r", R"({"host":"10.0.0.1","port":4})"), 200);
  loop_.Advance(kSecond);
  // As many changes here as there, so the revisions are equal.
  EXPECT_EQ(Get("/v1/services")->Json()["revision"], before["revision"]);
  const auto watch = Get(WatchTarget(before));
  ASSERT_EQ(watch->status(), 200);
  EXPECT_EQ(watch->Json()["full"], true);
  EXPECT_EQ(watch->Json()["services"][0]["name"], "r");
  EXPECT_NE(watch->Json()["registry"], before["registry"]);
}

TEST_F(ServerTest, WatchersAreBoundedAndForgottenWhenTheyGo) {
  const json first = Get("/v1/watch")->Json();
  const auto a = Get(WatchTarget(first));
  const auto b = Get(WatchTarget(first));
  const auto c = Get(WatchTarget(first));
  const auto d = Get(WatchTarget(first));
  EXPECT_EQ(d->status(), 503);
  EXPECT_EQ(d->Header("Retry-After"), "1");
  server_->OnAbandoned(*b);
  const auto e = Get(WatchTarget(first));
  EXPECT_EQ(e->status(), 0);
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  loop_.Advance(kSecond);
  EXPECT_EQ(a->status(), 200);
  EXPECT_EQ(b->status(), 0);
  EXPECT_EQ(e->status(), 200);
}

TEST_F(ServerTest, AnAnswerMayBringTheNextRequestOrTheEndOfAnother) {
  const json first = Get("/v1/watch")->Json();
  const auto a = Get(WatchTarget(first));
  const auto b = Get(WatchTarget(first));
  std::unique_ptr<FakeExchange> next;
  // b is answered first; its client asks again within the answer, and a's is gone by then.
  b->on_reply = [&] {
    next = Get(WatchTarget(Get("/v1/services")->Json()));
    server_->OnAbandoned(*a);
  };
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  loop_.Advance(kSecond);
  EXPECT_EQ(b->status(), 200);
  EXPECT_EQ(a->status(), 0);
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->status(), 0);
}

TEST_F(ServerTest, ThePlacementTableIsServedForPeopleAndForPrograms) {
  const json table = Get("/v1/placement")->Json();
  EXPECT_EQ(table["version"], 1);
  EXPECT_EQ(table["partitions"], 256);
  EXPECT_EQ(table["cells"], 4);
  EXPECT_EQ(table["owners"].size(), 256u);
  EXPECT_EQ(table["owners"][255], json::parse(R"({"cell":3,"epoch":1})"));
  const auto decoded =
      placement::PlacementTable::Decode(Get("/v1/placement?format=binary")->answer());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, placement::PlacementTable(4));
}

TEST_F(ServerTest, AMoveWaitsForTheRegistryToSettleAndIsSavedBeforeItIsTold) {
  EXPECT_THAT(*server_->Move(0, 3), HasSubstr("just started"));
  loop_.Advance(10 * kSecond);
  const auto watch = Get(WatchTarget(Get("/v1/services")->Json()));
  store_.error = "disk full";
  EXPECT_EQ(*server_->Move(0, 3), "disk full");
  loop_.Advance(kSecond);
  EXPECT_EQ(watch->status(), 0);
  EXPECT_EQ(Get("/v1/placement")->Json()["version"], 1);
  store_.error.clear();
  EXPECT_EQ(server_->Move(0, 3), std::nullopt);
  loop_.Advance(kSecond);
  ASSERT_EQ(watch->status(), 200);
  EXPECT_EQ(watch->Json()["placement_version"], 2);
  EXPECT_EQ(Get("/v1/placement")->Json()["owners"][0], json::parse(R"({"cell":3,"epoch":2})"));
  EXPECT_EQ(placement::PlacementTable::Decode(store_.saved)->EpochOf(0), 2u);
}

TEST_F(ServerTest, HostileRequestsAreRefusedAndHarmNobody) {
  const std::string longest(10'000, 'x');
  const std::string deep = std::string(8000, '[') + std::string(8000, ']');
  const struct {
    const char* method;
    std::string target;
    std::string body;
    int status;
  } cases[] = {
      {"GET", "/regist/king/0/?id=a&host=h&port=1", "", 404},
      {"GET", "/regist/", "", 404},
      {"GET", "/regist/gw", "", 400},
      {"GET", "/regist/gw//?id=a&host=h&port=1", "", 400},
      {"GET", "/regist/gw/-1/?id=a&host=h&port=1", "", 400},
      {"GET", "/regist/gw/1024/?id=a&host=h&port=1", "", 400},
      {"GET", "/regist/gw/99999999999999999999/?id=a&host=h&port=1", "", 400},
      {"GET", "/regist/gw/0/?host=h&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=" + longest + "&host=h&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=" + longest + "&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=a&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=%ff%fe&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=%00&host=h&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=%zz&port=1", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=h&port=0", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=h&port=65536", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=h&port=-1", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=h&port=9500x", "", 400},
      {"GET", "/regist/gw/0/?id=a&host=h&port=1&cellid=x", "", 400},
      {"POST", "/regist/gw/0/?id=a&host=h&port=1", "", 405},
      {"POST", "/server", "", 405},
      {"HEAD", "/regist/gw/0/?id=a&host=h&port=1", "", 405},
      {"DELETE", "/healthz", "", 405},
      {"GET", "/regist/gw/0/?id=a&host=..&port=1", "", 400},
      {"PUT", "/v1/services/king/0/a", kBody, 400},
      {"PUT", "/v1/services/gateway/0/", kBody, 400},
      {"PUT", "/v1/services/gateway/0/a/b", kBody, 400},
      {"PUT", "/v1/services/gateway/x/a", kBody, 400},
      {"PUT", "/v1/services/gateway/0/%ff", kBody, 400},
      {"PUT", "/v1/services/gateway/0/" + longest, kBody, 400},
      {"PUT", "/v1/services/gateway/0/a", "", 400},
      {"PUT", "/v1/services/gateway/0/a", "{", 400},
      {"PUT", "/v1/services/gateway/0/a", "[]", 400},
      {"PUT", "/v1/services/gateway/0/a", deep, 400},
      {"PUT", "/v1/services/gateway/0/a", std::string(20'000, ' '), 413},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":5,"port":1})", 400},
      {"PUT", "/v1/services/gateway/0/a", "{\"host\":\"\xff\",\"port\":1}", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h"})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":"1"})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":70000})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":-1})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":1.5})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":1,"ops_port":-1})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":1,"incarnation":-1})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":1,"meta":[]})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":1,"meta":{"a":1}})", 400},
      {"PUT", "/v1/services/gateway/0/a", R"({"host":"h","port":1,"meta":{"a b":"c"}})", 400},
      {"PATCH", "/v1/services/gateway/0/a", kBody, 405},
      {"DELETE", "/v1/services", "", 405},
      {"GET", "/v1/watch?after=-1", "", 400},
      {"GET", "/v1/watch?after=99999999999999999999", "", 400},
      {"GET", "/v1/watch?timeout=soon", "", 400},
      {"GET", "/v1/watch?registry=x", "", 400},
      {"GET", "/v1/nothing", "", 404},
      {"GET", "/", "", 404},
      {"GET", "", "", 404},
  };
  for (const auto& c : cases) {
    const auto answer = Call(c.method, c.target, c.body);
    EXPECT_EQ(answer->status(), c.status) << c.method << " " << c.target << " " << c.body;
    const json parsed = json::parse(answer->answer(), nullptr, false);
    EXPECT_TRUE(parsed.is_object() && parsed.contains("error") && parsed.contains("message"))
        << answer->answer();
  }
  EXPECT_EQ(Get("/server")->answer(), "[]\n");
  EXPECT_EQ(Get("/healthz")->status(), 200);
}

TEST_F(ServerTest, AFullRegistrySaysWhenToComeAgain) {
  Restart({.registry = {.max_services = 1}});
  EXPECT_EQ(Put("gateway/0/a", kBody), 200);
  const auto full = Call("PUT", "/v1/services/relay/0/r", R"({"host":"10.0.0.1","port":4})");
  EXPECT_EQ(full->status(), 503);
  EXPECT_NE(full->Header("Retry-After"), "");
}

TEST_F(ServerTest, WhatIsNotTheRegistrysIsOfferedToTheRestOfTheProcess) {
  server_ = std::make_unique<RegistryServer>(node_, ServerOptions{}, placement::PlacementTable(4),
                                             [](net::HttpExchange& exchange) {
                                               if (exchange.request().path != "/metrics") {
                                                 return false;
                                               }
                                               exchange.Reply(200, "text/plain", "numbers");
                                               return true;
                                             });
  EXPECT_EQ(Get("/metrics")->answer(), "numbers");
  EXPECT_EQ(Get("/other")->status(), 404);
}

TEST(Listing, WhatIsWrittenReadsBackAndWhatIsWrongIsRefused) {
  Registry registry({}, placement::PlacementTable(4), 0);
  Service s;
  s.role = "logic";
  s.name = "cell-0";
  s.cell = 3;
  s.endpoint = {"::1", 9700};
  s.ops_port = 9500;
  s.incarnation = ~std::uint64_t{0};
  s.meta = {{"zone", "b \"quoted\""}};
  ASSERT_EQ(registry.Register(s, 0), RegisterError::kNone);
  registry.Deregister({"logic", 3, "nobody"}, 0, 0);
  const auto listing = ListingFromJson(ChangesToJson(registry, 77, 0));
  ASSERT_TRUE(listing.ok()) << listing.error();
  EXPECT_EQ(listing->registry, 77u);
  EXPECT_EQ(listing->revision, registry.revision());
  EXPECT_TRUE(listing->full);
  EXPECT_FALSE(listing->settled);
  EXPECT_THAT(listing->services, ElementsAre(s));

  for (const char* bad :
       {"", "null", "[]", "{}", R"({"services":5})", R"({"services":[5]})",
        R"({"services":[{"role":"king"}]})", R"({"services":[{"role":5}]})",
        R"({"services":[],"removed":5})", R"({"services":[],"removed":[5]})",
        R"({"services":[],"revision":"x"})", R"({"services":[],"full":1})",
        R"({"services":[{"role":"logic","name":"a","cell":4294967296,"host":"h","port":1}]})"}) {
    EXPECT_FALSE(ListingFromJson(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace baiwan::registry
