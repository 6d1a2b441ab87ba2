// Random worlds around mailbox::User: see testing/world.h for what is checked in each.
//
// A failing seed is printed with the end of its trace. To see all of it, run this program with
// BAIWAN_WORLD=<seed> and --gtest_filter='*Replay*'.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "mailbox/testing/world.h"

namespace baiwan::mailbox::testing {
namespace {

#ifdef NDEBUG
constexpr std::uint64_t kWorlds = 6000;
#else
constexpr std::uint64_t kWorlds = 400;
#endif

std::string LastLines(const std::string& text, int lines) {
  std::size_t at = text.size();
  while (lines-- >= 0 && at != std::string::npos && at > 0) at = text.rfind('\n', at - 1);
  return at == std::string::npos ? text : text.substr(at);
}

// Runs it once more, for the trace.
std::string Story(const Plan& plan, const Violation& violation) {
  std::string trace;
  World(plan, &trace).Run();
  trace.resize(trace.find('\n', trace.find("VIOLATION")));
  return "world " + std::to_string(plan.seed) + " (" + Name(plan.mistake) +
         "): " + violation.invariant + " violated: " + violation.what + "\n" + LastLines(trace, 60);
}

struct Sum {
  std::uint64_t violations = 0;
  std::uint64_t delivered = 0;
  std::uint64_t delivered_in_chaos = 0;
  std::uint64_t forwarded = 0;
  std::uint64_t crashes = 0;
  std::uint64_t late = 0;
  std::uint64_t rewinds = 0;
  std::uint64_t needed_audit = 0;

  void Add(const Outcome& o) {
    violations += o.violation ? 1 : 0;
    delivered += o.delivered;
    delivered_in_chaos += o.delivered_in_chaos;
    forwarded += o.forwarded;
    crashes += o.crashes;
    late += o.late;
    rewinds += o.rewinds;
    needed_audit += o.needed_audit ? 1 : 0;
  }
  void Print(std::uint64_t worlds) const {
    const auto n = [](std::uint64_t v) { return static_cast<unsigned long long>(v); };
    std::printf(
        "%llu worlds: %llu messages delivered (%llu in the chaos), %llu forwarded, %llu late "
        "frames, "
        "%llu crashes, %llu went back, %llu needed an audit\n",
        n(worlds), n(delivered), n(delivered_in_chaos), n(forwarded), n(late), n(crashes),
        n(rewinds), n(needed_audit));
  }
};

TEST(PropertyTest, AnyInterleavingKeepsEveryPromise) {
  Sum sum;
  for (std::uint64_t seed = 1; seed <= kWorlds && sum.violations < 3; ++seed) {
    const Plan plan = Plan::FromSeed(seed);
    const Outcome outcome = World(plan).Run();
    sum.Add(outcome);
    if (outcome.violation) ADD_FAILURE() << Story(plan, *outcome.violation);
  }
  sum.Print(kWorlds);
  // The worlds are as hard as they are meant to be.
  EXPECT_GT(sum.delivered, 20 * kWorlds);
  EXPECT_GT(sum.delivered_in_chaos, 5 * kWorlds);
  EXPECT_GT(sum.crashes, kWorlds);
  EXPECT_GT(sum.late, kWorlds);
  EXPECT_GT(sum.rewinds, 0u);
  EXPECT_GT(sum.needed_audit, 0u);
}

TEST(PropertyTest, WhatAnOlderStoreLacksIsSentAgain) {
  Sum sum;
  for (std::uint64_t seed = 1; seed <= kWorlds / 4 && sum.violations < 3; ++seed) {
    const Plan plan = Plan::WithStoreGoingBack(seed);
    const Outcome outcome = World(plan).Run();
    sum.Add(outcome);
    if (outcome.violation) ADD_FAILURE() << Story(plan, *outcome.violation);
  }
  sum.Print(kWorlds / 4);
  EXPECT_GT(sum.rewinds, kWorlds / 20);
}

TEST(PropertyTest, TheSameSeedIsTheSameWorld) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::string first;
    std::string second;
    World(Plan::FromSeed(seed), &first).Run();
    World(Plan::FromSeed(seed), &second).Run();
    ASSERT_EQ(first, second);
  }
}

TEST(PropertyTest, Replay) {
  const char* seed = std::getenv("BAIWAN_WORLD");
  if (seed == nullptr) GTEST_SKIP() << "BAIWAN_WORLD names no seed";
  std::string trace;
  World(Plan::FromSeed(std::strtoull(seed, nullptr, 10)), &trace).Run();
  std::puts(trace.c_str());
}

struct Planted {
  Mistake mistake;
  const char* invariant;  // that is seen to be violated
};

void PrintTo(const Planted& p, std::ostream* out) { *out << Name(p.mistake); }

class PlantedMistake : public ::testing::TestWithParam<Planted> {};

TEST_P(PlantedMistake, IsFound) {
  constexpr std::uint64_t kSeeds = 200;
  std::uint64_t found = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds && found == 0; ++seed) {
    const Outcome outcome = World(Plan::FromSeed(seed, GetParam().mistake)).Run();
    if (!outcome.violation) continue;
    found = seed;
    EXPECT_EQ(outcome.violation->invariant, GetParam().invariant)
        << Story(Plan::FromSeed(seed, GetParam().mistake), *outcome.violation);
    std::printf("%s: world %llu shows %s violated: %s\n", Name(GetParam().mistake),
                static_cast<unsigned long long>(seed), outcome.violation->invariant.c_str(),
                outcome.violation->what.c_str());
  }
  EXPECT_GT(found, 0u) << "no world of " << kSeeds << " shows it";
}

INSTANTIATE_TEST_SUITE_P(Mistakes, PlantedMistake,
                         ::testing::Values(Planted{Mistake::kForgottenDedup, "I2"},
                                           Planted{Mistake::kPairOffByOne, "I2"},
                                           Planted{Mistake::kEarlyRelease, "I1"},
                                           Planted{Mistake::kForgottenReforward, "I4"},
                                           Planted{Mistake::kLostLogTail, "I1"},
                                           Planted{Mistake::kEarlyAck, "I1"},
                                           Planted{Mistake::kGapIgnored, "I4"},
                                           Planted{Mistake::kPendingNotRestored, "I1"},
                                           Planted{Mistake::kConflictNotCompared, "I3"},
                                           Planted{Mistake::kAckNotJournalled, "I1"}));

TEST(PropertyTest, AUserThatIsReplacedWhileABatchHoldsItIsFound) {
  constexpr std::uint64_t kSeeds = 200;
  std::uint64_t found = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds && found == 0; ++seed) {
    Plan plan = Plan::WithStoreGoingBack(seed);
    plan.mistake = Mistake::kReloadedInABatch;
    const Outcome outcome = World(plan).Run();
    if (!outcome.violation) continue;
    found = seed;
    EXPECT_EQ(outcome.violation->invariant, "I1") << Story(plan, *outcome.violation);
  }
  EXPECT_GT(found, 0u) << "no world of " << kSeeds << " shows it";
}

}  // namespace
}  // namespace baiwan::mailbox::testing
