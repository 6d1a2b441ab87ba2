#include "fleet/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/file.h"
#include "base/testing/temp_folder.h"

namespace baiwan::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

bool Eventually(const std::function<bool()>& condition) {
  const Nanos until = SystemClock().Monotonic() + 30 * kSecond;
  while (!condition()) {
    if (SystemClock().Monotonic() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class ToolTest : public ::testing::Test {
 protected:
  ToolSpec Shell(const std::string& script) { return {"t", {"sh", "-c", script}, at_, "", true}; }
  const TempFolder temp_;
  const std::string at_ = temp_.path();
};

TEST_F(ToolTest, ItIsGivenItsInputAndItsLinesAreReadWhileItRuns) {
  ToolSpec spec = Shell("read a; echo got $a; echo why >&2; printf half; while [ ! -e " + at_ +
                        "/go ]; do sleep 0.01; done; echo -line; exit 3");
  spec.input = "hello\n";
  auto tool = Tool::Start(spec);
  ASSERT_TRUE(tool.ok()) << tool.error();
  std::vector<std::string> lines;
  ASSERT_TRUE(Eventually([&] {
    for (auto& line : (*tool)->NewLines()) lines.push_back(line);
    return !lines.empty();
  }));
  EXPECT_THAT(lines, ElementsAre("got hello"));
  EXPECT_FALSE((*tool)->Ended());
  std::ofstream(at_ + "/go") << "";
  ASSERT_TRUE(Eventually([&] { return (*tool)->Ended().has_value(); }));
  EXPECT_EQ(*(*tool)->Ended(), 3);
  EXPECT_THAT((*tool)->NewLines(), ElementsAre("half-line"));
  EXPECT_THAT((*tool)->NewLines(), IsEmpty());
  EXPECT_THAT((*tool)->NewErrors(), ElementsAre("why"));
  EXPECT_EQ((*tool)->Output(), "got hello\nhalf-line\n");
}

TEST_F(ToolTest, TheStreamsOfEarlierCallsAreKeptUnlessTheyNeedNotBe) {
  for (const char* word : {"one", "two"}) {
    const auto end = RunTool(Shell(std::string("echo ") + word), 10 * kSecond);
    ASSERT_TRUE(end.ok()) << end.error();
    EXPECT_EQ(end->output, std::string(word) + "\n");
  }
  EXPECT_EQ(*ReadFile(at_ + "/t.out"), "one\n");
  EXPECT_EQ(*ReadFile(at_ + "/t-2.out"), "two\n");
  ToolSpec spec = Shell("echo three");
  spec.keep = false;
  ASSERT_TRUE(RunTool(spec, 10 * kSecond).ok());
  EXPECT_EQ(*ReadFile(at_ + "/t.out"), "three\n");
}

TEST_F(ToolTest, OneThatHasSaidMuchTellsSoInTime) {
  auto tool =
      Tool::Start(Shell("echo a; while [ ! -e " + at_ +
                        "/go ]; do sleep 0.01; done; head -c 33554431 /dev/zero; echo; sleep 9"));
  ASSERT_TRUE(tool.ok()) << tool.error();
  ASSERT_TRUE(Eventually([&] { return !(*tool)->NewLines().empty(); }));
  EXPECT_FALSE((*tool)->full());
  std::ofstream(at_ + "/go") << "";
  std::size_t lines = 0;
  ASSERT_TRUE(Eventually([&] { return (lines += (*tool)->NewLines().size()) > 0; }));
  EXPECT_EQ(lines, 1U);  // while more would still be read
  EXPECT_TRUE((*tool)->full());
}

TEST_F(ToolTest, OneThatDoesNotEndIsEndedWithAllThatItStarted) {
  const std::string pid = at_ + "/pid";
  // Time enough to begin on a busy machine.
  const auto end = RunTool(Shell("sleep 1000 & echo $! >" + pid + "; wait"), 2 * kSecond);
  ASSERT_FALSE(end.ok());
  EXPECT_THAT(end.error(), HasSubstr("did not end within"));
  const int child = std::stoi(*ReadFile(pid));
  EXPECT_TRUE(Eventually([&] { return ::kill(child, 0) != 0; }));
}

TEST_F(ToolTest, AProgramThatIsNotThereIsAFailureWithItsName) {
  const auto end = RunTool({"t", {"/no/such/program"}, at_, "", true}, 10 * kSecond);
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->code, 127);
  EXPECT_THAT(end->error_tail, HasSubstr("/no/such/program"));
}

}  // namespace
}  // namespace baiwan::fleet
