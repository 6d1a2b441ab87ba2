// Clients who ask for much and take little: they wait for each other's turns and for themselves,
// and cost nobody a connection.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

constexpr UserId kSender = 1;
constexpr UserId kReader = 2;
constexpr Nanos kLong = 60 * kSecond;  // sanitizers are slow

class FloodTest : public CellTest {
 protected:
  void StartFull(CellsOptions options, Seq messages, std::size_t body) {
    options.logic.mailbox.window_bytes = 4 << 20;
    std::vector<std::pair<UserId, UserId>> friends = {{kSender, kReader}};
    for (UserId f = 1000; f < 1300; ++f) friends.emplace_back(kReader, f);
    Start(options, friends);
    ASSERT_TRUE(cells->RunUntil([&] { return cells->Get("/api/user/1").status == 200; }));
    sender = Device::Connect(*cells, kSender);
    for (Seq s = 1; s <= messages; ++s) {
      sender->Send(Device::Submits({{s, kReader, std::string(body, 'x')}}));
      if (s % 50 != 0 && s != messages) continue;
      ASSERT_TRUE(cells->RunUntil([&] { return sender->delivered == s; }, kLong));
    }
  }
  static wire::ClientFrame Read(std::uint32_t limit) {
    wire::ClientFrame frame;
    frame.mutable_read()->set_limit(limit);
    return frame;
  }
  double Metric(const std::string& name) {
    const std::string text = cells->Get("/metrics").body;
    const auto at = text.find("\n" + name + " ");
    EXPECT_NE(at, std::string::npos) << name;
    return at == std::string::npos ? 0 : std::stod(text.substr(at + name.size() + 2));
  }
  static std::size_t Pages(const Device& device) {
    std::size_t pages = 0;
    for (const auto& frame : device.frames) pages += frame.has_page() ? 1 : 0;
    return pages;
  }
  void ExpectAllAnswered(bool split, const wire::ClientFrame& question, std::size_t questions) {
    CellsOptions options;
    options.split = split;
    ASSERT_NO_FATAL_FAILURE(StartFull(options, 100, 1000));
    auto reader = Device::Connect(*cells, kReader);
    const double before = Metric("baiwan_gateway_frames_in_total");
    reader->socket().PauseReading();
    for (std::size_t i = 0; i < questions; ++i) reader->Send(question);
    cells->RunFor(200 * kMillisecond);
    // It is not read further than it is answered.
    EXPECT_LT(Metric("baiwan_gateway_frames_in_total") - before, static_cast<double>(questions));
    reader->socket().ResumeReading();
    const auto answers = [&] {
      return reader->frames.size() - 1;  // the welcome
    };
    ASSERT_TRUE(cells->RunUntil([&] { return answers() == questions || reader->closed_; }, kLong));
    EXPECT_FALSE(reader->closed_) << reader->close_reason;
    EXPECT_TRUE(reader->refusals.empty());
    EXPECT_EQ(Pages(*reader), question.has_read() ? questions : 0);
  }

  std::unique_ptr<Device> sender;
};

TEST_P(FloodTest, AReaderHasEveryPageInHisOwnTime) { ExpectAllAnswered(false, Read(100), 400); }

TEST_P(FloodTest, AlsoFromAnotherProcess) { ExpectAllAnswered(true, Read(100), 400); }

TEST_P(FloodTest, SoHasOneWhoAsksForHimself) {
  wire::ClientFrame frame;
  frame.set_get_user(true);
  ExpectAllAnswered(false, frame, 30'000);
}

// What the logic server has to say to its gateway would fill the link many times over.
TEST_P(FloodTest, TheLinkBetweenProcessesHolds) {
  CellsOptions options;
  options.split = true;
  options.link.max_unsent = 4 << 20;
  options.link.high_water = 256 << 10;
  options.link.low_water = 64 << 10;
  ASSERT_NO_FATAL_FAILURE(StartFull(options, 200, 1000));
  std::vector<std::unique_ptr<Device>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(Device::Connect(*cells, kReader));
    readers.back()->socket().PauseReading();
    for (int k = 0; k < 200; ++k) readers.back()->Send(Read(200));  // 320 MB in all
  }
  for (Seq s = 201; s <= 220; ++s) {
    sender->Send(Device::Submits({{s, kReader, "x"}}));
    ASSERT_TRUE(cells->RunUntil([&] { return sender->stored == s || sender->closed_; }));
    ASSERT_FALSE(sender->closed_) << sender->close_reason;
  }
  for (const auto& reader : readers) EXPECT_FALSE(reader->closed_);
}

// Credit for what is pushed comes back for as long as there is something to push.
TEST_P(FloodTest, APushedInboxComesWholeFromAnotherProcess) {
  CellsOptions options;
  options.split = true;
  ASSERT_NO_FATAL_FAILURE(StartFull(options, 150, 20'000));
  auto reader = Device::Connect(*cells, kReader, true);
  ASSERT_TRUE(cells->RunUntil([&] { return reader->pushes.size() == 150 || reader->closed_; }));
  EXPECT_FALSE(reader->closed_) << reader->close_reason;
}

BAIWAN_ON_BOTH_BACKENDS(FloodTest);

}  // namespace
}  // namespace baiwan::cell
