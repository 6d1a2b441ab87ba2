#include "verify/decode.h"

#include "base/checksum.h"

namespace baiwan::verify {
namespace {

constexpr std::size_t kLogKeyBytes = 10;
constexpr std::size_t kSnapshotKeyBytes = 12;
constexpr std::size_t kBlockHeaderBytes = 6;
constexpr std::uint8_t kLastOfCommitFlag = 1;

std::uint32_t Crc32cOf(std::uint8_t byte, std::uint32_t crc) {
  const char c = static_cast<char>(byte);
  return Crc32c({&c, 1}, crc);
}

}  // namespace

std::optional<std::uint64_t> ParseMeta(std::string_view key, std::string_view value) {
  Reader in(value);
  const std::uint64_t number = in.U64();
  const std::uint32_t crc = in.U32();
  if (!in.ok() || !in.done() || crc != Crc32c(value.substr(0, 8), Crc32c(key))) {
    return std::nullopt;
  }
  return number;
}

std::optional<std::string> ParseMetaText(std::string_view key, std::string_view value) {
  if (value.size() < sizeof(std::uint32_t)) return std::nullopt;
  const std::string_view text = value.substr(0, value.size() - sizeof(std::uint32_t));
  if (Reader(value.substr(text.size())).U32() != Crc32c(text, Crc32c(key))) return std::nullopt;
  return std::string(text);
}

std::optional<LogPlace> ParseLogKey(std::string_view key) {
  if (key.size() != kLogKeyBytes) return std::nullopt;
  Reader in(key);
  LogPlace place;
  place.stream = in.U16Be();
  place.lsn = in.U64Be();
  return place;
}

std::string LogKeyOf(LogPlace place) {
  std::string key;
  Writer w(key);
  w.U16Be(place.stream);
  w.U64Be(place.lsn);
  return key;
}

// Not a key itself: longer than one.
std::string LogEndOf(std::uint16_t stream) { return LogKeyOf({stream, ~Lsn{0}}) + '\0'; }

BlockWalker::BlockWalker(std::string_view key, std::string_view value) : place_crc_(Crc32c(key)) {
  if (value.size() < kBlockHeaderBytes) return;
  Reader in(value);
  version_ = in.U8();
  const std::uint8_t flags = in.U8();
  const std::uint32_t crc = in.U32();
  const auto length = static_cast<std::uint32_t>(value.size());
  const std::string_view length_bytes(reinterpret_cast<const char*>(&length), sizeof length);
  header_good_ = crc == Crc32c(length_bytes, Crc32c(value.substr(0, 2), place_crc_));
  last_of_commit_ = (flags & kLastOfCommitFlag) != 0;
  left_ = value.substr(kBlockHeaderBytes);
}

bool BlockWalker::Next(Section* section) {
  here_ = left_;
  *section = {};
  if (left_.empty()) return false;
  Reader in(left_);
  const std::uint8_t type = in.U8();
  section->type = static_cast<SectionType>(type);
  section->payload = in.Sized();
  section->checksum = in.U32();
  if (!in.ok() || type < 1 || type > 4) {
    left_ = {};
    return true;
  }
  left_.remove_prefix(in.position());
  Reader owner(section->payload);
  const std::uint64_t partition = owner.Varint();
  section->partition = static_cast<PartitionId>(partition);
  section->user = owner.Varint();
  section->rest = section->payload.substr(owner.position());
  section->whole = owner.ok() && partition <= 0xFFFF'FFFF;
  return true;
}

bool BlockWalker::Check(const Section& section) const {
  const auto type = static_cast<std::uint8_t>(section.type);
  return section.whole && section.checksum == Crc32c(section.payload, Crc32cOf(type, place_crc_));
}

void BlockWalker::Resync() {
  std::string_view at = here_;
  Section found;
  while (!at.empty()) {
    at.remove_prefix(1);
    left_ = at;
    if (Next(&found) && Check(found)) break;
  }
  left_ = at;
}

MessageWalker::MessageWalker(const Section& section)
    : in_(section.rest), inbox_(section.type == SectionType::kInbox) {
  first_ = next_ = in_.Varint();
  count_ = in_.Varint();
  if (count_ > in_.left()) count_ = 0;  // a message has more than a byte
  left_ = count_;
  previous_ = in_.Varint();
  in_.Varint();  // time of the first message
}

bool MessageWalker::Next(StoredMessage* m) {
  if (left_ == 0) return false;
  const std::uint8_t what = in_.U8();
  const std::uint8_t kind = what & 0x0F;
  m->void_reason = what >> 4;
  m->peer = in_.Varint();
  m->pair_seq = in_.Varint();
  m->seq = next_;
  m->send_id = inbox_ ? in_.Varint() : next_;
  in_.Varint();  // time since the message before
  m->has_checksum = true;
  m->checksum = in_.U32();
  m->body = in_.Sized();
  m->is_void = kind == kVoidMessage;
  if (!in_.ok() || (kind != kTextMessage && kind != kVoidMessage)) return false;
  ++next_;
  --left_;
  return true;
}

bool ParseAcks(const Section& section, std::vector<StoredAck>* acks) {
  acks->clear();
  Reader in(section.rest);
  for (std::uint64_t left = in.Varint(); left > 0 && in.ok(); --left) {
    StoredAck ack;
    ack.from = in.Varint();
    ack.upto = in.Varint();
    if (in.ok()) acks->push_back(ack);
  }
  return in.ok() && in.done();
}

bool ParseCursor(const Section& section, Seq* client_receive_id) {
  Reader in(section.rest);
  *client_receive_id = in.Varint();
  return in.ok() && in.done();
}

std::optional<SnapshotPlace> ParseSnapshotKey(std::string_view key) {
  if (key.size() != kSnapshotKeyBytes) return std::nullopt;
  Reader in(key);
  SnapshotPlace place;
  place.partition = in.U32Be();
  place.user = in.U64Be();
  return place;
}

std::string SnapshotKeyOf(SnapshotPlace place) {
  std::string key;
  Writer w(key);
  w.U32Be(place.partition);
  w.U64Be(place.user);
  return key;
}

const char* ParseSnapshot(std::string_view value, StoredSnapshot* s) {
  s->friends.clear();
  if (value.size() < 5) return "it is cut short";
  const std::string_view content = value.substr(0, value.size() - 4);
  Reader in(content);
  // First the checksum, in the same place in every version: a damaged record is no newer one.
  if (Reader(value.substr(content.size())).U32() != Crc32c(content)) {
    return "its checksum does not match";
  }
  if (in.U8() != kSnapshotVersion) return "it has a format version that is not known here";
  for (Seq* v : {&s->user, &s->send_id, &s->send_ack_id, &s->receive_id, &s->client_receive_id,
                 &s->out_head, &s->in_head, &s->as_of}) {
    *v = in.Varint();
  }
  UserId id = 0;
  for (std::uint64_t left = in.Varint(); left > 0 && in.ok(); --left) {
    SnapshotFriend f;
    const std::uint64_t step = in.Varint();
    if (step == 0) return "its fields contradict each other";
    id += step;
    f.id = id;
    f.sent = in.Varint();
    f.acked = in.Varint();
    f.received = in.Varint();
    if (f.received > 0) f.received_checksum = in.U32();
    if (in.ok()) s->friends.push_back(f);
  }
  return in.ok() && in.done() ? nullptr : "its fields contradict each other";
}

}  // namespace baiwan::verify
