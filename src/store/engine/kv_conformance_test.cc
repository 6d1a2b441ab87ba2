// What every Kv promises, asked of each engine.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "base/rng.h"
#include "store/testing/kv_world.h"

namespace baiwan::store {
namespace {

using ::testing::ElementsAre;
using testing::Engine;
using ::testing::Pair;
using Pairs = std::vector<std::pair<std::string, std::string>>;

class KvConformance : public ::testing::TestWithParam<Engine> {
 protected:
  KvConformance() : world_(GetParam().make()) { Reopen(); }

  void Reopen() {
    kv_ = nullptr;
    auto opened = world_->Open(&loop_);
    ASSERT_TRUE(opened.ok()) << Message(opened.error());
    kv_ = std::move(*opened);
  }

  static WriteSet Puts(const Pairs& pairs, Space space = Space::kLog) {
    WriteSet writes;
    for (const auto& [key, value] : pairs) writes.puts.push_back({space, key, value});
    return writes;
  }

  KvError CommitAndWait(WriteSet writes) {
    std::optional<KvError> result;
    kv_->Commit(std::move(writes), [&](KvError error) { result = error; });
    EXPECT_TRUE(loop_.RunUntil([&] { return result.has_value(); }));
    return result.value_or(KvError::kIo);
  }

  std::pair<KvError, std::string> GetAndWait(Space space, const std::string& key) {
    std::optional<std::pair<KvError, std::string>> result;
    kv_->Get(space, key, [&](KvError error, std::string value) {
      result = std::make_pair(error, std::move(value));
    });
    EXPECT_TRUE(loop_.RunUntil([&] { return result.has_value(); }));
    return result.value_or(std::make_pair(KvError::kIo, std::string()));
  }

  Pairs Scan(Space space, std::string_view from = {}, std::string_view to = {}) {
    Pairs all;
    EXPECT_EQ(kv_->ScanNow(space, from, to,
                           [&](auto key, auto value) {
                             all.emplace_back(key, value);
                             return true;
                           }),
              KvError::kNone);
    return all;
  }

  testing::TestLoop loop_;
  std::unique_ptr<testing::KvWorld> world_;
  std::unique_ptr<Kv> kv_;
};

TEST_P(KvConformance, WhatIsCommittedIsReadInItsSpaceOnly) {
  EXPECT_EQ(CommitAndWait(Puts({{"a", "1"}, {std::string("b\0c", 3), ""}})), KvError::kNone);
  EXPECT_THAT(GetAndWait(Space::kLog, "a"), Pair(KvError::kNone, "1"));
  EXPECT_THAT(GetAndWait(Space::kLog, std::string("b\0c", 3)), Pair(KvError::kNone, ""));
  EXPECT_THAT(GetAndWait(Space::kLog, "b"), Pair(KvError::kNotFound, ""));
  EXPECT_THAT(GetAndWait(Space::kSnap, "a"), Pair(KvError::kNotFound, ""));
  std::string value;
  EXPECT_EQ(kv_->GetNow(Space::kLog, "a", &value), KvError::kNone);
  EXPECT_EQ(value, "1");
  EXPECT_EQ(kv_->GetNow(Space::kMeta, "a", &value), KvError::kNotFound);
}

TEST_P(KvConformance, KeysAreScannedAsUnsignedBytesWithinTheirRange) {
  ASSERT_EQ(
      kv_->CommitNow(Puts({{"\xff", "4"}, {"\x7f", "2"}, {"\x80", "3"}, {"", "0"}, {"A", "1"}})),
      KvError::kNone);
  EXPECT_THAT(Scan(Space::kLog), ElementsAre(Pair("", "0"), Pair("A", "1"), Pair("\x7f", "2"),
                                             Pair("\x80", "3"), Pair("\xff", "4")));
  EXPECT_THAT(Scan(Space::kLog, "A", "\x80"), ElementsAre(Pair("A", "1"), Pair("\x7f", "2")));
  EXPECT_THAT(Scan(Space::kLog, "\x80"), ElementsAre(Pair("\x80", "3"), Pair("\xff", "4")));
  int seen = 0;
  kv_->ScanNow(Space::kLog, {}, {}, [&](auto, auto) { return ++seen < 2; });
  EXPECT_EQ(seen, 2);
}

TEST_P(KvConformance, ACommitDeletesItsRangesBeforeItPuts) {
  ASSERT_EQ(CommitAndWait(Puts({{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}})), KvError::kNone);
  WriteSet writes = Puts({{"b", "2"}});
  writes.deletes.push_back({Space::kLog, "b", "d"});
  ASSERT_EQ(CommitAndWait(std::move(writes)), KvError::kNone);
  EXPECT_THAT(Scan(Space::kLog), ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("d", "1")));
  WriteSet rest;
  rest.deletes.push_back({Space::kLog, "b", ""});
  ASSERT_EQ(CommitAndWait(std::move(rest)), KvError::kNone);
  EXPECT_THAT(Scan(Space::kLog), ElementsAre(Pair("a", "1")));
  Reopen();
  EXPECT_THAT(Scan(Space::kLog), ElementsAre(Pair("a", "1")));
}

TEST_P(KvConformance, ADeleteToTheEndSeesWhatWasGivenJustBefore) {
  std::vector<KvError> results;
  const auto note = [&](KvError error) { results.push_back(error); };
  kv_->Commit(Puts({{"a", "1"}, {"\xff\xff", "1"}}), note);
  WriteSet all;
  all.deletes.push_back({Space::kLog, "", ""});
  kv_->Commit(std::move(all), note);
  kv_->Commit(Puts({{"z", "2"}}), note);
  ASSERT_TRUE(loop_.RunUntil([&] { return results.size() == 3; }));
  EXPECT_THAT(Scan(Space::kLog), ElementsAre(Pair("z", "2")));
}

TEST_P(KvConformance, CommitsAreCalledBackInOrderInALaterTurn) {
  std::vector<int> order;
  for (int i = 0; i < 500; ++i) {
    kv_->Commit(i % 7 == 0 ? WriteSet{} : Puts({{std::to_string(i), "x"}}), [&order, i](KvError e) {
      EXPECT_EQ(e, KvError::kNone);
      order.push_back(i);
    });
    EXPECT_TRUE(order.empty() || i > 0);
  }
  EXPECT_TRUE(order.empty());
  ASSERT_TRUE(loop_.RunUntil([&] { return order.size() == 500; }));
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_EQ(kv_->stats().commits, 500u);
  EXPECT_GE(kv_->stats().syncs, 1u);
  EXPECT_LE(kv_->stats().syncs, 500u);
}

TEST_P(KvConformance, CommitsThatWaitTogetherShareASync) {
  int done = 0;
  for (int i = 0; i < 1000; ++i) {
    kv_->Commit(Puts({{std::to_string(i), "x"}}), [&](KvError) { ++done; });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return done == 1000; }));
  EXPECT_LT(kv_->stats().syncs, 500u);
  EXPECT_LT(loop_.posts(), 500u);  // one for each group that finishes, at most
}

TEST_P(KvConformance, ACommitGivenInACallbackComesAfterIt) {
  std::string order;
  kv_->Commit(Puts({{"a", "1"}}), [&](KvError) {
    order += 'a';
    kv_->Commit(Puts({{"b", "1"}}), [&](KvError) { order += 'b'; });
  });
  ASSERT_TRUE(loop_.RunUntil([&] { return order.size() == 2; }));
  EXPECT_EQ(order, "ab");
}

TEST_P(KvConformance, WhatWasAcknowledgedIsThereAfterReopening) {
  std::map<std::string, std::string> model;
  Rng rng(7);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 40; ++i) {
      const std::string key = std::to_string(rng.Below(100));
      const std::uint64_t size = rng.Below(2000);
      const std::string value(size, static_cast<char>('a' + rng.Below(26)));
      ASSERT_EQ(CommitAndWait(Puts({{key, value}}, Space::kSnap)), KvError::kNone);
      model[key] = value;
    }
    Reopen();
    const auto found = Scan(Space::kSnap);
    EXPECT_EQ((std::map<std::string, std::string>(found.begin(), found.end())), model);
  }
}

TEST_P(KvConformance, AnEngineThatIsDestroyedCallsNobodyBack) {
  int called = 0;
  for (int i = 0; i < 50; ++i) {
    kv_->Commit(Puts({{std::to_string(i), "x"}}), [&](KvError) { ++called; });
    kv_->Get(Space::kLog, "k", [&](KvError, const std::string&) { ++called; });
    kv_->Post([&] { ++called; });
  }
  kv_ = nullptr;
  loop_.RunFor(20 * kMillisecond);
  EXPECT_EQ(called, 0);
}

TEST_P(KvConformance, AnEngineMayBeDestroyedInItsCallback) {
  int called = 0;
  for (int i = 0; i < 20; ++i) {
    kv_->Commit(Puts({{std::to_string(i), "x"}}), [&](KvError) {
      ++called;
      kv_ = nullptr;
    });
  }
  ASSERT_TRUE(loop_.RunUntil([&] { return called > 0; }));
  loop_.RunFor(20 * kMillisecond);
  EXPECT_EQ(called, 1);
}

// Dropping the engine with commits waiting keeps a prefix of them: no hole, ever.
TEST_P(KvConformance, OfCommitsThatWereUnderWayAPrefixStays) {
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 30; ++i) {
      kv_->Commit(Puts({{fmt::format("{:02}/{:02}", round, i), "x"}}), [](KvError) {});
      if (i == round) loop_.Turn();
    }
    Reopen();
    int expected = 0;
    for (const auto& [key, value] : Scan(Space::kLog, fmt::format("{:02}", round))) {
      EXPECT_EQ(key, fmt::format("{:02}/{:02}", round, expected++));
    }
  }
}

TEST_P(KvConformance, ASecondEngineIsRefusedByName) {
  const auto second = world_->Open(&loop_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error(), KvError::kLocked);
}

TEST_P(KvConformance, WithoutALoopTheBlockingFunctionsWork) {
  kv_ = nullptr;
  auto opened = world_->Open(nullptr);
  ASSERT_TRUE(opened.ok());
  kv_ = std::move(*opened);
  EXPECT_EQ(kv_->CommitNow(Puts({{"a", "1"}})), KvError::kNone);
  KvError committed = KvError::kIo;
  kv_->Commit(Puts({{"b", "2"}}), [&](KvError error) { committed = error; });
  EXPECT_EQ(committed, KvError::kNone);
  std::string got;
  kv_->Get(Space::kLog, "b", [&](KvError, std::string value) { got = std::move(value); });
  EXPECT_EQ(got, "2");
  Reopen();
  EXPECT_THAT(Scan(Space::kLog), ElementsAre(Pair("a", "1"), Pair("b", "2")));
}

INSTANTIATE_TEST_SUITE_P(Engines, KvConformance, ::testing::ValuesIn(testing::kEngines),
                         [](const auto& p) { return p.param.name; });

// --- faults of the memory engine ---

class MemoryFaults : public ::testing::Test {
 protected:
  void Open(const MemoryKvOptions& options = {}) {
    kv_ = nullptr;
    auto opened = OpenMemoryKv(disk_, options, &loop_);
    ASSERT_TRUE(opened.ok());
    kv_ = std::move(*opened);
  }
  void Put(const std::string& key) {
    WriteSet writes;
    writes.puts.push_back({Space::kLog, key, "x"});
    kv_->Commit(std::move(writes), [this](KvError error) { results_.push_back(error); });
  }
  bool Has(const std::string& key) {
    std::string value;
    return kv_->GetNow(Space::kLog, key, &value) == KvError::kNone;
  }

  testing::TestLoop loop_;
  MemoryDisk disk_;
  std::unique_ptr<Kv> kv_;
  std::vector<KvError> results_;
};

TEST_F(MemoryFaults, AFailedCommitTakesAllLaterOnesWithIt) {
  Open();
  disk_.FailCommit(2, KvError::kNoSpace);
  for (const char* key : {"a", "b", "c"}) Put(key);
  ASSERT_TRUE(loop_.RunUntil([&] { return results_.size() == 3; }));
  EXPECT_THAT(results_, ElementsAre(KvError::kNone, KvError::kNoSpace, KvError::kAfterFailure));
  EXPECT_EQ(kv_->CommitNow({}), KvError::kAfterFailure);
  EXPECT_TRUE(Has("a"));
  EXPECT_FALSE(Has("b"));
  Open();
  Put("d");
  ASSERT_TRUE(loop_.RunUntil([&] { return results_.size() == 4; }));
  EXPECT_EQ(results_.back(), KvError::kNone);
}

TEST_F(MemoryFaults, ALyingDiskForgetsWhatItAcknowledged) {
  Open();
  disk_.ForgetCommitsAfter(1);
  for (const char* key : {"a", "b"}) Put(key);
  ASSERT_TRUE(loop_.RunUntil([&] { return results_.size() == 2; }));
  EXPECT_TRUE(Has("b"));
  Open();
  EXPECT_TRUE(Has("a"));
  EXPECT_FALSE(Has("b"));
}

TEST_F(MemoryFaults, CommitsUnderWayAreLostOrKeptAsTold) {
  Open({50 * kMillisecond, 0});
  for (const char* key : {"a", "b", "c"}) Put(key);
  Open();
  EXPECT_FALSE(Has("a"));
  disk_.KeepOnCrash(2);
  for (const char* key : {"a", "b", "c"}) Put(key);
  Open();
  EXPECT_TRUE(Has("b"));
  EXPECT_FALSE(Has("c"));
  EXPECT_TRUE(results_.empty());
}

}  // namespace
}  // namespace baiwan::store
