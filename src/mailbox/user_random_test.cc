// Anything, in any order: all public calls with good, odd and hostile values. A User never crashes,
// never disagrees with its disk, and keeps its limits. Run it under the sanitizers as well.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/checksum.h"
#include "base/rng.h"
#include "mailbox/testing/one_user.h"
#include "mailbox/user.h"

namespace baiwan::mailbox {
namespace {

using testing::ForwardFrom;
using testing::OneUser;

#ifdef NDEBUG
constexpr std::uint64_t kRuns = 3000;
#else
constexpr std::uint64_t kRuns = 300;
#endif
constexpr int kSteps = 400;
constexpr std::uint32_t kFriends = 3;

class Storm {
 public:
  explicit Storm(std::uint64_t seed) : rng_(Mix(seed, 3)), u_(kFriends) {
    u_.limits.window_messages = 8;
    u_.limits.window_bytes = 40;
    u_.limits.max_body = 16;
    u_.limits.max_unacked = 20;
    hostile_ = rng_.Chance(0.5);
  }

  void Run() {
    for (int i = 0; i < kSteps && !::testing::Test::HasFailure(); ++i) {
      Step();
      Check();
    }
  }
  Counters counters() const { return u_.user->counters(); }

 private:
  // Near something that means something, or nowhere.
  Seq Number(Seq near) {
    if (hostile_ && rng_.Chance(0.03)) {
      const Seq odd[] = {0,           ~Seq{0},      ~Seq{0} - 1, kMaxPairSeq, kMaxPairSeq + 1,
                         0xFFFF'FFFF, Seq{1} << 32, Seq{1} << 63};
      return odd[rng_.Below(std::size(odd))];
    }
    const Seq step = rng_.Below(4);
    return rng_.Chance(0.3) && near >= step ? near - step : near + step;
  }
  UserId Who() { return rng_.Chance(0.03) ? Number(0) : 2 + rng_.Below(kFriends); }
  const wire::FriendRecord* DiskFriend(UserId with) {
    return u_.disk.of(OneUser::kId).record.Find(with);
  }
  Seq Sent(UserId to) { return DiskFriend(to) == nullptr ? 0 : DiskFriend(to)->sent; }
  Seq Received(UserId from) { return DiskFriend(from) == nullptr ? 0 : DiskFriend(from)->received; }
  std::string Body() { return std::string(rng_.Below(u_.limits.max_body + 2), 'b'); }

  void Step() {
    const UserId who = Who();
    switch (rng_.Below(14)) {
      case 0:
      case 1:
        return Submit(who);
      case 2:
        u_.SubmitVoid(Number(u_.user->applied_send_id()));
        return;
      case 3:
      case 4:
        return Deliver(who);
      case 5:
        Offer(who);
        return;
      case 6:
      case 7:
        // A peer that is merely late or confused acknowledges nothing that was never sent.
        u_.Ack(who, hostile_ ? Number(Sent(who)) : rng_.Below(Sent(who) + 1));
        return;
      case 8:
        Gap(who);
        return;
      case 9:
        u_.StartSession(rng_.Chance(0.5) ? who : 0);
        return;
      case 10:
        u_.forwards = static_cast<Outbound::Sent>(rng_.Below(3));
        u_.credit = static_cast<int>(rng_.Below(4));
        u_.Refill();
        u_.credit = 100;
        return;
      case 11:
        u_.ReadUpTo(Number(u_.user->counters().receive_id));
        return;
      case 12:
        if (rng_.Chance(0.1)) u_.user->Diverge(who);
        if (rng_.Chance(0.1)) u_.Crash();
        if (u_.user->last_batch() != 0 && rng_.Chance(0.1)) Snapshot();
        return;
      default:
        Commit();
    }
  }

  void Submit(UserId to) {
    const Seq id = Number(u_.user->applied_send_id() + 1);
    const std::string body = Body();
    const SubmitResult r = u_.Submit(id, to, body);
    if (r.what == Submitted::kTaken) taken_[id].insert(std::to_string(to) + body);
  }

  void Deliver(UserId from) {
    wire::Message m = ForwardFrom(from, Number(Received(from)), "b");
    if (hostile_ && rng_.Chance(0.02)) m.checksum ^= 1;
    u_.Deliver(m);
  }

  void Offer(UserId from) {
    const Seq first = Number(Received(from));
    const Seq last = Number(Received(from));
    u_.Offered(from, first, last);
  }

  void Gap(UserId from) {
    const Seq next = hostile_ ? Number(Sent(from)) : 1 + rng_.Below(Sent(from) + 1);
    // A rewound user is loaded again, as its owner must.
    if (u_.Gap(from, next, rng_.Chance(0.2)) != Acked::kRewound) return;
    Snapshot();
    u_.Crash();
  }

  void Snapshot() {
    while (u_.under_way() > 0) u_.Finish();
    u_.open->AddSnapshot(0, u_.user->ToRecord(*u_.open), u_.user->heads());
    u_.Commit();
  }

  void Commit() {
    u_.Seal();
    if (rng_.Chance(0.3) && u_.under_way() < 4) return;
    while (u_.under_way() > 0) u_.Finish();
    for (const std::string& said : u_.Said()) {
      ASSERT_EQ(said.find("WRONG"), std::string::npos) << said;
    }
  }

  void Check() {
    const auto& mailbox = u_.disk.of(OneUser::kId);
    const Counters c = u_.user->counters();
    ASSERT_EQ(c.send_id, mailbox.record.send_id);
    ASSERT_EQ(c.receive_id, mailbox.record.receive_id);
    ASSERT_EQ(c.client_receive_id, mailbox.record.client_receive_id);
    ASSERT_EQ(c.send_ack_id, mailbox.send_ack_id);
    ASSERT_LE(c.send_ack_id, c.send_id);
    ASSERT_LE(c.client_receive_id, c.receive_id);
    ASSERT_LE(u_.user->applied_send_id(), u_.user->window_end(u_.limits));
    ASSERT_LE(u_.user->reorder_bytes(), u_.limits.window_bytes);
    ASSERT_LT(u_.user->memory(), 32u << 10);
    const Seq from = u_.user->RefillFrom();
    ASSERT_TRUE(from == 0 || (from > c.send_ack_id && from <= c.send_id));
    for (; checked_ < mailbox.outbox.size(); ++checked_) {
      const auto& m = mailbox.outbox[checked_];
      if (m.head.kind == wire::Kind::kVoid) continue;
      ASSERT_EQ(taken_[m.head.seq].count(std::to_string(m.head.peer) + m.body), 1u);
      ASSERT_EQ(m.head.checksum, MessageChecksum(OneUser::kId, m.head.peer, m.head.seq, m.body));
    }
  }

  Rng rng_;
  OneUser u_;
  bool hostile_;
  std::size_t checked_ = 0;
  std::map<Seq, std::set<std::string>> taken_;
};

TEST(UserRandomTest, NoSequenceOfCallsBreaksAUser) {
  Counters sum;
  for (std::uint64_t seed = 1; seed <= kRuns && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Storm storm(seed);
    storm.Run();
    sum.send_id += storm.counters().send_id;
    sum.send_ack_id += storm.counters().send_ack_id;
    sum.receive_id += storm.counters().receive_id;
  }
  // Much of it was in earnest.
  EXPECT_GT(sum.send_id, 10 * kRuns);
  EXPECT_GT(sum.send_ack_id, 5 * kRuns);
  EXPECT_GT(sum.receive_id, 5 * kRuns);
}

}  // namespace
}  // namespace baiwan::mailbox
