// Loading users, and what waits for them meanwhile.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cell/logic/logic.h"

namespace baiwan::cell {
namespace {

constexpr std::uint32_t kRestorePage = 1000;    // messages
constexpr std::size_t kRestoreBytes = 1 << 20;  // bodies
constexpr std::uint32_t kPolicy = 1008;         // a close code of WebSocket (RFC 6455)
constexpr std::size_t kParkedOverhead = 256;    // bytes a parked call takes, about

wire::Reason ReasonOf(store::StoreError error) {
  switch (error) {
    case store::StoreError::kUnknownUser:
      return wire::REASON_UNKNOWN_USER;
    case store::StoreError::kCorrupt:
    case store::StoreError::kVersion:
      return wire::REASON_CORRUPT;
    default:
      return wire::REASON_NOT_READY;
  }
}

}  // namespace

Resident* Logic::Ready(UserId user) const {
  Resident* r = residents_.Find(user);
  return r != nullptr && !r->rewound ? r : nullptr;
}

void Logic::WithUser(UserId user, std::size_t parked_bytes, ParkedFn work) {
  Park(user, {std::move(work), parked_bytes});
}

void Logic::Park(UserId user, Parked parked) {
  if (Resident* r = Ready(user)) {
    parked.work(r, wire::REASON_NONE);
    return;
  }
  if (table_.CellOf(user) != options_.cell) {
    parked.work(nullptr, wire::REASON_WRONG_CELL);
    return;
  }
  const auto [it, is_new] = loading_.try_emplace(user);
  Loading& loading = it->second;
  parked.bytes += kParkedOverhead;
  node_.budget.ChargeAlways(Account::kUsers, parked.bytes);
  loading.charged += parked.bytes;
  loading.parked.push_back(std::move(parked));
  if (is_new) load_queue_.push_back(user);
}

void Logic::Unpark(Loading& loading, const std::function<bool(const Parked&)>& which) {
  std::erase_if(loading.parked, [&](const Parked& p) {
    if (!which(p)) return false;
    node_.budget.Release(Account::kUsers, p.bytes);
    loading.charged -= p.bytes;
    return true;
  });
}

// What a client has asked for that is gone now. True if it submitted something before it went: that
// is done, and its end comes behind it.
bool Logic::CloseParked(UserId user, ClientPort& from, SessionId session) {
  const auto at = loading_.find(user);
  if (at == loading_.end()) return false;
  const auto of_it = [&](const Parked& p) { return p.port == &from && p.session == session; };
  const auto& parked = at->second.parked;
  const bool sent = std::any_of(parked.begin(), parked.end(),
                                [&](const Parked& p) { return of_it(p) && p.submits; });
  if (!sent) {
    Unpark(at->second, of_it);
    return false;
  }
  WithUser(user, 0, [this, &from, session](Resident* r, wire::Reason) {
    if (r != nullptr) ForgetSession(*r, from, session);
  });
  return true;
}

void Logic::StartLoads() {
  while (loads_ < options_.max_loads && !load_queue_.empty()) {
    const UserId user = load_queue_.front();
    load_queue_.pop_front();
    const Resident* const again = residents_.Find(user);
    if (again == nullptr && loading_[user].parked.empty()) {  // nobody waits any more
      loading_.erase(user);
      continue;
    }
    ++loads_;
    if (again != nullptr) {
      again->user.restored() ? FinishLoad(user, nullptr, wire::REASON_NONE) : RestoreMore(user);
      continue;
    }
    ++counters_.loads;
    store_.Load(table_.PartitionOf(user), user,
                [this, user, alive = alive_](Result<wire::UserRecord, store::StoreError> record) {
                  if (*alive) Loaded(user, std::move(record));
                });
  }
}

void Logic::RecoverMore() {
  // Half of the loads at most: users whose clients are waiting come first.
  const std::uint32_t most = std::max(1U, options_.max_loads / 2);
  while (!recover_.empty() && loads_ + load_queue_.size() < most) {
    const UserId user = recover_.front();
    recover_.pop_front();
    WithUser(user, 0, [](Resident*, wire::Reason) {});
  }
}

void Logic::Loaded(UserId user, Result<wire::UserRecord, store::StoreError> record) {
  if (!record) {
    if (record.error() != store::StoreError::kUnknownUser) {
      node_.log.Error("user {} cannot be loaded: {}", user, Message(record.error()));
    }
    FinishLoad(user, nullptr, ReasonOf(record.error()));
    return;
  }
  auto resident = std::make_unique<Resident>(*record, table_.PartitionOf(user));
  if (resident->user.restored()) {
    FinishLoad(user, std::move(resident), wire::REASON_NONE);
    return;
  }
  loading_[user].restoring = std::move(resident);
  RestoreMore(user);
}

// A friend's store has gone back, and what it lacks is only in the outbox. From here on nothing
// comes to this user before it is loaded again, so after the next commit no batch holds it.
void Logic::Rewind(Resident& r) {
  r.rewound = true;
  residents_.SetPending(r, false);
  loading_.try_emplace(r.user.id());  // what comes meanwhile is parked
}

// Its snapshot is durable: everything since the friend's store went back has to be found in the
// outbox again.
void Logic::LoadAgain(Resident& r) {
  ++counters_.rewinds;
  CHECK(!InBatch(r), "no batch points to a user that is replaced");
  mailbox::User before = std::move(r.user);
  r.user = mailbox::User(before.ToRecord(*open_), before.partition());
  r.user.TakeMemory(before);
  r.user.context = &r;
  load_queue_.push_back(r.user.id());
}

mailbox::User& Logic::Restoring(UserId user) {
  Resident* r = residents_.Find(user);
  return r != nullptr ? r->user : loading_[user].restoring->user;
}

void Logic::RestoreMore(UserId user) {
  const mailbox::User& u = Restoring(user);
  store_.ReadBox(user, wire::Box::kOut, u.durable_heads().out, u.restore_from(), kRestorePage,
                 kRestoreBytes,
                 [this, user, alive = alive_](Result<store::BoxPage, store::StoreError> page) {
                   if (!*alive) return;
                   Loading& loading = loading_[user];
                   mailbox::User& restoring = Restoring(user);
                   if (!page || page->messages.empty()) {
                     node_.log.Error("user {}: the outbox cannot be read from {} on: {}", user,
                                     restoring.restore_from(),
                                     page ? "messages are missing" : Message(page.error()));
                     FinishLoad(user, nullptr, wire::REASON_CORRUPT);
                     return;
                   }
                   for (const wire::Message& m : page->messages) {
                     if (!restoring.restored()) restoring.RestorePending(m);
                   }
                   if (!restoring.restored()) return RestoreMore(user);
                   FinishLoad(user, std::move(loading.restoring), wire::REASON_NONE);
                 });
}

// Its outbox does not read back: who is connected or waits hears so.
void Logic::Abandon(Resident& r, wire::Reason why) {
  for (const auto& s : r.sessions) CloseSession(*s->port, s->id, kPolicy, Describe(why));
  for (const Waiter& w : r.waiters) {
    Refuse(nullptr, *w.port, w.session, w.request_id, w.send_id, why);
  }
  for (const Repeat& repeat : r.repeats) {
    Refuse(nullptr, *repeat.port, repeat.session, repeat.request_id, repeat.submit.send_id(), why);
  }
  if (r.told) std::erase(told_, &r);
  CHECK(!InBatch(r), "no batch points to a user that is dropped");
  node_.budget.Release(Account::kUsers, r.charged);
  node_.budget.Release(Account::kReorder, r.charged_reorder);
  residents_.Erase(r);
}

void Logic::FinishLoad(UserId user, std::unique_ptr<Resident> resident, wire::Reason failed) {
  --loads_;
  Loading loading = std::move(loading_[user]);
  loading_.erase(user);
  node_.budget.Release(Account::kUsers, loading.charged);
  Resident* r = residents_.Find(user);
  if (r != nullptr && failed != wire::REASON_NONE) {
    Abandon(*r, failed);
    r = nullptr;
  }
  if (r != nullptr) r->rewound = false;
  if (resident != nullptr) r = &residents_.Insert(std::move(resident));
  if (r != nullptr) {
    Recharge(*r);
    residents_.SetPending(*r, r->user.pending());
    if (r->user.pending()) StartSessions(*r, true);
  }
  for (Parked& parked : loading.parked) {
    if (r != nullptr && r->rewound) {
      Park(user, std::move(parked));  // the one before has sent it back once more
    } else {
      parked.work(r, failed);
    }
  }
}

}  // namespace baiwan::cell
