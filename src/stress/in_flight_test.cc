#include "stress/in_flight.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace baiwan::stress {
namespace {

// Against a plain set, with ids as a user sends them: anywhere in the span behind what is stored.
TEST(InFlight, IsTheSetOfWhatIsUnderWay) {
  for (const std::uint32_t span : {1U, 32U, 63U, 64U, 1000U}) {
    InFlight tracked(span);
    std::set<Seq> model;
    Rng rng(span);
    Seq stored = rng.Below(1000);
    tracked.Clear(stored);
    for (int step = 0; step < 20'000; ++step) {
      const Seq id = stored + 1 + rng.Below(span);
      switch (rng.Below(4)) {
        case 0:
        case 1:
          if (model.insert(id).second) tracked.Add(id);
          break;
        case 2:
          ASSERT_EQ(tracked.Remove(id), model.erase(id) > 0);
          break;
        default:
          stored += rng.Below(rng.Chance(0.01) ? 3 * span : span / 4 + 2);
          tracked.RemoveUpTo(stored);
          model.erase(model.begin(), model.upper_bound(stored));
      }
      ASSERT_EQ(tracked.size(), model.size()) << "span " << span << ", step " << step;
    }
    tracked.Clear(stored);
    EXPECT_TRUE(tracked.empty());
    for (Seq id = stored + 1; id <= stored + span; ++id) EXPECT_FALSE(tracked.Remove(id));
  }
}

TEST(InFlight, WhatIsStoredOrBeyondTheSpanIsNotThere) {
  InFlight tracked(64);
  tracked.Clear(10);
  tracked.Add(11);
  tracked.Add(74);
  EXPECT_FALSE(tracked.Remove(10));
  EXPECT_FALSE(tracked.Remove(11 + tracked.span()));  // the same bit as 11
  tracked.RemoveUpTo(9);                              // old news
  EXPECT_EQ(tracked.size(), 2u);
}

}  // namespace
}  // namespace baiwan::stress
