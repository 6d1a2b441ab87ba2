#include "verify/testing/stress_stores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/checksum.h"
#include "base/log.h"
#include "store/engine/rocksdb_kv.h"
#include "stress/import.h"
#include "stress/ledger.h"

namespace baiwan::verify::testing {
namespace {

store::RocksDbOptions Engine() {
  store::RocksDbOptions options;
  options.write_buffer_bytes = 64 << 10;  // so that some of it stands in tables, some in the log
  return options;
}

store::StoreOptions StoreOptionsOf() {
  store::StoreOptions options;
  options.block_bytes = 512;
  return options;
}

}  // namespace

Counts CountsOf(const VerifyReport& r) {
  return {r.count(Kind::kLost),    r.count(Kind::kDuplicated), r.count(Kind::kReordered),
          r.count(Kind::kAltered), r.count(Kind::kForeign),    r.count(Kind::kCounter)};
}

std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << "lost " << c.lost << " duplicated " << c.duplicated << " reordered " << c.reordered
             << " altered " << c.altered << " foreign " << c.foreign << " counter " << c.counter;
}

stress::WorkloadSpec StressStores::SmallSpec() {
  stress::WorkloadSpec spec;
  spec.seed = 5;
  spec.cells = 3;
  spec.users_per_cell = 10;
  spec.friends_in_cell = 4;
  spec.friends_cross = 2;
  spec.messages_per_friend = 3;
  spec.rounds = 2;
  spec.partitions = 8;
  return spec;
}

StressStores::StressStores(const stress::WorkloadSpec& spec, unsigned stores) : spec_(spec) {
  for (CellId cell = 0; cell < spec_.cells; ++cell) {
    graphs_.push_back(stress::BuildCellGraph(spec_, cell));
  }
  for (unsigned s = 0; s < stores; ++s) {
    paths_.push_back(folder_.path() + "/store" + std::to_string(s));
  }
  Send();
}

void StressStores::Send() {
  std::map<UserId, stress::MessagePlan> plans;
  Seq most = 0;
  for (const stress::CellGraph& graph : graphs_) {
    for (std::size_t i = 0; i < graph.users(); ++i) {
      users_.push_back(graph.user(i));
      boxes_[graph.user(i)];
      const auto& plan =
          plans.emplace(graph.user(i), stress::MessagePlan(spec_, graph.user(i), graph.friends(i)))
              .first->second;
      most = std::max(most, plan.total());
    }
  }
  for (Seq n = 1; n <= most; ++n) {
    for (auto& [user, plan] : plans) {
      if (n > plan.total()) continue;
      Entry entry;
      entry.seq = entry.send_id = n;
      entry.peer = plan.friend_of(n);
      entry.pair_seq = plan.pair_seq(n);
      stress::Body(spec_, user, n, &entry.body);
      entry.checksum = MessageChecksum(user, entry.peer, n, entry.body);
      boxes_[user].out.push_back(entry);
      std::vector<Entry>& in = boxes_[std::exchange(entry.peer, user)].in;
      entry.seq = in.size() + 1;
      in.push_back(entry);
    }
  }
}

UserId StressStores::UserOf(CellId cell, std::size_t index) const {
  return graphs_[cell].user(index);
}

void StressStores::Renumber(UserId user) {
  Seq seq = 0;
  for (Entry& entry : of(user).in) entry.seq = ++seq;
}

void StressStores::Seal(UserId user, bool out, std::size_t at) {
  Entry& e = (out ? of(user).out : of(user).in)[at];
  if (out) e.send_id = e.seq;
  e.checksum = out ? MessageChecksum(user, e.is_void ? 0 : e.peer, e.send_id, e.body)
                   : MessageChecksum(e.peer, user, e.send_id, e.body);
}

// One store while it is written.
class StressStores::Writer {
 public:
  Writer(StressStores& all, std::size_t store, const WriteOptions& options)
      : all_(all),
        options_(options),
        path_(all.paths_[store]),
        table_(all.spec_.cells, all.spec_.partitions) {
    Open();
    for (CellId cell = 0; cell < all.spec_.cells; ++cell) {
      if (cell % all.paths_.size() == store) Import(cell);
    }
  }

  void Run() {
    std::size_t steps = 0;
    for (const auto& [user, state] : states_) {
      steps = std::max({steps, state.boxes->out.size(), state.boxes->in.size()});
    }
    const bool copy = !options_.copy_at_half.empty() && path_ == all_.paths_.front();
    steps = 2 * steps / options_.batch + 4;  // entries that do not follow each other take longer
    for (std::size_t step = 0; step < steps; ++step) {
      Step(step);
      if (copy && step == steps / 4) Restart();
    }
    for (auto& [user, state] : states_) Acknowledge(user, state, true);
    Commit();
    if (options_.stop_clean) {
      for (auto& [user, state] : states_) AddSnapshot(user, state);
      batch_.SetCheckpoint(store_->next_lsn() - 1);
      Commit();
    }
  }

 private:
  struct State {
    Boxes* boxes = nullptr;
    wire::UserRecord record;
    std::size_t out = 0;
    std::size_t in = 0;
    wire::CommitBatch::Slot slot = 0;
    bool in_batch = false;
  };

  void Open() {
    kv_ = std::move(*store::OpenRocksDb(path_, Engine(), nullptr, NoLog()));
    store_ = std::move(*store::Store::Open(*kv_, 0, StoreOptionsOf(), nullptr));
  }

  void Restart() {
    store_.reset();
    kv_.reset();
    std::filesystem::copy(path_, options_.copy_at_half, std::filesystem::copy_options::recursive);
    Open();
  }

  void Import(CellId cell) {
    const stress::CellGraph& graph = all_.graphs_[cell];
    std::vector<std::pair<PartitionId, wire::UserRecord>> records;
    for (std::size_t i = 0; i < graph.users(); ++i) {
      const UserId user = graph.user(i);
      if (all_.of(user).missing) continue;
      State& state = states_[user];
      state.boxes = &all_.of(user);
      state.record = stress::RecordOf(graph, i);
      records.emplace_back(table_.PartitionOf(user), state.record);
    }
    ASSERT_EQ(store_->ImportNow(records), store::StoreError{});
  }

  wire::CommitBatch::Slot Slot(UserId user, State& state) {
    if (!std::exchange(state.in_batch, true)) {
      state.slot = batch_.AddUser(user, table_.PartitionOf(user), &state.record.heads, nullptr);
    }
    return state.slot;
  }

  static wire::Message ToMessage(const Entry& entry) {
    wire::Message m;
    m.seq = entry.seq;
    m.peer = entry.peer;
    m.pair_seq = entry.pair_seq;
    m.send_id = entry.send_id;
    m.timestamp_ms = 1'700'000'000'000 + entry.send_id * 7 % 13;
    m.checksum = entry.checksum;
    m.kind = entry.is_void ? wire::Kind::kVoid : wire::Kind::kText;
    m.reason = entry.is_void ? wire::VoidReason::kByClient : wire::VoidReason::kNone;
    m.body = entry.body;
    return m;
  }

  void Step(std::size_t step) {
    for (auto& [user, state] : states_) {
      Acknowledge(user, state, false);
      for (std::size_t i = 0; i < options_.batch; ++i) Out(user, state);
      for (std::size_t i = 0; i < options_.batch; ++i) In(user, state);
      if ((step + user) % 4 == 0 && state.record.receive_id > state.record.client_receive_id) {
        state.record.client_receive_id = state.record.receive_id;
        batch_.SetCursor(Slot(user, state), state.record.receive_id);
      }
      if ((step + user) % 5 == 0) AddSnapshot(user, state);
    }
    Commit();
  }

  void Out(UserId user, State& state) {
    if (state.out == state.boxes->out.size()) return;
    const Entry& e = state.boxes->out[state.out];
    if (state.record.send_id + 1 != e.seq && state.in_batch) return;  // in a section of its own
    ++state.out;
    batch_.AddOut(Slot(user, state), ToMessage(e));
    state.record.send_id = e.seq;
    if (wire::FriendRecord* f = state.record.Find(e.peer); f != nullptr && !e.is_void) {
      f->sent = e.pair_seq;
    }
  }

  void In(UserId user, State& state) {
    if (state.in == state.boxes->in.size()) return;
    const Entry& e = state.boxes->in[state.in++];
    batch_.AddIn(Slot(user, state), ToMessage(e));
    state.record.receive_id = e.seq;
    if (wire::FriendRecord* f = state.record.Find(e.peer); f != nullptr) {
      f->received = e.pair_seq;
      f->received_checksum = e.checksum;
    }
  }

  // What was sent in earlier commits.
  void Acknowledge(UserId user, State& state, bool all) {
    for (wire::FriendRecord& f : state.record.friends) {
      const auto unacked = state.boxes->unacked.find(f.id);
      const Seq keep = unacked == state.boxes->unacked.end() ? (all ? 0 : 1) : unacked->second;
      if (f.sent <= f.acked + keep) continue;
      f.acked = f.sent - keep;
      batch_.AddAck(Slot(user, state), f.id, f.acked);
    }
  }

  void AddSnapshot(UserId user, State& state) {
    wire::UserRecord record = state.record;
    wire::FinishFold(record);
    if (options_.snapshot) options_.snapshot(record);
    batch_.AddSnapshot(table_.PartitionOf(user), record, &state.record.heads);
  }

  void Commit() {
    batch_.set_number(++commits_);
    store_->Commit(batch_, [](store::StoreError error) { ASSERT_EQ(error, store::StoreError{}); });
    batch_.Clear();
    for (auto& [user, state] : states_) state.in_batch = false;
  }

  StressStores& all_;
  const WriteOptions& options_;
  const std::string path_;
  const placement::PlacementTable table_;
  std::unique_ptr<store::Kv> kv_;
  std::unique_ptr<store::Store> store_;
  std::map<UserId, State> states_;
  wire::CommitBatch batch_;
  std::uint64_t commits_ = 0;
};

void StressStores::Write(const WriteOptions& options) {
  for (std::size_t s = 0; s < paths_.size(); ++s) Writer(*this, s, options).Run();
}

VerifyOptions StressStores::options() const {
  VerifyOptions options;
  options.spec = spec_;
  options.stores = paths_;
  return options;
}

std::string StressStores::WriteLedger() {
  std::string path = folder() + "/ledger";
  auto ledger = std::move(*stress::Ledger::Open(path, graphs_[0]));
  for (std::size_t i = 0; i < graphs_[0].users(); ++i) {
    const Seq all = stress::MessagesOf(spec_, graphs_[0].friends(i).size());
    ledger->Told(i, all, all);
  }
  return path;
}

void StressStores::EditStore(std::size_t store, const Edit& edit) {
  const auto kv = std::move(*store::OpenRocksDb(paths_[store], Engine(), nullptr, NoLog()));
  edit(*kv);
}

}  // namespace baiwan::verify::testing
