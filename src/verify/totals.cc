#include "verify/totals.h"

#include <algorithm>

namespace baiwan::verify {

Totals::Totals(const Books& books, const Census& census, const std::vector<Told>& told,
               bool complete)
    : books_(books), census_(census), told_(told), complete_(complete) {
  for (const auto& unread : census.unread) some_unread_ = some_unread_ || unread;
}

void Totals::Check(Population::Number n, BoxChecker& boxes) const {
  if (census_.homes[n] == Census::kNowhere) Missing(n, boxes);
  if (census_.Readable(n)) Outbox(n, boxes);
  Pairs(n, boxes);
}

void Totals::Missing(Population::Number n, BoxChecker& boxes) const {
  if (some_unread_) return;  // an error says which store was not read to its end
  const Told told = told_.empty() ? Told{} : told_[n];
  const Seq own = complete_ ? boxes.plan().total(n) : told.send_id;
  const Seq all = complete_ ? 2 * own : own;  // both boxes
  boxes.findings().Add(Kind::kLost, std::max<Seq>(all, 1),
                       "user {} stands in no store: give the stores of all cells",
                       books_.people.user(n));
}

void Totals::Outbox(Population::Number n, BoxChecker& boxes) const {
  const UserId user = books_.people.user(n);
  const Seq sent = books_.users[n].sent;
  const Told told = told_.empty() ? Told{} : told_[n];
  const Seq wanted = std::max(told.send_id, complete_ ? boxes.plan().total(n) : 0);
  if (sent < wanted) {
    boxes.findings().Add(Kind::kLost, wanted - sent,
                         "outbox of user {}: it ends with message {} of {}; its client was told {}",
                         user, sent, wanted, told.send_id);
  }
  const Seq acked = boxes.AckedUpTo(n);
  if (const Seq known = std::min(told.send_ack_id, sent); acked < known) {
    boxes.findings().Add(Kind::kLost, known - acked,
                         "user {}: SendAckId is {}; its client was told {}", user, acked,
                         told.send_ack_id);
  } else if (complete_ && acked < sent) {
    boxes.findings().Add(Kind::kCounter, 1, "user {}: SendAckId is {}, SendId is {}", user, acked,
                         sent);
  }
}

void Totals::Pairs(Population::Number n, BoxChecker& boxes) const {
  const Population& people = books_.people;
  const UserId user = people.user(n);
  const auto friends = people.friends(n);
  const bool sender_read = census_.Readable(n);
  for (std::size_t i = 0; i < friends.size(); ++i) {
    const RelationBook& pair = books_.relations[people.relation(n) + i];
    const Population::Number other = people.Find(friends[i]);
    if (!people.IsOwn(other)) continue;
    CheckPair({user, friends[i], pair.sent, pair.acked, pair.received, sender_read,
               census_.Readable(other)},
              books_.per_pair, complete_, &boxes.findings());
  }
}

void CheckPair(const PairEnds& ends, Seq per_pair, bool complete, Findings* findings) {
  if (!ends.receiver_read) return;
  Seq wanted = ends.sender_read ? ends.acked : 0;
  if (complete) wanted = per_pair;
  if (ends.received < wanted) {
    findings->Add(Kind::kLost, wanted - ends.received,
                  "inbox of user {}: it ends with message {} of {} of its pair with user {}, who "
                  "knows {} to be delivered",
                  ends.receiver, ends.received, wanted, ends.sender, ends.acked);
  }
  if (!complete && ends.sender_read && ends.received > ends.sent) {
    findings->Add(Kind::kLost, ends.received - ends.sent,
                  "outbox of user {}: it ends with message {} to user {}, who has {}", ends.sender,
                  ends.sent, ends.receiver, ends.received);
  }
}

}  // namespace baiwan::verify
