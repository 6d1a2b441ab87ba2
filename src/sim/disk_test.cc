// What the simulated disk promises and what it takes away in a crash, against a model.
#include "sim/disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/seeds.h"
#include "sim/world.h"

namespace baiwan::sim {
namespace {

using store::KvError;
using store::Space;
using store::WriteSet;

struct Idle final : Program {};

Node& AddIdle(World& world) {
  return world.AddNode("disk", [](Node&) { return std::make_unique<Idle>(); });
}

std::string Key(std::uint64_t n) { return "key" + std::to_string(n); }

WriteSet Put(Space space, std::string key, std::string value) {
  WriteSet writes;
  writes.puts.push_back({space, std::move(key), std::move(value)});
  return writes;
}

TEST(SimDisk, CommitsAreCalledBackInOrderInALaterTurn) {
  for (const std::uint64_t seed : Seeds(20)) {
    World world(seed);
    Node& node = AddIdle(world);
    std::vector<int> done;
    for (int i = 0; i < 200; ++i) {
      node.kv().Commit(Put(Space::kLog, Key(i), "v"), [&done, i](KvError error) {
        EXPECT_EQ(error, KvError::kNone);
        done.push_back(i);
      });
    }
    EXPECT_TRUE(done.empty());
    ASSERT_EQ(world.RunUntil([&] { return done.size() == 200; }, 10 * kSecond), Ran::kHolds);
    EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
    const auto stats = node.kv().stats();
    EXPECT_EQ(stats.commits, 200U);
    EXPECT_GE(stats.syncs, 200U / 64);
    EXPECT_LT(stats.syncs, 20U) << "commits share syncs";
  }
}

TEST(SimDisk, ReadsSeeWhatIsDurable) {
  World world(1);
  Node& node = AddIdle(world);
  EXPECT_EQ(node.kv().CommitNow(Put(Space::kSnap, "b", "2")), KvError::kNone);
  EXPECT_EQ(node.kv().CommitNow(Put(Space::kSnap, "a", "1")), KvError::kNone);
  EXPECT_EQ(node.kv().CommitNow(Put(Space::kMeta, "c", "3")), KvError::kNone);
  std::string value;
  EXPECT_EQ(node.kv().GetNow(Space::kSnap, "a", &value), KvError::kNone);
  EXPECT_EQ(value, "1");
  EXPECT_EQ(node.kv().GetNow(Space::kSnap, "c", &value), KvError::kNotFound);
  std::string seen;
  node.kv().ScanNow(Space::kSnap, "", "", [&](std::string_view key, std::string_view v) {
    seen.append(key).append(v);
    return true;
  });
  EXPECT_EQ(seen, "a1b2");
  WriteSet range;
  range.deletes.push_back({Space::kSnap, "a", "b"});
  EXPECT_EQ(node.kv().CommitNow(range), KvError::kNone);
  int calls = 0;
  node.kv().Get(Space::kSnap, "a", [&](KvError error, const std::string&) {
    EXPECT_EQ(error, KvError::kNotFound);
    ++calls;
  });
  node.kv().Get(Space::kSnap, "b", [&](KvError error, const std::string& v) {
    EXPECT_EQ(error, KvError::kNone);
    EXPECT_EQ(v, "2");
    ++calls;
  });
  EXPECT_EQ(world.RunUntil([&] { return calls == 2; }, kSecond), Ran::kHolds);
}

TEST(SimDisk, AFailedSyncFailsEverythingBehindItUntilTheNextLife) {
  World world(3);
  Node& node = AddIdle(world);
  std::vector<KvError> results;
  const auto commit = [&](int n) {
    node.kv().Commit(Put(Space::kLog, Key(n), "v"), [&](KvError e) { results.push_back(e); });
  };
  commit(0);
  world.RunUntil([&] { return results.size() == 1; }, kSecond);
  node.disk().FailNextCommit();
  commit(1);
  commit(2);
  world.RunUntil([&] { return results.size() == 3; }, kSecond);
  commit(3);
  world.RunUntil([&] { return results.size() == 4; }, kSecond);
  EXPECT_EQ(results, (std::vector<KvError>{KvError::kNone, KvError::kIo, KvError::kAfterFailure,
                                           KvError::kAfterFailure}));
  EXPECT_EQ(node.kv().CommitNow(Put(Space::kLog, "x", "y")), KvError::kAfterFailure);
  world.Crash(node);
  world.Restart(node, 0);
  world.RunFor(kMillisecond);
  EXPECT_EQ(node.kv().CommitNow(Put(Space::kLog, "x", "y")), KvError::kNone);
}

TEST(SimDisk, AFullDiskTakesNothingAndSaysSo) {
  World world(4);
  Node& node = AddIdle(world);
  node.disk().SetFull(true);
  EXPECT_EQ(node.kv().CommitNow(Put(Space::kLog, "x", "y")), KvError::kNoSpace);
  world.Crash(node);
  EXPECT_TRUE(node.disk().contents()[static_cast<std::size_t>(Space::kLog)].empty());
}

TEST(SimDisk, ASlowDiskTakesLonger) {
  Nanos took[2];
  for (const int slow : {0, 1}) {
    World world(5);
    Node& node = AddIdle(world);
    if (slow == 1) node.disk().SetSlowness(100);
    bool done = false;
    node.kv().Commit(Put(Space::kLog, "x", "y"), [&](KvError) { done = true; });
    world.RunUntil([&] { return done; }, 100 * kSecond);
    took[slow] = world.now();
  }
  EXPECT_GT(took[1], 20 * took[0]);
}

// The model: commit n puts key n into two spaces and deletes key n - 3. After a crash the disk must
// equal the state after some prefix of the commits, no shorter than what was acknowledged.
struct Model {
  SimDisk::Contents state;
  std::vector<SimDisk::Contents> after;  // [n]: after n commits

  Model() { after.push_back(state); }
  WriteSet Next() {
    const std::uint64_t n = after.size();
    WriteSet writes;
    writes.puts.push_back({Space::kLog, Key(n), "log" + std::to_string(n)});
    writes.puts.push_back({Space::kMeta, "last", std::to_string(n)});
    if (n > 3) writes.deletes.push_back({Space::kLog, Key(n - 3), Key(n - 3) + '\0'});
    for (const auto& range : writes.deletes) state[1].erase(range.from);
    for (const auto& put : writes.puts) {
      state[static_cast<std::size_t>(put.space)].insert_or_assign(put.key, put.value);
    }
    after.push_back(state);
    return writes;
  }
};

TEST(SimDisk, AfterACrashAPrefixIsThereAndEverythingAcknowledged) {
  std::set<std::string> fates;
  for (const std::uint64_t seed : Seeds(300)) {
    World world(seed);
    Node& node = AddIdle(world);
    Model model;
    std::size_t floor = 0;  // durable before this life, or acknowledged in it
    for (int life = 0; life < 5; ++life) {
      std::size_t acked = floor;
      const std::uint64_t commits = world.rng().Below(30);
      for (std::uint64_t i = 0; i < commits; ++i) {
        const std::size_t number = model.after.size();
        if (world.rng().Chance(0.02)) node.disk().FailNextCommit();
        node.kv().Commit(model.Next(), [&acked, number](KvError error) {
          if (error == KvError::kNone) acked = number;
        });
        world.RunFor(Between(world.rng(), 0, 2 * kMillisecond));
      }
      world.Crash(node, world.rng().Chance(0.5) ? CrashMode::kProcess : CrashMode::kPower);
      std::size_t found = model.after.size();
      for (std::size_t n = acked; n < model.after.size(); ++n) {
        if (node.disk().contents() == model.after[n]) found = n;
      }
      ASSERT_LT(found, model.after.size()) << world.Describe();
      if (found == model.after.size() - 1) {
        fates.insert(found > acked ? "all, unacknowledged" : "all");
      } else {
        fates.insert(found > acked ? "some" : "only the acknowledged");
      }
      model.after.resize(found + 1);
      model.state = model.after.back();
      floor = found;
      world.Restart(node, kMillisecond);
      world.RunFor(2 * kMillisecond);
      ASSERT_TRUE(node.up());
    }
  }
  EXPECT_EQ(fates.size(), 4U) << "the seeds reach every fate that a crash may bring";
}

TEST(SimDisk, ATornCommitLeavesABeginningOnly) {
  NodeOptions options;
  options.disk.torn_last_commit = true;
  int torn = 0;
  for (const std::uint64_t seed : Seeds(200)) {
    World world(seed);
    Node& node = world.AddNode("disk", options, [](Node&) { return std::make_unique<Idle>(); });
    WriteSet writes;
    for (int i = 0; i < 4; ++i) writes.puts.push_back({Space::kLog, Key(i), "0123456789"});
    bool acked = false;
    node.kv().Commit(writes, [&](KvError) { acked = true; });
    world.RunFor(50 * kMicrosecond);  // too short for a sync
    ASSERT_FALSE(acked);
    world.Crash(node);
    const auto& log = node.disk().contents()[static_cast<std::size_t>(Space::kLog)];
    std::size_t at = 0;
    bool cut = false;
    for (const auto& [key, value] : log) {
      EXPECT_FALSE(cut) << "nothing follows the cut";
      EXPECT_EQ(key, Key(at++));
      EXPECT_EQ(value, std::string("0123456789").substr(0, value.size()));
      cut = value.size() < 10;
    }
    torn += cut ? 1 : 0;
  }
  EXPECT_GT(torn, 20);
}

TEST(SimDisk, NothingOfADeadLifeIsCalledBackOrDone) {
  for (const std::uint64_t seed : Seeds(100)) {
    World world(seed);
    Node& node = AddIdle(world);
    int calls = 0;
    node.kv().Commit(Put(Space::kLog, "x", "y"), [&](KvError) { ++calls; });
    node.kv().Get(Space::kLog, "x", [&](KvError, const std::string&) { ++calls; });
    node.Post([&] { ++calls; });
    node.loop().After(kMillisecond, [&] { ++calls; });
    world.Crash(node);
    const auto left = node.disk().contents();
    world.Restart(node, 0);
    world.RunFor(kSecond);
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(node.disk().contents(), left);
  }
}

}  // namespace
}  // namespace baiwan::sim
