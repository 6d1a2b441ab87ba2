// One logic server whose relay is the test: what it sends to other cells is kept, and a model of
// those cells answers when the test says so.
//
// The problem: faults between cells live in the order in which answers, commits and reads come. A
// FarCell here knows what it has of each pair, takes what follows, and says the rest as a real one
// would; the test decides when, and may put it back to less. Threads: one. The store is in memory.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cell/logic/logic.h"
#include "cell/testing/strict.h"
#include "net/transport.h"
#include "store/engine/memory_kv.h"

namespace baiwan::cell {

// A store that counts what is read of boxes.
class CountingStore final : public store::Store {
 public:
  explicit CountingStore(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}
  Incarnation incarnation() const override { return store_->incarnation(); }
  std::uint64_t life() const override { return store_->life(); }
  bool put_back() const override { return store_->put_back(); }
  std::vector<wire::PeerStore> peers() const override { return store_->peers(); }
  void Commit(wire::CommitBatch& batch, CommitFn done) override {
    store_->Commit(batch, std::move(done));
  }
  Lsn next_lsn() const override { return store_->next_lsn(); }
  bool CheckpointDue() const override { return store_->CheckpointDue(); }
  void Load(PartitionId partition, UserId user, LoadFn done) override {
    store_->Load(partition, user, std::move(done));
  }
  void ReadBox(UserId user, wire::Box box, Lsn head, Seq from, std::uint32_t limit,
               std::size_t max_bytes, store::Wanted wanted, ReadFn done) override {
    ++reads;
    most_reads = std::max(most_reads, ++reading);
    store_->ReadBox(user, box, head, from, limit, max_bytes, std::move(wanted),
                    [this, done = std::move(done)](auto page) {
                      --reading;
                      if (page) messages_read += page->messages.size();
                      done(std::move(page));
                    });
  }
  void FindInBox(UserId user, wire::Box box, Lsn head, std::vector<Seq> seqs, store::Wanted wanted,
                 FoundFn found, FindFn done) override {
    ++finds;
    store_->FindInBox(user, box, head, std::move(seqs), std::move(wanted), std::move(found),
                      std::move(done));
  }
  void ForEachUser(PartitionId partition,
                   const std::function<void(const wire::UserRecord&)>& each) override {
    store_->ForEachUser(partition, each);
  }
  store::StoreError PendingUsers(PartitionId partition,
                                 const std::function<void(UserId)>& each) override {
    return store_->PendingUsers(partition, each);
  }
  UserId ScanUsers(PartitionId partition, UserId after, std::uint32_t limit,
                   const std::function<void(const wire::UserRecord&)>& each) override {
    return store_->ScanUsers(partition, after, limit, each);
  }
  std::optional<store::DiskRoom> disk() const override { return store_->disk(); }
  store::StoreError ImportNow(
      const std::vector<std::pair<PartitionId, wire::UserRecord>>& users) override {
    return store_->ImportNow(users);
  }

  std::uint64_t reads = 0;
  std::uint64_t reading = 0;     // under way
  std::uint64_t most_reads = 0;  // that were under way at a time
  std::uint64_t messages_read = 0;
  std::uint64_t finds = 0;

 private:
  std::unique_ptr<store::Store> store_;
};

// Another cell, as far as the one under test can tell.
struct FarCell {
  using Pair = std::pair<UserId, UserId>;  // sender, receiver

  Incarnation incarnation = 1;
  // Of its store; opening 0: does not say.
  std::uint64_t life = 1;
  std::uint64_t opening = 0;
  Lsn opened_at = 0;
  Lsn position = 0;
  std::uint64_t session = 0;
  std::uint64_t consumed = 0;
  std::uint64_t compared = 0;
  std::map<Pair, Seq> received;
  std::map<Pair, Seq> acknowledged;
  std::uint64_t forwards = 0;
  std::vector<UserId> senders;           // of each of them
  std::uint64_t repeated = 0;            // of these, what was here already
  std::size_t largest = 0;               // bytes of the largest batch
  std::deque<std::string> batches;       // sent to it, not looked at yet
  std::vector<wire::PairOffer> offered;  // not answered yet
};

class LoneLogic final : private RelayPort {
 public:
  // Beside a message's body, and of an offer: see docs/formats.md.
  static constexpr std::size_t kCreditOverhead = 48;
  static constexpr std::size_t kOfferCredit = 16;

  struct Options {
    std::uint32_t cells = 2;
    std::uint32_t users = 1;           // of cell 0
    std::vector<UserId> friends = {};  // of each of them; none: the first user of each other cell
    LogicOptions logic = {};
    store::MemoryKvOptions kv = {};
    store::StoreOptions store = {};
  };

  explicit LoneLogic(const Options& options)
      : options_(options),
        layout_(options.cells, placement::kDefaultPartitions),
        table_(options.cells),
        loop_(std::move(*net::RealLoop::Create({}))),
        node_{*loop_, loop_->transport(), loop_->clock(), rng_, budget_, fatal_, NoLog()} {
    Open();
    std::vector<UserId> friends = options.friends;
    for (CellId c = 1; options.friends.empty() && c < options.cells; ++c) {
      friends.push_back(UserOf(c, 0));
    }
    std::sort(friends.begin(), friends.end());
    std::vector<std::pair<PartitionId, wire::UserRecord>> users;
    for (std::uint32_t i = 0; i < options.users; ++i) {
      wire::UserRecord record;
      record.user = UserOf(0, i);
      for (const UserId f : friends) record.friends.push_back({f, 0, 0, 0, 0});
      users.emplace_back(table_.PartitionOf(record.user), record);
    }
    EXPECT_EQ(store_->ImportNow(users), store::StoreError{});
    Start();
  }
  ~LoneLogic() override { Stop(); }

  UserId UserOf(CellId cell, std::uint64_t index) const { return layout_.UserAt(cell, index); }

  // As a crash and a start do; the paths are down.
  void Restart() {
    Stop();
    for (auto& [cell, f] : far) {
      f.batches.clear();
      f.offered.clear();
    }
    Open();
    Start();
  }

  void Up(CellId cell) {
    far[cell].consumed = 0;
    logic->PathUp(cell, far[cell].incarnation);
  }
  void Down(CellId cell) {
    logic->PathDown(cell);
    far[cell].batches.clear();
    far[cell].offered.clear();
  }

  void Submit(UserId user, Seq send_id, UserId to, std::string_view body = "body") {
    wire::ClientFrame frame;
    frame.set_request_id(send_id);
    frame.set_reply_when(wire::REPLY_TAKEN);
    wire::Submit* submit = frame.add_submits();
    submit->set_send_id(send_id);
    submit->set_friend_(to);
    submit->set_body(std::string(body));
    logic->FromClient(client, 1, user, frame);
  }

  // Takes what was sent to a cell. With `answer` it says what is due: acks, gaps, credit; else it
  // has heard and says nothing.
  void Take(CellId cell, bool answer = true) {
    FarCell& f = far[cell];
    wire::PeerBatch reply;
    while (!f.batches.empty()) {
      wire::PeerBatch batch;
      ASSERT_TRUE(batch.ParseFromString(f.batches.front()));
      f.batches.pop_front();
      SetSession(f, batch.session());
      for (const wire::Forward& m : batch.forwards()) TakeForward(f, m, &reply);
      for (const wire::PairOffer& o : batch.offers()) f.offered.push_back(o);
    }
    if (!answer) return;
    for (const wire::PairOffer& o : f.offered) AnswerOffer(f, o, &reply);
    f.offered.clear();
    Answer(cell, std::move(reply));
  }
  // Word of an own making, in the cell's present session.
  void Answer(CellId cell, wire::PeerBatch reply) {
    reply.set_session(far[cell].session);
    reply.set_consumed(far[cell].consumed);
    reply.set_compared(far[cell].compared);
    reply.set_life(far[cell].life);
    reply.set_opening(far[cell].opening);
    reply.set_opened_at(far[cell].opened_at);
    reply.set_position(far[cell].position);
    logic->ReplyFromPeer(cell, reply.SerializeAsString());
  }

  void Turns(int n) {
    for (int i = 0; i < n; ++i) loop_->RunOnce(0);
  }
  // Turns until `done`, all cells that are up answering; false if that takes too long.
  bool AnswerUntil(const std::function<bool()>& done, std::vector<CellId> cells = {}) {
    if (cells.empty()) {
      for (CellId c = 1; c < options_.cells; ++c) cells.push_back(c);
    }
    return RunUntil([&] {
      for (const CellId c : cells) Take(c);
      return done();
    });
  }
  bool RunUntil(const std::function<bool()>& done) {
    const Nanos until = SystemClock().Monotonic() + 20 * kSecond;
    while (!done()) {
      if (SystemClock().Monotonic() > until) return false;
      loop_->RunOnce(kMillisecond / 4);
    }
    return true;
  }

  Nobody client;
  std::map<CellId, FarCell> far;
  std::vector<std::pair<CellId, std::string>> replies;  // what it says as a receiver
  bool accepting = true;                                // what it has told its relay
  std::unique_ptr<Logic> logic;
  CountingStore& store() { return *store_; }
  NodeContext& node() { return node_; }

 private:
  void Open() {
    kv_ = std::move(*store::OpenMemoryKv(disk_, options_.kv, loop_.get()));
    store::RecoveryReport report;
    store_ = std::make_unique<CountingStore>(
        std::move(*store::Store::Open(*kv_, 0, options_.store, &report)));
  }
  void Start() {
    logic = std::make_unique<Logic>(node_, options_.logic, table_, *store_);
    logic->SetRelay(this);
    logic->Start();
  }
  void Stop() {
    logic.reset();
    store_.reset();
    kv_.reset();
  }

  static void TakeForward(FarCell& f, const wire::Forward& m, wire::PeerBatch* reply) {
    ++f.forwards;
    f.senders.push_back(m.sender());
    f.consumed += m.body().size() + kCreditOverhead;
    Seq& have = f.received[{m.sender(), m.receiver()}];
    if (m.pair_seq() <= have) ++f.repeated;
    if (m.pair_seq() == have + 1) ++have;
    if (m.pair_seq() > have) return AddGap(m.sender(), m.receiver(), have + 1, reply);
    AddAck(m.sender(), m.receiver(), have, reply);
  }
  static void AnswerOffer(FarCell& f, const wire::PairOffer& o, wire::PeerBatch* reply) {
    f.consumed += kOfferCredit;
    f.compared += o.compare() ? 1 : 0;
    const Seq have = f.received[{o.sender(), o.receiver()}];
    if (o.first() > o.last() && have == o.last()) return;
    AddAck(o.sender(), o.receiver(), have, reply);
    if (have < o.last()) AddGap(o.sender(), o.receiver(), have + 1, reply);
  }
  static void AddAck(UserId sender, UserId receiver, Seq upto, wire::PeerBatch* reply) {
    wire::PairAck* a = reply->add_acks();
    a->set_sender(sender);
    a->set_receiver(receiver);
    a->set_upto(upto);
  }
  static void AddGap(UserId sender, UserId receiver, Seq next, wire::PeerBatch* reply) {
    wire::PairGap* g = reply->add_gaps();
    g->set_sender(sender);
    g->set_receiver(receiver);
    g->set_next(next);
  }

  static void SetSession(FarCell& f, std::uint64_t session) {
    if (std::exchange(f.session, session) != session) f.consumed = f.compared = 0;
  }
  void Send(CellId to, std::string_view batch) override {
    far[to].largest = std::max(far[to].largest, batch.size());
    wire::PeerBatch read;
    EXPECT_TRUE(read.ParseFromArray(batch.data(), static_cast<int>(batch.size())));
    // Only who is there, and in which session.
    if (read.forwards().empty() && read.offers().empty())
      return SetSession(far[to], read.session());
    far[to].batches.emplace_back(batch);
  }
  void Reply(CellId to, std::string_view batch) override {
    far[to].largest = std::max(far[to].largest, batch.size());
    replies.emplace_back(to, batch);
  }
  void SetAccepting(bool now) override { accepting = now; }

  const Options options_;
  placement::UserLayout layout_;
  placement::PlacementTable table_;
  std::unique_ptr<net::RealLoop> loop_;
  Rng rng_{1};
  Budget budget_{1ULL << 30};
  Unlucky fatal_;
  NodeContext node_;
  store::MemoryDisk disk_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<CountingStore> store_;
};

}  // namespace baiwan::cell
