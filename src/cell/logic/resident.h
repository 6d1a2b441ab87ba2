// The users that a logic server has in memory, and the lists they stand in.
//
// A user is resident, being loaded (what comes for it meanwhile is parked, within bounds), or on
// disk only. Residents stand in intrusive lists: by last use (for eviction), by first change since
// their last snapshot (for checkpoints), those with something unacknowledged (for sessions), and
// those with something that waits for its number (so that it expires).
//
// Threads: one loop. Order of iteration is the order of insertion: the simulator can rely on it.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cell/ports.h"
#include "mailbox/user.h"
#include "wire/client.pb.h"

namespace baiwan::cell {

// A connected client of a resident user.
struct Session {
  ClientPort* port = nullptr;
  SessionId id = 0;
  std::string device;    // its name, if it gave one
  bool receive = false;  // push the inbox
  bool sends = false;    // has submitted; at most one session of a user
  bool paused = false;   // reads slower than we push
  bool reading = false;  // a page for it is being read
  bool dirty = false;    // has something to be told at the end of the turn
  Seq pushed = 0;        // inbox up to here was pushed
  std::vector<wire::Refusal> refusals;
  std::vector<wire::BoxMessage> pushes;
};

// A request that is answered when SendId reaches its message.
struct Waiter {
  ClientPort* port = nullptr;
  SessionId session = 0;
  std::uint64_t request_id = 0;
  Seq send_id = 0;
};

// A message that came again while the first of its number is under way: whether it is the same
// shows when that one is durable.
struct Repeat {
  ClientPort* port = nullptr;
  SessionId session = 0;
  std::uint64_t request_id = 0;
  wire::Submit submit;
  std::size_t bytes = 0;  // charged
};

// Where a resident stands in the queues of a path.
struct Place {
  CellId cell = 0;
  bool offers = false;
  bool refill = false;
  bool first = false;  // was its turn while its outbox was being read: it comes back to the front
};

using Hook =
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

struct Resident {
  explicit Resident(const wire::UserRecord& record, PartitionId partition)
      : user(record, partition) {
    user.context = this;
  }

  mailbox::User user;
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<Waiter> waiters;
  std::vector<Repeat> repeats;
  std::size_t repeat_bytes = 0;  // of these
  std::vector<Place> places;
  std::uint64_t charged = 0;          // bytes in the budget's users account
  std::uint64_t charged_reorder = 0;  // … and in its reorder account
  std::uint64_t touched_turn = 0;
  Lsn first_change = 0;   // position before the first change that no snapshot has
  bool evicting = false;  // its last snapshot is being committed
  // A friend's store has gone back: its user is replaced by what the disk says once no batch holds
  // it any more. Until it is restored, nothing is done with it; see Logic::Ready.
  bool rewound = false;
  bool refilling = false;  // its outbox is being read back
  bool told = false;       // stands in the turn's list of residents with dirty sessions
  Seq audit_ack = 0;       // SendAckId at the last audit
  Hook by_use;
  Hook by_change;
  Hook by_pending;
  Hook by_reorder;
  Nanos reorder_due = 0;  // when what waits for its number has aged
};

template <Hook Resident::*Member>
using ResidentList =
    boost::intrusive::list<Resident, boost::intrusive::member_hook<Resident, Hook, Member>,
                           boost::intrusive::constant_time_size<false>>;

class Residents {
 public:
  Residents();
  ~Residents();
  Residents(const Residents&) = delete;
  Residents& operator=(const Residents&) = delete;

  Resident* Find(UserId user) const;
  Resident& Insert(std::unique_ptr<Resident> resident);
  void Erase(Resident& resident);
  std::size_t size() const;

  // Moves it to the young end of by_use.
  void Touch(Resident& r);
  void MarkChanged(Resident& r, Lsn before);
  void MarkClean(Resident& r);
  void SetPending(Resident& r, bool pending);
  // Puts it at the young end of by_reorder, or takes it out.
  void SetReorder(Resident& r, bool waits);

  ResidentList<&Resident::by_use> by_use;          // least recently used first
  ResidentList<&Resident::by_change> by_change;    // oldest change first
  ResidentList<&Resident::by_pending> by_pending;  // longest pending first
  ResidentList<&Resident::by_reorder> by_reorder;  // those with something that waits for its number

 private:
  struct Table;
  std::unique_ptr<Table> table_;
};

}  // namespace baiwan::cell
