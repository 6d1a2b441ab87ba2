// Messages as they stand in boxes, one after the other, against what the plan says of them.
//
// Both boxes are compared with the same pure function of (seed, sender, send id), and so with each
// other. What is remembered is a few numbers for each user and relation; a message that comes out
// of turn costs a little more.
//
// Threads: a BoxChecker belongs to one thread; several share the Books, in which each writes only
// what belongs to its own users: their UserBook, `sent` and `acked` of the relations to their
// friends, `received` and `received_checksum` of the relations of their friends to them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "verify/decode.h"
#include "verify/gaps.h"
#include "verify/population.h"
#include "verify/report.h"

namespace baiwan::verify {

struct UserBook {
  Seq sent = 0;      // highest send id in the outbox, voids included
  Seq received = 0;  // highest receive id in the inbox
  Seq cursor = 0;    // ClientReceiveId
};

// Of a user to a friend. If only one of both is own, the other's side stays zero: see share.h.
struct RelationBook {
  std::uint32_t sent = 0;      // the last pair sequence in the outbox
  std::uint32_t acked = 0;     // of those
  std::uint32_t received = 0;  // the furthest in the plan that stands in the friend's inbox
  std::uint32_t received_checksum = 0;  // of that
};

struct Books {
  Books(const stress::WorkloadSpec& workload, const Population& population);

  const stress::WorkloadSpec& spec;
  const Population& people;
  Seq per_pair;                         // messages that a user has for each friend
  std::vector<UserBook> users;          // own ones
  std::vector<RelationBook> relations;  // all that have a number
};

class BoxChecker {
 public:
  // `progress` may be empty; it is told how many copies were looked at since it was last called.
  BoxChecker(Books& books, std::function<void(std::uint64_t copies)> progress);

  // The next message of user number `n`, who is own, as it stands in the box.
  void Out(Population::Number n, const StoredMessage& m);
  void In(Population::Number n, const StoredMessage& m);
  // After the last one: what has not come by now is lost.
  void Finish();

  // The number of a pair's last message in the receiver's inbox as it stands there, which is not
  // that of the plan if one in between is missing.
  Seq ReceivedNumber(std::uint64_t relation) const;
  // Up to where a sender's messages are acknowledged, voids not counted.
  Seq AckedUpTo(Population::Number n);

  Findings& findings() { return findings_; }
  PlanCache& plan() { return plan_; }
  std::uint64_t outbox_messages() const { return out_good_; }
  std::uint64_t inbox_messages() const { return in_good_; }
  std::uint64_t voids() const { return voids_; }

 private:
  struct Displaced {
    Seq place = 0;
    Seq message = 0;  // whose content stands there
  };

  bool OutInOrder(Population::Number n, const StoredMessage& m);
  void Void(Population::Number n, const StoredMessage& m);
  void CheckNumber(Population::Number n, std::uint64_t relation, Seq planned,
                   const StoredMessage& m);
  void OutOfPlace(Population::Number n, const StoredMessage& m);
  Seq FindContent(Population::Number n, const StoredMessage& m);
  void InOrder(Population::Number n, std::uint64_t relation, Seq planned, const StoredMessage& m,
               bool* in_order);
  void FinishDisplaced();
  void Count();

  Books& books_;
  const std::function<void(std::uint64_t)> progress_;
  PlanCache plan_;
  Findings findings_;
  Gaps out_gaps_;                                           // by user number
  Gaps in_gaps_;                                            // by relation of sender to receiver
  std::unordered_map<std::uint64_t, std::int64_t> shifts_;  // stored number - planned, if not 0
  std::map<Population::Number, std::vector<Displaced>> displaced_;
  std::uint64_t probes_left_;
  std::uint64_t displaced_left_;
  std::uint64_t copies_ = 0;
  std::uint64_t out_good_ = 0;
  std::uint64_t in_good_ = 0;
  std::uint64_t voids_ = 0;
};

}  // namespace baiwan::verify
