#include "verify/log_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/rng.h"

namespace baiwan::verify {
namespace {

constexpr std::uint64_t kDamageListed = 20;

}  // namespace

LogCheck::LogCheck(const Context& context, BoxChecker& boxes)
    : c_(context),
      boxes_(boxes),
      findings_(boxes.findings()),
      heads_(context.books.people.own_users() / context.shards + 1) {}

// The user's number if it is this shard's to deal with; else kNobody.
Population::Number LogCheck::Mine(UserId user) const {
  const Population::Number n = c_.books.people.Find(user);
  return n != Population::kNobody && n % c_.shards == c_.shard ? n : Population::kNobody;
}

void LogCheck::Damaged(std::string what) {
  if (++damaged_ <= kDamageListed) findings_.Error(std::move(what));
  if (damaged_ == kDamageListed) {
    findings_.Error(fmt::format("store {}: further damage is not listed", c_.path));
  }
}

void LogCheck::ReadStream(std::uint16_t stream, Lsn last) {
  Lsn expected = 1;
  Lsn unused = 0;
  const auto wrong = c_.files.Scan(
      Space::kLog, LogKeyOf({stream, 0}), LogEndOf(stream),
      [&](std::string_view key, std::string_view value) {
        const auto place = ParseLogKey(key);
        if (!place) {
          c_.census.unread[c_.store] = true;
          findings_.Error(fmt::format("store {}: a log key of another form", c_.path));
          return false;
        }
        if (place->lsn > last) return false;
        unused += place->lsn - expected;
        expected = place->lsn + 1;
        return OnBlock(*place, key, value);
      });
  if (wrong) {
    c_.census.unread[c_.store] = true;
    findings_.Error(*wrong);
  }
  if (unused > 0 && first_shard()) {
    findings_.Note(
        fmt::format("store {}: {} positions of stream {} have no block", c_.path, unused, stream));
  }
}

bool LogCheck::OnBlock(LogPlace place, std::string_view key, std::string_view value) {
  BlockWalker block(key, value);
  if (!block.header_good()) {
    if (first_shard()) {
      Damaged(fmt::format("store {}: block {} of stream {} is damaged (its header's checksum)",
                          c_.path, place.lsn, place.stream));
    }
  } else if (block.version() != kBlockVersion) {
    c_.census.unread[c_.store] = true;
    if (first_shard()) {
      findings_.Error(fmt::format(
          "store {}: block {} of stream {} has format version {}, this program knows {}: use the "
          "program that wrote it",
          c_.path, place.lsn, place.stream, block.version(), kBlockVersion));
    }
    return false;
  }
  Section section;
  while (block.Next(&section)) {
    const Population::Number n = section.whole ? Mine(section.user) : Population::kNobody;
    if (n == Population::kNobody) {
      const bool somebody = section.whole && c_.books.people.Find(section.user) != n;
      if (somebody || (section.whole && !first_shard())) {
        // Another shard's to report, but all have to find their way behind it.
        if (!block.Check(section)) block.Resync();
        continue;
      }
    }
    if (!block.Check(section)) {
      block.Resync();
      if (n != Population::kNobody || first_shard()) {
        Damaged(
            fmt::format("store {}: a section in block {} of stream {} is damaged, it seems "
                        "that of user {}",
                        c_.path, place.lsn, place.stream, section.user));
      }
      continue;
    }
    if (n == Population::kNobody) {
      Stranger(section);
    } else {
      OnSection(place, section, n);
    }
  }
  return true;
}

void LogCheck::Stranger(const Section& section) {
  const bool box = section.type == SectionType::kOutbox || section.type == SectionType::kInbox;
  const std::uint64_t count = box ? MessageWalker(section).count() : 1;
  findings_.Add(Kind::kForeign, count, "store {}: {} entries of user {}, who does not exist",
                c_.path, count, section.user);
}

void LogCheck::OnSection(LogPlace place, const Section& section, Population::Number n) {
  const bool own = c_.books.people.IsOwn(n);
  const std::uint32_t home = own ? c_.census.homes[n].load() : Census::kNowhere;
  if (home != c_.store) {
    if (!own || home != Census::kNowhere || !c_.census.Claim(n, c_.store)) {
      return findings_.Add(Kind::kForeign, 1, "store {}: entries of user {}, of another store",
                           c_.path, section.user);
    }
    c_.census.as_of[n] = Census::kCompared;
    findings_.Add(Kind::kCounter, 1, "store {}: user {} has messages and no snapshot", c_.path,
                  section.user);
  }
  if (section.partition != (section.user - 1) % c_.books.spec.partitions) {
    findings_.Add(Kind::kForeign, 1, "store {}: a section of user {} in partition {}, not its own",
                  c_.path, section.user, section.partition);
  }
  if (place.lsn > c_.census.as_of[n]) CompareAt(n);
  switch (section.type) {
    case SectionType::kOutbox:
    case SectionType::kInbox:
      return OnBox(place, section, n);
    case SectionType::kAcks:
      return OnAcks(section, n);
    case SectionType::kCursor:
      return OnCursor(section, n);
  }
}

void LogCheck::OnBox(LogPlace place, const Section& section, Population::Number n) {
  const bool out = section.type == SectionType::kOutbox;
  Heads& heads = heads_[n / c_.shards];
  Lsn& head = out ? heads.out : heads.in;
  MessageWalker messages(section);
  if (messages.previous() != head) {
    findings_.Add(Kind::kCounter, 1,
                  "{} of user {}: the section at {} follows one at {}, the last one is at {}",
                  out ? "outbox" : "inbox", section.user, place.lsn, messages.previous(), head);
  }
  head = place.lsn;
  StoredMessage m;
  while (messages.Next(&m)) {
    if (out) {
      boxes_.Out(n, m);
    } else {
      boxes_.In(n, m);
    }
  }
  if (!messages.whole()) {
    Damaged(fmt::format("store {}: the {} section of user {} in block {} contradicts itself",
                        c_.path, out ? "outbox" : "inbox", section.user, place.lsn));
  }
}

void LogCheck::OnAcks(const Section& section, Population::Number n) {
  if (!ParseAcks(section, &acks_)) {
    return Damaged(fmt::format("store {}: an acks section of user {} contradicts itself", c_.path,
                               section.user));
  }
  for (const StoredAck& ack : acks_) {
    const std::uint64_t relation = c_.books.people.RelationTo(n, ack.from);
    if (relation == Population::kNoRelation) {
      findings_.Add(Kind::kForeign, 1, "user {} has an acknowledgement of user {}, no friend",
                    section.user, ack.from);
      continue;
    }
    RelationBook& book = c_.books.relations[relation];
    if (ack.upto > book.sent) {
      findings_.Add(Kind::kCounter, 1,
                    "user {} has an acknowledgement of user {} up to {}, of {} messages",
                    section.user, ack.from, ack.upto, book.sent);
    }
    // Up to 0: the friend's store has gone back, and what follows counts from the beginning.
    const auto upto = static_cast<std::uint32_t>(std::min<Seq>(ack.upto, kMaxPairSeq));
    book.acked = upto == 0 ? 0 : std::max(book.acked, upto);
  }
}

void LogCheck::OnCursor(const Section& section, Population::Number n) {
  Seq cursor = 0;
  if (!ParseCursor(section, &cursor)) {
    return Damaged(fmt::format("store {}: a cursor section of user {} contradicts itself", c_.path,
                               section.user));
  }
  UserBook& book = c_.books.users[n];
  if (cursor > book.received) {
    findings_.Add(Kind::kCounter, 1, "user {} has read up to {}, of {} messages", section.user,
                  cursor, book.received);
  }
  book.cursor = std::max(book.cursor, cursor);
}

// ---------------------------------------------------------------- snapshots

void LogCheck::CompareAt(Population::Number n) {
  const UserId user = c_.books.people.user(n);
  const auto partition = static_cast<PartitionId>((user - 1) % c_.books.spec.partitions);
  c_.census.as_of[n] = Census::kCompared;
  std::string value;
  const auto got = c_.files.Get(Space::kSnap, SnapshotKeyOf({partition, user}), &value);
  if (!got) return findings_.Error(got.error());
  if (*got && ParseSnapshot(value, &snapshot_) == nullptr) Compare(n, snapshot_);
}

void LogCheck::CompareRest() {
  if (c_.census.unread[c_.store]) return;  // the log is not known to its end
  const auto wrong =
      c_.files.Scan(Space::kSnap, "", "", [&](std::string_view key, std::string_view value) {
        const auto place = ParseSnapshotKey(key);
        const Population::Number n = place ? Mine(place->user) : Population::kNobody;
        if (!c_.books.people.IsOwn(n)) return true;
        if (c_.census.homes[n] != c_.store) return true;
        if (std::exchange(c_.census.as_of[n], Census::kCompared) == Census::kCompared) return true;
        if (ParseSnapshot(value, &snapshot_) == nullptr) Compare(n, snapshot_);
        return true;
      });
  if (wrong) {
    c_.census.unread[c_.store] = true;
    findings_.Error(*wrong);
  }
}

void LogCheck::Number(UserId user, const char* what, std::uint64_t stored, std::uint64_t real) {
  if (stored == real) return;
  findings_.Add(Kind::kCounter, 1,
                "user {}: {} is {} in its snapshot, and {} by what stands in the log", user, what,
                stored, real);
}

void LogCheck::Compare(Population::Number n, const StoredSnapshot& s) {
  const UserId user = c_.books.people.user(n);
  const UserBook& book = c_.books.users[n];
  const Heads& heads = heads_[n / c_.shards];
  Number(user, "SendId", s.send_id, book.sent);
  Number(user, "ReceiveId", s.receive_id, book.received);
  Number(user, "ClientReceiveId", s.client_receive_id, book.cursor);
  Number(user, "the outbox's last section", s.out_head, heads.out);
  Number(user, "the inbox's last section", s.in_head, heads.in);
  CompareFriends(n, s);
  const Seq acked = boxes_.AckedUpTo(n);
  const bool pending = acked < book.sent;
  if (pending ? s.send_ack_id > acked : s.send_ack_id != acked) {  // a lower bound while pending
    Number(user, "SendAckId", s.send_ack_id, acked);
  }
}

void LogCheck::CompareFriends(Population::Number n, const StoredSnapshot& s) {
  const Population& people = c_.books.people;
  const UserId user = people.user(n);
  for (const SnapshotFriend& f : s.friends) {
    const std::uint64_t to = people.RelationTo(n, f.id);
    const Population::Number other = people.Find(f.id);
    if (to == Population::kNoRelation || other == Population::kNobody) continue;  // see Census
    const std::uint64_t from = people.RelationTo(other, user);
    if (from == Population::kNoRelation) continue;
    const RelationBook& sent = c_.books.relations[to];
    const RelationBook& received = c_.books.relations[from];
    const Seq number = boxes_.ReceivedNumber(from);
    if (f.sent == sent.sent && f.acked == sent.acked && f.received == number &&
        (f.received == 0 || f.received_checksum == received.received_checksum)) {
      continue;
    }
    findings_.Add(Kind::kCounter, 1,
                  "user {}: in its snapshot {} are sent to user {}, {} of these acknowledged, {} "
                  "received; by what stands in the log {}, {} and {}{}",
                  user, f.sent, f.id, f.acked, f.received, sent.sent, sent.acked, number,
                  f.received == number ? ", or another checksum of the last" : "");
  }
}

}  // namespace baiwan::verify
