// Those who have connected and have not shown yet that they mean it: no request, no message, no
// proof of the link secret so far.
//
// They are counted apart from those who have, so that strangers can take their own places only.
// There are `most` of these; beyond it the one who has waited longest goes, so that whoever comes
// and speaks at once always gets in.
//
// Threads: one. Failure: none.
#pragma once

#include <cstddef>
#include <list>
#include <utility>

namespace baiwan::net {

class Newcomers;

class Newcomer {
 public:
  Newcomer() = default;
  Newcomer(const Newcomer&) = delete;
  Newcomer& operator=(const Newcomer&) = delete;
  virtual ~Newcomer();

  // Its place is another's now, and it has to end; it may be destroyed in this call. It is counted
  // no more.
  virtual void GiveWay() = 0;

 private:
  friend class Newcomers;
  Newcomers* among_ = nullptr;
  std::list<Newcomer*>::iterator place_;
};

class Newcomers {
 public:
  explicit Newcomers(std::size_t most) : most_(most) {}
  ~Newcomers() {
    for (Newcomer* who : waiting_) who->among_ = nullptr;
  }
  Newcomers(const Newcomers&) = delete;
  Newcomers& operator=(const Newcomers&) = delete;

  // False if somebody had to go for it.
  bool Join(Newcomer& who) {
    who.among_ = this;
    who.place_ = waiting_.insert(waiting_.end(), &who);
    if (waiting_.size() <= most_) return true;
    Newcomer& oldest = *waiting_.front();
    Leave(oldest);
    oldest.GiveWay();
    return false;
  }
  void Leave(Newcomer& who) {
    if (std::exchange(who.among_, nullptr) != nullptr) waiting_.erase(who.place_);
  }
  std::size_t size() const { return waiting_.size(); }

 private:
  const std::size_t most_;
  std::list<Newcomer*> waiting_;  // in the order in which they came
};

inline Newcomer::~Newcomer() {
  if (among_ != nullptr) among_->Leave(*this);
}

}  // namespace baiwan::net
