// The bytes of a store, read independently of the code that wrote them.
//
// Written from docs/formats.md ("Store") and sharing nothing with src/store and src/wire, so that a
// mistake in the writer is not made a second time by its reader.
//
// Pure; one thread per object. Failure: a walker stops at what it cannot read and says so; nothing
// reads past the end of what it was given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"

namespace baiwan::verify {

inline constexpr std::uint32_t kOldStoreFormat = 1;  // does not say whose it is
inline constexpr std::uint32_t kStoreFormat = 2;
inline constexpr std::uint8_t kBlockVersion = 1;
inline constexpr std::uint8_t kSnapshotVersion = 1;
inline constexpr std::uint8_t kTextMessage = 1;
inline constexpr std::uint8_t kVoidMessage = 2;

// A number of the meta space; nothing if it does not match its checksum.
std::optional<std::uint64_t> ParseMeta(std::string_view key, std::string_view value);
// Likewise a text.
std::optional<std::string> ParseMetaText(std::string_view key, std::string_view value);

struct LogPlace {
  std::uint16_t stream = 0;
  Lsn lsn = 0;
};
std::optional<LogPlace> ParseLogKey(std::string_view key);
std::string LogKeyOf(LogPlace place);
// What follows every key of a stream, and precedes those of the next.
std::string LogEndOf(std::uint16_t stream);

enum class SectionType : std::uint8_t { kOutbox = 1, kInbox = 2, kAcks = 3, kCursor = 4 };

struct Section {
  bool whole = false;  // of a known type, with a length and an owner that can be right
  SectionType type = SectionType::kOutbox;
  PartitionId partition = 0;  // these may be wrong until Check says that they are not
  UserId user = 0;
  std::string_view payload;
  std::string_view rest;  // the payload behind partition and user
  std::uint32_t checksum = 0;
};

// A block of the log, section by section.
class BlockWalker {
 public:
  // `key` is the block's key, `value` the block; both outlive the walker.
  BlockWalker(std::string_view key, std::string_view value);

  bool header_good() const { return header_good_; }
  std::uint8_t version() const { return version_; }
  bool last_of_commit() const { return last_of_commit_; }
  // The next section, its checksum not looked at; false at the end. One that is not whole is
  // followed by whatever the block's remaining bytes look like: see Resync.
  bool Next(Section* section);
  // Whether the section is as it was written, and where it was written.
  bool Check(const Section& section) const;
  // After damage: goes to the next place behind the damaged section's begin where a section with
  // the right checksum stands, or to the end.
  void Resync();

 private:
  std::string_view left_;
  std::string_view here_;  // where the section that Next gave out last begins
  std::uint32_t place_crc_;
  bool header_good_ = false;
  std::uint8_t version_ = 0;
  bool last_of_commit_ = false;
};

struct StoredMessage {
  Seq seq = 0;
  UserId peer = 0;
  Seq pair_seq = 0;  // 0: not shown, or a void
  Seq send_id = 0;
  bool has_checksum = true;
  std::uint32_t checksum = 0;
  bool is_void = false;
  std::uint8_t void_reason = 0;  // 1: its client's wish, 2: the friend was none by then
  std::string_view body;
};

// The messages of a good outbox or inbox section.
class MessageWalker {
 public:
  explicit MessageWalker(const Section& section);

  Seq first() const { return first_; }
  std::uint64_t count() const { return count_; }
  Lsn previous() const { return previous_; }
  bool Next(StoredMessage* message);
  // After Next was false: everything was read.
  bool whole() const { return in_.ok() && in_.done() && left_ == 0; }

 private:
  Reader in_;
  const bool inbox_;
  Seq first_ = 0;
  Seq next_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t left_ = 0;
  Lsn previous_ = 0;
};

struct StoredAck {
  UserId from = 0;
  Seq upto = 0;
};
// False: the section cannot be read.
bool ParseAcks(const Section& section, std::vector<StoredAck>* acks);
bool ParseCursor(const Section& section, Seq* client_receive_id);

struct SnapshotFriend {
  UserId id = 0;
  Seq sent = 0;
  Seq acked = 0;
  Seq received = 0;
  std::uint32_t received_checksum = 0;
};

struct StoredSnapshot {
  PartitionId partition = 0;
  UserId user = 0;
  Seq send_id = 0;
  Seq send_ack_id = 0;
  Seq receive_id = 0;
  Seq client_receive_id = 0;
  Lsn out_head = 0;
  Lsn in_head = 0;
  Lsn as_of = 0;
  std::vector<SnapshotFriend> friends;
};
struct SnapshotPlace {
  PartitionId partition = 0;
  UserId user = 0;
};
std::optional<SnapshotPlace> ParseSnapshotKey(std::string_view key);
std::string SnapshotKeyOf(SnapshotPlace place);
// Why it cannot be read, or null.
const char* ParseSnapshot(std::string_view value, StoredSnapshot* snapshot);

}  // namespace baiwan::verify
