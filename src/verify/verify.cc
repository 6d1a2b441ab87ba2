#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "stress/graph_text.h"
#include "verify/boxes.h"
#include "verify/population.h"
#include "verify/store_check.h"
#include "verify/totals.h"

namespace baiwan::verify {
namespace {

constexpr unsigned kMostThreads = 256;

// The whole of it, step by step.
class Verification {
 public:
  Verification(const VerifyOptions& options, VerifyReport& report)
      : options_(options),
        report_(report),
        threads_(std::clamp(options.threads, 1u, kMostThreads)) {}

  void Run() {
    if (!Prepare()) return;
    if (report_.expected_messages == 0) report_.notes.push_back("there is nothing to send");
    CheckStores();
    CheckTotals();
    CountUsers();
  }

 private:
  bool Prepare();
  void ReadLedgers();
  void CheckStores();
  void CheckStore(std::uint32_t store, unsigned shards);
  void CheckTotals();
  void CountUsers();
  void Take(BoxChecker& checker);
  std::unique_ptr<BoxChecker> MakeChecker();
  void Progress(std::uint64_t copies);

  const VerifyOptions& options_;
  VerifyReport& report_;
  const unsigned threads_;
  Population people_;
  std::unique_ptr<Books> books_;
  std::unique_ptr<Census> census_;
  std::vector<Told> told_;
  std::atomic<std::uint64_t> copies_{0};
  std::mutex progress_mutex_;
  std::mutex report_mutex_;
};

bool Verification::Prepare() {
  if (options_.stores.empty()) {
    report_.errors.push_back("no store to verify: give the folders of all cells");
  }
  if (options_.graph_file.empty()) {
    if (const auto wrong = stress::Validate(options_.spec)) report_.errors.push_back(*wrong);
    if (!report_.errors.empty()) return false;
    people_ = Population::Generate(options_.spec, threads_);
  } else {
    auto graph = stress::ReadGraphText(options_.graph_file);
    if (!graph) report_.errors.push_back(graph.error());
    if (!report_.errors.empty()) return false;
    people_ = Population(std::move(*graph));
  }
  books_ = std::make_unique<Books>(options_.spec, people_);
  census_ = std::make_unique<Census>(people_, options_.stores.size());
  report_.expected_messages = stress::MessagesOf(options_.spec, people_.relations());
  report_.complete = options_.expect_complete;
  ReadLedgers();
  return true;
}

void Verification::ReadLedgers() {
  if (!options_.ledgers.empty()) told_.resize(people_.users());
  for (const std::string& path : options_.ledgers) {
    const auto ledger = stress::ReadLedger(path);
    if (!ledger) {
      report_.errors.push_back(ledger.error());
      continue;
    }
    if (ledger->damaged > 0) {
      report_.errors.push_back(
          fmt::format("ledger {}: {} records are damaged: what these users "
                      "were told is not known",
                      path, ledger->damaged));
    }
    std::uint64_t strangers = 0;
    for (const stress::Ledger::Entry& entry : ledger->entries) {
      const Population::Number n = people_.Find(entry.user);
      if (n == Population::kNobody) {
        ++strangers;
        continue;
      }
      told_[n].send_id = std::max(told_[n].send_id, entry.send_id);
      told_[n].send_ack_id = std::max(told_[n].send_ack_id, entry.send_ack_id);
    }
    if (strangers > 0) {
      report_.errors.push_back(
          fmt::format("ledger {} is of another test: {} of its users are not "
                      "in the friend graph",
                      path, strangers));
    }
  }
}

void Verification::Progress(std::uint64_t copies) {
  copies_ += copies;
  const std::unique_lock lock(progress_mutex_, std::try_to_lock);
  if (lock) options_.progress(copies_ / 2, report_.expected_messages);
}

std::unique_ptr<BoxChecker> Verification::MakeChecker() {
  if (!options_.progress) return std::make_unique<BoxChecker>(*books_, nullptr);
  return std::make_unique<BoxChecker>(*books_, [this](std::uint64_t copies) { Progress(copies); });
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
  for (const std::string& path : options_.stores) report_.disk_bytes += BytesOnDisk(path);
}

void Verification::CheckStore(std::uint32_t store, unsigned shards) {
  std::vector<std::unique_ptr<BoxChecker>> checkers;
  for (unsigned s = 0; s < shards; ++s) checkers.push_back(MakeChecker());
  StoreCheck(options_.stores[store], store, *books_, *census_, checkers).Run();
  for (const auto& checker : checkers) Take(*checker);
}

void Verification::CheckTotals() {
  const Totals totals(*books_, *census_, told_, options_.expect_complete);
  std::vector<std::unique_ptr<BoxChecker>> checkers;
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads_; ++t) {
    checkers.push_back(std::make_unique<BoxChecker>(*books_, nullptr));
    pool.emplace_back([this, t, &totals, checker = checkers.back().get()] {
      const std::size_t users = people_.users();
      for (std::size_t n = users * t / threads_; n < users * (t + 1) / threads_; ++n) {
        totals.Check(n, *checker);
      }
    });
  }
  for (std::thread& thread : pool) thread.join();
  for (const auto& checker : checkers) Take(*checker);
}

void Verification::CountUsers() {
  for (Population::Number n = 0; n < people_.users(); ++n) {
    if (census_->homes[n] == Census::kNowhere) continue;
    ++report_.users;
    report_.relations += people_.friends(n).size();
    report_.sent += books_->users[n].sent;
  }
  for (const RelationBook& relation : books_->relations) report_.acknowledged += relation.acked;
}

}  // namespace

VerifyReport VerifyStores(const VerifyOptions& options) {
  VerifyReport report;
  const Nanos begin = SystemClock().Monotonic();
  Verification(options, report).Run();
  report.seconds = static_cast<double>(SystemClock().Monotonic() - begin) / kSecond;
  return report;
}

}  // namespace baiwan::verify
