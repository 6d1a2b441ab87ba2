#include "verify/verification.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "verify/totals.h"

namespace baiwan::verify {
namespace {

constexpr unsigned kMostThreads = 256;

}  // namespace

Verification::Verification(const VerifyOptions& options, std::optional<CellRange> own,
                           VerifyReport& report)
    : options_(options),
      own_(own),
      report_(report),
      threads_(std::clamp(options.threads, 1u, kMostThreads)) {}

bool Verification::Run() {
  if (options_.stores.empty()) {
    report_.errors.push_back("no store to verify: give the folders of all cells");
    return false;
  }
  if (!Prepare(options_, own_, &case_, &report_)) return false;
  census_ = std::make_unique<Census>(case_.people, options_.stores.size());
  CheckStores();
  CheckTotals();
  CountUsers(case_, *census_, &report_);
  return true;
}

void Verification::Progress(std::uint64_t copies) {
  copies_ += copies;
  const std::unique_lock lock(progress_mutex_, std::try_to_lock);
  if (lock) options_.progress(copies_ / 2, report_.expected_messages);
}

std::unique_ptr<BoxChecker> Verification::MakeChecker() {
  if (!options_.progress) return std::make_unique<BoxChecker>(*case_.books, nullptr);
  return std::make_unique<BoxChecker>(*case_.books,
                                      [this](std::uint64_t copies) { Progress(copies); });
}

void Verification::Take(BoxChecker& checker) {
  const std::lock_guard lock(report_mutex_);
  checker.findings().MergeInto(&report_);
  report_.stored += checker.outbox_messages();
  report_.delivered += checker.inbox_messages();
  report_.voids += checker.voids();
}

// Stores side by side where there are many; several threads to each where there are few.
void Verification::CheckStores() {
  const auto stores = static_cast<std::uint32_t>(options_.stores.size());
  owners_.assign(stores, std::nullopt);
  const unsigned workers = std::min(threads_, stores);
  std::atomic<std::uint32_t> next{0};
  std::vector<std::thread> pool;
  for (unsigned w = 0; w < workers; ++w) {
    const unsigned shards = threads_ / workers + (w < threads_ % workers ? 1 : 0);
    pool.emplace_back([this, &next, stores, shards] {
      for (std::uint32_t store = next++; store < stores; store = next++) CheckStore(store, shards);
    });
  }
  for (std::thread& thread : pool) thread.join();
  for (std::string& wrong : OwnersTogether(options_.stores, owners_)) {
    report_.errors.push_back(std::move(wrong));
  }
  for (const std::string& path : options_.stores) report_.disk_bytes += BytesOnDisk(path);
}

void Verification::CheckStore(std::uint32_t store, unsigned shards) {
  std::vector<std::unique_ptr<BoxChecker>> checkers;
  for (unsigned s = 0; s < shards; ++s) checkers.push_back(MakeChecker());
  StoreCheck check(options_.stores[store], store, *case_.books, *census_, checkers);
  check.Run();
  owners_[store] = check.owner();
  for (const auto& checker : checkers) Take(*checker);
}

void Verification::CheckTotals() {
  const Totals totals(*case_.books, *census_, case_.told, options_.expect_complete);
  std::vector<std::unique_ptr<BoxChecker>> checkers;
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads_; ++t) {
    checkers.push_back(std::make_unique<BoxChecker>(*case_.books, nullptr));
    pool.emplace_back([this, t, &totals, checker = checkers.back().get()] {
      const std::size_t users = case_.people.own_users();
      for (std::size_t n = users * t / threads_; n < users * (t + 1) / threads_; ++n) {
        totals.Check(n, *checker);
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  for (const auto& checker : checkers) Take(*checker);
}

}  // namespace baiwan::verify
