#include "wire/user_record.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/checksum.h"

namespace baiwan::wire {
namespace {

auto LowerBound(auto& friends, UserId id) {
  return std::lower_bound(friends.begin(), friends.end(), id,
                          [](const FriendRecord& f, UserId i) { return f.id < i; });
}

}  // namespace

bool UserRecord::pending() const {
  return std::any_of(friends.begin(), friends.end(),
                     [](const FriendRecord& f) { return f.acked < f.sent; });
}

FriendRecord* UserRecord::Find(UserId id) {
  const auto it = LowerBound(friends, id);
  return it != friends.end() && it->id == id ? &*it : nullptr;
}

const FriendRecord* UserRecord::Find(UserId id) const {
  const auto it = LowerBound(friends, id);
  return it != friends.end() && it->id == id ? &*it : nullptr;
}

bool FoldOut(UserRecord& record, const Message& message) {
  if (message.seq != record.send_id + 1) return false;
  if (message.kind == Kind::kText) {
    FriendRecord* to = record.Find(message.peer);
    if (to == nullptr || message.pair_seq != to->sent + 1) return false;
    to->sent = message.pair_seq;
  }
  record.send_id = message.seq;
  return true;
}

bool FoldIn(UserRecord& record, const Message& message) {
  FriendRecord* from = record.Find(message.peer);
  if (from == nullptr || message.seq != record.receive_id + 1 ||
      message.pair_seq != from->received + 1) {
    return false;
  }
  record.receive_id = message.seq;
  from->received = message.pair_seq;
  from->received_checksum = message.checksum;
  return true;
}

bool FoldAck(UserRecord& record, UserId from, Seq upto) {
  FriendRecord* f = record.Find(from);
  if (f == nullptr || upto > f->sent) return false;
  if (upto > 0) {
    f->acked = std::max(f->acked, upto);
  } else if (f->acked > 0) {
    f->acked = 0;
    record.send_ack_id = 0;  // only the outbox knows what that was
  }
  return true;
}

bool FoldCursor(UserRecord& record, Seq client_receive_id) {
  if (client_receive_id > record.receive_id) return false;
  record.client_receive_id = std::max(record.client_receive_id, client_receive_id);
  return true;
}

void FinishFold(UserRecord& record) {
  if (!record.pending()) record.send_ack_id = record.send_id;
}

std::string Encode(const UserRecord& r) {
  std::string out;
  out.reserve(64 + r.friends.size() * 16);
  Writer w(out);
  w.U8(kUserRecordVersion);
  for (const std::uint64_t v : {r.user, r.send_id, r.send_ack_id, r.receive_id, r.client_receive_id,
                                r.heads.out, r.heads.in, r.as_of}) {
    w.Varint(v);
  }
  w.Varint(r.friends.size());
  UserId previous = 0;
  for (const FriendRecord& f : r.friends) {
    w.Varint(f.id - previous);
    previous = f.id;
    w.Varint(f.sent);
    w.Varint(f.acked);
    w.Varint(f.received);
    if (f.received > 0) w.U32(f.received_checksum);
  }
  w.U32(Crc32c(out));
  return out;
}

const char* Describe(DecodeError error) {
  switch (error) {
    case DecodeError::kNone:
      return "good";
    case DecodeError::kTruncated:
      return "cut short";
    case DecodeError::kChecksum:
      return "its checksum does not match";
    case DecodeError::kVersion:
      return "written in a format version that this program does not know";
    case DecodeError::kMalformed:
      return "its fields contradict each other";
  }
  return "unknown";
}

DecodeError Decode(std::string_view data, UserRecord& r) {
  if (data.size() < 5) return DecodeError::kTruncated;
  const auto content = data.substr(0, data.size() - 4);
  Reader in(content);
  // First the checksum, in the same place in every version: a damaged record is no newer one.
  if (Reader(data.substr(content.size())).U32() != Crc32c(content)) return DecodeError::kChecksum;
  if (in.U8() != kUserRecordVersion) return DecodeError::kVersion;
  for (std::uint64_t* v : {&r.user, &r.send_id, &r.send_ack_id, &r.receive_id, &r.client_receive_id,
                           &r.heads.out, &r.heads.in, &r.as_of}) {
    *v = in.Varint();
  }
  if (r.send_ack_id > r.send_id || r.client_receive_id > r.receive_id) {
    return DecodeError::kMalformed;
  }
  const auto count = in.Varint();
  if (!in.ok() || count > in.left() / 4) return DecodeError::kMalformed;
  r.friends.clear();
  r.friends.reserve(count);
  UserId previous = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    FriendRecord f;
    const auto step = in.Varint();
    f.id = previous + step;
    f.sent = in.Varint();
    f.acked = in.Varint();
    f.received = in.Varint();
    if (f.received > 0) f.received_checksum = in.U32();
    if (step == 0 || f.id < previous || f.acked > f.sent || f.sent > kMaxPairSeq ||
        f.received > kMaxPairSeq) {
      return DecodeError::kMalformed;
    }
    previous = f.id;
    r.friends.push_back(f);
  }
  return in.ok() && in.done() ? DecodeError::kNone : DecodeError::kMalformed;
}

}  // namespace baiwan::wire
