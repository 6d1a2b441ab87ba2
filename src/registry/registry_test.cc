#include "registry/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "base/rng.h"
#include "base/testing/temp_folder.h"
#include "registry/placement_store.h"

namespace baiwan::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Service Make(const std::string& role, CellId cell, const std::string& name, std::uint16_t port,
             Incarnation incarnation = 1) {
  Service s;
  s.role = role;
  s.cell = cell;
  s.name = name;
  s.endpoint = {"10.0.0.1", port};
  s.incarnation = incarnation;
  return s;
}

class RegistryTest : public ::testing::Test {
 protected:
  RegisterError Register(const Service& s) { return registry_.Register(s, now_); }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const Service& s : registry_.List()) names.push_back(s.name);
    return names;
  }

  Nanos now_ = 1000 * kSecond;
  Registry registry_{{}, placement::PlacementTable(4), now_};
};

TEST_F(RegistryTest, AServiceIsThereUntilItsLeaseRunsOut) {
  EXPECT_EQ(Register(Make("gateway", 0, "gw", 9500)), RegisterError::kNone);
  const auto revision = registry_.revision();
  now_ += 9 * kSecond;
  registry_.Expire(now_);
  EXPECT_THAT(Names(), ElementsAre("gw"));
  EXPECT_EQ(registry_.revision(), revision);
  now_ += kSecond;
  registry_.Expire(now_);
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_GT(registry_.revision(), revision);
}

TEST_F(RegistryTest, RenewingKeepsItWithoutTellingAnybody) {
  Register(Make("gateway", 0, "gw", 9500));
  Register(Make("gateway", 1, "other", 9501));
  now_ += 6 * kSecond;
  Register(Make("gateway", 0, "gw", 9500));
  now_ += 4 * kSecond;
  registry_.Expire(now_);
  EXPECT_THAT(Names(), ElementsAre("gw"));  // the other was not renewed
  const auto revision = registry_.revision();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Register(Make("gateway", 0, "gw", 9500)), RegisterError::kNone);
    now_ += 9 * kSecond;
    registry_.Expire(now_);
  }
  EXPECT_THAT(Names(), ElementsAre("gw"));
  EXPECT_EQ(registry_.revision(), revision);
}

TEST_F(RegistryTest, ANewIncarnationReplacesItsOwnLeaseWhereverItIsNow) {
  Register(Make("logic", 2, "cell-2", 9700, 5));
  const auto revision = registry_.revision();
  EXPECT_EQ(Register(Make("logic", 2, "cell-2", 9799, 6)), RegisterError::kNone);
  EXPECT_EQ(registry_.List().size(), 1u);
  EXPECT_EQ(registry_.List()[0].endpoint.port, 9799);
  EXPECT_GT(registry_.revision(), revision);
  // The old address is free again, the new one is not.
  EXPECT_EQ(Register(Make("relay", 2, "x", 9700)), RegisterError::kNone);
  EXPECT_EQ(Register(Make("relay", 2, "y", 9799)), RegisterError::kTaken);
}

TEST_F(RegistryTest, AProcessThatWasReplacedDoesNotComeBackWhileItsSuccessorLives) {
  // Numbers in no order: whoever comes later is the later one.
  for (const Incarnation next : {70, 90, 20}) {
    EXPECT_EQ(Register(Make("gateway", 2, "gw", 9700, next)), RegisterError::kNone);
  }
  EXPECT_EQ(Register(Make("gateway", 2, "gw", 9701, 90)), RegisterError::kReplaced);
  EXPECT_EQ(Register(Make("gateway", 2, "gw", 9701, 70)), RegisterError::kReplaced);
  EXPECT_EQ(registry_.List()[0].incarnation, 20u);
  EXPECT_EQ(Register(Make("gateway", 2, "gw", 9700, 20)), RegisterError::kNone);
  now_ += 10 * kSecond;  // nobody is there but the one before
  EXPECT_EQ(Register(Make("gateway", 2, "gw", 9701, 90)), RegisterError::kNone);
}

TEST_F(RegistryTest, WhoWasReplacedIsNotTakenByARegistryThatHasForgotten) {
  Service before = Make("gateway", 2, "gw", 9701, 90);
  before.replaced = true;
  EXPECT_EQ(Register(before), RegisterError::kReplaced);
  EXPECT_EQ(Register(Make("gateway", 2, "gw", 9700, 20)), RegisterError::kNone);
  EXPECT_EQ(Register(before), RegisterError::kReplaced);
  // Its successor lives until the registry has settled, and is gone then.
  for (int i = 0; i < 4; ++i) {
    now_ += 3 * kSecond;
    EXPECT_EQ(Register(before), RegisterError::kReplaced);
    if (i >= 2) continue;
    EXPECT_EQ(Register(Make("gateway", 2, "gw", 9700, 20)), RegisterError::kNone);
  }
  now_ += 4 * kSecond;
  EXPECT_EQ(Register(before), RegisterError::kNone);
  EXPECT_FALSE(registry_.List()[0].replaced);
}

TEST_F(RegistryTest, RemembersABoundedNumberOfThoseWhoWereReplaced) {
  for (Incarnation i = 1; i <= 1000; ++i) Register(Make("gateway", 2, "gw", 9700, i));
  EXPECT_EQ(registry_.leases().begin()->second.replaced.size(), RegistryOptions{}.max_replaced);
}

TEST_F(RegistryTest, OnlyAnotherIdentityIsRefusedAnAddressAndOnlyUnderLease) {
  EXPECT_EQ(Register(Make("gateway", 0, "gw", 9500)), RegisterError::kNone);
  EXPECT_EQ(Register(Make("gateway", 0, "gw", 9500)), RegisterError::kNone);
  EXPECT_EQ(Register(Make("gateway", 0, "gw2", 9500)), RegisterError::kTaken);
  EXPECT_EQ(Register(Make("gateway", 1, "gw", 9500)), RegisterError::kTaken);
  EXPECT_EQ(Register(Make("relay", 0, "gw", 9500)), RegisterError::kTaken);
  ASSERT_NE(registry_.HolderOf({"10.0.0.1", 9500}), nullptr);
  EXPECT_EQ(registry_.HolderOf({"10.0.0.1", 9500})->service.key().ToString(),
            "gateway gw of cell 0");
  auto elsewhere = Make("relay", 0, "gw", 9500);
  elsewhere.endpoint.host = "10.0.0.2";
  EXPECT_EQ(Register(elsewhere), RegisterError::kNone);
  now_ += 10 * kSecond;
  EXPECT_EQ(Register(Make("gateway", 0, "gw2", 9500)), RegisterError::kNone);

  auto local = Make("cache", 0, "c", 9600);
  local.endpoint.host = "localhost";
  EXPECT_EQ(Register(local), RegisterError::kNone);
  auto same = Make("cache", 1, "d", 9600);
  same.endpoint.host = "127.0.0.1";
  EXPECT_EQ(Register(same), RegisterError::kTaken);
}

TEST_F(RegistryTest, ARefusedClaimLeavesWhatTheServiceHadBefore) {
  Register(Make("gateway", 0, "a", 9500));
  Register(Make("gateway", 1, "b", 9501));
  EXPECT_EQ(Register(Make("gateway", 1, "b", 9500)), RegisterError::kTaken);
  EXPECT_EQ(registry_.HolderOf({"10.0.0.1", 9501})->service.name, "b");
  EXPECT_EQ(registry_.List()[1].endpoint.port, 9501);
}

TEST_F(RegistryTest, LeavingFreesTheAddressAtOnceButOnlyForTheIncarnationThatLeaves) {
  Register(Make("gateway", 0, "gw", 9500, 7));
  EXPECT_FALSE(registry_.Deregister({"gateway", 0, "gw"}, 6, now_));
  EXPECT_FALSE(registry_.Deregister({"gateway", 0, "nobody"}, 0, now_));
  EXPECT_TRUE(registry_.Deregister({"gateway", 0, "gw"}, 7, now_));
  EXPECT_FALSE(registry_.Deregister({"gateway", 0, "gw"}, 7, now_));
  EXPECT_EQ(Register(Make("relay", 0, "r", 9500)), RegisterError::kNone);
}

TEST_F(RegistryTest, WhatIsNotProperlyDescribedIsRefused) {
  const auto good = Make("gateway", 0, "gw", 9500);
  const auto with = [&](const std::function<void(Service&)>& change) {
    Service s = good;
    change(s);
    return Register(s);
  };
  EXPECT_EQ(with([](Service& s) { s.role = "king"; }), RegisterError::kBadRole);
  EXPECT_EQ(with([](Service& s) { s.role = ""; }), RegisterError::kBadRole);
  EXPECT_EQ(with([](Service& s) { s.name = ""; }), RegisterError::kBadName);
  EXPECT_EQ(with([](Service& s) { s.name = "a/b"; }), RegisterError::kBadName);
  EXPECT_EQ(with([](Service& s) { s.name = std::string(65, 'x'); }), RegisterError::kBadName);
  EXPECT_EQ(with([](Service& s) { s.name = "\xff"; }), RegisterError::kBadName);
  EXPECT_EQ(with([](Service& s) { s.cell = kMaxCells; }), RegisterError::kBadCell);
  EXPECT_EQ(with([](Service& s) { s.endpoint.port = 0; }), RegisterError::kBadEndpoint);
  for (const char* host :
       {"",          "0.0.0.0", "::",   "0::0", "a b", "a\"b", "\xff",  "a/b",   "h\n",
        "..",        ".",       "a..b", ".a",   "a.",  "-a",   "a-",    "1.2.3", "1.2.3.4.5",
        "256.1.1.1", "12345",   "a.5",  "::g",  ":",   "1:2",  "[::1]", "a:80"}) {
    EXPECT_EQ(with([&](Service& s) { s.endpoint.host = host; }), RegisterError::kBadEndpoint)
        << host;
  }
  for (const char* host :
       {"h", "host-7", "a_b.c", "1a", "7.example", "10.1.2.3", "::1", "fe80::1"}) {
    Service s = good;
    s.endpoint.host = host;
    EXPECT_EQ(Check(s), RegisterError::kNone) << host;
  }
  EXPECT_EQ(with([](Service& s) { s.endpoint.host = std::string(254, 'h'); }),
            RegisterError::kBadEndpoint);
  EXPECT_EQ(with([](Service& s) { s.meta["k"] = std::string(257, 'v'); }), RegisterError::kBadMeta);
  EXPECT_EQ(with([](Service& s) { s.meta["k"] = "\x01"; }), RegisterError::kBadMeta);
  EXPECT_EQ(with([](Service& s) {
              for (int i = 0; i < 17; ++i) s.meta["k" + std::to_string(i)];
            }),
            RegisterError::kBadMeta);
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_EQ(with([](Service& s) {
              s.endpoint.host = "::1";
              s.meta["zone"] = "b";
            }),
            RegisterError::kNone);
}

TEST_F(RegistryTest, ItHoldsNoMoreServicesThanItMay) {
  Registry small({.lease = 10 * kSecond, .max_services = 2}, placement::PlacementTable(4), now_);
  EXPECT_EQ(small.Register(Make("load", 0, "a", 1), now_), RegisterError::kNone);
  EXPECT_EQ(small.Register(Make("load", 0, "b", 2), now_), RegisterError::kNone);
  EXPECT_EQ(small.Register(Make("load", 0, "c", 3), now_), RegisterError::kFull);
  EXPECT_EQ(small.Register(Make("load", 0, "a", 1), now_), RegisterError::kNone);  // renews
  now_ += 10 * kSecond;
  EXPECT_EQ(small.Register(Make("load", 0, "c", 3), now_), RegisterError::kNone);
}

TEST_F(RegistryTest, WhoAsksWhatHasChangedIsToldThatAndNoMore) {
  Register(Make("gateway", 0, "a", 1));
  Register(Make("gateway", 0, "b", 2));
  const auto revision = registry_.revision();
  EXPECT_FALSE(registry_.Since(revision).full);
  EXPECT_THAT(registry_.Since(revision).services, IsEmpty());
  Register(Make("gateway", 0, "c", 3));
  registry_.Deregister({"gateway", 0, "a"}, 0, now_);
  const auto changes = registry_.Since(revision);
  EXPECT_FALSE(changes.full);
  ASSERT_EQ(changes.services.size(), 1u);
  EXPECT_EQ(changes.services[0]->service.name, "c");
  EXPECT_THAT(changes.removed, ElementsAre(ServiceKey{"gateway", 0, "a"}));
  // Everything, for whom we cannot know: the first time, and revisions that never were.
  EXPECT_TRUE(registry_.Since(0).full);
  EXPECT_EQ(registry_.Since(0).services.size(), 2u);
  EXPECT_TRUE(registry_.Since(registry_.revision() + 1).full);
}

TEST_F(RegistryTest, FollowingTheChangesGivesTheSameListAsAskingForAll) {
  // A short history, so that those who are far behind get everything.
  Registry registry({.lease = 10 * kSecond, .max_services = 100, .max_history = 3},
                    placement::PlacementTable(4), now_);
  struct Follower {
    std::map<ServiceKey, Service> known;
    std::uint64_t revision = 0;
  };
  std::vector<Follower> followers(3);
  Rng rng(3);
  for (int step = 0; step < 3000; ++step) {
    const auto name = std::to_string(rng.Below(12));
    const auto port = static_cast<std::uint16_t>(1 + rng.Below(20));
    if (rng.Chance(0.7)) {
      registry.Register(Make("load", 0, name, port, 1 + rng.Below(3)), now_);
    } else {
      registry.Deregister({"load", 0, name}, 0, now_);
    }
    now_ += static_cast<Nanos>(rng.Below(2 * kSecond));
    registry.Expire(now_);
    Follower& f = followers[rng.Below(3)];
    if (rng.Chance(0.5)) continue;
    const auto changes = registry.Since(f.revision);
    if (changes.full) f.known.clear();
    for (const auto& key : changes.removed) f.known.erase(key);
    for (const auto* lease : changes.services) f.known[lease->service.key()] = lease->service;
    f.revision = registry.revision();
    std::vector<Service> list;
    for (const auto& [key, service] : f.known) list.push_back(service);
    ASSERT_EQ(list, registry.List()) << step;
    // And no address has two holders.
    std::set<std::uint16_t> ports;
    for (const auto& s : list) EXPECT_TRUE(ports.insert(s.endpoint.port).second);
  }
}

TEST_F(RegistryTest, NoPartitionMovesForOneLeaseTimeAfterTheStart) {
  EXPECT_FALSE(registry_.settled());
  EXPECT_EQ(registry_.CheckMove(0, 3), MoveError::kSettling);
  now_ += 10 * kSecond - 1;
  registry_.Expire(now_);
  EXPECT_EQ(registry_.CheckMove(0, 3), MoveError::kSettling);
  const auto revision = registry_.revision();
  now_ += 1;
  registry_.Expire(now_);
  EXPECT_TRUE(registry_.settled());
  EXPECT_GT(registry_.revision(), revision);  // those who watch hear of it
  EXPECT_EQ(registry_.CheckMove(0, 3), MoveError::kNone);
  EXPECT_EQ(registry_.CheckMove(0, 0), MoveError::kOwnedAlready);
  EXPECT_EQ(registry_.CheckMove(0, 4), MoveError::kBadCell);
  EXPECT_EQ(registry_.CheckMove(256, 1), MoveError::kBadPartition);
}

TEST_F(RegistryTest, OnlyANewerTableIsTaken) {
  placement::PlacementTable moved = registry_.table();
  EXPECT_FALSE(registry_.Adopt(moved));
  moved.Move(0, 3);
  const auto revision = registry_.revision();
  EXPECT_TRUE(registry_.Adopt(moved));
  EXPECT_GT(registry_.revision(), revision);
  EXPECT_EQ(registry_.table().OwnerOf(0), 3u);
  EXPECT_EQ(registry_.table().EpochOf(0), 2u);
  EXPECT_FALSE(registry_.Adopt(placement::PlacementTable(4)));
}

class PlacementStoreTest : public ::testing::Test {
 protected:
  const TempFolder temp_;
  const std::string dir_ = temp_.path();
};

TEST_F(PlacementStoreTest, AnEpochThatWasSavedIsThereAfterARestart) {
  const placement::PlacementTable configured(4);
  {
    FilePlacementStore store(dir_ + "/placement");
    auto table = StartingTable(store, configured);
    ASSERT_TRUE(table.ok()) << table.error();
    EXPECT_EQ(*table, configured);
    table->Move(7, 3);
    ASSERT_EQ(store.Save(table->Encode()), std::nullopt);
  }
  FilePlacementStore store(dir_ + "/placement");
  const auto table = StartingTable(store, configured);
  ASSERT_TRUE(table.ok()) << table.error();
  EXPECT_EQ(table->OwnerOf(7), 3u);
  EXPECT_EQ(table->EpochOf(7), 2u);
}

TEST_F(PlacementStoreTest, ATableThatIsDamagedOrOfAnotherShapeIsRefused) {
  FilePlacementStore store(dir_ + "/placement");
  ASSERT_TRUE(StartingTable(store, placement::PlacementTable(4)).ok());
  const auto other = StartingTable(store, placement::PlacementTable(5));
  ASSERT_FALSE(other.ok());
  EXPECT_THAT(other.error(), HasSubstr("4 cells and 256 partitions, the configuration 5 and 256"));
  auto bytes = *ReadFile(dir_ + "/placement");
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_EQ(ReplaceFile(dir_ + "/placement", bytes), std::nullopt);
  EXPECT_FALSE(StartingTable(store, placement::PlacementTable(4)).ok());
  FilePlacementStore nowhere(dir_ + "/no/placement");
  EXPECT_FALSE(StartingTable(nowhere, placement::PlacementTable(4)).ok());
}

TEST(Directory, FindsTheFirstOfARoleAndTellsOfChanges) {
  StaticDirectory directory;
  int calls = 0;
  directory.Listen([&] { ++calls; });
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(directory.Find("gateway", 0), nullptr);
  directory.Set({Make("gateway", 0, "a", 1), Make("gateway", 0, "b", 2), Make("relay", 1, "r", 3)});
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(directory.Find("gateway", 0)->name, "a");
  EXPECT_EQ(directory.Find("gateway", 1), nullptr);
  EXPECT_EQ(directory.ByCell("relay").at(1).port, 3);
  directory.Listen([&] { calls += 10; });  // learns at once what is there
  EXPECT_EQ(calls, 11);
}

}  // namespace
}  // namespace baiwan::registry
