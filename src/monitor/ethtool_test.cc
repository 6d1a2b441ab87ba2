#include "monitor/ethtool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

namespace baiwan::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(Ethtool, OnlyAllowancesCountAndOfAllInterfacesTogether) {
  std::map<std::string, std::uint64_t> sums;
  AddAllowances({{"tx_timeout", 1},
                 {"bw_in_allowance_exceeded", 2},
                 {"pps_allowance_exceeded", 3},
                 {"_allowance_exceeded", 4}},
                &sums);
  AddAllowances({{"bw_in_allowance_exceeded", 20}}, &sums);
  EXPECT_THAT(sums, ElementsAre(Pair("bw_in", 22U), Pair("pps", 3U)));
}

TEST(Ethtool, AnInterfaceWithoutADriverTellsNothing) {
  EXPECT_THAT(DriverCountersOf("lo"), IsEmpty());
  EXPECT_THAT(DriverCountersOf("no-such-one"), IsEmpty());
}

// A driver that every kernel has: each end of a veth pair counts under "peer_ifindex" the other's
// number. In a network namespace of its own, which ends with the process.
TEST(Ethtool, ReadsWhatADriverCounts) {
  constexpr int kCannot = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0) ::_exit(kCannot);
    if (std::system("ip link add one type veth peer name two 2>/dev/null") != 0) ::_exit(kCannot);
    const unsigned other = ::if_nametoindex("two");
    for (const auto& [name, value] : DriverCountersOf("one")) {
      if (name == "peer_ifindex" && other > 0 && value == other) ::_exit(0);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kCannot) GTEST_SKIP() << "a veth pair needs root and iproute2";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace baiwan::monitor
