// Stopping in good order ends, whatever goes on around the cell.
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "base/checksum.h"
#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

class DrainTest : public ::testing::Test {
 protected:
  // Turns with `each` in every one, until it has ended; false if that takes too many.
  bool Drains(const std::function<void()>& each, int most = 300) {
    bool ended = false;
    cell->logic->Drain([&ended] { ended = true; });
    for (int i = 0; i < most && !ended; ++i) {
      each();
      cell->Turns(1);
    }
    return ended;
  }
  // Cell 1 sends what follows to the first user.
  void Deliver(Seq messages) {
    const UserId from = cell->UserOf(1, 0);
    const UserId to = cell->UserOf(0, 0);
    wire::PeerBatch batch;
    batch.set_session(1);
    for (Seq i = 0; i < messages; ++i) {
      ++delivered_;
      wire::Forward* f = batch.add_forwards();
      f->set_sender(from);
      f->set_receiver(to);
      f->set_pair_seq(delivered_);
      f->set_send_id(delivered_);
      f->set_body("news");
      f->set_checksum(MessageChecksum(from, to, delivered_, "news"));
    }
    cell->logic->FromPeer(1, batch.SerializeAsString());
  }

  std::optional<LoneLogic> cell;

 private:
  Seq delivered_ = 0;
};

TEST_F(DrainTest, EndsWhileABacklogIsSentAndAcknowledged) {
  constexpr std::uint32_t kUsers = 50;
  constexpr Seq kEach = 200;
  LoneLogic::Options options;
  options.users = kUsers;
  options.logic.path_credit = 4 << 10;
  cell.emplace(options);
  for (std::uint32_t i = 0; i < kUsers; ++i) {
    for (Seq s = 1; s <= kEach; ++s) cell->Submit(cell->UserOf(0, i), s, cell->UserOf(1, 0));
  }
  ASSERT_TRUE(cell->RunUntil([&] { return cell->logic->counters().stored == kUsers * kEach; }));
  cell->Up(1);
  ASSERT_TRUE(cell->AnswerUntil([&] { return cell->far[1].forwards > 100; }));
  EXPECT_TRUE(Drains([&] { cell->Take(1); }));
  EXPECT_LT(cell->far[1].forwards, kUsers * kEach / 2) << "what waits stays on disk";
  cell->Restart();
  cell->Up(1);
  EXPECT_TRUE(cell->AnswerUntil([&] { return cell->logic->AtRest(); }));
  EXPECT_EQ(cell->logic->counters().diverged, 0U);
  EXPECT_EQ((cell->far[1].received[{cell->UserOf(0, 0), cell->UserOf(1, 0)}]), kEach);
}

TEST_F(DrainTest, EndsWhileAPeerGoesOnDelivering) {
  cell.emplace(LoneLogic::Options{});
  cell->Up(1);
  Deliver(10);
  ASSERT_TRUE(cell->RunUntil([&] { return cell->logic->counters().delivered == 10; }));
  EXPECT_TRUE(cell->accepting);
  EXPECT_TRUE(Drains([&] { Deliver(10); }));
  EXPECT_FALSE(cell->accepting) << "and the relay has been told";
}

TEST_F(DrainTest, EndsWhileAClientGoesOnReading) {
  cell.emplace(LoneLogic::Options{});
  Deliver(2000);
  ASSERT_TRUE(cell->RunUntil([&] { return cell->logic->counters().delivered == 2000; }));
  wire::ClientFrame connect;
  connect.mutable_connect();
  cell->logic->FromClient(cell->client, 1, cell->UserOf(0, 0), connect);
  Seq read = 0;
  EXPECT_TRUE(Drains([&] {
    wire::ClientFrame frame;
    frame.set_read_up_to(++read);
    cell->logic->FromClient(cell->client, 1, cell->UserOf(0, 0), frame);
    wire::ClientFrame page;
    page.set_request_id(read);
    page.mutable_read()->set_from(read);
    page.mutable_read()->set_limit(1);
    cell->logic->FromClient(cell->client, 2, cell->UserOf(0, 0), page);
  }));
}

}  // namespace
}  // namespace baiwan::cell
