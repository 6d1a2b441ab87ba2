// The memory budget of one process: every queue, window and cache charges an account of it.
//
// At the soft limit the owner of an account should shed and evict; at the hard limit Charge refuses
// and the caller answers 503 or waits. An account also has a share of its own, so that connections
// that do not read, or messages that wait for others, leave memory for everything else: half of all
// for connections, an eighth for reorder, all for the rest. Release what was charged, exactly.
//
// Threads: counters are atomic, so that the loops of a process share one budget. Failure: Charge
// returns false and charges nothing.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace baiwan {

enum class Account : std::uint8_t {
  kConnections,
  kReorder,
  kCommits,
  kLinks,
  kUsers,
  kStore,
  kProgram
};
inline constexpr std::size_t kAccounts = 7;
const char* Name(Account account);

class Budget {
 public:
  // Bytes; the soft limit is four fifths of the hard one.
  explicit Budget(std::uint64_t hard_limit) : hard_(hard_limit), soft_(hard_limit / 5 * 4) {}

  bool Charge(Account account, std::uint64_t bytes) {
    ChargeAlways(account, bytes);
    if (used() <= hard_ && used(account) <= limit(account)) return true;
    Release(account, bytes);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  // For what has to be remembered whatever the limit says (it was durable before it was here).
  void ChargeAlways(Account account, std::uint64_t bytes) {
    used_.fetch_add(bytes, std::memory_order_relaxed);
    by_account_[Index(account)].fetch_add(bytes, std::memory_order_relaxed);
  }
  void Release(Account account, std::uint64_t bytes) {
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    by_account_[Index(account)].fetch_sub(bytes, std::memory_order_relaxed);
  }

  bool over_soft() const { return used() > soft_; }
  bool full() const { return used() >= hard_; }
  // The share of one account.
  std::uint64_t limit(Account account) const {
    return account == Account::kConnections ? hard_ / 2
           : account == Account::kReorder   ? hard_ / 8
                                            : hard_;
  }
  // Most of the share is used: who holds much of it should let go.
  bool pressed(Account account) const { return used(account) > limit(account) / 5 * 4; }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  std::uint64_t used(Account account) const {
    return by_account_[Index(account)].load(std::memory_order_relaxed);
  }
  std::uint64_t hard_limit() const { return hard_; }
  std::uint64_t soft_limit() const { return soft_; }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  static std::size_t Index(Account account) { return static_cast<std::size_t>(account); }

  const std::uint64_t hard_;
  const std::uint64_t soft_;
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::array<std::atomic<std::uint64_t>, kAccounts> by_account_{};
};

}  // namespace baiwan
