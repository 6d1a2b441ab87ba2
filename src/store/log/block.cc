#include "store/log/block.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/planted.h"
#include "store/log/keys.h"

namespace baiwan::store {
namespace {

using wire::CommitBatch;
using wire::Message;

constexpr std::uint8_t kLastOfCommit = 1;
constexpr std::size_t kMinSectionBytes = 1 + 1 + 4;  // type, length, checksum

std::uint32_t PlaceCrc(std::uint16_t stream, Lsn lsn) { return Crc32c(LogKey(stream, lsn)); }

std::uint32_t HeaderCrc(std::uint32_t place_crc, std::string_view first_two, std::size_t length) {
  const auto length32 = static_cast<std::uint32_t>(length);
  return Crc32c({reinterpret_cast<const char*>(&length32), 4}, Crc32c(first_two, place_crc));
}

std::uint64_t ZigZag(std::int64_t v) {
  return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63);
}
std::uint64_t UnZigZag(std::uint64_t v) { return (v >> 1) ^ (~(v & 1) + 1); }

// Fields of bounded length, put together on the stack and appended at once: this is where a
// message's price is made.
class Fields {
 public:
  void U8(std::uint8_t v) { *at_++ = static_cast<char>(v); }
  void U32(std::uint32_t v) {
    std::memcpy(at_, &v, sizeof v);
    at_ += sizeof v;
  }
  void Varint(std::uint64_t v) {
    while (v >= 0x80) {
      *at_++ = static_cast<char>(v | 0x80);
      v >>= 7;
    }
    *at_++ = static_cast<char>(v);
  }
  void Bytes(std::string_view v) {
    std::memcpy(at_, v.data(), v.size());
    at_ += v.size();
  }
  std::string_view view() const { return {bytes_, static_cast<std::size_t>(at_ - bytes_)}; }
  void Clear() { at_ = bytes_; }

 private:
  // Six varints of ten bytes are the most that is ever put together; a section's head is put
  // behind its type and length.
  char bytes_[96];
  char* at_ = bytes_;
};

void AppendMessage(std::string& out, const Message& m, wire::Box box, std::uint64_t previous_ms) {
  Fields f;
  f.U8(static_cast<std::uint8_t>(static_cast<unsigned>(m.kind) | static_cast<unsigned>(m.reason)
                                                                     << 4));
  f.Varint(m.peer);
  f.Varint(m.pair_seq);
  if (box == wire::Box::kIn) f.Varint(m.send_id);
  f.Varint(ZigZag(static_cast<std::int64_t>(m.timestamp_ms - previous_ms)));
  f.U32(m.checksum);
  f.Varint(m.body.size());
  out.append(f.view());
  out.append(m.body);
}

}  // namespace

// --- writing ---

Lsn CommitEncoder::Encode(CommitBatch& batch, Lsn first, const BlockFn& each) {
  each_ = &each;
  lsn_ = first;
  block_.clear();
  // In this order, so that what follows a message in a fold stands behind it in the log: an
  // acknowledgement behind what was sent, a cursor behind what was received.
  for (CommitBatch::User& user : batch.users()) {
    if (user.out.count > 0 && !AddBox(batch, user, wire::Box::kOut)) return 0;
    if (user.in.count > 0 && !AddBox(batch, user, wire::Box::kIn)) return 0;
    if (user.acks.count > 0) AddAcks(batch, user);
    if (user.cursor > 0) AddCursor(user);
    user.heads_after = *user.heads;
  }
  if (!block_.empty()) EndBlock(true);
  return lsn_;
}

void CommitEncoder::BeginSection() {
  if (block_.size() >= block_bytes_) EndBlock(false);
  if (!block_.empty()) return;
  block_.assign(kBlockHeaderBytes, '\0');
  place_crc_ = PlaceCrc(stream_, lsn_);
}

void CommitEncoder::EndBlock(bool last_of_commit) {
  block_[0] = static_cast<char>(kBlockVersion);
  block_[1] = static_cast<char>(last_of_commit ? kLastOfCommit : 0);
  const auto crc = HeaderCrc(place_crc_, std::string_view(block_).substr(0, 2), block_.size());
  std::memcpy(block_.data() + 2, &crc, sizeof crc);
  (*each_)(lsn_, block_);
  ++lsn_;
  block_.clear();
}

void CommitEncoder::AddSection(SectionType type, std::string_view head, std::string_view body) {
  Fields f;
  f.U8(static_cast<std::uint8_t>(type));
  f.Varint(head.size() + body.size());
  const std::size_t payload = block_.size() + f.view().size();
  f.Bytes(head);
  block_.append(f.view());
  block_.append(body);
  const char type_byte = static_cast<char>(type);
  const auto crc =
      Crc32c(std::string_view(block_).substr(payload), Crc32c({&type_byte, 1}, place_crc_));
  block_.append(reinterpret_cast<const char*>(&crc), sizeof crc);
}

// One section, or several in blocks that follow each other if the chain is longer than a block.
bool CommitEncoder::AddBox(const CommitBatch& batch, const CommitBatch::User& user, wire::Box box) {
  const bool out = box == wire::Box::kOut;
  Lsn& head = out ? user.heads->out : user.heads->in;
  for (std::uint32_t index = out ? user.out.first : user.in.first; index != CommitBatch::kEnd;) {
    BeginSection();
    const Message& first = batch.entry(index).message;
    std::uint64_t count = 0;
    std::uint64_t previous_ms = first.timestamp_ms;
    body_.clear();
    do {
      const CommitBatch::Entry& entry = batch.entry(index);
      if (entry.message.seq != first.seq + count) return false;
      AppendMessage(body_, entry.message, box, previous_ms);
      previous_ms = entry.message.timestamp_ms;
      ++count;
      index = entry.next;
    } while (index != CommitBatch::kEnd && block_.size() + body_.size() < block_bytes_);

    Fields f;
    f.Varint(user.partition);
    f.Varint(user.user);
    f.Varint(first.seq);
    f.Varint(count);
    f.Varint(head);
    f.Varint(first.timestamp_ms);
    AddSection(out ? SectionType::kOutbox : SectionType::kInbox, f.view(), body_);
    head = lsn_;
  }
  return true;
}

void CommitEncoder::AddAcks(const CommitBatch& batch, const CommitBatch::User& user) {
  BeginSection();
  body_.clear();
  Fields f;
  for (auto index = user.acks.first; index != CommitBatch::kEnd; index = batch.ack(index).next) {
    f.Clear();
    f.Varint(batch.ack(index).from);
    f.Varint(batch.ack(index).upto);
    body_.append(f.view());
  }
  f.Clear();
  f.Varint(user.partition);
  f.Varint(user.user);
  f.Varint(user.acks.count);
  AddSection(SectionType::kAcks, f.view(), body_);
}

void CommitEncoder::AddCursor(const CommitBatch::User& user) {
  BeginSection();
  Fields f;
  f.Varint(user.partition);
  f.Varint(user.user);
  f.Varint(user.cursor);
  AddSection(SectionType::kCursor, f.view(), {});
}

// --- reading ---

BlockReader::BlockReader(std::uint16_t stream, Lsn lsn, std::string_view block)
    : block_(block), at_(kBlockHeaderBytes), place_crc_(PlaceCrc(stream, lsn)) {
  if (block.size() < kBlockHeaderBytes) {
    at_ = block.size();
    return;
  }
  Reader r(block);
  const std::uint8_t version = r.U8();
  const std::uint8_t flags = r.U8();
  if (r.U32() != HeaderCrc(place_crc_, block.substr(0, 2), block.size())) return;
  health_ = version == kBlockVersion ? BlockHealth::kWhole : BlockHealth::kNewer;
  last_of_commit_ = (flags & kLastOfCommit) != 0;
}

std::size_t BlockReader::Parse(std::size_t at, Item* item) const {
  Reader r(block_.substr(at));
  const std::uint8_t type = r.U8();
  const std::string_view payload = r.Sized();
  const std::uint32_t crc = r.U32();
  if (!r.ok() || type < static_cast<std::uint8_t>(SectionType::kOutbox) ||
      type > static_cast<std::uint8_t>(SectionType::kCursor)) {
    return 0;
  }
  const bool good = crc == Crc32c(payload, Crc32c(block_.substr(at, 1), place_crc_));
  if (!good && !Planted("damage-unseen")) return 0;
  *item = {true, static_cast<SectionType>(type), payload};
  return r.position();
}

bool BlockReader::Next(Item* item) {
  if (at_ >= block_.size()) return false;
  if (const std::size_t length = Parse(at_, item); length > 0) {
    at_ += length;
    return true;
  }
  // Damage. Its length field may be what is damaged, so the next good section is looked for byte by
  // byte; a wrong find has a chance of one in 2^32 for each.
  const std::size_t begin = at_;
  Item found;
  while (++at_ + kMinSectionBytes <= block_.size()) {
    if (Parse(at_, &found) > 0) break;
  }
  if (at_ + kMinSectionBytes > block_.size()) at_ = block_.size();
  Reader r(block_.substr(begin, at_ - begin));
  const std::uint8_t type = r.U8();
  r.Varint();
  *item = {false, static_cast<SectionType>(type),
           block_.substr(begin + r.position(), at_ - begin - r.position())};
  return true;
}

SectionOwner OwnerOf(std::string_view payload) {
  Reader r(payload);
  const std::uint64_t partition = r.Varint();
  const std::uint64_t user = r.Varint();
  if (!r.ok() || partition > 0xFFFF'FFFF) return {};
  return {static_cast<PartitionId>(partition), user};
}

BoxSection::BoxSection(wire::Box box, std::string_view payload) : box_(box) {
  owner_ = OwnerOf(payload);
  Reader r(payload);
  r.Varint();
  r.Varint();
  first_ = next_ = r.Varint();
  count_ = r.Varint();
  previous_ = r.Varint();
  timestamp_ = r.Varint();
  left_ = payload.substr(r.position());
  ok_ = r.ok() && owner_.user != 0 && first_ != 0 && count_ != 0 && count_ <= left_.size();
}

bool BoxSection::Next(Message* m) {
  if (!ok_) return false;
  if (next_ == first_ + count_) {
    ok_ = left_.empty();
    return false;
  }
  Reader r(left_);
  const std::uint8_t what = r.U8();
  m->kind = static_cast<wire::Kind>(what & 0x0F);
  m->reason = static_cast<wire::VoidReason>(what >> 4);
  m->peer = r.Varint();
  m->pair_seq = r.Varint();
  m->seq = next_;
  m->send_id = box_ == wire::Box::kIn ? r.Varint() : next_;
  timestamp_ += UnZigZag(r.Varint());
  m->timestamp_ms = timestamp_;
  m->checksum = r.U32();
  m->body = r.Sized();
  ok_ = r.ok() && (m->kind == wire::Kind::kText || m->kind == wire::Kind::kVoid) &&
        m->reason <= wire::VoidReason::kLost;
  if (!ok_) return false;
  left_.remove_prefix(r.position());
  ++next_;
  return true;
}

bool ReadAcks(std::string_view payload, const std::function<void(UserId, Seq)>& each) {
  Reader r(payload);
  r.Varint();
  r.Varint();
  const std::uint64_t count = r.Varint();
  if (count > r.left()) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    const UserId from = r.Varint();
    const Seq upto = r.Varint();
    if (!r.ok()) return false;
    each(from, upto);
  }
  return r.ok() && r.done();
}

bool ReadCursor(std::string_view payload, Seq* client_receive_id) {
  Reader r(payload);
  r.Varint();
  r.Varint();
  *client_receive_id = r.Varint();
  return r.ok() && r.done();
}

}  // namespace baiwan::store
