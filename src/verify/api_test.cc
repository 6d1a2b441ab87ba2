#include "verify/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <thread>

#include "base/budget.h"
#include "base/fatal.h"
#include "base/log.h"
#include "base/rng.h"
#include "net/http.h"
#include "net/transport.h"
#include "verify/testing/stress_stores.h"

namespace baiwan::verify {
namespace {

using testing::Boxes;
using ::testing::Contains;
using testing::Counts;
using testing::CountsOf;
using testing::Entry;
using ::testing::HasSubstr;
using testing::StressStores;

constexpr std::uint64_t kAll = StressStores::kSmallMessages;

std::string ToBase64(const std::string& bytes) {
  static constexpr char kLetters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(i + k > bytes.size() ? '=' : kLetters[bits >> (18 - 6 * k) & 63]);
    }
  }
  return out;
}

// The gateway of one cell, as its clients see it, with the boxes of a test.
class FakeGateway final : public net::HttpService {
 public:
  FakeGateway(StressStores& all, CellId cell, std::vector<std::unique_ptr<FakeGateway>>& others)
      : all_(all), cell_(cell), table_(all.spec().cells, all.spec().partitions), others_(others) {}

  void Listen(NodeContext& node) {
    http_ = std::move(*net::HttpServer::Listen(node, {"127.0.0.1", 0}, *this, {}));
  }
  void Close() { http_.reset(); }
  Endpoint address() const { return http_->local(); }
  // Every so many requests is refused; 0: none.
  unsigned refuse_every = 0;
  bool lists_servers = false;

 private:
  void OnAbandoned(net::HttpExchange&) override {}

  void OnRequest(net::HttpExchange& exchange) override {
    const std::string path(exchange.request().path);
    if (refuse_every != 0 && ++requests_ % refuse_every == 0) {
      return exchange.Reply(503, "application/json", "{}", {{"Retry-After", "0"}});
    }
    if (path == "/server" && lists_servers)
      return exchange.Reply(200, "application/json", Servers());
    const auto slash = path.rfind('/');
    const UserId user = std::strtoull(path.c_str() + slash + 1, nullptr, 10);
    if (user == 0 || all_.of(user).missing) return exchange.Reply(404, "application/json", "{}");
    if (const CellId home = table_.CellOf(user); home != cell_) {
      return exchange.Reply(307, "application/json", "{}",
                            {{"Location", "http://" + others_[home]->address().ToString() +
                                              std::string(exchange.request().target)}});
    }
    if (path.substr(0, slash) == "/api/user")
      return exchange.Reply(200, "application/json", Counters(user));
    std::string from;
    std::string limit;
    EXPECT_TRUE(net::QueryValue(exchange.request().query, "from", &from));
    EXPECT_TRUE(net::QueryValue(exchange.request().query, "limit", &limit));
    EXPECT_EQ(limit, "1000");
    const bool out = path.substr(0, slash) == "/api/c/outbox";
    EXPECT_TRUE(out || path.substr(0, slash) == "/api/c/inbox") << path;
    exchange.Reply(200, "application/json", Page(user, out, std::stoul(from)));
  }

  std::string Servers() const {
    std::string list = R"([{"name":"r","srvtype":"redis","host":"h","port":1,"rg":0,"cellid":0})";
    for (const auto& other : others_) {
      list += R"(,{"name":"g","srvtype":"gw","host":"127.0.0.1","port":)" +
              std::to_string(other->address().port) + R"(,"rg":)" + std::to_string(other->cell_) +
              R"(,"cellid":0})";
    }
    return list + "]";
  }

  std::string Counters(UserId user) const {
    const Boxes& boxes = all_.of(user);
    const Seq sent = boxes.out.empty() ? 0 : boxes.out.back().seq;
    std::string friends;
    std::map<UserId, bool> seen;
    for (const Entry& e : boxes.out) {
      if (!std::exchange(seen[e.peer], true)) {
        friends += (friends.empty() ? "\"" : ",\"") + std::to_string(e.peer) + "\"";
      }
    }
    const Seq acked = sent - (boxes.unacked.empty() ? 0 : boxes.unacked.begin()->second);
    return "{\"SendId\":" + std::to_string(sent) +
           ",\"ReceiveId\":" + std::to_string(boxes.in.size()) +
           ",\"SendAckId\":" + std::to_string(acked) + ",\"ClientReceiveId\":0,\"friends\":[" +
           friends + "]}";
  }

  std::string Page(UserId user, bool out, Seq from) const {
    const std::vector<Entry>& box = out ? all_.of(user).out : all_.of(user).in;
    std::string list;
    Seq next = from;
    for (const Entry& e : box) {
      if (e.seq < from || e.seq >= from + 10) continue;  // short pages: a server may do that
      next = e.seq + 1;
      list += (list.empty() ? "{\"seq\":" : ",{\"seq\":") + std::to_string(e.seq) +
              ",\"send_id\":" + std::to_string(e.send_id) + ",\"sender\":\"" +
              std::to_string(out ? user : e.peer) + "\",\"receiver\":\"" +
              std::to_string(out ? e.peer : user) + "\",\"body_base64\":\"" + ToBase64(e.body) +
              "\",\"timestamp\":1}";
    }
    return "{\"messages\":[" + list + "],\"next\":" + std::to_string(next) + "}";
  }

  StressStores& all_;
  const CellId cell_;
  const placement::PlacementTable table_;
  std::vector<std::unique_ptr<FakeGateway>>& others_;
  std::unique_ptr<net::HttpServer> http_;
  unsigned requests_ = 0;
};

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    for (CellId cell = 0; cell < all.spec().cells; ++cell) {
      gateways.push_back(std::make_unique<FakeGateway>(all, cell, gateways));
    }
  }
  VerifyReport Verify(bool complete = true, std::size_t entry = 1) {
    std::promise<net::RealLoop*> up;
    std::thread servers([&] {
      const auto loop = std::move(*net::RealLoop::Create({}));
      Rng rng(1);
      Budget budget(1 << 30);
      NodeContext node{*loop,  loop->transport(), SystemClock(), rng,
                       budget, ProcessFatal(),    NoLog()};
      for (const auto& gateway : gateways) gateway->Listen(node);
      up.set_value(loop.get());
      loop->Run();
      for (const auto& gateway : gateways) gateway->Close();
    });
    net::RealLoop* const loop = up.get_future().get();
    ApiOptions options;
    options.verify.spec = all.spec();
    options.verify.expect_complete = complete;
    options.entry = gateways[entry]->address();
    options.at_a_time = 7;
    options.first_retry = kMillisecond;
    VerifyReport report = VerifyThroughApi(options);
    loop->Stop();
    servers.join();
    return report;
  }

  StressStores all;
  std::vector<std::unique_ptr<FakeGateway>> gateways;
  const UserId user = all.UserOf(1, 4);
};

TEST_F(ApiTest, WhatIsRightIsGreenFromAnyGatewayOrTheRegistry) {
  for (const bool listed : {false, true}) {
    gateways[1]->lists_servers = listed;
    const VerifyReport report = Verify();
    EXPECT_EQ(report.ExitCode(), 0) << report.ToText();
    EXPECT_EQ(report.verified(), kAll);
    EXPECT_EQ(report.acknowledged, kAll);
    EXPECT_EQ(report.users, 30u);
  }
}

TEST_F(ApiTest, RefusalsAreRepeated) {
  for (const auto& gateway : gateways) gateway->refuse_every = 5;
  EXPECT_EQ(Verify().ExitCode(), 0);
}

TEST_F(ApiTest, LostReorderedAlteredAndForeign) {
  auto& in = all.of(user).in;
  in[7].body[3] ^= 1;
  in[9].peer = 987'654;
  const auto later = std::find_if(in.begin() + 12, in.end(),
                                  [&](const Entry& e) { return e.peer == in[11].peer; });
  std::swap(in[11], *later);
  in.pop_back();
  all.Renumber(user);
  const VerifyReport report = Verify();
  EXPECT_EQ(CountsOf(report), (Counts{.lost = 2, .reordered = 1, .altered = 1, .foreign = 1}))
      << report.ToText();
  EXPECT_EQ(report.ExitCode(), 1);
}

TEST_F(ApiTest, MessagesThatAreNotAcknowledged) {
  all.of(user).unacked[1] = 5;
  const VerifyReport report = Verify();
  EXPECT_EQ(CountsOf(report), (Counts{.counter = 1})) << report.ToText();
  EXPECT_EQ(Verify(false).ExitCode(), 0);
}

TEST_F(ApiTest, AUserWhoIsNotThere) {
  all.of(user).missing = true;
  const VerifyReport report = Verify();
  EXPECT_EQ(CountsOf(report).lost, 72u) << report.ToText();
  EXPECT_THAT(report.notes, Contains(HasSubstr("is not known to its gateway")));
}

TEST_F(ApiTest, AGatewayThatIsNotThereIsAnErrorAndNoLoss) {
  ApiOptions options;
  options.verify.spec = all.spec();
  options.first_retry = kMillisecond;
  options.at_a_time = 5;
  options.entry = {"127.0.0.1", 1};
  const VerifyReport report = VerifyThroughApi(options);
  EXPECT_EQ(report.ExitCode(), 2) << report.ToText();
  EXPECT_EQ(report.mismatches(), 0u);
  EXPECT_THAT(report.errors, Contains(HasSubstr("could not be read from 127.0.0.1:1")));
  EXPECT_THAT(report.errors, Contains(HasSubstr("those that are left were not tried")));
}

}  // namespace
}  // namespace baiwan::verify
