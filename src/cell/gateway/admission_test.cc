#include "cell/gateway/admission.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "cell/testing/cells.h"

namespace baiwan::cell {
namespace {

constexpr Nanos kTarget = 20 * kMillisecond;

void Pass(Admission& admission, int ticks, Nanos wait) {
  for (int i = 0; i < ticks; ++i) {
    admission.Tick(wait);
  }
}

int Admitted(const Admission& admission) {
  int admitted = 0;
  for (UserId user = 1; user <= 10'000; ++user) admitted += admission.Admits(user) ? 1 : 0;
  return admitted;
}

TEST(Admission, TakesEverybodyWhileNothingWaits) {
  Admission admission({.target = kTarget});
  EXPECT_EQ(Admitted(admission), 10'000);
  Pass(admission, 1000, kTarget);  // at the target is not over it
  EXPECT_EQ(Admitted(admission), 10'000);
  EXPECT_LE(admission.average_wait(), kTarget);
}

TEST(Admission, OneStallIsNoOverload) {
  Admission admission({.target = kTarget});
  Pass(admission, 100, kMillisecond);
  admission.Tick(4 * kTarget);
  EXPECT_EQ(admission.share_shed(), 0);
}

TEST(Admission, TheSlowerOfTheTwoCounts) {
  Admission admission({.target = kTarget});
  for (int i = 0; i < 20; ++i) {
    for (int answer = 0; answer < 1000; ++answer) admission.Answered(0);
    admission.Tick(4 * kTarget);
  }
  EXPECT_GT(admission.share_shed(), 0.5);
  Pass(admission, 100, 0);
  for (int i = 0; i < 20; ++i) {
    admission.Answered(2 * kTarget);
    admission.Answered(6 * kTarget);
    admission.Tick(0);
  }
  EXPECT_GT(admission.share_shed(), 0.5);
}

TEST(Admission, ShedsMoreTheLongerItLasts) {
  Admission admission({.target = kTarget});
  Pass(admission, 5, 4 * kTarget);
  const int first = Admitted(admission);
  EXPECT_LT(first, 10'000);
  Pass(admission, 3, 4 * kTarget);
  const int second = Admitted(admission);
  EXPECT_LT(second, first);
  EXPECT_NEAR(second, 10'000 * (1 - admission.share_shed()), 200);
  Pass(admission, 1000, 4 * kTarget);
  EXPECT_GT(Admitted(admission), 800);  // never everybody
}

TEST(Admission, ComesBackWhenWorkIsTakenUpInTime) {
  Admission admission({.target = kTarget});
  Pass(admission, 100, 4 * kTarget);
  Pass(admission, 40, 0);
  EXPECT_EQ(Admitted(admission), 10'000);
  Pass(admission, 100, 4 * kTarget);
  Pass(admission, 40, kTarget / 2);
  EXPECT_EQ(Admitted(admission), 10'000);
}

TEST(Admission, GoesByUserAndTakesTurns) {
  Admission admission({.target = kTarget});
  Pass(admission, 12, 4 * kTarget);
  std::vector<UserId> shed;
  for (UserId user = 1; user <= 1000; ++user) {
    if (!admission.Admits(user)) shed.push_back(user);
  }
  ASSERT_FALSE(shed.empty());
  for (const UserId user : shed) EXPECT_FALSE(admission.Admits(user));  // the same, all this time
  std::size_t served = 0;
  for (int i = 0; i < 60; ++i) {
    // Kept about where it is.
    Pass(admission, 1, admission.share_shed() > 0.5 ? 0 : 40 * kTarget);
  }
  for (const UserId user : shed) served += admission.Admits(user) ? 1 : 0;
  EXPECT_GT(served, shed.size() / 10);
}

TEST(Admission, CanBeTurnedOff) {
  Admission admission({.target = 0});
  Pass(admission, 100, 100 * kSecond);
  EXPECT_EQ(Admitted(admission), 10'000);
}

class SheddingTest : public CellTest {
 protected:
  // Everything waits this long for its turn, until it is 0 again.
  void Burden(useconds_t micros) {
    burden_ = micros;
    if (micros > 0) Again();
  }
  void Again() {
    cells->loop().Post([this] {
      if (burden_ == 0) return;
      usleep(burden_);
      Again();
    });
  }
  // Sends them until they are all there: to a target of a few milliseconds a busy machine alone may
  // be overload.
  ::testing::AssertionResult Delivers(
      Device& device, const std::vector<std::tuple<Seq, UserId, std::string>>& messages, Seq last) {
    return cells->RunUntil(
        [&] {
          device.Send(Device::Submits(messages));
          cells->RunFor(200 * kMillisecond);
          return device.delivered == last;
        },
        20 * kSecond);
  }
  void TearDown() override {
    if (cells == nullptr) return;
    Burden(0);
    cells->RunFor(50 * kMillisecond);
  }
  useconds_t burden_ = 0;
};

TEST_P(SheddingTest, AnOverloadedGatewayRefusesSubmissionsAndNothingElse) {
  CellsOptions options;
  options.gateway.admission = {.target = 5 * kMillisecond, .interval = 10 * kMillisecond};
  Start(options, {{1, 2}});
  auto device = Device::Connect(*cells, 1);
  ASSERT_TRUE(Delivers(*device, {{1, 2, "before"}}, 1));
  device->refusals.clear();
  Burden(30'000);
  std::optional<net::HttpResponse> refused;
  ASSERT_TRUE(cells->RunUntil([&] {
    auto response = cells->Get("/api/c/1/2/2/?message=x");
    if (response.status == 503) refused = std::move(response);
    return refused.has_value();
  }));
  ExpectError(*refused, 503, "overloaded");
  EXPECT_EQ(Json(*refused)["send_id"], 2);
  EXPECT_EQ(User(1)["SendAckId"], User(1)["SendId"]);  // reading goes on
  // A frame is refused message by message; what else it asks for is done.
  ASSERT_TRUE(cells->RunUntil([&] {
    wire::ClientFrame frame = Device::Submits({{3, 2, "a"}, {4, 2, "b"}});
    frame.set_get_user(true);
    device->Send(frame);
    cells->RunFor(100 * kMillisecond);
    return device->refusals.size() >= 2;
  }));
  EXPECT_EQ(device->refusals[0].reason(), wire::REASON_OVERLOADED);
  EXPECT_EQ(device->refusals[0].send_id(), 3u);
  EXPECT_EQ(device->refusals[1].send_id(), 4u);
  EXPECT_GT(device->refusals[0].retry_after_ms(), 0u);
  EXPECT_TRUE(std::any_of(device->frames.begin(), device->frames.end(),
                          [](const auto& f) { return f.has_user(); }));
  Burden(0);
  ASSERT_TRUE(cells->RunUntil([&] { return cells->Get("/api/c/1/2/2/?message=x").status == 200; },
                              20 * kSecond));
  cells->RunFor(500 * kMillisecond);
  ASSERT_TRUE(Delivers(*device, {{3, 2, "a"}, {4, 2, "b"}}, 4));
}

BAIWAN_ON_BOTH_BACKENDS(SheddingTest);

}  // namespace
}  // namespace baiwan::cell
