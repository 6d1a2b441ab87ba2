#include "stress/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "net/testing/memory_transport.h"
#include "stress/testing/fake_target.h"

namespace baiwan::stress {
namespace {

using ::testing::HasSubstr;

WorkloadSpec SpecOf(std::uint32_t users, std::uint32_t friends, std::uint32_t each) {
  WorkloadSpec spec;
  spec.cells = 1;
  spec.users_per_cell = users;
  spec.friends_in_cell = friends;
  spec.friends_cross = 0;
  spec.messages_per_friend = each;
  return spec;
}

class DriverTest : public ::testing::Test {
 protected:
  DriverTest() { Use(SpecOf(40, 6, 5)); }
  ~DriverTest() override {
    ledger_.reset();
    std::filesystem::remove(ledger_path_);
  }

  void Use(const WorkloadSpec& spec) {
    spec_ = spec;
    UseGraph(BuildCellGraph(spec_, 0));
  }
  void UseGraph(CellGraph graph) {
    graph_ = std::move(graph);
    target_ = std::make_unique<testing::FakeTarget>(world_.node, spec_, graph_);
  }
  void UseLedger() {
    auto opened = Ledger::Open(ledger_path_, graph_);
    ASSERT_TRUE(opened.ok()) << opened.error();
    ledger_ = std::move(*opened);
  }
  void Start() {
    driver_ =
        std::make_unique<Driver>(world_.node, options_, spec_, graph_, *target_, ledger_.get());
    driver_->Start([this] { ++done_; });
  }
  // The driver as a killed process leaves it, and its next life.
  void Restart() {
    driver_.reset();
    if (ledger_ != nullptr) {
      ledger_.reset();
      UseLedger();
    }
    Start();
  }
  bool RunUntil(const std::function<bool()>& stop, Nanos limit = 300 * kSecond) {
    for (Nanos t = 0; t < limit; t += kMillisecond) {
      if (stop()) return true;
      world_.Advance(kMillisecond);
    }
    return stop();
  }
  bool RunToDone(Nanos limit = 300 * kSecond) {
    return RunUntil([this] { return done_ > 0; }, limit);
  }
  std::uint64_t StoredByServer() const {
    std::uint64_t sum = 0;
    for (const auto& [user, state] : target_->users) sum += state.stored;
    return sum;
  }
  void ExpectAllDone() {
    const DriveCounters& c = driver_->counters();
    EXPECT_EQ(c.users, graph_.users());
    EXPECT_EQ(c.users_started, c.users);
    EXPECT_EQ(c.users_stored, c.users);
    EXPECT_EQ(c.users_finished, c.users);
    EXPECT_EQ(c.users_failed, 0u);
    EXPECT_EQ(c.messages, graph_.relations() * spec_.messages_per_friend * spec_.rounds);
    EXPECT_EQ(c.stored, c.messages);
    EXPECT_EQ(c.delivered, c.messages);
    EXPECT_EQ(StoredByServer(), c.messages);
    EXPECT_TRUE(c.failures.empty());
    world_.Advance(5 * kSecond);
    EXPECT_EQ(done_, 1) << "done is called once";
    EXPECT_EQ(target_->connected(), 0u);
  }
  static TargetRefusal Temporary(Seq id, Nanos retry_after = 200 * kMillisecond) {
    return {id, 503, "overloaded", retry_after};
  }

  net::MemoryWorld world_;
  WorkloadSpec spec_;
  CellGraph graph_;
  DriveOptions options_;
  const std::string ledger_path_ = (std::filesystem::temp_directory_path() /
                                    ("driver_test_" + std::to_string(::getpid()) + ".ledger"))
                                       .string();
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<testing::FakeTarget> target_;
  std::unique_ptr<Driver> driver_;
  int done_ = 0;
};

// ---------------------------------------------------------------- order, window, concurrency

TEST_F(DriverTest, EveryMessageIsSubmittedOnceInAShuffledOrder) {
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, driver_->counters().messages);
  EXPECT_EQ(driver_->counters().repeated, 0u);
  std::size_t shuffled = 0;
  for (const auto& [user, state] : target_->users) {
    ASSERT_EQ(state.submitted.size(), 30u);
    shuffled += std::is_sorted(state.submitted.begin(), state.submitted.end()) ? 0 : 1;
    // Shuffled in blocks of half of what may be under way.
    for (std::size_t i = 0; i < 30; ++i) EXPECT_EQ((state.submitted[i] - 1) / 16, i / 16);
    EXPECT_LE(state.most_waiting, 32u);
    EXPECT_EQ(state.connects.size(), 1u);
  }
  EXPECT_GT(shuffled, 35u);
  EXPECT_EQ(driver_->stored_latency().count(), 0u) << "a closed loop plans no times";
}

struct Sizes {
  std::uint32_t in_flight;
  std::uint32_t per_frame;
  std::uint32_t body;
};

class DriverSizes : public DriverTest, public ::testing::WithParamInterface<Sizes> {};

// The fake target fails the test if its window, in messages or bytes, is exceeded.
TEST_P(DriverSizes, NeverGoBeyondWhatMayBeUnderWay) {
  WorkloadSpec spec = SpecOf(12, 4, 500);
  spec.body_bytes = GetParam().body;
  if (spec.body_bytes > 1000) spec.messages_per_friend = 30;
  Use(spec);
  options_.in_flight = GetParam().in_flight;
  options_.messages_per_frame = GetParam().per_frame;
  Start();
  ASSERT_TRUE(RunUntil([this] { return StoredByServer() > driver_->counters().messages / 3; }));
  target_->hold_stores = true;  // so that as much as possible is under way
  world_.Advance(300 * kMillisecond);
  for (const auto& [user, state] : target_->users) {
    EXPECT_LE(state.waiting.size(), GetParam().in_flight);
  }
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, driver_->counters().messages);
  EXPECT_EQ(target_->most_in_frame, std::min(GetParam().in_flight, GetParam().per_frame));
}

INSTANTIATE_TEST_SUITE_P(, DriverSizes,
                         ::testing::Values(Sizes{1, 1, 16}, Sizes{1, 8, 16}, Sizes{2, 8, 16},
                                           Sizes{32, 8, 16}, Sizes{32, 1, 16}, Sizes{128, 64, 16},
                                           Sizes{1000, 64, 16}, Sizes{1000, 64, 0}));

TEST_F(DriverTest, LargeBodiesKeepToTheWindowInBytes) {
  WorkloadSpec spec = SpecOf(6, 2, 20);
  spec.body_bytes = 60'000;
  Use(spec);
  options_.in_flight = 1000;
  options_.messages_per_frame = 64;
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(target_->most_in_frame, 4u);
}

TEST_F(DriverTest, FramesAreFullExceptAtTheEnd) {
  Use(SpecOf(1, 0, 1));
  Use(SpecOf(11, 10, 16));  // 160 messages each
  Start();
  ASSERT_TRUE(RunToDone());
  EXPECT_EQ(target_->frames, 11u * 160 / 8);
}

TEST_F(DriverTest, SoManyPlayAtATimeAndASlotIsFreedWhenAllIsStored) {
  options_.concurrency = 7;
  target_->hold_acks = true;
  Start();
  // Everybody is through although nothing was delivered: following costs no slot.
  ASSERT_TRUE(RunUntil([this] { return driver_->counters().users_stored == 40; }));
  EXPECT_EQ(target_->most_playing, 7u);
  EXPECT_EQ(driver_->counters().users_finished, 0u);
  EXPECT_EQ(target_->connected(), 40u);
  EXPECT_EQ(done_, 0);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, NobodyBeginsBeyondTheConnectionsThatAreAllowed) {
  options_.concurrency = 7;
  options_.max_connections = 15;
  target_->hold_acks = true;
  Start();
  world_.Advance(20 * kSecond);
  EXPECT_EQ(target_->most_connected, 15u);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_LE(target_->most_connected, 15u);
}

TEST_F(DriverTest, UsersWithoutFriendsAreFinishedWithoutConnecting) {
  UseGraph(CellGraph({1, 2, 3, 4}, {0, 0, 1, 2, 2}, {3, 2}));
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(target_->users.size(), 2u);
}

TEST_F(DriverTest, ACellWithoutUsersIsDone) {
  UseGraph(CellGraph());
  Start();
  EXPECT_EQ(done_, 0) << "not inside Start";
  ASSERT_TRUE(RunToDone(kSecond));
}

TEST_F(DriverTest, IsDestroyedAtAnyMomentWithoutATrace) {
  for (int ms = 0; ms < 60; ++ms) {
    target_ = std::make_unique<testing::FakeTarget>(world_.node, spec_, graph_);
    Start();
    world_.Advance(ms * kMillisecond / 4);
    driver_.reset();
    world_.Advance(kSecond);
    EXPECT_EQ(target_->connected(), 0u);
  }
}

// ---------------------------------------------------------------- refusals

TEST_F(DriverTest, WhatIsRefusedForNowIsSubmittedAgainAfterThePause) {
  std::map<std::pair<UserId, Seq>, Nanos> refused_at;
  target_->refuse = [&](UserId user, const TargetMessage& m) -> std::optional<TargetRefusal> {
    if (m.send_id % 10 != 3) return std::nullopt;
    const Nanos now = world_.clock.now;
    const auto [it, first] = refused_at.try_emplace({user, m.send_id}, now);
    if (first) return Temporary(m.send_id, 700 * kMillisecond);
    EXPECT_GE(now - it->second, 700 * kMillisecond) << "before the pause was over";
    EXPECT_LE(now - it->second, 1500 * kMillisecond);
    return std::nullopt;
  };
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_EQ(c.refused.at("overloaded"), 120u);
  EXPECT_EQ(c.repeated, 120u);
  EXPECT_EQ(c.submitted, c.messages + 120);
}

TEST_F(DriverTest, EveryStatusOfUnknownFateIsRepeated) {
  const int statuses[] = {429, 503, 504, 408};
  for (std::size_t i = 0; i < std::size(statuses); ++i) {
    std::set<UserId> refused;
    target_ = std::make_unique<testing::FakeTarget>(world_.node, spec_, graph_);
    target_->refuse = [&](UserId user, const TargetMessage& m) -> std::optional<TargetRefusal> {
      if (!refused.insert(user).second) return std::nullopt;
      return TargetRefusal{m.send_id, statuses[i], "busy", 0};
    };
    done_ = 0;
    Start();
    ASSERT_TRUE(RunToDone()) << statuses[i];
    ExpectAllDone();
  }
}

TEST_F(DriverTest, PausesGrowWhileNothingIsStored) {
  options_.concurrency = 1;
  Use(SpecOf(3, 2, 1));
  std::vector<Nanos> tries;
  target_->refuse = [&](UserId, const TargetMessage& m) -> std::optional<TargetRefusal> {
    if (m.send_id != 1 || tries.size() >= 8) return std::nullopt;
    tries.push_back(world_.clock.now);
    return Temporary(m.send_id, 0);
  };
  Start();
  ASSERT_TRUE(RunToDone());
  ASSERT_EQ(tries.size(), 8u);
  EXPECT_LT(tries[1] - tries[0], 150 * kMillisecond);
  EXPECT_GT(tries[7] - tries[6], 1900 * kMillisecond);
  EXPECT_LT(tries[7] - tries[6], 4200 * kMillisecond);
}

TEST_F(DriverTest, RetriesKeepToTheirBudgetAndStillGetThere) {
  options_.retries_saved = 20;
  options_.retries_per_s = 10;
  options_.retry_share = 0;
  const Nanos until = world_.clock.now + 20 * kSecond;
  target_->refuse = [&](UserId, const TargetMessage& m) -> std::optional<TargetRefusal> {
    if (world_.clock.now > until) return std::nullopt;
    return Temporary(m.send_id, 10 * kMillisecond);
  };
  Start();
  world_.Advance(20 * kSecond);
  EXPECT_GT(driver_->counters().repeated, 100u);
  EXPECT_LE(driver_->counters().repeated, 20u + 20 * 10 + 1);
  ASSERT_TRUE(RunToDone(1000 * kSecond)) << "an exhausted budget must not end the run";
  ExpectAllDone();
}

TEST_F(DriverTest, OtherRefusalsEndTheUserAndAreNamed) {
  const std::pair<int, const char*> kinds[] = {{400, "bad_send_id"},    {403, "not_friend"},
                                               {404, "unknown_user"},   {409, "send_id_conflict"},
                                               {413, "body_too_large"}, {500, "corrupt"}};
  for (const auto& [status, code] : kinds) {
    target_ = std::make_unique<testing::FakeTarget>(world_.node, spec_, graph_);
    const UserId victim = graph_.user(5);
    target_->refuse = [&](UserId user, const TargetMessage& m) -> std::optional<TargetRefusal> {
      if (user != victim || m.send_id != 7) return std::nullopt;
      return TargetRefusal{m.send_id, status, code, 0};
    };
    done_ = 0;
    Start();
    ASSERT_TRUE(RunToDone()) << "the others finish, and the run with them";
    const DriveCounters& c = driver_->counters();
    EXPECT_EQ(c.failures, (std::map<std::string, std::uint64_t>{{code, 1}}));
    EXPECT_THAT(c.first_failure, HasSubstr("user " + std::to_string(victim) + ": message 7"));
    EXPECT_THAT(c.first_failure, HasSubstr(code));
    EXPECT_THAT(world_.log.lines.back(), HasSubstr(code));
    EXPECT_EQ(c.users_failed, 1u);
    EXPECT_EQ(c.users_finished, 39u);
    EXPECT_EQ(target_->users[victim].stored, 6u);
    EXPECT_EQ(target_->connected(), 0u);
  }
}

TEST_F(DriverTest, AUserThatIsNotLetInIsAFailureAndFreesItsSlot) {
  options_.concurrency = 1;
  const UserId victim = graph_.user(0);
  target_->refuse_connect = [&](UserId user) -> std::optional<TargetRefusal> {
    if (user != victim) return std::nullopt;
    return TargetRefusal{0, 404, "unknown_user", 0};
  };
  Start();
  ASSERT_TRUE(RunToDone());
  EXPECT_EQ(driver_->counters().failures.at("unknown_user"), 1u);
  EXPECT_EQ(driver_->counters().users_finished, 39u);
}

// ---------------------------------------------------------------- connections

TEST_F(DriverTest, ABackendThatIsAwayIsTriedMoreRarelyAndNotBeforeItWants) {
  target_->away = true;
  Start();
  world_.Advance(60 * kSecond);
  std::set<Nanos> first_retries;
  for (const auto& [user, state] : target_->users) {
    EXPECT_GT(state.connects.size(), 15u);
    EXPECT_LT(state.connects.size(), 80u);
    first_retries.insert(state.connects[1]);
    const Nanos last = state.connects.back() - state.connects[state.connects.size() - 2];
    EXPECT_GE(last, kSecond);
    EXPECT_LE(last, 3200 * kMillisecond);
  }
  EXPECT_GT(first_retries.size(), 5u) << "all come at once";
  EXPECT_GT(driver_->counters().downs.at("away"), 500u);
  target_->retry_after = 10 * kSecond;
  world_.Advance(10 * kSecond);
  std::map<UserId, std::size_t> before;
  for (const auto& [user, state] : target_->users) before[user] = state.connects.size();
  world_.Advance(60 * kSecond);
  for (const auto& [user, state] : target_->users) {
    EXPECT_GE(state.connects.size(), before[user] + 3);
    for (std::size_t i = before[user]; i < state.connects.size(); ++i) {
      EXPECT_GE(state.connects[i] - state.connects[i - 1], 10 * kSecond) << "earlier than asked";
    }
  }
  target_->away = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, ACrashOfTheBackendCostsOnlyWhatWasUnderWay) {
  Use(SpecOf(40, 6, 50));
  target_->latency = 5 * kMillisecond;
  Start();
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t before = StoredByServer();
    ASSERT_TRUE(RunUntil([&] { return StoredByServer() > before + 2000; }));
    target_->Crash();
  }
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_GT(c.disconnects, 40u);
  EXPECT_EQ(c.connects, c.disconnects + 40);
  EXPECT_GT(c.repeated, 0u);
  EXPECT_LE(c.repeated, 3u * 40 * 32);
  EXPECT_EQ(c.submitted, c.messages + c.repeated);
}

TEST_F(DriverTest, ABackendThatFallsSilentIsConnectedToAgain) {
  Use(SpecOf(40, 6, 50));
  options_.stall_timeout = 10 * kSecond;
  Start();
  world_.Advance(5 * kMillisecond);
  target_->silent = true;
  world_.Advance(9 * kSecond);
  EXPECT_EQ(driver_->counters().disconnects, 0u);
  world_.Advance(3 * kSecond);
  EXPECT_EQ(driver_->counters().disconnects, 40u);
  EXPECT_EQ(driver_->counters().downs.at("nothing was heard"), 40u);
  target_->silent = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, WhoOnlyFollowsAsksForASignOfLifeInsteadOfConnectingAgain) {
  options_.stall_timeout = 10 * kSecond;
  target_->hold_acks = true;
  Start();
  world_.Advance(100 * kSecond);
  EXPECT_EQ(driver_->counters().users_stored, 40u);
  EXPECT_EQ(driver_->counters().connects, 40u);
  EXPECT_LE(driver_->counters().polls, 40u * 20);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, ABackendThatTakesMessagesAndStoresNoneIsConnectedToAgain) {
  options_.stall_timeout = 10 * kSecond;
  target_->lossy = true;
  Start();
  world_.Advance(25 * kSecond);
  EXPECT_GE(driver_->counters().downs.at("nothing was stored"), 40u);
  target_->lossy = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

// ---------------------------------------------------------------- without pushes

TEST_F(DriverTest, WithoutPushesTheCountersAreAskedForEveryHalfWindow) {
  Use(SpecOf(20, 10, 40));  // 400 messages each
  target_->push = false;
  Start();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_EQ(c.submitted, c.messages);
  EXPECT_EQ(target_->most_in_frame, 1u);
  EXPECT_GE(c.polls, c.messages / 16);
  EXPECT_LE(c.polls, c.messages / 16 + 4 * c.users);
}

TEST_F(DriverTest, WithoutPushesWaitingAsksEverMoreRarely) {
  target_->push = false;
  target_->hold_acks = true;
  Start();
  world_.Advance(2 * kSecond);
  EXPECT_EQ(driver_->counters().users_stored, 40u);
  const std::uint64_t polls = driver_->counters().polls;
  world_.Advance(20 * kSecond);
  EXPECT_GE(driver_->counters().polls - polls, 40u * 35);
  EXPECT_LE(driver_->counters().polls - polls, 40u * 41);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

TEST_F(DriverTest, WhatWasTakenButForgottenIsFoundByPollsAndSentAgain) {
  Use(SpecOf(40, 6, 20));
  target_->push = false;
  target_->latency = 5 * kMillisecond;
  Start();
  ASSERT_TRUE(RunUntil([this] { return StoredByServer() > 1000; }));
  target_->hold_stores = true;
  world_.Advance(kSecond);
  target_->ForgetTaken();
  target_->hold_stores = false;
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  const DriveCounters& c = driver_->counters();
  EXPECT_EQ(c.disconnects, 0u);
  EXPECT_GT(c.presumed_lost, 40u);
  EXPECT_LE(c.presumed_lost, 2u * 40 * 32);
  EXPECT_EQ(c.repeated, c.presumed_lost);
}

TEST_F(DriverTest, SendingAgainGetsRarerWhileNothingIsStored) {
  target_->push = false;
  target_->hold_stores = true;
  Start();
  world_.Advance(60 * kSecond);
  // After about 2, 4, 8, 16 and 30 s.
  EXPECT_GE(driver_->counters().presumed_lost, 3u * 40 * 30);
  EXPECT_LE(driver_->counters().presumed_lost, 4u * 40 * 30);
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
}

// ---------------------------------------------------------------- lives, ledger

TEST_F(DriverTest, KilledAndStartedAgainItGoesOnFromTheServersCounters) {
  for (const bool push : {true, false}) {
    Use(SpecOf(40, 6, 30));
    std::filesystem::remove(ledger_path_);
    ledger_.reset();
    UseLedger();
    target_->push = push;
    target_->latency = 3 * kMillisecond;
    options_.concurrency = 10;
    done_ = 0;
    Start();
    DriveResult kept;
    std::uint64_t submitted = 0;
    for (int life = 0; life < 4; ++life) {
      const std::uint64_t before = driver_->counters().stored;
      ASSERT_TRUE(RunUntil([&] { return driver_->counters().stored > before + 1300; }));
      submitted += driver_->counters().submitted;
      DriveResult result = driver_->Result();
      result.Continue(kept);
      kept = result;
      Restart();
      EXPECT_EQ(driver_->counters().stored, kept.stored) << "known from the beginning";
      EXPECT_EQ(driver_->counters().delivered, kept.delivered);
    }
    ASSERT_TRUE(RunToDone());
    ExpectAllDone();
    submitted += driver_->counters().submitted;
    DriveResult result = driver_->Result();
    result.Continue(kept);
    EXPECT_EQ(result.stored, result.messages);
    EXPECT_EQ(result.delivered, result.messages);
    EXPECT_EQ(result.users_finished, 40u);
    EXPECT_EQ(result.submitted, submitted);
    EXPECT_LE(submitted, result.messages + 4u * 10 * 32) << "only what was under way is repeated";
    EXPECT_EQ(result.behind_ledger, 0u);
    EXPECT_EQ(result.first_submit_ms, kept.first_submit_ms);
    EXPECT_GE(result.last_ack_ms, kept.last_ack_ms);
    for (std::size_t i = 0; i < graph_.users(); ++i) {
      EXPECT_EQ(ledger_->told(i).send_id, 180u);
      EXPECT_EQ(ledger_->told(i).send_ack_id, 180u);
    }
  }
}

TEST_F(DriverTest, StartedAgainAfterTheEndItFindsEverythingDone) {
  UseLedger();
  Start();
  ASSERT_TRUE(RunToDone());
  const DriveResult first = driver_->Result();
  done_ = 0;
  world_.Advance(60 * kSecond);
  Restart();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->counters().submitted, 0u);
  EXPECT_EQ(driver_->Result().last_ack_ms, 0u) << "nothing new was told";
  DriveResult result = driver_->Result();
  result.Continue(first);
  EXPECT_EQ(result.stored, result.messages);
  EXPECT_EQ(result.last_ack_ms, first.last_ack_ms);
}

TEST_F(DriverTest, AServerThatKnowsLessThanItToldIsCountedAndTheRunGoesOn) {
  UseLedger();
  target_->hold_acks = true;
  Start();
  ASSERT_TRUE(RunUntil([this] { return driver_->counters().users_stored == 40; }));
  // Two users are put back.
  target_->users[graph_.user(3)].stored = 11;
  target_->users[graph_.user(8)].stored = 0;
  Restart();
  ASSERT_TRUE(RunUntil([this] { return driver_->counters().users_stored == 40; }));
  EXPECT_EQ(driver_->counters().behind_ledger, 2u);
  EXPECT_THAT(world_.log.lines.front(), HasSubstr("user " + std::to_string(graph_.user(3))));
  target_->Release();
  ASSERT_TRUE(RunToDone());
  ExpectAllDone();
  EXPECT_EQ(driver_->Result().behind_ledger, 2u);
}

TEST_F(DriverTest, AServerThatForgetsDuringTheRunIsCountedToo) {
  for (const bool push : {true, false}) {
    Use(SpecOf(40, 6, 30));
    target_->push = push;
    done_ = 0;
    Start();
    ASSERT_TRUE(RunUntil([this] { return driver_->counters().stored > 3000; }));
    target_->hold_stores = true;
    world_.Advance(kSecond);
    std::uint64_t put_back = 0;
    for (auto& [user, state] : target_->users) {
      if (user % 4 != 0 || state.stored < 20 || state.stored == 180) continue;
      state.stored -= 10;
      state.acked = state.stored;
      ++put_back;
    }
    ASSERT_GT(put_back, 3u);
    if (push) target_->Crash();
    target_->ForgetTaken();
    target_->Release();
    ASSERT_TRUE(RunToDone());
    ExpectAllDone();
    EXPECT_EQ(driver_->counters().behind_ledger, put_back);
  }
}

// ---------------------------------------------------------------- open loop

class OpenLoop : public DriverTest {
 protected:
  OpenLoop() {
    Use(SpecOf(40, 6, 50));  // 12,000 messages
    options_.rate = 1000;
  }
};

TEST_F(OpenLoop, MessagesAreSentInOrderAtTheirRate) {
  Start();
  world_.Advance(100 * kMillisecond);
  const std::uint64_t before = driver_->counters().submitted;
  world_.Advance(5 * kSecond);
  EXPECT_NEAR(static_cast<double>(driver_->counters().submitted - before), 5000, 10);
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  for (const auto& [user, state] : target_->users) {
    EXPECT_TRUE(std::is_sorted(state.submitted.begin(), state.submitted.end()));
  }
  EXPECT_EQ(driver_->stored_latency().count(), 12'000u);
  EXPECT_EQ(driver_->delivered_latency().count(), 12'000u);
  EXPECT_LE(driver_->stored_latency().Quantile(0.99), 4 * kMillisecond);
}

TEST_F(OpenLoop, ABackendThatStopsForASecondShowsInTheLatencyOfWhatWasDueMeanwhile) {
  Start();
  world_.Advance(3 * kSecond);
  target_->hold_stores = true;
  world_.Advance(kSecond);
  const std::uint64_t sent = driver_->counters().submitted;
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_NEAR(static_cast<double>(sent), 4000, 60) << "it must not wait for the backend";
  // One second of twelve was bad: its messages waited 0 to 1 s, which is a twelfth of all.
  const Histogram& h = driver_->stored_latency();
  EXPECT_LE(h.Quantile(0.90), 5 * kMillisecond);
  EXPECT_NEAR(static_cast<double>(h.Quantile(0.96)), 0.52 * kSecond, 0.05 * kSecond);
  EXPECT_NEAR(static_cast<double>(h.Quantile(0.99)), 0.88 * kSecond, 0.05 * kSecond);
  EXPECT_NEAR(static_cast<double>(h.max()), 1.0 * kSecond, 0.01 * kSecond);
}

TEST_F(OpenLoop, WhatCannotBeSentYetCountsFromWhenItWasDue) {
  // Two messages under way per user: a stall of 1 s holds nearly everything back in the client.
  options_.open_in_flight = 2;
  Start();
  world_.Advance(3 * kSecond);
  target_->hold_stores = true;
  world_.Advance(kSecond);
  EXPECT_LE(driver_->counters().submitted, 3100u);
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  const Histogram& h = driver_->stored_latency();
  EXPECT_EQ(h.count(), 12'000u);
  EXPECT_NEAR(static_cast<double>(h.Quantile(0.99)), 0.88 * kSecond, 0.06 * kSecond);
}

TEST_F(OpenLoop, StoredAndDeliveredAreMeasuredEachForItself) {
  target_->hold_acks = true;
  Start();
  world_.Advance(2 * kSecond);
  target_->Release();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  EXPECT_LE(driver_->stored_latency().max(), 10 * kMillisecond);
  EXPECT_GE(driver_->delivered_latency().max(), 1900 * kMillisecond);
}

TEST_F(OpenLoop, SlotsGoToTheNextUsersAndTheRateGoesOn) {
  options_.concurrency = 5;
  Start();
  world_.Advance(100 * kMillisecond);
  const std::uint64_t before = driver_->counters().submitted;
  world_.Advance(9 * kSecond);
  EXPECT_NEAR(static_cast<double>(driver_->counters().submitted - before), 9000, 200);
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_LE(target_->most_playing, 5u);
}

TEST_F(OpenLoop, KilledAndStartedAgainWhatIsStoredIsNotDueAgain) {
  UseLedger();
  Start();
  world_.Advance(4 * kSecond);
  const DriveResult first = driver_->Result();
  Restart();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  DriveResult result = driver_->Result();
  EXPECT_LE(result.stored_latency.max(), 100 * kMillisecond);
  EXPECT_LE(driver_->counters().submitted, 12'000 - first.stored);
  result.Continue(first);
  EXPECT_EQ(result.stored, 12'000u);
  EXPECT_GE(result.stored_latency.count(), 11'900u);
  EXPECT_LE(result.stored_latency.count(), 12'000u);
}

TEST_F(OpenLoop, WithoutPushesItGoesToo) {
  target_->push = false;
  Start();
  ASSERT_TRUE(RunToDone(60 * kSecond));
  ExpectAllDone();
  EXPECT_EQ(driver_->stored_latency().count(), 12'000u);
  // As exact as polls are: the counters are asked for 5 ms after something was sent.
  EXPECT_LE(driver_->stored_latency().Quantile(0.99), 15 * kMillisecond);
  EXPECT_LE(driver_->counters().polls, 2 * driver_->counters().messages);
}

// ---------------------------------------------------------------- figures

TEST_F(DriverTest, TheResultHasWallClockTimes) {
  const std::uint64_t start = world_.clock.WallMillis();
  Start();
  EXPECT_EQ(driver_->Result().first_submit_ms, 0u);
  ASSERT_TRUE(RunToDone());
  const std::uint64_t end = world_.clock.WallMillis();
  world_.Advance(kSecond);
  const DriveResult result = driver_->Result();
  EXPECT_GE(result.first_submit_ms, start);
  EXPECT_LE(result.first_submit_ms, start + 10);
  EXPECT_LE(result.last_ack_ms, end);
  EXPECT_GE(result.last_ack_ms, end - 10);
}

}  // namespace
}  // namespace baiwan::stress
