// Turns, commits, snapshots and stopping.
#include "cell/logic/logic.h"

#include <algorithm>

#include "base/planted.h"

namespace baiwan::cell {

using wire::CommitBatch;

namespace {

Resident& ResidentOf(const CommitBatch::User& u) {
  return *static_cast<Resident*>(static_cast<mailbox::User*>(u.owner)->context);
}

}  // namespace

Logic::Logic(NodeContext& node, const LogicOptions& options, const placement::PlacementTable& table,
             store::Store& store)
    : node_(node),
      options_(options),
      table_(table),
      store_(store),
      open_(std::make_unique<CommitBatch>()),
      spare_(std::make_unique<CommitBatch>()),
      reads_(node.budget, options.reads, std::bind_front(&Logic::MayBegin, this)),
      catch_ups_(node.budget, options.catch_ups, std::bind_front(&Logic::MayBegin, this)),
      compares_(node.budget, options.compares, std::bind_front(&Logic::MayBegin, this)),
      opening_(node.rng.Next() | 1),
      opened_at_(store.next_lsn() - 1),
      durable_lsn_(opened_at_) {
  open_->set_number(next_batch_++);
  for (const wire::PeerStore& peer : store.peers()) {
    if (peer.cell >= kMaxCells) continue;
    PathTo(peer.cell).store = KnownStore(peer.life, peer.opening, peer.position);
    PathTo(peer.cell).remembered = peer;
  }
  node_.loop.AddTurnHook(this);
}

Logic::~Logic() {
  *alive_ = false;
  node_.loop.Cancel(audit_timer_);
  node_.loop.Cancel(disk_timer_);
  node_.loop.Cancel(reorder_timer_);
  node_.loop.RemoveTurnHook(this);
  node_.budget.Release(Account::kCommits, charged_commits_);
}

void Logic::Start() {
  for (const PartitionId partition : table_.PartitionsOf(options_.cell)) {
    const store::StoreError error = store_.PendingUsers(partition, [this](UserId user) {
      if (!Planted("pending-forgotten")) recover_.push_back(user);
    });
    if (error == store::StoreError{}) continue;
    node_.log.Error("cell {}: who of partition {} has messages on their way cannot be read: {}",
                    options_.cell, partition, Message(error));
  }
  if (!recover_.empty()) {
    node_.log.Info("cell {}: {} users have messages on their way", options_.cell, recover_.size());
  }
  if (store_.put_back()) StorePutBack();
  Audit();
  LookAtDisk();
}

void Logic::SetRelay(RelayPort* relay) {
  relay_ = relay;
  if (relay_ != nullptr) relay_->SetAccepting(TakesFromPeers());
}

std::size_t Logic::pending_users() const { return recover_.size() + residents_.by_pending.size(); }

bool Logic::AtRest() const {
  return under_way_ == nullptr && open_->empty() && recover_.empty() && loading_.empty() &&
         residents_.by_pending.empty();
}

// ---------------------------------------------------------------- turns

void Logic::OnTurnEnd() {
  ++turn_;
  if (node_.budget.full() || memory_full_) LookAtMemory();
  AnswerLocally();
  RecoverMore();
  StartLoads();
  WorkPaths();
  WorkComparisons();
  AnswerLocally();
  if (under_way_ == nullptr) Seal();
  ChargeCommits();
  SendPeers();
  TellSessions();
  for (ReadQueue* queue : {&compares_, &catch_ups_, &reads_}) queue->Begin();
  if (PathsHaveWork() || ComparisonsHaveWork())
    node_.loop.Post([] {});  // after what else there is to do
  MaybeDrained();
}

void Logic::Seal() {
  const Lsn before = store_.next_lsn() - 1;
  for (const CommitBatch::User& u : open_->users()) {
    residents_.MarkChanged(ResidentOf(u), before);
  }
  // After that: an evicted user's snapshot leaves nothing changed, and is not taken a second time.
  if (node_.budget.over_soft()) Evict();
  AddSnapshots();
  if (open_->empty()) {
    // Forwards that changed nothing (duplicates, strangers) have been dealt with all the same.
    for (CellId cell = 0; cell < paths_.size(); ++cell) {
      if (paths_[cell] == nullptr) continue;
      Path& p = *paths_[cell];
      if (p.in_told != p.in_bytes && !p.listed_reply) {
        p.listed_reply = true;
        dirty_reply_.push_back(cell);
      }
      p.in_sealed = p.in_bytes;
    }
    return;
  }
  for (auto& path : paths_) {
    if (path != nullptr) path->in_sealed = path->in_bytes;
  }
  RememberPeers();
  sealed_at_ = node_.clock.Monotonic();
  counters_.wait_nanos +=
      static_cast<std::uint64_t>(open_since_ > 0 ? sealed_at_ - open_since_ : 0);
  open_since_ = 0;
  under_way_ = std::move(open_);
  open_ = std::move(spare_);
  open_->set_number(next_batch_++);
  store_.Commit(*under_way_, [this, alive = alive_](store::StoreError error) {
    if (*alive) Committed(error);
  });
  sealed_lsn_ = store_.next_lsn() - 1;
}

void Logic::Committed(store::StoreError error) {
  if (error != store::StoreError{}) {
    // Nothing of this commit was shown to anybody; what is true now only a restart can find out.
    node_.fatal.Die(fmt::format("cell {}: a commit failed: {}", options_.cell, Message(error)));
    return;
  }
  const std::unique_ptr<CommitBatch> batch = std::move(under_way_);
  durable_lsn_ = sealed_lsn_;
  ++counters_.commits;
  counters_.commit_messages += batch->messages();
  counters_.commit_nanos += static_cast<std::uint64_t>(node_.clock.Monotonic() - sealed_at_);
  for (const CommitBatch::User& u : batch->users()) {
    Resident& r = ResidentOf(u);
    const Seq acked = r.user.counters().send_ack_id;
    const mailbox::Released released = r.user.Release(*batch, u, *this);
    counters_.stored += u.out.count;
    counters_.delivered += u.in.count;
    counters_.acknowledged += r.user.counters().send_ack_id - acked;
    residents_.SetPending(r, r.user.pending() && !r.rewound);
    if (released.stored) {
      AnswerWaiters(r);
      CompareRepeats(r);
    }
    if (released.stored || released.delivered) {
      for (const auto& s : r.sessions) MarkDirty(r, *s);
    }
    if (released.received) PushFrom(r, *batch, u);
    Recharge(r);
  }
  for (CellId cell = 0; cell < paths_.size(); ++cell) {
    if (paths_[cell] == nullptr || paths_[cell]->in_told == paths_[cell]->in_sealed) continue;
    if (paths_[cell]->listed_reply) continue;
    paths_[cell]->listed_reply = true;
    dirty_reply_.push_back(cell);
  }
  FinishSnapshots();
  CompareDurable(batch->number());
  batch->Clear();
  spare_ = std::make_unique<CommitBatch>(std::move(*batch));
}

// ---------------------------------------------------------------- snapshots

void Logic::Snapshot(Resident& r) {
  open_->AddSnapshot(r.user.partition(), r.user.ToRecord(*open_), r.user.heads());
  residents_.MarkClean(r);
  snapshotted_.push_back(&r);
  ++counters_.snapshots;
}

// Called when nothing is under way and the batch is about to be sealed: a user's applied state is
// then exactly what is durable plus this batch.
void Logic::AddSnapshots() {
  for (const CommitBatch::User& u : open_->users()) {
    Resident& r = ResidentOf(u);
    if (r.rewound) Snapshot(r);
  }
  if (!checkpointing_ && (refuse_all_ ? !residents_.by_change.empty() : store_.CheckpointDue())) {
    checkpointing_ = true;
    checkpoint_target_ = store_.next_lsn() - 1;
  }
  if (!checkpointing_) return;
  auto& changed = residents_.by_change;
  std::uint32_t room = options_.snapshots_per_commit;
  while (room > 0 && !changed.empty() && changed.front().first_change <= checkpoint_target_) {
    Snapshot(changed.front());
    --room;
  }
  if (!changed.empty() && changed.front().first_change <= checkpoint_target_) return;
  open_->SetCheckpoint(changed.empty() ? store_.next_lsn() - 1 : changed.front().first_change);
  checkpointing_ = false;
}

void Logic::FinishSnapshots() {
  for (Resident* r : snapshotted_) {
    const bool evicting = std::exchange(r->evicting, false);
    if (r->rewound) {
      // Else this was the snapshot of an earlier batch, and the next commit has the right one.
      if (!InBatch(*r)) LoadAgain(*r);
    } else if (evicting && MayDrop(*r)) {
      Drop(*r);
    }
  }
  snapshotted_.clear();
}

// ---------------------------------------------------------------- stopping

// From here on nothing begins that makes further work: nothing is taken from clients or other
// cells, and what waits on disk for a path stays there. What was taken still goes its way.
void Logic::Drain(std::function<void()> done) {
  refuse_all_ = true;
  drained_ = std::move(done);
  if (relay_ != nullptr) relay_->SetAccepting(false);
  recover_.clear();
  node_.loop.Post([this, alive = alive_] {
    if (*alive) MaybeDrained();
  });
}

void Logic::MaybeDrained() {
  if (!drained_ || under_way_ != nullptr || !open_->empty() || checkpointing_) return;
  if (!residents_.by_change.empty()) return;
  std::exchange(drained_, nullptr)();
}

// ---------------------------------------------------------------- metrics

void Logic::WriteMetrics(MetricsSink& sink) const {
  const LogicCounters& c = counters_;
  sink.Counter("submits_total", "messages that clients submitted, repeats included", c.submits);
  sink.Counter("repeats_total", "submissions that were known already", c.repeats);
  sink.Counter("stored_total", "messages made durable in an outbox", c.stored);
  sink.Counter("forwarded_total", "messages given to the friend's cell, repeats included",
               c.forwarded);
  sink.Counter("resent_total", "messages forwarded again", c.resent);
  sink.Counter("delivered_total", "messages made durable in an inbox", c.delivered);
  sink.Counter("duplicates_total", "forwards that were here already", c.duplicates);
  sink.Counter("gaps_total", "forwards that came before their turn", c.gaps);
  sink.Counter("acknowledged_total", "messages known to be in the friend's store", c.acknowledged);
  sink.Counter("offers_total", "pairs offered in new sessions", c.offers);
  sink.Counter("unknown_users_total", "pairs that the friend's cell does not know",
               c.unknown_users);
  sink.Counter("diverged_total", "pairs stopped because two stores disagree", c.diverged);
  sink.Counter("rewinds_total", "users gone back because a friend's store did", c.rewinds);
  sink.Counter("pushed_total", "messages pushed to devices", c.pushed);
  sink.Counter("reads_total", "pages of boxes read", c.reads);
  sink.Counter("loads_total", "users loaded", c.loads);
  sink.Counter("evictions_total", "users evicted", c.evictions);
  sink.Counter("reorder_dropped_total",
               "messages that came before their turn and waited too long, or for too much memory",
               c.reorder_dropped);
  sink.Counter("snapshots_total", "snapshots written", c.snapshots);
  sink.Counter("commits_total", "group commits", c.commits);
  sink.Counter("commit_messages_total", "messages in group commits, both boxes", c.commit_messages);
  sink.Counter("commit_seconds_total", "time from sealing a commit to its being durable",
               static_cast<double>(c.commit_nanos) / kSecond);
  sink.Counter("queue_wait_seconds_total", "time that the oldest work of each commit waited",
               static_cast<double>(c.wait_nanos) / kSecond);
  for (int i = 1; i < wire::Reason_ARRAYSIZE; ++i) {
    const auto reason = static_cast<wire::Reason>(i);
    sink.Counter("refused_total", "submissions refused, by reason",
                 static_cast<double>(c.refused[static_cast<std::size_t>(i)]),
                 fmt::format("reason=\"{}\"", CodeOf(reason)));
  }
  WriteComparisons(sink);
  sink.Gauge("disk_free_bytes", "on the disk under the store", static_cast<double>(disk_free_));
  sink.Gauge("disk_state", "0 room, 1 refuses submissions, 2 takes no deliveries either",
             static_cast<double>(disk_));
  sink.Gauge("memory_full", "1: at the hard limit, nothing that needs memory is taken",
             memory_full_ ? 1 : 0);
  sink.Gauge("resident_users", "users in memory", static_cast<double>(residents_.size()));
  sink.Gauge("pending_users", "users with messages on their way",
             static_cast<double>(pending_users()));
  sink.Gauge("loading_users", "users being loaded", static_cast<double>(loading_.size()));
  const ReadQueue* const walks[] = {&reads_, &catch_ups_, &compares_};
  const char* const names[] = {"read", "catch_up", "compare"};
  for (std::size_t i = 0; i < std::size(walks); ++i) {
    const std::string label = fmt::format("kind=\"{}\"", names[i]);
    sink.Gauge("walks_waiting", "walks through boxes that clients wait for, not begun",
               static_cast<double>(walks[i]->waiting()), label);
    sink.Gauge("walks_under_way", "walks through boxes that clients wait for, begun",
               static_cast<double>(walks[i]->under_way()), label);
  }
}

}  // namespace baiwan::cell
