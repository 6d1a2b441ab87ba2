#include "registry/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "net/testing/memory_transport.h"
#include "registry/server.h"

namespace baiwan::registry {
namespace {

using ::testing::ElementsAre;

constexpr Nanos kLease = 400 * kMillisecond;

// A registry and several clients on one loop, whose time passes only here: however busy the machine
// is, nobody misses a lease for it.
class ClientTest : public ::testing::Test {
 protected:
  void SetUp() override { StartRegistry(); }

  bool RunUntil(const std::function<bool()>& holds, Nanos within = 20 * kSecond) {
    return world_.RunUntil(holds, within);
  }
  void RunFor(Nanos how_long) { world_.Advance(how_long); }

  // At the address that it had before, if it had one.
  void StartRegistry() {
    ServerOptions options;
    options.registry.lease = kLease;
    options.placement_store = &store_;
    options.member = member_;
    const auto table = StartingTable(store_, placement::PlacementTable(4));
    ASSERT_TRUE(table.ok());
    registry_ = std::make_unique<RegistryServer>(world_.node, options, *table);
    auto http = net::HttpServer::Listen(world_.node, at_, *registry_, {});
    ASSERT_TRUE(http.ok()) << Message(http.error());
    http_ = std::move(*http);
    at_ = http_->local();
  }
  void StopRegistry() {
    http_.reset();
    registry_.reset();
  }
  RegistryClient& AddClient() { return AddClient(member_); }
  RegistryClient& AddClient(const Membership& member) {
    ClientOptions options;
    options.member = member;
    options.on_disowned = [this](const std::string& why) { disowned_ = why; };
    options.registry = at_;
    options.backoff_max = 100 * kMillisecond;
    options.watch = 500 * kMillisecond;
    clients_.push_back(std::make_unique<RegistryClient>(world_.node, options));
    return *clients_.back();
  }

  static Service Make(const std::string& role, CellId cell, std::uint16_t port,
                      Incarnation incarnation = 1) {
    Service s;
    s.role = role;
    s.cell = cell;
    s.name = role + std::to_string(cell);
    s.endpoint = {"127.0.0.1", port};
    s.incarnation = incarnation;
    return s;
  }
  static std::vector<std::string> Names(const Directory& directory) {
    std::vector<std::string> names;
    for (const Service& s : directory.services()) names.push_back(s.name);
    return names;
  }

  class MemoryStore final : public PlacementStore {
   public:
    Result<std::string, std::string> Load() override { return saved; }
    std::optional<std::string> Save(const std::string& encoded) override {
      saved = encoded;
      return std::nullopt;
    }
    std::string saved;
  };

  net::MemoryWorld world_;
  Membership member_{"the secret of this test", "ours"};
  std::string disowned_;
  MemoryStore store_;
  Endpoint at_{"127.0.0.1", 0};
  std::unique_ptr<RegistryServer> registry_;
  std::unique_ptr<net::HttpServer> http_;
  std::vector<std::unique_ptr<RegistryClient>> clients_;
};

TEST_F(ClientTest, WhatOneAnnouncesTheOthersFindAndLoseWhenItLeaves) {
  auto& a = AddClient();
  auto& b = AddClient();
  int changes = 0;
  b.Listen([&] { ++changes; });
  a.Announce(Make("gateway", 0, 9500));
  a.Announce(Make("relay", 0, 11000));
  ASSERT_TRUE(RunUntil([&] { return b.services().size() == 2; }));
  EXPECT_TRUE(a.registered());
  EXPECT_EQ(b.Find("relay", 0)->endpoint.port, 11000);
  EXPECT_GT(changes, 0);
  bool left = false;
  a.Withdraw([&] { left = true; });
  EXPECT_FALSE(left);
  // At once, not when the lease ends.
  EXPECT_TRUE(RunUntil([&] { return left && b.services().empty(); }, kLease * 3 / 4));
}

TEST_F(ClientTest, LeasesAreKeptForAsLongAsTheClientLivesAndNoLonger) {
  auto& watcher = AddClient();
  AddClient().Announce(Make("gateway", 0, 9500));
  ASSERT_TRUE(RunUntil([&] { return watcher.services().size() == 1; }));
  int changes = 0;
  watcher.Listen([&] { ++changes; });
  changes = 0;
  RunFor(kLease * 4);
  EXPECT_EQ(changes, 0);
  clients_.pop_back();  // as kill -9 would: nobody says goodbye
  EXPECT_TRUE(RunUntil([&] { return watcher.services().empty(); }));
}

TEST_F(ClientTest, ServicesStartBeforeTheRegistry) {
  StopRegistry();
  auto& a = AddClient();
  a.Announce(Make("gateway", 0, 9500));
  RunFor(300 * kMillisecond);
  EXPECT_FALSE(a.registered());
  StartRegistry();
  EXPECT_TRUE(RunUntil([&] { return a.registered() && a.services().size() == 1; }));
}

TEST_F(ClientTest, ARestartOfTheRegistryIsNotNoticedByThoseWhoUseTheList) {
  auto& a = AddClient();
  auto& b = AddClient();
  a.Announce(Make("gateway", 0, 9500));
  b.Announce(Make("relay", 1, 11000));
  ASSERT_TRUE(RunUntil([&] { return a.services().size() == 2 && b.services().size() == 2; }));
  // Whatever the list ever was in the meantime.
  std::size_t smallest = 2;
  a.Listen([&] { smallest = std::min(smallest, a.services().size()); });
  b.Listen([&] { smallest = std::min(smallest, b.services().size()); });
  StopRegistry();
  RunFor(kLease * 2);
  EXPECT_EQ(a.services().size(), 2u);
  StartRegistry();
  ASSERT_TRUE(RunUntil([&] { return registry_->registry().leases().size() == 2; }));
  ASSERT_TRUE(RunUntil([&] { return registry_->registry().settled(); }));
  RunFor(kLease);
  EXPECT_EQ(smallest, 2u);
  EXPECT_THAT(Names(a), ElementsAre("gateway0", "relay1"));
  EXPECT_THAT(Names(b), ElementsAre("gateway0", "relay1"));
}

TEST_F(ClientTest, WhoDiedWhileTheRegistryWasAwayIsGoneOnceItHasSettled) {
  auto& a = AddClient();
  AddClient().Announce(Make("relay", 1, 11000));
  a.Announce(Make("gateway", 0, 9500));
  ASSERT_TRUE(RunUntil([&] { return a.services().size() == 2; }));
  StopRegistry();
  clients_.pop_back();
  StartRegistry();
  RunFor(kLease / 4);
  EXPECT_EQ(a.services().size(), 2u);  // not known yet
  EXPECT_TRUE(RunUntil([&] { return a.services().size() == 1; }));
  EXPECT_THAT(Names(a), ElementsAre("gateway0"));
}

TEST_F(ClientTest, AServiceThatIsRefusedDoesNotKeepTheOthersFromBeingRenewed) {
  auto& holder = AddClient();
  holder.Announce(Make("gateway", 0, 9500));
  ASSERT_TRUE(RunUntil([&] { return holder.registered(); }));
  auto& other = AddClient();
  other.Announce(Make("cache", 1, 9500));  // the gateway's address
  other.Announce(Make("relay", 1, 11000));
  ASSERT_TRUE(RunUntil([&] { return holder.Find("relay", 1) != nullptr; }));
  const auto requests = http_->requests();
  RunFor(kLease * 3);
  EXPECT_LT(http_->requests() - requests, 200u);  // it waits between its attempts
  EXPECT_NE(holder.Find("relay", 1), nullptr);
  EXPECT_EQ(holder.Find("cache", 1), nullptr);
  EXPECT_FALSE(other.registered());
  clients_.erase(clients_.begin());  // the holder dies, and its lease runs out
  EXPECT_TRUE(RunUntil([&] { return other.registered() && other.Find("cache", 1) != nullptr; }));
}

TEST_F(ClientTest, NobodyConnectsToWhoHasNotProvedToBeOfTheDeployment) {
  for (const bool open : {false, true}) {  // a registry with the secret, and one that takes anybody
    clients_.clear();
    StopRegistry();
    const Membership member = member_;
    if (open) member_ = {};
    StartRegistry();
    member_ = member;
    Service real = Make("relay", 1, 11000);
    AddClient().Announce(real);
    Service fake = Make("relay", 1, 666);
    fake.name = "AAA";
    AddClient({}).Announce(fake);
    fake.name = "AAB";
    fake.endpoint.port = 667;
    AddClient({"another secret than ours", "ours"}).Announce(fake);
    fake.name = "AAC";
    fake.endpoint.port = 668;
    AddClient({member_.secret, "another deployment"}).Announce(fake);
    auto& dialler = AddClient();
    auto& anybody = AddClient({});
    ASSERT_TRUE(RunUntil([&] { return anybody.services().size() == (open ? 4U : 2U); })) << open;
    ASSERT_TRUE(RunUntil([&] { return dialler.Find("relay", 1) != nullptr; }));
    RunFor(kLease);
    EXPECT_THAT(Names(dialler), ElementsAre("relay1")) << open;
    EXPECT_EQ(dialler.ByCell("relay").at(1).port, 11000) << open;
  }
}

TEST_F(ClientTest, WhoServesACopyHearsOfItAlsoAfterARestartOfTheRegistry) {
  Service first = Make("logic", 0, 9700);
  first.claim = {.life = 7, .incarnation = 2, .id = 100};
  auto& a = AddClient();
  a.Announce(first);
  ASSERT_TRUE(RunUntil([&] { return a.registered(); }));
  RunFor(kLease);
  StopRegistry();
  Service copy = Make("logic", 0, 9701);
  copy.name = "copy";
  copy.claim = {.life = 7, .incarnation = 2, .id = 200};
  auto& b = AddClient();
  b.Announce(copy);
  StartRegistry();
  ASSERT_TRUE(RunUntil([&] { return !disowned_.empty(); }));
  EXPECT_NE(disowned_.find("store_copy"), std::string::npos) << disowned_;
  EXPECT_TRUE(RunUntil([&] { return a.registered(); }));
  EXPECT_FALSE(b.registered());
}

TEST_F(ClientTest, ARestartedServiceReplacesItself) {
  auto& watcher = AddClient();
  AddClient().Announce(Make("logic", 0, 9700, 1));
  ASSERT_TRUE(RunUntil([&] { return watcher.services().size() == 1; }));
  clients_.pop_back();
  AddClient().Announce(Make("logic", 0, 9799, 2));
  ASSERT_TRUE(RunUntil([&] {
    const Service* logic = watcher.Find("logic", 0);
    return logic != nullptr && logic->endpoint.port == 9799;
  }));
  EXPECT_EQ(watcher.services().size(), 1u);
}

TEST_F(ClientTest, LeavingIsBoundedInTimeWithoutARegistry) {
  auto& a = AddClient();
  a.Announce(Make("gateway", 0, 9500));
  ASSERT_TRUE(RunUntil([&] { return a.registered(); }));
  StopRegistry();
  bool left = false;
  a.Withdraw([&] { left = true; });
  EXPECT_TRUE(RunUntil([&] { return left; }, 3 * kSecond));
  auto& empty = AddClient();
  bool nothing = false;
  empty.Withdraw([&] { nothing = true; });
  EXPECT_TRUE(RunUntil([&] { return nothing; }, kSecond));
}

TEST_F(ClientTest, AClientMayGoInItsLastCallback) {
  auto& a = AddClient();
  a.Announce(Make("gateway", 0, 9500));
  ASSERT_TRUE(RunUntil([&] { return a.registered(); }));
  a.Withdraw([&] { clients_.clear(); });
  EXPECT_TRUE(RunUntil([&] { return clients_.empty(); }));
  EXPECT_TRUE(RunUntil([&] { return registry_->registry().leases().empty(); }));
}

TEST_F(ClientTest, TheTableIsFollowedAndNeverGoesBack) {
  auto& a = AddClient();
  std::vector<std::uint64_t> versions;
  a.ListenTable([&](const placement::PlacementTable& t) { versions.push_back(t.version()); });
  ASSERT_TRUE(RunUntil([&] { return a.table() != nullptr; }));
  EXPECT_EQ(*a.table(), placement::PlacementTable(4));
  ASSERT_TRUE(RunUntil([&] { return registry_->registry().settled(); }));
  ASSERT_EQ(registry_->Move(0, 3), std::nullopt);
  ASSERT_TRUE(RunUntil([&] { return a.table()->version() == 2; }));
  EXPECT_EQ(a.table()->OwnerOf(0), 3u);

  StopRegistry();
  StartRegistry();  // with what was saved
  RunFor(kLease);
  EXPECT_EQ(a.table()->version(), 2u);
  StopRegistry();
  store_.saved.clear();  // as if the file were lost: version 1 again, which is not believed
  StartRegistry();
  RunFor(kLease);
  EXPECT_EQ(a.table()->version(), 2u);
  StopRegistry();
  placement::PlacementTable other(4);  // newer, it says, but partition 0 is back in epoch 1
  for (int i = 0; i < 5; ++i) other.Move(1, 1 + other.OwnerOf(1) % 2);
  store_.saved = other.Encode();
  StartRegistry();
  RunFor(kLease);
  EXPECT_EQ(a.table()->version(), 2u);
  EXPECT_THAT(versions, ElementsAre(1, 2));
}

}  // namespace
}  // namespace baiwan::registry
