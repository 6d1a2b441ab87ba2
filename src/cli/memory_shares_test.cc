// How process.memory is shared out, and what is too little.
#include "cli/memory_shares.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "cli/config.h"
#include "cli/testing/lone_cell.h"
#include "cli/testing/program.h"
#include "cli/testing/raw_client.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kSoon = 20 * kSecond;
constexpr std::uint64_t kMiB = 1 << 20;

Config With(const std::vector<std::string>& sets) {
  return *LoadConfig(Schema(), {.file = "", .sets = sets, .environment = {}});
}

TEST(MemorySharesTest, TheDefaultsAreGivenAsTheyAre) {
  const auto s = ShareMemory(With({}));
  ASSERT_TRUE(s.ok()) << s.error();
  EXPECT_EQ(s->write_buffer, 64 * kMiB);
  EXPECT_EQ(s->cache, 32 * kMiB);
  net::LoopOptions loop;
  s->Bound(&loop);
  EXPECT_EQ(loop.buffers, net::LoopOptions{}.buffers);
  EXPECT_EQ(loop.spare_bytes, net::LoopOptions{}.spare_bytes);
}

TEST(MemorySharesTest, OfLittleMemoryMostIsLeftForUsersAndConnections) {
  for (const char* memory : {"64MiB", "128MiB", "256MiB", "1GiB", "16GiB"}) {
    for (const char* cells : {"1", "4"}) {
      const auto s = ShareMemory(
          With({fmt::format("process.memory={}", memory), fmt::format("cell.cells={}", cells),
                fmt::format("cell.count={}", cells)}));
      ASSERT_TRUE(s.ok()) << s.error();
      EXPECT_LE(s->program + s->stores, s->limit / 4 * 3) << memory;
      EXPECT_GE(s->write_buffer, kMiB);
      EXPECT_GE(s->cache, kMiB);
      EXPECT_GE(s->stores, s->cache + 4 * s->write_buffer);
      EXPECT_GE(s->batch, 256U << 10);
    }
  }
}

TEST(MemorySharesTest, TooLittleIsRefusedWithWhatIsEnough) {
  const std::vector<std::string> sets = {"process.memory=64MiB", "cell.cells=8", "cell.count=8",
                                         "process.loops=8"};
  const auto s = ShareMemory(With(sets));
  ASSERT_FALSE(s.ok());
  EXPECT_NE(s.error().find("process.memory = 64MiB is too little"), std::string::npos) << s.error();
  const auto at = s.error().find("set at least ");
  ASSERT_NE(at, std::string::npos) << s.error();
  const std::string enough = s.error().substr(at + 13, s.error().find(',', at) - at - 13);
  EXPECT_TRUE(ShareMemory(With({"process.memory=" + enough, sets[1], sets[2], sets[3]})).ok())
      << enough;
}

class MemoryOfACell : public ::testing::Test {
 protected:
  const LoneCell cell_;
};

TEST_F(MemoryOfACell, ThatIsTooLittleIsRefusedAtTheStartAndByTheCheck) {
  Program serve(cell_.folder(), cell_.Arguments({"serve"}, {"process.memory=64MiB", "cell.cells=8",
                                                            "cell.count=8", "process.loops=8"}));
  EXPECT_EQ(serve.Wait(kSoon), 2);
  EXPECT_NE(serve.output().find("is too little"), std::string::npos) << serve.output();
  const std::string file = cell_.folder() + "/cell.toml";
  std::ofstream(file) << "[process]\nmemory = \"64MiB\"\nloops = 8\n[cell]\ncells = 8\ncount = 8\n";
  Program check(cell_.folder(), {"config", "check", "--file", file});
  EXPECT_EQ(check.Wait(kSoon), 2);
  EXPECT_NE(check.output().find("process.memory: process.memory = 64MiB is too little"),
            std::string::npos)
      << check.output();
}

TEST_F(MemoryOfACell, IsChargedForTheProgramAndItsStoreFromTheStart) {
  Program serve(cell_.folder(), cell_.Arguments({"serve"}, {"process.memory=256MiB"}));
  const auto charged = [&](const std::string& account) {
    const std::string all = Ask(cell_.http(), "GET", "/metrics", "", kSoon);
    const std::string name = "baiwan_budget_bytes{account=\"" + account + "\"} ";
    const auto at = all.find(name);
    return at == std::string::npos ? 0.0 : std::stod(all.substr(at + name.size()));
  };
  ASSERT_TRUE(Eventually([&] { return charged("program") > 0; }, kSoon)) << serve.output();
  EXPECT_GT(charged("store"), 20.0 * kMiB);
  EXPECT_LT(charged("store") + charged("program"), 128.0 * kMiB);
}

}  // namespace
}  // namespace baiwan::cli
