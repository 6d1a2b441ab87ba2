#include "cell/logic/read_queue.h"

#include <algorithm>
#include <utility>

namespace baiwan::cell {

ReadQueue::ReadQueue(Budget& budget, const ReadLimits& limits, MayBegin may_begin)
    : budget_(budget), limits_(limits), may_begin_(std::move(may_begin)) {}

ReadQueue::~ReadQueue() {
  for (const auto& [user, line] : lines_) {
    for (const Walk& walk : line.waiting) budget_.Release(Account::kUsers, walk.bytes);
  }
}

bool ReadQueue::Add(UserId user, Walk walk) {
  const auto known = lines_.find(user);
  if (known != lines_.end() && known->second.waiting.size() >= limits_.waiting) return false;
  if (walk.bytes > 0 && !budget_.Charge(Account::kUsers, walk.bytes)) return false;
  Line& line = lines_[user];
  line.waiting.push_back(std::move(walk));
  ++waiting_;
  TakeTurn(user, line);
  return true;
}

void ReadQueue::TakeTurn(UserId user, Line& line) {
  if (line.wanted != nullptr || line.waiting.empty() || std::exchange(line.in_turn, true)) return;
  turns_.push_back(user);
}

void ReadQueue::Begin() {
  for (std::size_t left = turns_.size(); left > 0 && under_way_ < limits_.under_way; --left) {
    if (under_way_ > 0 && budget_.full()) return;
    const UserId user = turns_.front();
    turns_.pop_front();
    const auto at = lines_.find(user);
    Line& line = at->second;
    line.in_turn = false;
    const auto next = std::find_if(line.waiting.begin(), line.waiting.end(), [&](const Walk& w) {
      return may_begin_(user, *w.port, w.session);
    });
    if (next == line.waiting.end()) {  // until it is woken
      Tidy(at);
      continue;
    }
    const Walk walk = std::move(*next);
    line.waiting.erase(next);
    --waiting_;
    budget_.Release(Account::kUsers, walk.bytes);
    ++under_way_;
    line.port = walk.port;
    line.session = walk.session;
    const auto wanted = line.wanted = std::make_shared<bool>(true);
    walk.begin(wanted);  // which may be its end
  }
}

void ReadQueue::Done(UserId user) {
  const auto at = lines_.find(user);
  --under_way_;
  at->second.wanted = nullptr;
  TakeTurn(user, at->second);
  Tidy(at);
}

void ReadQueue::Wake(UserId user) {
  const auto at = lines_.find(user);
  if (at != lines_.end()) TakeTurn(user, at->second);
}

void ReadQueue::WakeAll() {
  for (auto& [user, line] : lines_) TakeTurn(user, line);
}

void ReadQueue::Cancel(UserId user, const ClientPort& port, SessionId session) {
  const auto at = lines_.find(user);
  if (at == lines_.end()) return;
  Cancel(at->second, port, &session);
  Tidy(at);
}

void ReadQueue::CancelAll(const ClientPort& port) {
  for (auto at = lines_.begin(); at != lines_.end();) {
    Cancel(at->second, port, nullptr);
    at = Tidy(at);
  }
}

// Of one session, or of all of the gateway's.
void ReadQueue::Cancel(Line& line, const ClientPort& port, const SessionId* session) {
  const auto is_of = [&](const ClientPort* p, SessionId s) {
    return p == &port && (session == nullptr || s == *session);
  };
  const std::size_t gone = std::erase_if(line.waiting, [&](const Walk& w) {
    if (!is_of(w.port, w.session)) return false;
    budget_.Release(Account::kUsers, w.bytes);
    return true;
  });
  waiting_ -= gone;
  if (line.wanted != nullptr && is_of(line.port, line.session)) *line.wanted = false;
}

// Forgets a user of whom there is nothing. One who has a turn is forgotten when it comes.
ReadQueue::Lines::iterator ReadQueue::Tidy(Lines::iterator at) {
  const Line& line = at->second;
  const bool empty = line.waiting.empty() && line.wanted == nullptr && !line.in_turn;
  return empty ? lines_.erase(at) : std::next(at);
}

}  // namespace baiwan::cell
