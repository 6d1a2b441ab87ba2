#include "base/check.h"

#include <gtest/gtest.h>

namespace baiwan {
namespace {

TEST(CheckTest, EndsTheProcessWithTheSentenceOnlyIfTheConditionDoesNotHold) {
  CHECK(1 + 1 == 2, "numbers add up");
  EXPECT_DEATH(CHECK(1 + 1 == 3, "numbers add up"), "check_test.cc:.*numbers add up.*1 \\+ 1 == 3");
}

}  // namespace
}  // namespace baiwan
