// The prototype's own client, as it behaves: a new connection for every GET, no look at the status,
// five messages to each friend under numbers given friend by friend and then shuffled, a poll of
// /api/user, and everything above SendAckId again until all is acknowledged.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

using nlohmann::json;

constexpr int kEach = 5;
constexpr Nanos kPoll = 20 * kMillisecond;  // the prototype's: 5 s
constexpr int kPolls = 10;
constexpr int kAtOnce = 8;

// One of its users. It works by itself on the loop; `done` once its last condition holds.
class PrototypeClient {
 public:
  PrototypeClient(Cells& cells, CellId cell, UserId user, Rng& rng)
      : cells_(cells), gateway_(cells.gateway(cell)), user_(std::to_string(user)), rng_(rng) {
    Get("/api/user/" + user_, [this](const std::string& body) {
      const json user_json = json::parse(body);
      for (const auto& f : user_json["friends"]) {
        for (int i = 1; i <= kEach; ++i) {
          // It takes the ids for strings.
          to_send_.push_back({to_send_.size() + 1, f.get<std::string>(), std::to_string(i)});
        }
      }
      SendAll(0);
    });
  }

  bool sent = false;  // SendId == SendAckId == 5 × friends
  bool done = false;  // and SendId == ReceiveId
  int rounds = 0;

 private:
  struct Message {
    std::size_t send_id;
    std::string to;
    std::string body;
  };

  // On a connection of its own.
  void Get(const std::string& target, const std::function<void(const std::string&)>& then) {
    const int number = ++requests_;
    auto& client = connections_[number] = net::HttpClient::Create(cells_.node(), gateway_);
    client->Request("GET", target, {}, {{"Connection", "close"}}, 5 * kSecond,
                    [this, number, then](Result<net::HttpResponse, NetError> got) {
                      const std::string body = got ? got->body : "";  // whatever its status
                      connections_.erase(number);
                      then(body);
                    });
  }

  void SendAll(std::size_t above) {
    ++rounds;
    queue_.clear();
    for (const Message& m : to_send_) {
      if (m.send_id > above) queue_.push_back(m);
    }
    for (std::size_t i = queue_.size(); i > 1; --i) std::swap(queue_[i - 1], queue_[rng_.Below(i)]);
    polls_ = 0;
    for (int i = 0; i < kAtOnce; ++i) Next();
  }

  void Next() {
    if (queue_.empty()) {
      if (under_way_ == 0) Poll();
      return;
    }
    const Message m = queue_.back();
    queue_.pop_back();
    ++under_way_;
    Get("/api/c/" + user_ + "/" + m.to + "/" + std::to_string(m.send_id) + "/?message=" + m.body,
        [this](const std::string&) {
          --under_way_;
          Next();
        });
  }

  void Poll() {
    if (polling_) return;
    polling_ = true;
    cells_.loop().After(kPoll, [this] {
      Get("/api/user/" + user_, [this](const std::string& body) { Polled(body); });
    });
  }

  void Polled(const std::string& body) {
    polling_ = false;
    const json user = json::parse(body, nullptr, false);
    if (!user.is_object()) return Poll();
    const std::size_t acked = user["SendAckId"];
    sent = user["SendId"] == to_send_.size() && acked == to_send_.size();
    done = sent && user["SendId"] == user["ReceiveId"];
    if (done) return;
    if (!sent && ++polls_ >= kPolls) return SendAll(acked);
    Poll();
  }

  Cells& cells_;
  const Endpoint gateway_;
  const std::string user_;
  Rng& rng_;
  std::map<int, std::unique_ptr<net::HttpClient>> connections_;
  int requests_ = 0;
  std::vector<Message> to_send_;
  std::vector<Message> queue_;
  int under_way_ = 0;
  int polls_ = 0;
  bool polling_ = false;
};

class PrototypeTest : public CellTest {
 protected:
  // Everybody is a friend of everybody, in two cells.
  void StartTwoCells(std::size_t users_per_cell) {
    CellsOptions options;
    options.cells = 2;
    const placement::UserLayout layout(2, placement::kDefaultPartitions);
    for (std::size_t i = 0; i < users_per_cell; ++i) {
      for (const CellId cell : {0, 1}) users.emplace_back(cell, layout.UserAt(cell, i));
    }
    std::vector<std::pair<UserId, UserId>> friends;
    for (const auto& [cell, a] : users) {
      for (const auto& [other, b] : users) {
        if (a < b) friends.emplace_back(a, b);
      }
    }
    Start(options, friends);
  }
  void StartClients() {
    for (const auto& [cell, user] : users) {
      clients.push_back(std::make_unique<PrototypeClient>(*cells, cell, user, rng));
    }
  }
  bool AllDone() const {
    return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->done; });
  }

  std::vector<std::pair<CellId, UserId>> users;
  std::vector<std::unique_ptr<PrototypeClient>> clients;
  Rng rng{7};
};

TEST_P(PrototypeTest, FinishesAgainstTwoCells) {
  StartTwoCells(4);
  StartClients();
  ASSERT_TRUE(cells->RunUntil([this] { return AllDone(); }, 60 * kSecond));
  for (const auto& [cell, user] : users) {
    const json box = json::parse(cells->Get("/api/c/inbox/" + std::to_string(user), cell).body);
    ASSERT_EQ(box["messages"].size(), kEach * (users.size() - 1));
    std::map<std::string, int> last;  // of each friend: "1" … "5" in this order
    for (const auto& m : box["messages"]) {
      EXPECT_EQ(m["body"], std::to_string(++last[m["sender"]]));
    }
  }
}

TEST_P(PrototypeTest, FinishesThoughACellIsKilledOnTheWay) {
  StartTwoCells(3);
  StartClients();
  ASSERT_TRUE(cells->RunUntil([this] { return cells->host(0).logic()->counters().stored > 10; },
                              20 * kSecond));
  const Endpoint before = cells->gateway(0);
  cells->Stop(0);
  cells->RunFor(50 * kMillisecond);
  cells->Start(0, before);
  ASSERT_TRUE(cells->RunUntil([this] { return AllDone(); }, 60 * kSecond));
}

BAIWAN_ON_BOTH_BACKENDS(PrototypeTest);

}  // namespace
}  // namespace baiwan::cell
