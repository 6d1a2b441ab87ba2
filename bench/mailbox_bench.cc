// What the mailbox rules cost for one message: submitting, delivering, acknowledging, each with its
// share of the release. Batches of 64 messages for one user, or of one for each of 64 users: a
// message at a time per user is the dear case, since a batch then holds a part for every message.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "mailbox/user.h"

namespace baiwan::mailbox {
namespace {

constexpr int kBatch = 64;
constexpr std::uint32_t kFriends = 30;
const std::string kBody(16, 'x');

class Ignore final : public Outbound {
 public:
  Sent Forward(User&, const wire::Message&) override { return Sent::kSent; }
  void Offer(User&, UserId, Seq, Seq) override {}
  void Ack(User&, UserId, Seq) override {}
  void Gap(User&, UserId, Seq) override {}
};

struct World {
  explicit World(int count) {
    limits.max_unacked = 1 << 30;
    for (int i = 0; i < count; ++i) {
      wire::UserRecord record;
      record.user = 1000 + static_cast<UserId>(i);
      for (UserId f = 1; f <= kFriends; ++f) record.friends.push_back({f, 0, 0, 0, 0});
      users.push_back(std::make_unique<User>(record, 0));
    }
    batch.set_number(1);
  }
  User& user(Seq i) { return *users[i % users.size()]; }
  // Which message of its user, and which of its pair, the i-th is.
  Seq Nth(Seq i) const { return i / users.size() + 1; }
  UserId Friend(Seq i) const { return (Nth(i) - 1) % kFriends + 1; }
  Seq PairSeq(Seq i) const { return (Nth(i) - 1) / kFriends + 1; }

  void Submit(Seq i) {
    const Submission s{Nth(i), Friend(i), kBody, 0, false};
    user(i).Submit(s, 0, limits, batch);
  }
  void Ack(Seq i) { user(i).Ack(Friend(i), PairSeq(i), batch); }
  void Release() {
    for (auto& part : batch.users()) {
      static_cast<User*>(part.owner)->Release(batch, part, out);
    }
    batch.Clear();
    batch.set_number(++batches);
  }

  Limits limits;
  Ignore out;
  std::vector<std::unique_ptr<User>> users;
  wire::CommitBatch batch;
  std::uint64_t batches = 1;
};

void SubmitAndRelease(benchmark::State& state) {
  World w(static_cast<int>(state.range(0)));
  Seq at = 0;
  for (auto _ : state) {
    for (Seq i = 0; i < kBatch; ++i) w.Submit(at + i);
    w.Release();
    state.PauseTiming();
    for (Seq i = 0; i < kBatch; ++i) w.Ack(at + i);
    w.Release();
    at += kBatch;
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(at));
}
BENCHMARK(SubmitAndRelease)->Arg(1)->Arg(kBatch);

void AckAndRelease(benchmark::State& state) {
  World w(static_cast<int>(state.range(0)));
  Seq at = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (Seq i = 0; i < kBatch; ++i) w.Submit(at + i);
    w.Release();
    state.ResumeTiming();
    for (Seq i = 0; i < kBatch; ++i) w.Ack(at + i);
    w.Release();
    at += kBatch;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(at));
}
BENCHMARK(AckAndRelease)->Arg(1)->Arg(kBatch);

void DeliverAndRelease(benchmark::State& state) {
  World w(static_cast<int>(state.range(0)));
  std::vector<wire::Message> messages(kBatch);
  Seq at = 0;
  for (auto _ : state) {
    state.PauseTiming();
    for (Seq i = 0; i < kBatch; ++i) {
      wire::Message& m = messages[i];
      m.peer = w.Friend(at + i);
      m.pair_seq = m.send_id = w.PairSeq(at + i);
      m.body = kBody;
      m.checksum = MessageChecksum(m.peer, w.user(at + i).id(), m.send_id, m.body);
    }
    state.ResumeTiming();
    for (Seq i = 0; i < kBatch; ++i) w.user(at + i).Deliver(messages[i], w.batch, w.out);
    w.Release();
    at += kBatch;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(at));
}
BENCHMARK(DeliverAndRelease)->Arg(1)->Arg(kBatch);

// The way of a message through its sender, with thousands of others unacknowledged: a slow friend.
void SubmitBehindASlowFriend(benchmark::State& state) {
  World w(1);
  Seq at = 0;
  for (; at < static_cast<Seq>(state.range(0)); ++at) {
    w.Submit(at);
    if (at % kBatch == 0) w.Release();
  }
  w.Release();
  for (auto _ : state) {
    for (Seq i = 0; i < kBatch; ++i) w.Submit(at + i);
    w.Release();
    for (Seq i = 0; i < kBatch; ++i) {
      if (w.Friend(at + i) != 1) w.Ack(at + i);
    }
    w.Release();
    at += kBatch;
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
}
BENCHMARK(SubmitBehindASlowFriend)->Arg(64)->Arg(16 << 10);

void Load(benchmark::State& state) {
  wire::UserRecord record;
  record.user = 1000;
  for (UserId f = 1; f <= kFriends; ++f) record.friends.push_back({f, 5, 5, 5, 0});
  record.send_id = record.send_ack_id = record.receive_id = 5 * kFriends;
  for (auto _ : state) {
    User user(record, 0);
    benchmark::DoNotOptimize(user.counters());
  }
}
BENCHMARK(Load);

}  // namespace
}  // namespace baiwan::mailbox

BENCHMARK_MAIN();
