// A Driver on a MemoryWorld against a FakeTarget, for its tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "net/testing/memory_transport.h"
#include "stress/driver.h"
#include "stress/testing/fake_target.h"

namespace baiwan::stress::testing {

inline WorkloadSpec SpecOf(std::uint32_t users, std::uint32_t friends, std::uint32_t each) {
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
    target_ = std::make_unique<FakeTarget>(world_.node, spec_, graph_);
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
  std::unique_ptr<FakeTarget> target_;
  std::unique_ptr<Driver> driver_;
  int done_ = 0;
};

}  // namespace baiwan::stress::testing
