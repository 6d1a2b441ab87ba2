#include "verify/boxes.h"

#include <algorithm>
#include <utility>

#include "base/checksum.h"

namespace baiwan::verify {
namespace {

// To find whose content stands in a wrong place: how far around it is looked, and how often in all.
constexpr Seq kProbesAround = 2048;
constexpr std::uint64_t kMostProbes = 50'000'000;
constexpr std::uint64_t kMostDisplaced = 1 << 20;
constexpr std::uint64_t kProgressEvery = 1 << 16;

}  // namespace

Books::Books(const stress::WorkloadSpec& workload, const Population& population)
    : spec(workload),
      people(population),
      per_pair(std::uint64_t{workload.messages_per_friend} * workload.rounds),
      users(population.own_users()),
      relations(population.relations()) {}

BoxChecker::BoxChecker(Books& books, std::function<void(std::uint64_t)> progress)
    : books_(books),
      progress_(std::move(progress)),
      plan_(books.spec, books.people),
      probes_left_(kMostProbes),
      displaced_left_(kMostDisplaced) {}

void BoxChecker::Count() {
  if (++copies_ < kProgressEvery) return;
  if (progress_) progress_(copies_);
  copies_ = 0;
}

// ---------------------------------------------------------------- outboxes

void BoxChecker::Out(Population::Number n, const StoredMessage& m) {
  Count();
  const UserId user = books_.people.user(n);
  if (m.seq == 0 || m.seq > plan_.total(n)) {
    UserBook& book = books_.users[n];
    if (m.seq == book.sent + 1) ++book.sent;
    return findings_.Add(Kind::kForeign, 1, "outbox of user {}: send id {}, it has {} to send",
                         user, m.seq, plan_.total(n));
  }
  const bool in_order = OutInOrder(n, m);
  if (m.is_void) return Void(n, m);
  const PlanCache::Place place = plan_.At(n, m.seq);
  const UserId planned = books_.people.friends(n)[place.friend_index];
  if (m.peer != planned || !stress::BodyMatches(books_.spec, user, m.seq, m.body)) {
    return OutOfPlace(n, m);
  }
  const std::uint64_t relation = books_.people.relation(n) + place.friend_index;
  CheckNumber(n, relation, place.pair_seq, m);
  if (m.has_checksum && m.checksum != MessageChecksum(user, m.peer, m.seq, m.body)) {
    return findings_.Add(Kind::kAltered, 1,
                         "outbox of user {}: message {} has a checksum that is not its own", user,
                         m.seq);
  }
  if (in_order) ++out_good_;
}

bool BoxChecker::OutInOrder(Population::Number n, const StoredMessage& m) {
  UserBook& book = books_.users[n];
  if (m.seq == book.sent + 1) {
    ++book.sent;
    return true;
  }
  const UserId user = books_.people.user(n);
  if (m.seq > book.sent) {
    if (!out_gaps_.Add(n, book.sent + 1, m.seq - 1)) {
      findings_.Add(Kind::kLost, m.seq - 1 - book.sent, "outbox of user {}: messages {} to {}",
                    user, book.sent + 1, m.seq - 1);
    }
    book.sent = m.seq;
    return true;
  }
  if (out_gaps_.Take(n, m.seq)) {
    findings_.Add(Kind::kReordered, 1, "outbox of user {}: message {} stands behind {}", user,
                  m.seq, book.sent);
    return false;
  }
  findings_.Add(Kind::kDuplicated, 1, "outbox of user {}: message {} stands there twice", user,
                m.seq);
  return false;
}

void BoxChecker::Void(Population::Number n, const StoredMessage& m) {
  ++voids_;
  const UserId user = books_.people.user(n);
  const char* why = m.void_reason == 1   ? "its client gave it up"
                    : m.void_reason == 2 ? "its receiver was no friend"
                    : m.void_reason == 3 ? "lost when the store was put back from a copy"
                                         : "for a reason not known here";
  findings_.Add(Kind::kLost, 1, "outbox of user {}: message {} is void, {}", user, m.seq, why);
}

// The numbers of a pair follow each other, or are those of the plan where something is missing.
void BoxChecker::CheckNumber(Population::Number n, std::uint64_t relation, Seq planned,
                             const StoredMessage& m) {
  std::uint32_t& last = books_.relations[relation].sent;
  if (m.pair_seq == 0) {  // not shown
    last = std::max(last, static_cast<std::uint32_t>(planned));
    return;
  }
  Seq number = m.pair_seq;
  if (number != last + Seq{1} && number != planned) {
    findings_.Add(Kind::kCounter, 1,
                  "outbox of user {}: message {} is number {} of its pair with user {}, after {}",
                  books_.people.user(n), m.seq, m.pair_seq, m.peer, last);
    number = last + Seq{1};
  }
  last = std::max(last, static_cast<std::uint32_t>(number));
}

// An outbox's entries have their send ids from where they stand, so exchanged ones look altered,
// unless one looks for them elsewhere.
void BoxChecker::OutOfPlace(Population::Number n, const StoredMessage& m) {
  const UserId user = books_.people.user(n);
  const std::uint64_t relation = books_.people.RelationTo(n, m.peer);
  if (relation != Population::kNoRelation) {
    std::uint32_t& last = books_.relations[relation].sent;
    last = std::max(last, static_cast<std::uint32_t>(std::min<Seq>(m.pair_seq, kMaxPairSeq)));
  }
  if (const Seq found = FindContent(n, m); found != 0) {
    displaced_[n].push_back({m.seq, found});
    --displaced_left_;
    return;
  }
  const PlanCache::Place place = plan_.At(n, m.seq);
  const UserId planned = books_.people.friends(n)[place.friend_index];
  if (m.peer != planned) {
    return findings_.Add(Kind::kAltered, 1, "outbox of user {}: message {} is for user {}, not {}",
                         user, m.seq, planned, m.peer);
  }
  findings_.Add(Kind::kAltered, 1, "outbox of user {}: message {} has another body ({} bytes)",
                user, m.seq, m.body.size());
}

Seq BoxChecker::FindContent(Population::Number n, const StoredMessage& m) {
  if (displaced_left_ == 0) return 0;
  const UserId user = books_.people.user(n);
  // The nearest first: what one lost message has shifted stands next to its place.
  for (Seq step = 1; step <= kProbesAround; ++step) {
    for (const Seq s : {m.seq + step, m.seq > step ? m.seq - step : 0}) {
      if (s == 0 || s > plan_.total(n)) continue;
      if (probes_left_ == 0) return 0;
      --probes_left_;
      const auto to = plan_.At(n, s).friend_index;
      if (books_.people.friends(n)[to] == m.peer &&
          stress::BodyMatches(books_.spec, user, s, m.body)) {
        return s;
      }
    }
  }
  return 0;
}

// Contents in each other's places are reordered; one that stands in its own place as well is there
// twice, and the one whose place it took is lost.
void BoxChecker::FinishDisplaced() {
  for (const auto& [n, list] : displaced_) {
    const UserId user = books_.people.user(n);
    std::vector<Seq> places;
    std::vector<Seq> messages;
    for (const Displaced& d : list) {
      places.push_back(d.place);
      messages.push_back(d.message);
    }
    std::sort(places.begin(), places.end());
    std::sort(messages.begin(), messages.end());
    for (const Displaced& d : list) {
      // One whose own place lies behind the end is missing there, and that is said elsewhere.
      if (d.message <= books_.users[n].sent &&
          !std::binary_search(places.begin(), places.end(), d.message)) {
        findings_.Add(Kind::kDuplicated, 1, "outbox of user {}: message {} stands also in place {}",
                      user, d.message, d.place);
      } else if (d.message < d.place) {
        findings_.Add(Kind::kReordered, 1, "outbox of user {}: message {} stands in place {}", user,
                      d.message, d.place);
      }
      if (!std::binary_search(messages.begin(), messages.end(), d.place)) {
        findings_.Add(Kind::kLost, 1, "outbox of user {}: in the place of message {} stands {}",
                      user, d.place, d.message);
      }
    }
  }
  displaced_.clear();
}

// ---------------------------------------------------------------- inboxes

void BoxChecker::In(Population::Number n, const StoredMessage& m) {
  Count();
  UserBook& book = books_.users[n];
  const Population& people = books_.people;
  const UserId user = people.user(n);
  if (m.seq != book.received + 1) {
    findings_.Add(Kind::kCounter, 1, "inbox of user {}: receive id {} follows {}", user, m.seq,
                  book.received);
  }
  book.received = std::max(book.received, m.seq);
  const Population::Number sender = people.Find(m.peer);
  if (sender == Population::kNobody || m.is_void) {
    return findings_.Add(Kind::kForeign, 1, "inbox of user {}: place {} is {} from user {}{}", user,
                         m.seq, m.is_void ? "a void" : "a message", m.peer,
                         sender == Population::kNobody ? ", who does not exist" : "");
  }
  if (m.send_id == 0 || m.send_id > plan_.total(sender)) {
    return findings_.Add(Kind::kForeign, 1,
                         "inbox of user {}: place {} is message {} of user {}, who has {} to send",
                         user, m.seq, m.send_id, m.peer, plan_.total(sender));
  }
  const PlanCache::Place place = plan_.At(sender, m.send_id);
  const auto [receiver, relation] = people.FriendAt(sender, place.friend_index);
  if (receiver != user) {
    return findings_.Add(Kind::kForeign, 1,
                         "inbox of user {}: place {} is message {} of user {}, which is for {}",
                         user, m.seq, m.send_id, m.peer,
                         receiver == 0 ? "a user of another share" : fmt::to_string(receiver));
  }
  bool good = true;
  InOrder(n, relation, place.pair_seq, m, &good);
  if (!stress::BodyMatches(books_.spec, m.peer, m.send_id, m.body)) {
    findings_.Add(Kind::kAltered, 1,
                  "inbox of user {}: message {} of user {} (place {}) has another body ({} bytes)",
                  user, m.send_id, m.peer, m.seq, m.body.size());
    good = false;
  } else if (m.has_checksum && m.checksum != MessageChecksum(m.peer, user, m.send_id, m.body)) {
    findings_.Add(Kind::kAltered, 1,
                  "inbox of user {}: message {} of user {} (place {}) has a checksum that is not "
                  "its own",
                  user, m.send_id, m.peer, m.seq);
    good = false;
  }
  if (good) ++in_good_;
}

// `planned` is where the message should stand among those of its pair.
void BoxChecker::InOrder(Population::Number n, std::uint64_t relation, Seq planned,
                         const StoredMessage& m, bool* in_order) {
  RelationBook& book = books_.relations[relation];
  const UserId user = books_.people.user(n);
  const Seq next_number = ReceivedNumber(relation) + 1;
  const auto shift = static_cast<std::int64_t>(next_number) - 1 - std::int64_t{book.received};
  const Seq planned_number = planned + static_cast<std::uint64_t>(shift);
  Seq number = m.pair_seq;
  if (number == 0) {  // not shown
    number = planned_number;
  } else if (number != next_number && number != planned_number) {
    findings_.Add(Kind::kCounter, 1,
                  "inbox of user {}: message {} of user {} is number {} of its pair, after {}",
                  user, m.send_id, m.peer, m.pair_seq, next_number - 1);
    number = planned_number;
  }
  if (planned > book.received) {
    if (planned > book.received + Seq{1} &&
        !in_gaps_.Add(relation, book.received + Seq{1}, planned - 1)) {
      findings_.Add(Kind::kLost, planned - 1 - book.received,
                    "inbox of user {}: messages {} to {} of its pair with user {}", user,
                    book.received + 1, planned - 1, m.peer);
    }
    book.received = static_cast<std::uint32_t>(planned);
    book.received_checksum = m.checksum;
  } else if (in_gaps_.Take(relation, planned)) {
    findings_.Add(Kind::kReordered, 1,
                  "inbox of user {}: message {} of user {} (place {}) stands behind a later one",
                  user, m.send_id, m.peer, m.seq);
    *in_order = false;
  } else {
    findings_.Add(Kind::kDuplicated, 1,
                  "inbox of user {}: message {} of user {} stands there twice (place {})", user,
                  m.send_id, m.peer, m.seq);
    *in_order = false;
  }
  number = std::max(number, next_number - 1);
  if (number != book.received || !shifts_.empty()) {
    const auto now = static_cast<std::int64_t>(number) - std::int64_t{book.received};
    if (now != 0) {
      shifts_[relation] = now;
    } else {
      shifts_.erase(relation);
    }
  }
}

Seq BoxChecker::ReceivedNumber(std::uint64_t relation) const {
  const Seq planned = books_.relations[relation].received;
  if (shifts_.empty()) return planned;
  const auto found = shifts_.find(relation);
  return found == shifts_.end() ? planned : planned + static_cast<std::uint64_t>(found->second);
}

// ---------------------------------------------------------------- the end

Seq BoxChecker::AckedUpTo(Population::Number n) {
  Seq upto = books_.users[n].sent;
  const std::uint64_t first = books_.people.relation(n);
  const std::size_t friends = books_.people.friends(n).size();
  for (std::size_t i = 0; i < friends; ++i) {
    const RelationBook& book = books_.relations[first + i];
    if (book.acked >= book.sent || book.acked >= books_.per_pair) continue;
    upto =
        std::min(upto, plan_.SendIdOf(n, static_cast<std::uint32_t>(i), Seq{book.acked} + 1) - 1);
  }
  return upto;
}

void BoxChecker::Finish() {
  if (progress_) progress_(copies_);
  copies_ = 0;
  for (const auto& [n, ranges] : out_gaps_.all()) {
    for (const Gaps::Range& r : ranges) {
      findings_.Add(Kind::kLost, r.to - r.from + 1, "outbox of user {}: messages {} to {}",
                    books_.people.user(n), r.from, r.to);
    }
  }
  for (const auto& [relation, ranges] : in_gaps_.all()) {
    const auto [sender, index] = books_.people.At(relation);
    for (const Gaps::Range& r : ranges) {
      findings_.Add(Kind::kLost, r.to - r.from + 1,
                    "inbox of user {}: messages {} to {} of its pair with user {} (send ids from "
                    "{} on)",
                    books_.people.FriendAt(sender, index).user, r.from, r.to,
                    books_.people.user(sender), plan_.SendIdOf(sender, index, r.from));
    }
  }
  FinishDisplaced();
}

}  // namespace baiwan::verify
