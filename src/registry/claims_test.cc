#include "registry/claims.h"

#include <gtest/gtest.h>

namespace baiwan::registry {
namespace {

constexpr Nanos kLease = 10 * kSecond;

class ClaimsTest : public ::testing::Test {
 protected:
  ClaimError Claim(const StoreClaim& claim, bool settled = true) {
    return claims_.Claim(0, claim, now_, settled, kLease);
  }
  static StoreClaim Held(StoreClaim claim) {
    claim.held = true;
    return claim;
  }

  Claims claims_;
  Nanos now_ = 1000 * kSecond;
  const StoreClaim first_{.life = 7, .incarnation = 2, .id = 100};
};

TEST_F(ClaimsTest, ACopyIsRefusedHoweverOftenItIsOpened) {
  EXPECT_EQ(Claim(first_), ClaimError::kNone);
  for (Incarnation i = 1; i < 9; ++i) {
    EXPECT_EQ(Claim({.life = 7, .incarnation = i, .id = 200 + i}), ClaimError::kCopy) << i;
  }
  EXPECT_EQ(Claim(Held(first_)), ClaimError::kNone) << "who was granted it goes on";
  now_ += 100 * kLease;
  EXPECT_EQ(Claim({.life = 7, .incarnation = 9, .id = 300}), ClaimError::kCopy)
      << "also when nobody serves it any more";
}

TEST_F(ClaimsTest, TheSameStoreComesBackAtOnce) {
  EXPECT_EQ(Claim(first_), ClaimError::kNone);
  const StoreClaim second{.life = 7, .incarnation = 3, .id = 101, .after = 100};
  EXPECT_EQ(Claim(second), ClaimError::kNone);
  EXPECT_EQ(Claim(Held(first_)), ClaimError::kCopy) << "whoever is older ends";
  EXPECT_EQ(Claim({.life = 7, .incarnation = 5, .id = 102, .after = 100}), ClaimError::kCopy);
  EXPECT_EQ(Claim({.life = 7, .incarnation = 3, .id = 103, .after = 101}), ClaimError::kCopy);
  EXPECT_EQ(Claim({.life = 7, .incarnation = 4, .id = 104, .after = 101}), ClaimError::kNone);
}

TEST_F(ClaimsTest, AnotherLifeWaitsUntilTheOneBeforeIsGoneAndReplacesIt) {
  EXPECT_EQ(Claim(first_), ClaimError::kNone);
  const StoreClaim restored{.life = 8, .incarnation = 1, .id = 200};
  EXPECT_EQ(Claim(restored), ClaimError::kServed);
  now_ += kLease;
  EXPECT_EQ(Claim(restored), ClaimError::kNone);
  now_ += kLease;
  EXPECT_EQ(Claim({.life = 7, .incarnation = 3, .id = 101, .after = 100}), ClaimError::kReplaced);
  EXPECT_EQ(Claim(Held(restored)), ClaimError::kNone);
}

TEST_F(ClaimsTest, WhoHasLeftNeedNotBeWaitedFor) {
  EXPECT_EQ(Claim(first_), ClaimError::kNone);
  claims_.Leave(0, 99);
  EXPECT_EQ(Claim({.life = 8, .incarnation = 1, .id = 200}), ClaimError::kServed);
  claims_.Leave(0, 100);
  EXPECT_EQ(Claim({.life = 8, .incarnation = 1, .id = 200}), ClaimError::kNone);
}

TEST_F(ClaimsTest, AfterARestartOfTheRegistryWhoServedBeforeComesFirst) {
  const StoreClaim copy{.life = 7, .incarnation = 2, .id = 200};
  EXPECT_EQ(Claim(copy, false), ClaimError::kNone);
  EXPECT_EQ(Claim(Held(first_), false), ClaimError::kNone);
  EXPECT_EQ(Claim(Held(copy), false), ClaimError::kCopy);
  EXPECT_EQ(Claim(Held(copy), true), ClaimError::kCopy);
  EXPECT_EQ(Claim(Held(first_), true), ClaimError::kNone);
}

TEST_F(ClaimsTest, CellsHaveClaimsOfTheirOwn) {
  EXPECT_EQ(Claim(first_), ClaimError::kNone);
  EXPECT_EQ(claims_.Claim(1, {.life = 9, .incarnation = 1, .id = 300}, now_, true, kLease),
            ClaimError::kNone);
  EXPECT_EQ(claims_.size(), 2u);
}

}  // namespace
}  // namespace baiwan::registry
