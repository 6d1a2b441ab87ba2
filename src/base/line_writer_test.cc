// Lines to a pipe whose reader reads, stops, or goes away, and to a file on a full disk.
#include "base/line_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "base/line_throttle.h"

namespace baiwan {
namespace {

constexpr Nanos kSoon = 20 * kSecond;

class LineWriterTest : public ::testing::Test {
 protected:
  LineWriterTest() {
    std::signal(SIGPIPE, SIG_IGN);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
    read_ = ends[0];
    write_ = ends[1];
    ::fcntl(write_, F_SETPIPE_SZ, 4096);
  }
  ~LineWriterTest() override {
    CloseReader();
    ::close(write_);
    std::signal(SIGPIPE, SIG_DFL);
  }

  void CloseReader() {
    if (read_ >= 0) ::close(std::exchange(read_, -1));
  }
  // Reads until `end` stands in what was read, or nothing comes for long.
  std::string ReadUntil(const std::string& end) {
    std::string all;
    while (all.find(end) == std::string::npos) {
      pollfd some{read_, POLLIN, 0};
      char buffer[4096];
      if (::poll(&some, 1, static_cast<int>(kSoon / kMillisecond)) <= 0) break;
      const auto n = ::read(read_, buffer, sizeof buffer);
      if (n <= 0) break;
      all.append(buffer, static_cast<std::size_t>(n));
    }
    return all;
  }

  // How many bytes it took.
  std::size_t FillPipe() {
    const int flags = ::fcntl(write_, F_GETFL);
    ::fcntl(write_, F_SETFL, flags | O_NONBLOCK);
    std::size_t filled = 0;
    while (::write(write_, ".", 1) == 1) ++filled;
    ::fcntl(write_, F_SETFL, flags);
    return filled;
  }

  int read_ = -1;
  int write_ = -1;
};

TEST_F(LineWriterTest, LinesComeInOrder) {
  LineWriter writer(write_);
  for (int i = 0; i < 100; ++i) writer.Write("line " + std::to_string(i));
  const std::string all = ReadUntil("line 99\n");
  std::string expected;
  for (int i = 0; i < 100; ++i) expected += "line " + std::to_string(i) + "\n";
  EXPECT_EQ(all, expected);
  EXPECT_TRUE(writer.Flush(kSoon));
  EXPECT_EQ(writer.dropped(), 0u);
}

TEST_F(LineWriterTest, AReaderThatStopsHoldsNobodyUpAndIsToldWhatItMissed) {
  // With a pipe that is full from the start nothing leaves meanwhile, so that there is one gap.
  const std::size_t before = FillPipe();
  LineWriter writer(write_, 64 << 10);
  const std::string line(100, 'x');
  for (int i = 0; i < 10'000; ++i) writer.Write(line);  // would never come back if it waited
  EXPECT_FALSE(writer.Flush(10 * kMillisecond));
  const std::uint64_t dropped = writer.dropped();
  EXPECT_GT(dropped, 9'000u);
  EXPECT_LT(dropped, 10'000u);
  const std::string note = "--- " + std::to_string(dropped) + " lines left out";
  const std::string all = ReadUntil(note);
  EXPECT_NE(all.find(note), std::string::npos);
  EXPECT_EQ(all.find(note), before + (10'000 - dropped) * (line.size() + 1))
      << "behind what it kept";
  writer.Write("and on");
  EXPECT_NE(ReadUntil("and on\n").find("and on\n"), std::string::npos);
  EXPECT_EQ(writer.dropped(), dropped);
}

TEST_F(LineWriterTest, TheGapIsToldInItsPlace) {
  const std::size_t before = FillPipe();
  LineWriter writer(write_, 8 << 10);
  const std::string line(1000, 'x');
  for (int i = 0; i < 100; ++i) writer.Write(line);
  ASSERT_GT(writer.dropped(), 0u);
  std::string all;
  while (all.size() < before + 6 * line.size()) all += ReadUntil("\n");  // makes room
  writer.Write("behind the gap");
  all += ReadUntil("behind the gap\n");
  const auto note = all.find("lines left out");
  ASSERT_NE(note, std::string::npos);
  EXPECT_LT(note, all.find("behind the gap"));
  EXPECT_EQ(all.find('x', note), std::string::npos);
}

TEST_F(LineWriterTest, AReaderThatIsGoneIsNoHarm) {
  LineWriter writer(write_);
  writer.Write("heard");
  EXPECT_EQ(ReadUntil("\n"), "heard\n");
  CloseReader();
  for (int i = 0; i < 10; ++i) writer.Write("unheard");
  EXPECT_TRUE(writer.Flush(kSoon));
  EXPECT_EQ(writer.dropped(), 10u);
}

TEST_F(LineWriterTest, AFullDiskIsNoHarm) {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  {
    LineWriter writer(full);
    for (int i = 0; i < 10; ++i) writer.Write("no room");
    EXPECT_TRUE(writer.Flush(kSoon));
    EXPECT_EQ(writer.dropped(), 10u);
  }
  ::close(full);
}

TEST_F(LineWriterTest, ADescriptorThatSomebodyMadeNonBlockingIsWaitedFor) {
  ::fcntl(write_, F_SETFL, O_NONBLOCK);
  LineWriter writer(write_);
  for (int i = 0; i < 300; ++i) writer.Write(std::string(100, 'x'));
  writer.Write("the end");
  EXPECT_EQ(ReadUntil("the end\n").size(), 300 * 101 + 8u);
  EXPECT_EQ(writer.dropped(), 0u);
}

TEST_F(LineWriterTest, TheLastWordsAreTakenHoweverMuchWaits) {
  LineWriter writer(write_, 8 << 10);
  for (int i = 0; i < 1000; ++i) writer.Write(std::string(100, 'x'));
  ASSERT_GT(writer.dropped(), 0u);
  writer.WriteLast("fatal: this is why");
  EXPECT_NE(ReadUntil("this is why\n").find("fatal: this is why\n"), std::string::npos);
}

TEST_F(LineWriterTest, AnEndWhileTheReaderStandsStillDoesNotWaitForIt) {
  auto writer = std::make_unique<LineWriter>(write_);
  for (int i = 0; i < 1000; ++i) writer->Write(std::string(100, 'x'));
  const Nanos begin = SystemClock().Monotonic();
  writer.reset();
  EXPECT_LT(SystemClock().Monotonic() - begin, 10 * kSecond);
}

TEST_F(LineWriterTest, ALineIsCutToWhatAPipeTakesAtOnce) {
  LineWriter writer(write_);
  writer.Write(std::string(100'000, 'x'));
  const std::string all = ReadUntil("\n");
  EXPECT_EQ(all.size(), 4096u);
  EXPECT_NE(all.find("(cut)\n"), std::string::npos);
}

TEST(LineThrottle, AFewOfAKindAtOnceThenOneASecondAndTheRestIsCounted) {
  LineThrottle throttle;
  const char kinds[2] = "a";
  Nanos now = 5 * kSecond;
  int admitted = 0;
  for (int i = 0; i < 1000; ++i) admitted += throttle.Admit(&kinds[0], now).has_value() ? 1 : 0;
  EXPECT_EQ(admitted, LineThrottle::kAtOnce);
  EXPECT_EQ(throttle.Admit(&kinds[1], now), 0u) << "another kind has its own";
  now += LineThrottle::kAnother;
  EXPECT_EQ(throttle.Admit(&kinds[0], now), 1000u - LineThrottle::kAtOnce);
  EXPECT_EQ(throttle.Admit(&kinds[0], now), std::nullopt);
  EXPECT_EQ(throttle.left_out(), 1000u - LineThrottle::kAtOnce + 1);
  now += 3600 * kSecond;
  admitted = 0;
  for (int i = 0; i < 1000; ++i) admitted += throttle.Admit(&kinds[0], now).has_value() ? 1 : 0;
  EXPECT_EQ(admitted, LineThrottle::kAtOnce);
}

}  // namespace
}  // namespace baiwan
