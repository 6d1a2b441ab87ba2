// What a logic server does when its own store was put back from a copy: it gets back from its
// friends' cells what its outboxes lack.
//
// The problem: messages that were delivered before the store was lost stand in their receivers'
// inboxes, and no more in the outboxes they came from. Were their numbers given out again, two
// messages would have one number, and one of them be taken for a repeat of the other.
//
// So all pairs are compared with every other cell (comparison.h). Who has received more than was
// sent here *has something of ours*. When all cells in which a user has friends have been heard,
// what they have is asked for, pair by pair, and put back into the outbox in the order of its
// numbers. A number in between that nobody has is void, and reported as lost. Until then the user
// may not send; everybody else may.
//
// Threads: one loop. Bounds: kUsers users at a time, one question of each under way. Failure:
// what does not fit what stands here by now stops its pair, by name.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "wire/peer.pb.h"

namespace baiwan::cell {

class Mending {
 public:
  // Messages of one pair that the friend has and we perhaps have not.
  struct Pair {
    UserId with = 0;
    CellId cell = 0;
    Seq next = 0;  // the first that has not come back
    Seq last = 0;
    std::deque<wire::Forward> returned;  // from before `next`, rising
    bool known = true;                   // what the friend has, since his store has not gone back
    bool whole() const { return next > last; }
  };
  struct User {
    std::vector<CellId> cells;  // of friends
    std::vector<Pair> pairs;
    bool ready = false;  // all of these cells were heard
    bool asked = false;  // and not answered
  };
  static constexpr std::size_t kUsers = 16;  // mended at a time

  explicit Mending(std::set<CellId> others) : unheard_(std::move(others)) {}

  bool Heard(CellId cell) const { return unheard_.count(cell) == 0; }
  void Hear(CellId cell);
  void HearAgain(CellId cell) { unheard_.insert(cell); }
  // That store was put back too: what it had is known only when it is heard again.
  void GoneBack(CellId cell);
  // `with`, of `cell`, has messages of `user` from `next` to `last`. `cells`: of his friends.
  void Lacks(UserId user, const std::vector<CellId>& cells, UserId with, CellId cell, Seq next,
             Seq last);
  // Whether a user with friends in these cells may send.
  bool MaySend(UserId user, const std::vector<CellId>& cells) const;
  User* Find(UserId user);
  // Whether it is known what all of his friends have.
  bool MayMend(const User& user) const { return AllHeard(user.cells); }
  // The next user to be mended; 0: none now.
  UserId Begin();
  void Finish(UserId user);
  // What was asked for and not answered has to be asked again.
  std::vector<UserId> AskAgain();
  // The message with the lowest number that has come back, if none with a lower one can follow; who
  // has to be asked before that is known; neither: all are there.
  struct Step {
    Pair* take = nullptr;
    Pair* ask = nullptr;
  };
  static Step Next(User& user);
  // False: not what was asked for.
  static bool Take(User& user, const wire::Forward& message);

  std::size_t lacking() const { return lacking_.size(); }
  bool done() const { return unheard_.empty() && lacking_.empty(); }

 private:
  bool AllHeard(const std::vector<CellId>& cells) const;
  void Ready(UserId user, User& u);

  std::set<CellId> unheard_;  // all pairs with them are not compared yet
  std::map<UserId, User> lacking_;
  std::deque<UserId> ready_;  // not begun
  std::set<UserId> begun_;
};

}  // namespace baiwan::cell
