#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "stress/cell_graph.h"
#include "verify/share.h"
#include "verify/share_file.h"
#include "verify/totals.h"

namespace baiwan::verify {
namespace {

constexpr unsigned kMostThreads = 256;
constexpr std::size_t kMostRefusals = 100;

// The first thing in which two workloads differ, as an option and both values; empty if none.
std::string Difference(const stress::WorkloadSpec& there, const stress::WorkloadSpec& here) {
  const auto differ = [](const char* option, std::uint64_t a, std::uint64_t b) {
    return a == b ? std::string() : fmt::format("{} is {} there and {} here", option, a, b);
  };
  for (std::string text :
       {differ("--seed", there.seed, here.seed), differ("--cells", there.cells, here.cells),
        differ("--users-per-cell", there.users_per_cell, here.users_per_cell),
        differ("--friends-in-cell", there.friends_in_cell, here.friends_in_cell),
        differ("--friends-cross", there.friends_cross, here.friends_cross),
        differ("--messages-per-friend", there.messages_per_friend, here.messages_per_friend),
        differ("--rounds", there.rounds, here.rounds),
        differ("--body-bytes", there.body_bytes, here.body_bytes),
        differ("--partitions", there.partitions, here.partitions),
        differ("text instead of bytes", there.text ? 1 : 0, here.text ? 1 : 0)}) {
    if (!text.empty()) return text;
  }
  return "";
}

class Joining {
 public:
  Joining(const JoinOptions& options, VerifyReport& report) : options_(options), report_(report) {}

  // False: the shares do not fit together, and the report says why and nothing else.
  bool Run() {
    if (Fit()) {
      report_.expected_messages = stress::TotalMessages(options_.spec);
      report_.complete = options_.expect_complete;
      for (const auto& share : shares_) AddUp(share->head());
      ComparePairs();
    }
    if (refusals_.empty()) return true;
    if (refusals_.size() > kMostRefusals) {
      const std::size_t more = refusals_.size() - kMostRefusals;
      refusals_.resize(kMostRefusals);
      Refuse(fmt::format("… and {} more", more));
    }
    report_ = {};
    report_.errors = std::move(refusals_);
    return false;
  }

 private:
  // What one cell's comparison brings.
  struct Compared {
    Findings findings;
    std::vector<std::string> refusals;
    std::uint64_t distinct = 0;
  };
  // What two cells of different shares say of each other.
  struct Facing {
    std::vector<SharedPair> lower;
    std::vector<SharedPair> higher;
    std::size_t next = 0;
  };

  void Refuse(std::string why) { refusals_.push_back(std::move(why)); }
  bool Fit();
  void Open(const std::string& path);
  void FindOwners();
  void AddUp(ShareHead& head);
  void ComparePairs();
  void CompareCell(CellId cell, Compared* out) const;
  std::optional<Facing> Load(CellId lower, CellId higher, std::size_t count, Compared* out) const;
  void Compare(UserId lower, UserId higher, Facing& facing, Compared* out) const;
  void CompareOneWay(UserId sender, UserId receiver, const SharedPair& from, const SharedPair& to,
                     Compared* out) const;

  const ShareFile& owner(CellId cell) const { return *shares_[owners_[cell]]; }
  bool Read(UserId user) const {
    const auto layout = stress::LayoutOf(options_.spec);
    const CellId cell = layout.CellOf(user);
    return owner(cell).Read(cell, layout.IndexOf(user));
  }

  const JoinOptions& options_;
  VerifyReport& report_;
  std::vector<std::unique_ptr<ShareFile>> shares_;  // by first cell
  std::vector<std::size_t> owners_;                 // by cell
  std::vector<std::string> refusals_;
};

// As far as can be said before pairs are compared.
bool Joining::Fit() {
  if (auto wrong = stress::Validate(options_.spec)) return Refuse(*wrong), false;
  if (options_.shares.empty()) return Refuse("no share to join: give those of all hosts"), false;
  for (const std::string& path : options_.shares) Open(path);
  if (refusals_.empty()) FindOwners();
  return refusals_.empty();
}

void Joining::Open(const std::string& path) {
  auto share = ShareFile::Open(path);
  if (!share) return Refuse(share.error());
  const ShareHead& head = (*share)->head();
  if (const std::string text = Difference(head.spec, options_.spec); !text.empty()) {
    return Refuse(fmt::format("share {} is of another workload: {}", path, text));
  }
  if (head.report.complete != options_.expect_complete) {
    return Refuse(fmt::format(
        "share {} was made {} --unfinished, and is to be joined {}: do both in the same way", path,
        head.report.complete ? "without" : "with", head.report.complete ? "with it" : "without"));
  }
  shares_.push_back(std::move(*share));
}

// Every cell in exactly one share.
void Joining::FindOwners() {
  constexpr std::size_t kNone = ~std::size_t{0};
  std::sort(shares_.begin(), shares_.end(),
            [](const auto& a, const auto& b) { return a->head().own.first < b->head().own.first; });
  owners_.assign(options_.spec.cells, kNone);
  for (std::size_t s = 0; s < shares_.size(); ++s) {
    const CellRange own = shares_[s]->head().own;
    for (CellId cell = own.first; cell <= own.last; ++cell) {
      if (owners_[cell] != kNone) {
        Refuse(fmt::format("cell {} is in {} and in {}: give each share once", cell,
                           shares_[owners_[cell]]->path(), shares_[s]->path()));
        break;
      }
      owners_[cell] = s;
    }
  }
  for (CellId cell = 0; cell < options_.spec.cells; ++cell) {
    if (owners_[cell] != kNone) continue;
    const CellId first = cell;
    while (cell + 1 < options_.spec.cells && owners_[cell + 1] == kNone) ++cell;
    Refuse(
        fmt::format("no share of {}: give those of all hosts", CellRange{first, cell}.ToString()));
  }
}

void Joining::AddUp(ShareHead& head) {
  VerifyReport& part = head.report;
  for (std::size_t k = 0; k < kKinds; ++k) report_.counts[k] += part.counts[k];
  for (Mismatch& m : part.listed) {
    if (report_.listed.size() < kListed) report_.listed.push_back(std::move(m));
  }
  const std::string whose = head.own.ToString();
  for (const std::string& text : part.errors) {
    report_.errors.push_back(fmt::format("{}: {}", whose, text));
  }
  for (const std::string& text : part.notes) {
    report_.notes.push_back(fmt::format("{}: {}", whose, text));
  }
  report_.users += part.users;
  report_.relations += part.relations;
  report_.sent += part.sent;
  report_.stored += part.stored;
  report_.delivered += part.delivered;
  report_.acknowledged += part.acknowledged;
  report_.distinct += part.distinct;
  report_.voids += part.voids;
  report_.disk_bytes += part.disk_bytes;
  report_.seconds = std::max(report_.seconds, part.seconds);
}

// Each pair of cells is looked at with the lower one, so every friendship once, both ways.
void Joining::ComparePairs() {
  const CellId cells = options_.spec.cells;
  std::vector<Compared> compared(cells);
  std::atomic<CellId> next{0};
  std::vector<std::thread> workers;
  const unsigned threads = std::min(std::clamp(options_.threads, 1u, kMostThreads), cells);
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      for (CellId cell = next++; cell < cells; cell = next++) CompareCell(cell, &compared[cell]);
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (Compared& one : compared) {
    one.findings.MergeInto(&report_);
    report_.distinct += one.distinct;
    for (std::string& why : one.refusals) Refuse(std::move(why));
  }
}

void Joining::CompareCell(CellId cell, Compared* out) const {
  if (owner(cell).head().own.last + 1 == options_.spec.cells) return;  // nobody is behind these
  const auto layout = stress::LayoutOf(options_.spec);
  const stress::CellGraph graph = stress::BuildCellGraph(options_.spec, cell);
  const auto for_each = [&](const auto& visit) {
    for (std::size_t i = 0; i < graph.users(); ++i) {
      for (const UserId other : graph.friends(i)) {
        const CellId theirs = layout.CellOf(other);
        if (theirs > cell && owners_[theirs] != owners_[cell]) visit(graph.user(i), other, theirs);
      }
    }
  };
  std::vector<std::size_t> counts(options_.spec.cells, 0);
  for_each([&](UserId, UserId, CellId theirs) { ++counts[theirs]; });
  std::vector<std::optional<Facing>> facing(options_.spec.cells);
  for (CellId theirs = cell + 1; theirs < options_.spec.cells; ++theirs) {
    if (owners_[theirs] == owners_[cell]) continue;
    facing[theirs] = Load(cell, theirs, counts[theirs], out);
  }
  for_each([&](UserId user, UserId other, CellId theirs) {
    if (facing[theirs]) Compare(user, other, *facing[theirs], out);
  });
}

std::optional<Joining::Facing> Joining::Load(CellId lower, CellId higher, std::size_t count,
                                             Compared* out) const {
  auto of_lower = owner(lower).Pairs(lower, higher, count);
  auto of_higher = owner(higher).Pairs(higher, lower, count);
  for (const auto* pairs : {&of_lower, &of_higher}) {
    if (!*pairs) out->refusals.push_back(pairs->error());
  }
  if (!of_lower || !of_higher) return std::nullopt;
  return Facing{std::move(*of_lower), std::move(*of_higher)};
}

void Joining::Compare(UserId lower, UserId higher, Facing& facing, Compared* out) const {
  const std::size_t at = facing.next++;
  CompareOneWay(lower, higher, facing.lower[at], facing.higher[at], out);
  CompareOneWay(higher, lower, facing.higher[at], facing.lower[at], out);
}

// `from` is what the sender's share says, `to` what the receiver's says.
void Joining::CompareOneWay(UserId sender, UserId receiver, const SharedPair& from,
                            const SharedPair& to, Compared* out) const {
  const PairEnds ends{sender,      receiver,     from.sent,     from.acked,
                      to.received, Read(sender), Read(receiver)};
  const Seq per_pair = std::uint64_t{options_.spec.messages_per_friend} * options_.spec.rounds;
  CheckPair(ends, per_pair, options_.expect_complete, &out->findings);
  out->distinct += std::max(from.sent, to.received);
}

}  // namespace

VerifyReport JoinShares(const JoinOptions& options) {
  VerifyReport report;
  const Nanos begin = SystemClock().Monotonic();
  report.no_result = !Joining(options, report).Run();
  report.seconds += static_cast<double>(SystemClock().Monotonic() - begin) / kSecond;
  return report;
}

}  // namespace baiwan::verify
