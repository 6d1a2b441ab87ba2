// Walks through boxes that clients cause: a frame of a few bytes may ask for one that takes
// seconds.
//
// So of each user one is under way, and of all users no more than a turn of the loop can bear; the
// users whose walks wait have them in turn. What waits is bounded for each user and charged to the
// budget's users account; while memory is out no more than one walk is under way. What nobody waits
// for any more, because its session or the whole gateway is gone, is dropped, or ends soon if it is
// under way. A walk whose client does not take what it has been sent waits until it does, and holds
// up no other client.
//
// Threads: one loop. Failure: Add says when there is no room; the client is told so and asks again.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "base/budget.h"
#include "base/ids.h"
#include "cell/ports.h"
#include "store/log/store.h"

namespace baiwan::cell {

struct ReadLimits {
  std::uint32_t under_way = 32;  // of all users
  std::uint32_t waiting = 256;   // of one user
};

class ReadQueue {
 public:
  struct Walk {
    ClientPort* port = nullptr;  // who waits for it
    SessionId session = 0;
    std::size_t bytes = 0;  // charged while it waits; 0: for nothing, and always taken
    // Begins it; whoever does calls Done(user) at its end, also if it was cancelled.
    std::function<void(store::Wanted wanted)> begin;
  };
  // Whether the client of a walk takes what it is sent.
  using MayBegin = std::function<bool(UserId user, ClientPort& port, SessionId session)>;

  ReadQueue(Budget& budget, const ReadLimits& limits, MayBegin may_begin);
  ~ReadQueue();
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;

  // False: too many wait for this user, or there is no memory for one more.
  [[nodiscard]] bool Add(UserId user, Walk walk);
  void Done(UserId user);
  // Begins what may begin: at the end of a turn.
  void Begin();
  // A client of this user, or of any, takes again what it is sent.
  void Wake(UserId user);
  void WakeAll();
  void Cancel(UserId user, const ClientPort& port, SessionId session);
  void CancelAll(const ClientPort& port);

  std::size_t waiting() const { return waiting_; }
  std::size_t under_way() const { return under_way_; }

 private:
  struct Line {  // of one user
    std::deque<Walk> waiting;
    bool in_turn = false;          // stands in turns_
    std::shared_ptr<bool> wanted;  // of the walk under way; null: none is
    const ClientPort* port = nullptr;
    SessionId session = 0;
  };
  using Lines = std::map<UserId, Line>;

  void TakeTurn(UserId user, Line& line);
  void Cancel(Line& line, const ClientPort& port, const SessionId* session);
  Lines::iterator Tidy(Lines::iterator at);

  Budget& budget_;
  const ReadLimits limits_;
  const MayBegin may_begin_;
  Lines lines_;
  std::deque<UserId> turns_;
  std::size_t waiting_ = 0;
  std::size_t under_way_ = 0;
};

}  // namespace baiwan::cell
