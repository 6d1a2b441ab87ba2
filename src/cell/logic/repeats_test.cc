// A number that comes again: the content decides whether it is the same message, wherever the first
// one is, on its way to the disk or on it.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "cell/testing/lone_logic.h"

namespace baiwan::cell {
namespace {

class Hears final : public ClientPort {
 public:
  void ToClient(SessionId, const wire::ServerFrame& frame) override { frames.push_back(frame); }
  std::vector<wire::ServerFrame> frames;
};

// Two bodies of one length with one checksum, whatever stands before them.
std::pair<std::string, std::string> SameChecksum() {
  std::map<std::uint32_t, std::string> seen;
  for (std::uint64_t i = 0;; ++i) {
    std::string body = std::to_string(1'000'000'000 + i * 7919);
    const auto [it, is_new] = seen.try_emplace(Crc32c(body), body);
    if (!is_new) return {it->second, body};
  }
}

class RepeatsTest : public ::testing::Test {
 protected:
  RepeatsTest() : cell(LoneLogic::Options{}) {
    std::tie(one, other) = SameChecksum();
    EXPECT_EQ(MessageChecksum(from, to, 1, one), MessageChecksum(from, to, 1, other));
    EXPECT_NE(one, other);
    wire::ClientFrame frame;  // so that the user is in memory
    frame.set_request_id(100);
    frame.set_get_user(true);
    cell.logic->FromClient(client, 1, from, frame);
    EXPECT_EQ(AnswerTo(100), "stored 0");
    client.frames.clear();
  }
  void Submit(std::uint64_t request, const std::string& body) {
    wire::ClientFrame frame;
    frame.set_request_id(request);
    wire::Submit* submit = frame.add_submits();
    submit->set_send_id(1);
    submit->set_friend_(to);
    submit->set_body(body);
    cell.logic->FromClient(client, 1, from, frame);
  }
  // What a request was answered with: stored, or a reason.
  std::string AnswerTo(std::uint64_t request) {
    const wire::ServerFrame* answer = nullptr;
    cell.RunUntil([&] {
      for (const wire::ServerFrame& f : client.frames) {
        if (f.request_id() == request) answer = &f;
      }
      return answer != nullptr;
    });
    if (answer == nullptr) return "nothing";
    return answer->refusals().empty() ? "stored " + std::to_string(answer->stored())
                                      : wire::Reason_Name(answer->refusals(0).reason());
  }

  LoneLogic cell;
  Hears client;
  const UserId from = cell.UserOf(0, 0);
  const UserId to = cell.UserOf(1, 0);
  std::string one;
  std::string other;
};

TEST_F(RepeatsTest, BeforeTheyAreDurableAreComparedByContent) {
  Submit(1, one);
  ASSERT_TRUE(client.frames.empty());
  Submit(2, other);
  Submit(3, one);
  EXPECT_EQ(AnswerTo(1), "stored 1");
  EXPECT_EQ(AnswerTo(2), "REASON_SEND_ID_CONFLICT");
  EXPECT_EQ(AnswerTo(3), "stored 1");
}

TEST_F(RepeatsTest, OfWhatNoFriendHasYetAreComparedByContent) {
  Submit(1, one);
  ASSERT_EQ(AnswerTo(1), "stored 1");
  Submit(2, other);
  EXPECT_EQ(AnswerTo(2), "REASON_SEND_ID_CONFLICT");
  Submit(3, one);
  EXPECT_EQ(AnswerTo(3), "stored 1");
}

TEST_F(RepeatsTest, OfAConnectionThatIsGoneWaitForNothing) {
  Submit(1, one);
  Submit(2, one);
  cell.logic->PortClosed(client);
  EXPECT_TRUE(cell.RunUntil([&] { return cell.logic->counters().stored == 1; }));
  cell.Turns(10);
  EXPECT_EQ(cell.node().budget.used(Account::kReorder), 0U);
  Submit(3, other);
  EXPECT_EQ(AnswerTo(3), "REASON_SEND_ID_CONFLICT");
}

TEST_F(RepeatsTest, WaitWithinAShareAndAreRefusedBeyond) {
  Submit(1, one);
  wire::ClientFrame frame;
  frame.set_request_id(2);
  for (int i = 0; i < 10; ++i) {
    wire::Submit* submit = frame.add_submits();
    submit->set_send_id(1);
    submit->set_friend_(to);
    submit->set_body(one);
  }
  for (int i = 0; i < 2000; ++i) cell.logic->FromClient(client, 1, from, frame);
  EXPECT_LE(cell.node().budget.used(Account::kReorder), 512U << 10);
  EXPECT_TRUE(cell.RunUntil([&] { return cell.logic->counters().stored == 1; }));
  EXPECT_TRUE(cell.RunUntil([&] { return cell.node().budget.used(Account::kReorder) == 0; }));
}

}  // namespace
}  // namespace baiwan::cell
