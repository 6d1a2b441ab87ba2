// What a cell holds in memory, and how it lets go of it. The budget's soft limit evicts users who
// are idle; at the hard limit what waits for its number is dropped too, and nothing that would need
// memory is taken, from clients or from other cells, until there is room again.
#include <algorithm>

#include "base/check.h"
#include "base/planted.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kEvictLook = 256;        // residents looked at in one turn
constexpr std::uint32_t kAgeLook = 256;          // … with something that waits for its number
constexpr std::uint64_t kCommitStep = 64 << 10;  // bytes

}  // namespace

// ---------------------------------------------------------------- who may go

bool Logic::MayDrop(const Resident& r) const {
  return Idle(r) && !r.told && (!r.by_change.is_linked() || Planted("evicted-unsaved")) &&
         !InBatch(r);
}

bool Logic::InBatch(const Resident& r) const {
  const std::uint64_t oldest = under_way_ != nullptr ? under_way_->number() : open_->number();
  return r.user.last_batch() >= oldest;
}

bool Logic::Idle(const Resident& r) const {
  return r.sessions.empty() && r.waiters.empty() && r.repeats.empty() && !r.user.pending() &&
         r.user.idle(open_->number()) && !r.refilling && !r.evicting && !r.rewound;
}

void Logic::Evict() {
  std::uint32_t looked = 0;
  auto& by_use = residents_.by_use;
  while (!by_use.empty() && looked++ < kEvictLook && node_.budget.over_soft()) {
    Resident& r = by_use.front();
    if (MayDrop(r)) {
      ++counters_.evictions;
      Drop(r);
      continue;
    }
    // Who stays makes room for the next one to be looked at, or a few who are connected and do
    // nothing would be all that is ever seen.
    residents_.Touch(r);
    if (!Idle(r) || !r.by_change.is_linked()) continue;
    ++counters_.evictions;
    r.evicting = true;
    Snapshot(r);
  }
  auto& waiting = residents_.by_reorder;
  for (looked = 0; !waiting.empty() && looked < kEvictLook && node_.budget.full(); ++looked) {
    Resident& r = waiting.front();
    counters_.reorder_dropped += r.user.reorder_count();
    r.user.DropReorder();
    NoteReorder(r);
  }
}

void Logic::Recharge(Resident& r) {
  const auto move = [this](Account account, std::uint64_t* charged, std::uint64_t now) {
    if (now > *charged) {
      node_.budget.ChargeAlways(account, now - *charged);
    } else if (now < *charged) {
      node_.budget.Release(account, *charged - now);
    }
    *charged = now;
  };
  move(Account::kUsers, &r.charged,
       sizeof(Resident) + r.user.memory() + r.sessions.size() * kSessionBytes +
           r.places.capacity() * sizeof(Place));
  move(Account::kReorder, &r.charged_reorder, r.user.reorder_memory() + r.repeat_bytes);
}

void Logic::Drop(Resident& r) {
  CHECK(MayDrop(r), "nothing refers to a user that is dropped, and the store says all of him");
  node_.budget.Release(Account::kUsers, r.charged);
  node_.budget.Release(Account::kReorder, r.charged_reorder);
  residents_.Erase(r);
}

// ---------------------------------------------------------------- what waits for its number

mailbox::Limits Logic::LimitsFor(const Resident& r, const mailbox::Submission& s) {
  mailbox::Limits limits = options_.mailbox;
  if (s.send_id <= r.user.applied_send_id() + 1) return limits;
  const std::uint64_t bytes = s.body.size() + mailbox::User::kWaitingBytes;
  limits.may_wait = node_.budget.Charge(Account::kReorder, bytes);
  if (limits.may_wait) node_.budget.Release(Account::kReorder, bytes);  // see NoteReorder
  return limits;
}

void Logic::NoteReorder(Resident& r) {
  Recharge(r);
  const bool waits = r.user.reorder_count() > 0;
  if (waits == r.by_reorder.is_linked()) return;
  r.reorder_due = node_.clock.Monotonic() + options_.reorder_timeout / 2;
  residents_.SetReorder(r, waits);
  if (waits && reorder_timer_ == 0) AgeReorderIn(options_.reorder_timeout / 2);
}

void Logic::AgeReorderIn(Nanos delay) {
  reorder_timer_ = node_.loop.After(delay, [this] {
    reorder_timer_ = 0;
    AgeReorder();
  });
}

void Logic::AgeReorder() {
  const Nanos now = node_.clock.Monotonic();
  auto& waiting = residents_.by_reorder;
  for (std::uint32_t looked = 0; looked < kAgeLook && !waiting.empty(); ++looked) {
    Resident& r = waiting.front();
    if (r.reorder_due > now) break;
    const std::size_t before = r.user.reorder_count();
    r.user.AgeReorder();
    counters_.reorder_dropped += before - r.user.reorder_count();
    r.reorder_due = now + options_.reorder_timeout / 2;
    residents_.SetReorder(r, true);
    NoteReorder(r);
  }
  if (waiting.empty()) return;
  AgeReorderIn(std::max<Nanos>(waiting.front().reorder_due - now, kMillisecond));
}

// ---------------------------------------------------------------- what is being committed

// In coarse steps, so that a turn seldom touches what all loops share. What is under way is there
// three times: as it was gathered, in blocks, and in the engine's group.
void Logic::ChargeCommits() {
  const std::uint64_t bytes =
      open_->bytes() + (under_way_ != nullptr ? 3 * under_way_->bytes() : 0);
  const std::uint64_t now = bytes / kCommitStep * kCommitStep;
  if (now > charged_commits_) {
    node_.budget.ChargeAlways(Account::kCommits, now - charged_commits_);
  } else if (now < charged_commits_) {
    node_.budget.Release(Account::kCommits, charged_commits_ - now);
  }
  charged_commits_ = now;
}

// ---------------------------------------------------------------- the hard limit

void Logic::LookAtMemory() {
  // Not at once again when there is a little room: each change ends the sessions of other cells.
  const std::uint64_t resume =
      node_.budget.soft_limit() + (node_.budget.hard_limit() - node_.budget.soft_limit()) / 2;
  const bool full = memory_full_ ? node_.budget.used() > resume : node_.budget.full();
  if (full == memory_full_) return;
  node_.log.Write(full ? LogLevel::kError : LogLevel::kInfo,
                  fmt::format("cell {}: {} of {} MiB of process.memory are used: {}", options_.cell,
                              node_.budget.used() >> 20, node_.budget.hard_limit() >> 20,
                              full ? "refusing submissions, and taking nothing from other cells"
                                   : "taking everything"));
  const bool took = Takes();
  memory_full_ = full;
  TakingChanged(took);
}

bool Logic::Takes() const { return disk_ != DiskState::kNoDeliveries && !memory_full_; }

bool Logic::TakesFromPeers() const { return Takes() && !refuse_all_; }

// Paths end and begin with it, so that what is sent meanwhile waits on the senders' disks.
void Logic::TakingChanged(bool took) {
  if (took == Takes()) return;
  if (relay_ != nullptr) relay_->SetAccepting(TakesFromPeers());
  if (took) return;
  for (Resident& r : residents_.by_pending) WantOffer(r, options_.cell);
}

}  // namespace baiwan::cell
