// What a store that was put back from a copy lacks, and what two stores compare of a pair.
#include <utility>

#include "base/checksum.h"
#include "mailbox/user.h"

namespace baiwan::mailbox {

using wire::CommitBatch;
using wire::VoidReason;

Restored User::Restore(const wire::Message& m, CommitBatch& batch) {
  Friend* f = Find(m.peer);
  if (f == nullptr || f->flags & kDiverged) return Restored::kDiverged;
  const auto diverge = [f] {
    f->flags |= kDiverged;
    return Restored::kDiverged;
  };
  if (m.pair_seq <= f->acked) return Restored::kThere;  // it was asked for before that was known
  if (m.send_id <= send_id_) {
    const Pending* p = FindPending(m.send_id);
    const bool same = p != nullptr && p->friend_index == IndexOf(f) && p->pair_seq == m.pair_seq &&
                      p->checksum == m.checksum;
    return same ? Restored::kThere : diverge();
  }
  if (m.pair_seq != Seq{f->sent} + 1 || m.pair_seq > kMaxPairSeq ||
      m.checksum != MessageChecksum(id_, m.peer, m.send_id, m.body)) {
    return diverge();
  }
  DropReorder();
  while (send_id_ + 1 < m.send_id) {
    const Seq lost = send_id_ + 1;
    AppendVoid(lost, MessageChecksum(id_, 0, lost, {}), VoidReason::kLost, m.timestamp_ms, batch);
  }
  Append({m.send_id, m.peer, m.body, m.checksum, false}, m.timestamp_ms, batch);
  return Restored::kAppended;
}

bool User::UnderWay(UserId from) const {
  const Friend* f = Find(from);
  return f != nullptr && f->undurable > 0;
}

User::PairState User::PairWith(UserId friend_id) const {
  const Friend* f = Find(friend_id);
  return f == nullptr ? PairState{} : PairState{f->sent, f->acked};
}

void User::EachPair(const std::function<void(UserId, Seq, Seq)>& each) const {
  for (std::uint32_t i = 0; i < friend_count_; ++i) {
    const Friend& f = friends_[i];
    if (!(f.flags & kDiverged)) each(f.id, f.acked, DurableSent(static_cast<std::uint16_t>(i)));
  }
}

bool User::diverged(UserId with) const {
  const Friend* f = Find(with);
  return f != nullptr && f->flags & kDiverged;
}

void User::Diverge(UserId with) {
  Friend* f = Find(with);
  if (f != nullptr) f->flags |= kDiverged;
}

}  // namespace baiwan::mailbox
