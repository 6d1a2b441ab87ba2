// What the disks of a simulated deployment say: every user and both of its boxes, read by opening a
// copy of each disk as a restart would; and whether that is what must hold at rest.
//
// Threads: one. Failure: ReadDisks says which disk or user does not read; Check* say what does not
// hold, first thing first, or nothing.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/disk.h"
#include "sim/player.h"
#include "sim/workload.h"
#include "store/log/store.h"
#include "wire/message.h"
#include "wire/user_record.h"

namespace baiwan::sim {

struct BoxEntry {
  wire::Message message;  // its body is not valid, see below
  std::string body;
};

struct UserOnDisk {
  wire::UserRecord record;
  std::vector<BoxEntry> out;
  std::vector<BoxEntry> in;
  std::string refused;  // why the records do not read back, if they do not
  bool loss = false;    // the store says that it lost something, perhaps of this user
};
using Disks = std::map<UserId, UserOnDisk>;

// `by_cell` are the disks' contents. Whoever is in `hit`, or named by a store that one of them is
// in, may be refused.
Result<Disks, std::string> ReadDisks(const Workload& workload,
                                     const std::vector<SimDisk::Contents>& by_cell,
                                     const store::StoreOptions& options,
                                     const std::set<UserId>& hit = {});

// Every box for itself: no gap, every entry what its sender's plan says, the counters those of the
// boxes; and nobody was ever told a counter that is higher than what is there, unless the store
// says that it lost something of a user who is hit.
std::string CheckBoxes(const Stage& stage, const Disks& disks);
// The inbox of R restricted to S equals the outbox of S restricted to R; everything stored is
// delivered, and known to be: SendId == SendAckId; the sums agree. All this between users of whom
// none is hit, or between all of them if what they lack comes back.
std::string CheckDelivered(const Stage& stage, const Disks& disks);
// Everybody has said and read everything, but for those who are hit and their friends.
std::string CheckFinished(const Stage& stage, const Disks& disks);

}  // namespace baiwan::sim
