// A user as kept in a snapshot, and how what stands in the log is added to it.
//
// This is the only definition of what a logged mutation does to a user: recovery, tools and the
// simulator fold with it. Pure; one thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "wire/message.h"

namespace baiwan::wire {

struct FriendRecord {
  UserId id = 0;
  Seq sent = 0;      // messages numbered for this friend
  Seq acked = 0;     // of those, durable in the friend's store, as far as we were told
  Seq received = 0;  // messages of this friend in our inbox
  std::uint32_t received_checksum = 0;  // of the last of these

  bool operator==(const FriendRecord&) const = default;
};

// Where the newest section of each box stands in the log; 0: the box is empty.
struct BoxHeads {
  Lsn out = 0;
  Lsn in = 0;

  bool operator==(const BoxHeads&) const = default;
};

struct UserRecord {
  UserId user = 0;
  Seq send_id = 0;
  Seq send_ack_id = 0;  // a lower bound while pending()
  Seq receive_id = 0;
  Seq client_receive_id = 0;
  BoxHeads heads;
  Lsn as_of = 0;                      // everything in the log up to here is folded in
  std::vector<FriendRecord> friends;  // by id, rising

  bool pending() const;  // something sent is not acknowledged
  FriendRecord* Find(UserId id);
  const FriendRecord* Find(UserId id) const;
  bool operator==(const UserRecord&) const = default;
};

// Each returns false, having changed nothing, if the entry cannot follow what is there.
bool FoldOut(UserRecord& record, const Message& message);
bool FoldIn(UserRecord& record, const Message& message);
// Acknowledgements only rise, in whatever order they come; one up to 0 says that the friend's store
// has gone back, and that what follows counts from the beginning.
bool FoldAck(UserRecord& record, UserId from, Seq upto);
bool FoldCursor(UserRecord& record, Seq client_receive_id);
// After the last fold: a user with nothing pending is acknowledged up to its last send id.
void FinishFold(UserRecord& record);

// Version 1, see docs/formats.md. Decode checks everything, the checksum included.
inline constexpr std::uint8_t kUserRecordVersion = 1;
std::string Encode(const UserRecord& record);
enum class DecodeError : std::uint8_t { kNone = 0, kTruncated, kChecksum, kVersion, kMalformed };
const char* Describe(DecodeError error);
DecodeError Decode(std::string_view data, UserRecord& record);

}  // namespace baiwan::wire
