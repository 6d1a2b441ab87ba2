#include "monitor/ethtool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/ethtool.h>
#include <net/if.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

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

// As Linux answers: with all that the driver has, whatever length the question says.
struct FakeDriver {
  std::uint32_t told = 0;  // how many counters it says it has
  std::uint32_t has = 0;   // by the time it is asked for them
  int asked_for_them = 0;

  bool operator()(void* command) {
    auto* bytes = static_cast<char*>(command);
    if (*static_cast<std::uint32_t*>(command) == ETHTOOL_GDRVINFO) {
      static_cast<ethtool_drvinfo*>(command)->n_stats = told;
      return true;
    }
    ++asked_for_them;
    if (*static_cast<std::uint32_t*>(command) == ETHTOOL_GSTRINGS) {
      static_cast<ethtool_gstrings*>(command)->len = has;
      for (std::size_t i = 0; i < has; ++i) {
        std::memcpy(bytes + sizeof(ethtool_gstrings) + i * ETH_GSTRING_LEN, "name", 5);
      }
      return true;
    }
    static_cast<ethtool_stats*>(command)->n_stats = has;
    for (std::uint64_t i = 0; i < has; ++i) {
      std::memcpy(bytes + sizeof(ethtool_stats) + i * sizeof(i), &i, sizeof(i));
    }
    return true;
  }
  DriverCounters Counters() {
    return DriverCountersOf("eth0", [this](const std::string&, void* c) { return (*this)(c); });
  }
};

TEST(Ethtool, ADriverWithMoreCountersThanThereIsRoomForIsNotAskedForThem) {
  FakeDriver many{5000, 5000};
  EXPECT_THAT(many.Counters(), IsEmpty());
  EXPECT_EQ(many.asked_for_them, 0);
  FakeDriver most{4096, 4096};
  ASSERT_EQ(most.Counters().size(), 4096U);
  EXPECT_EQ(most.Counters()[4095], std::pair(std::string("name"), std::uint64_t{4095}));
}

TEST(Ethtool, ADriverThatHasMoreByNowWritesOverNothing) {
  for (const std::uint32_t has : {4U, 5000U}) {
    FakeDriver grown{3, has};
    EXPECT_THAT(grown.Counters(), IsEmpty());
    EXPECT_EQ(grown.asked_for_them, 2);
  }
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
