#include "stress/start_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "net/testing/memory_transport.h"

namespace baiwan::stress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using State = StartLine::State;

// Some load clients, and what a registry would tell each of them.
class StartLineTest : public ::testing::Test {
 protected:
  struct Client {
    State state = State::kArming;
    bool there = true;
    std::optional<Nanos> began;
    std::vector<CellId> missing;
    std::unique_ptr<StartLine> line;
  };

  void Make(std::uint32_t cells) {
    clients_.resize(cells);
    for (Client& c : clients_) Life(c);
  }
  void Life(Client& c) {
    c.line = std::make_unique<StartLine>(
        world_.loop, StartLine::Options{.cells = static_cast<std::uint32_t>(clients_.size())},
        [this, &c](const std::vector<CellId>& missing) {
          c.began = world_.clock.now;
          c.missing = missing;
          c.state = State::kPlays;
          Tell();
        });
  }
  void Arm(std::size_t i) {
    clients_[i].state = State::kArmed;
    clients_[i].line->Armed();
    Tell();
  }
  void Tell() {
    std::map<CellId, State> all;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      if (clients_[i].there) all[static_cast<CellId>(i)] = clients_[i].state;
    }
    for (Client& c : clients_) {
      if (c.line) c.line->Look(all);
    }
  }

  net::MemoryWorld world_;
  std::vector<Client> clients_;
};

TEST_F(StartLineTest, AllBeginTogetherWhenTheLastIsArmed) {
  Make(40);
  for (std::size_t i = 0; i < 40; ++i) {
    for (const Client& c : clients_) EXPECT_FALSE(c.began) << "before all were armed";
    world_.Advance(500 * kMillisecond);  // hosts come one after the other
    Arm(i);
  }
  const Nanos armed = world_.clock.now;
  world_.Advance(kSecond);
  for (const Client& c : clients_) {
    ASSERT_TRUE(c.began);
    EXPECT_EQ(*c.began, armed + 200 * kMillisecond);
    EXPECT_THAT(c.missing, IsEmpty());
  }
}

TEST_F(StartLineTest, WhoDoesNotComeIsWaitedForNoLongerThanThatAndNamed) {
  Make(4);
  clients_[2].there = false;
  Arm(0);
  world_.Advance(10 * kSecond);
  Arm(1);
  Arm(3);
  world_.Advance(49 * kSecond);
  EXPECT_FALSE(clients_[0].began);
  world_.Advance(2 * kSecond);
  for (const int i : {0, 1, 3}) {
    ASSERT_TRUE(clients_[i].began) << i;
    EXPECT_EQ(*clients_[i].began, *clients_[0].began) << "all with the first";
    EXPECT_THAT(clients_[i].missing, ElementsAre(2));
  }
  clients_[2].there = true;  // and who comes then does not wait
  Arm(2);
  world_.Advance(kMillisecond);
  EXPECT_TRUE(clients_[2].began);
}

TEST_F(StartLineTest, WhoIsStartedAgainWhileOthersPlayJoinsThem) {
  Make(3);
  for (std::size_t i = 0; i < 3; ++i) Arm(i);
  world_.Advance(kSecond);
  clients_[1] = Client{};
  Life(clients_[1]);
  Tell();
  world_.Advance(kSecond);
  EXPECT_FALSE(clients_[1].began) << "it is not ready yet";
  Arm(1);
  world_.Advance(kMillisecond);
  EXPECT_TRUE(clients_[1].began);
}

TEST_F(StartLineTest, LoadClientsOfOtherCellsDoNotCount) {
  Make(2);
  Arm(0);
  clients_[0].line->Look({{0, State::kArmed}, {7, State::kArmed}});
  world_.Advance(10 * kSecond);
  EXPECT_FALSE(clients_[0].began);
}

TEST(StartLine, StatesHaveNames) {
  for (const State state : {State::kArming, State::kArmed, State::kPlays}) {
    EXPECT_EQ(StartStateNamed(NameOf(state)), state);
  }
  EXPECT_EQ(StartStateNamed("anything"), State::kArming);
}

}  // namespace
}  // namespace baiwan::stress
