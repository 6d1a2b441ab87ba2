#include "fleet/laggards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace baiwan::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<CellBeat> Beat(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  return {{"a", a}, {"b", b}, {"c", c}};
}

TEST(FleetLaggards, WhoKeepsUpIsNotNamed) {
  Laggards l(100);
  for (std::uint64_t n = 0; n <= 100; n += 10)
    EXPECT_THAT(l.Look(Beat(n, n, n * 8 / 10)), IsEmpty());
  for (int i = 0; i < 5; ++i) EXPECT_THAT(l.Look(Beat(100, 100, 100)), IsEmpty());  // all done
}

TEST(FleetLaggards, OneThatStandsStillIsNamedOnceAndWhenItGoesOn) {
  Laggards l(100);
  std::uint64_t n = 10;
  l.Look(Beat(n, n, 10));
  for (int i = 0; i < 2; ++i, n += 5) EXPECT_THAT(l.Look(Beat(n + 5, n + 5, 10)), IsEmpty());
  EXPECT_THAT(l.Look(Beat(30, 30, 10)),
              ElementsAre("c stands still at 10 of 100 users while others go on"));
  EXPECT_THAT(l.Look(Beat(31, 31, 10)), IsEmpty());
  EXPECT_THAT(l.Look(Beat(32, 32, 25)), ElementsAre("c goes on again"));
}

TEST(FleetLaggards, WhenNobodyGoesOnItIsNobodysFault) {
  Laggards l(100);
  for (int i = 0; i < 9; ++i) EXPECT_THAT(l.Look(Beat(40, 40, 40)), IsEmpty());
}

TEST(FleetLaggards, OneThatIsSlowIsNamedWithHowFarTheOthersAre) {
  Laggards l(100);
  std::vector<std::string> said;
  for (std::uint64_t n = 0; n <= 4; ++n) {
    for (std::string& s : l.Look(Beat(n * 20, n * 20, n * 2))) said.push_back(std::move(s));
  }
  EXPECT_THAT(said, ElementsAre("c is slow: 6 of 100 users have finished there, 60 elsewhere"));
}

TEST(FleetLaggards, OneThatBeganLateAndKeepsUpIsNotSlow) {
  Laggards l(1000);
  auto beat = Beat(0, 0, 0);
  beat[2].answers = false;
  for (std::uint64_t n = 0; n < 8; ++n) {
    beat[0].finished = beat[1].finished = n * 20;
    EXPECT_THAT(l.Look(beat), IsEmpty());
  }
  beat[2].answers = true;
  for (std::uint64_t n = 8; n < 20; ++n) {
    EXPECT_THAT(l.Look(Beat(n * 20, n * 20, (n - 8) * 20)), IsEmpty());
  }
  std::vector<std::string> said;
  for (std::uint64_t n = 20; n < 40; ++n) {  // and now it does not
    for (std::string& s : l.Look(Beat(n * 20, n * 20, 220 + n))) said.push_back(std::move(s));
  }
  ASSERT_FALSE(said.empty());
  EXPECT_THAT(said[0], ::testing::HasSubstr("c is slow"));
}

TEST(FleetLaggards, OneThatDoesNotAnswerIsNamedUnlessItHasFinished) {
  Laggards l(100);
  auto beat = Beat(50, 50, 50);
  l.Look(beat);
  beat[2].answers = false;
  EXPECT_THAT(l.Look(beat), IsEmpty());
  l.Look(beat);
  EXPECT_THAT(l.Look(beat), ElementsAre("c does not answer"));
  auto done = Beat(60, 60, 100);
  done[2].answers = false;
  EXPECT_THAT(l.Look(done), ElementsAre("c goes on again"));
}

TEST(FleetLaggards, ThoseWithTheSameTroubleAreNamedTogether) {
  Laggards l(100);
  std::vector<CellBeat> beat;
  for (const char* host : {"a", "b", "c", "d", "e", "f"}) beat.push_back({host, 50});
  l.Look(beat);
  for (std::size_t i = 1; i < beat.size(); ++i) beat[i].answers = false;
  l.Look(beat);
  l.Look(beat);
  EXPECT_THAT(l.Look(beat), ElementsAre("b, c, d, e and 1 other do not answer"));
  beat[1].answers = beat[2].answers = true;
  beat[1].finished = beat[2].finished = 51;
  EXPECT_THAT(l.Look(beat), ElementsAre("b and c go on again"));
}

TEST(FleetLaggards, OneThatHasNotBegunIsGivenMoreTime) {
  Laggards l(100);
  auto beat = Beat(10, 10, 0);
  beat[2].answers = false;
  int silent = 0;
  for (int i = 1; i <= 20; ++i) {
    const auto said = l.Look(beat);
    if (said.empty()) continue;
    EXPECT_THAT(said, ElementsAre("c does not answer"));
    EXPECT_EQ(silent, 0);
    silent = i;
  }
  EXPECT_EQ(silent, 10);
}

TEST(FleetLaggards, OneWhoseLoadClientHasEndedIsNotMissedOnTheBoard) {
  Laggards l(100);
  l.Look(Beat(0, 0, 0));
  auto beat = Beat(40, 40, 90);
  l.Look(beat);
  beat[2] = {"c", 0, false, true};  // it is not on the board any more
  for (std::uint64_t n = 41; n < 50; ++n) {
    beat[0].finished = beat[1].finished = n;
    EXPECT_THAT(l.Look(beat), IsEmpty());
  }
  beat[1] = {"b", 0, false, true};  // and now most have done all
  std::vector<std::string> said;
  for (beat[0].finished = 45; beat[0].finished < 49; ++beat[0].finished) {
    for (std::string& s : l.Look(beat)) said.push_back(std::move(s));
  }
  EXPECT_THAT(said, ElementsAre("a is slow: 47 of 100 users have finished there, 100 elsewhere"));
}

}  // namespace
}  // namespace baiwan::fleet
