// What one connection holds in memory, charged to the process's budget in coarse steps, so that the
// data path compares two numbers and rarely touches the shared counters.
//
// One thread. Failure: Cover returns false when the budget, or the share, is exhausted, and charges
// nothing more. The charge goes back with the object.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/budget.h"

namespace baiwan::net {

// A part of an account that some may have together, e.g. all who have sent half of something. It
// outlives whoever holds some of it.
class Share {
 public:
  explicit Share(std::uint64_t limit) : limit_(limit) {}
  bool Take(std::uint64_t bytes) {
    if (bytes > limit_ - std::min(used_, limit_)) return false;
    used_ += bytes;
    return true;
  }
  void TakeAlways(std::uint64_t bytes) { used_ += bytes; }
  void Give(std::uint64_t bytes) { used_ -= bytes; }

 private:
  const std::uint64_t limit_;
  std::uint64_t used_ = 0;
};

class HeldBytes {
 public:
  HeldBytes(Budget& budget, Account account) : budget_(budget), account_(account) {}
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;
  ~HeldBytes() { Clear(); }

  void Clear() {
    if (charged_ > 0) Release(charged_);
    charged_ = 0;
  }
  // What is covered from now on counts in a share as well; null: in none. Clears.
  void CountIn(Share* share) {
    Clear();
    share_ = share;
  }

  // Small amounts, below one step, are part of what every connection is charged for anyway.
  bool Cover(std::size_t bytes) {
    if (bytes <= charged_ + kStep && charged_ <= bytes + kStep) return true;
    return Move(bytes / kStep * kStep);
  }

  // For bytes that have to be kept whatever the budget says.
  void CoverAlways(std::size_t bytes) {
    if (Cover(bytes)) return;
    const std::size_t target = bytes / kStep * kStep;
    budget_.ChargeAlways(account_, target - charged_);
    if (share_ != nullptr) share_->TakeAlways(target - charged_);
    charged_ = target;
  }
  std::size_t charged() const { return charged_; }

 private:
  static constexpr std::size_t kStep = 8 << 10;

  bool Move(std::size_t target) {
    if (target < charged_) {
      Release(charged_ - target);
    } else {
      const std::size_t more = target - charged_;
      if (share_ != nullptr && !share_->Take(more)) return false;
      if (!budget_.Charge(account_, more)) {
        if (share_ != nullptr) share_->Give(more);
        return false;
      }
    }
    charged_ = target;
    return true;
  }
  void Release(std::size_t bytes) {
    budget_.Release(account_, bytes);
    if (share_ != nullptr) share_->Give(bytes);
  }

  Budget& budget_;
  const Account account_;
  Share* share_ = nullptr;
  std::size_t charged_ = 0;
};

// How fast a client takes what it is sent. While most of the memory for connections is held, those
// who hold much of it and take little lose their connection: it is they whom others wait for.
class TakingPace {
 public:
  // To be asked about once a second; `taken` are the bytes that the client has taken so far.
  bool TooSlow(std::size_t held, std::uint64_t taken, const Budget& budget) {
    const bool slow = held >= kMuch && taken - taken_ < kLittle;
    taken_ = taken;
    times_ = slow && budget.pressed(Account::kConnections) ? times_ + 1 : 0;
    return times_ > kTimes;
  }

 private:
  static constexpr std::size_t kMuch = 32 << 10;
  static constexpr std::uint64_t kLittle = 16 << 10;  // bytes between two looks
  static constexpr int kTimes = 3;                    // in sequence

  std::uint64_t taken_ = 0;
  int times_ = 0;
};

}  // namespace baiwan::net
