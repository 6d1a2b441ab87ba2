// Blocks: what stands at one position of the log. docs/formats.md has them byte by byte.
//
// A block gathers the sections of many users until it is long enough, so that a commit of a
// thousand small messages is some 25 puts with rising keys. Every section has a checksum over its
// position, type and payload, so one that is altered, or stands elsewhere than it was written, is
// refused alone; the block's header has one over its position, flags and length, so a block that
// is cut short is noticed.
//
// Pure; one thread per object. Failure: a reader never passes the end of what it was given,
// whatever that is, and gives out damage as items of their own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "wire/commit_batch.h"
#include "wire/message.h"

namespace baiwan::store {

inline constexpr std::uint8_t kBlockVersion = 1;
inline constexpr std::size_t kBlockHeaderBytes = 6;

enum class SectionType : std::uint8_t { kOutbox = 1, kInbox = 2, kAcks = 3, kCursor = 4 };

// Turns commit batches into blocks. Kept from commit to commit for its buffers.
class CommitEncoder {
 public:
  // `block` is valid during the call only.
  using BlockFn = std::function<void(Lsn lsn, std::string_view block)>;

  CommitEncoder(std::uint16_t stream, std::uint32_t block_bytes)
      : stream_(stream), block_bytes_(block_bytes) {}

  // Encodes all sections of `batch` into blocks from position `first` on and moves the users'
  // heads to where their sections stand. Returns the position after the last block (`first` if the
  // batch has no sections), or 0 if a chain's sequences do not follow each other: then nothing of
  // the batch may be kept.
  Lsn Encode(wire::CommitBatch& batch, Lsn first, const BlockFn& each);

 private:
  void BeginSection();
  void EndBlock(bool last_of_commit);
  void AddSection(SectionType type, std::string_view head, std::string_view body);
  bool AddBox(const wire::CommitBatch& batch, const wire::CommitBatch::User& user, wire::Box box);
  void AddAcks(const wire::CommitBatch& batch, const wire::CommitBatch::User& user);
  void AddCursor(const wire::CommitBatch::User& user);

  const std::uint16_t stream_;
  const std::uint32_t block_bytes_;
  const BlockFn* each_ = nullptr;
  Lsn lsn_ = 0;
  std::string block_;  // the block being gathered; empty: none
  std::string body_;   // the messages of the section being gathered
  std::uint32_t place_crc_ = 0;
};

enum class BlockHealth : std::uint8_t {
  kWhole,
  kDamaged,  // altered or cut short; sections in it may still be good
  kNewer,    // a good block of a format version that this program does not know
};

class BlockReader {
 public:
  // `block` outlives the reader.
  BlockReader(std::uint16_t stream, Lsn lsn, std::string_view block);

  BlockHealth health() const { return health_; }
  bool last_of_commit() const { return last_of_commit_; }

  struct Item {
    bool good = false;  // the checksum matches
    SectionType type = SectionType::kOutbox;
    std::string_view payload;  // not good: everything up to the next good section, from where the
                               // payload should begin
  };
  // The next section, or the next stretch of damage; false at the end.
  bool Next(Item* item);

 private:
  // The length of the section at `at`, framing included, if a good one stands there; else 0.
  std::size_t Parse(std::size_t at, Item* item) const;

  std::string_view block_;
  std::size_t at_ = 0;
  std::uint32_t place_crc_ = 0;
  BlockHealth health_ = BlockHealth::kDamaged;
  bool last_of_commit_ = false;
};

// Whose section it is: the begin of every payload. Zero if it cannot be read.
struct SectionOwner {
  PartitionId partition = 0;
  UserId user = 0;

  bool operator==(const SectionOwner&) const = default;
  auto operator<=>(const SectionOwner&) const =
      default;  // NOLINT(modernize-use-nullptr): its own 0
};
SectionOwner OwnerOf(std::string_view payload);

// The payload of a box section, message by message.
class BoxSection {
 public:
  // `payload` is a good section's and outlives this; message bodies point into it.
  BoxSection(wire::Box box, std::string_view payload);

  const SectionOwner& owner() const { return owner_; }
  Seq first() const { return first_; }
  std::uint64_t count() const { return count_; }
  Lsn previous() const { return previous_; }  // of this user and box; 0: this is the first

  // The next message; false after the last, or if what is there is not one: see ok().
  bool Next(wire::Message* message);
  bool ok() const { return ok_; }

 private:
  std::string_view left_;
  wire::Box box_;
  SectionOwner owner_;
  Seq first_ = 0;
  Seq next_ = 0;
  std::uint64_t count_ = 0;
  Lsn previous_ = 0;
  std::uint64_t timestamp_ = 0;
  bool ok_ = false;
};

// Calls `each` for every acknowledgement of an acks section's payload; false if it is malformed.
bool ReadAcks(std::string_view payload, const std::function<void(UserId from, Seq upto)>& each);
// The read position in a cursor section's payload; false if it is malformed.
bool ReadCursor(std::string_view payload, Seq* client_receive_id);

}  // namespace baiwan::store
