#include "verify/share.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>
#include <system_error>

#include "base/clock.h"
#include "base/file.h"
#include "verify/share_file.h"
#include "verify/verification.h"

namespace baiwan::verify {
namespace {

// A former share would be taken for this one's if nothing came of this one.
std::optional<std::string> RemoveFormer(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  if (!LooksLikeShare(path)) {
    return fmt::format("{} is there and is no share: choose another path for the share", path);
  }
  if (!std::filesystem::remove(path, error) && error) {
    return fmt::format("cannot remove the former share {}: {}", path, error.message());
  }
  return std::nullopt;
}

// Three numbers for each friendship with a user of another share, and what they sum up to.
class Pairs {
 public:
  Pairs(const Case& made, const stress::WorkloadSpec& spec, CellRange own)
      : people_(made.people),
        books_(*made.books),
        spec_(spec),
        layout_(stress::LayoutOf(spec)),
        own_(own),
        file_(spec, own) {
    FromOwn();
    for (CellId other = 0; other < own.first; ++other) FromLower(other);
  }

  std::string Encode(const ShareHead& head) const { return file_.Encode(head); }
  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return received_; }

 private:
  // Friends in higher cells: own users come first in the order.
  void FromOwn() {
    for (Population::Number n = 0; n < people_.own_users(); ++n) {
      const UserId user = people_.user(n);
      const auto friends = people_.friends(n);
      for (std::size_t i = 0; i < friends.size(); ++i) {
        const CellId other = layout_.CellOf(friends[i]);
        if (other <= own_.last) continue;
        Add(n, other, people_.relation(n) + i, people_.RelationTo(people_.Find(friends[i]), user));
      }
    }
  }
  void FromLower(CellId other) {
    const Population::Neighbours& part = people_.neighbours(other);
    for (std::size_t u = 0; u < part.users.size(); ++u) {
      const UserId user = layout_.UserAt(other, part.users[u]);
      for (std::size_t i = part.begins[u]; i < part.begins[u + 1]; ++i) {
        Add(part.friends[i], other, people_.RelationTo(part.friends[i], user),
            part.relation_base + i);
      }
    }
  }
  void Add(Population::Number own, CellId other, std::uint64_t to, std::uint64_t from) {
    const SharedPair pair{books_.relations[to].sent, books_.relations[to].acked,
                          books_.relations[from].received};
    file_.Add(own_.first + static_cast<CellId>(own / spec_.users_per_cell), other, pair);
    sent_ += pair.sent;
    received_ += pair.received;
  }

  const Population& people_;
  const Books& books_;
  const stress::WorkloadSpec& spec_;
  const placement::UserLayout layout_;
  const CellRange own_;
  SharedPairs file_;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

bool Write(const ShareOptions& options, const Verification& done, VerifyReport* report) {
  const Pairs pairs(done.made(), options.verify.spec, options.own);
  ShareHead head{options.verify.spec, options.own, *report, {}};
  head.report.distinct -= pairs.sent() + pairs.received();
  head.read.resize(done.made().people.own_users());
  for (std::size_t n = 0; n < head.read.size(); ++n) head.read[n] = done.census().Readable(n);
  const std::string file = pairs.Encode(head);
  if (auto wrong = ReplaceFile(options.path, file)) {
    report->errors.push_back("the share was not written: " + *wrong);
    return false;
  }
  report->notes.push_back(fmt::format(
      "the share of {} of {} is in {} ({} bytes); {} messages to other cells and {} from there "
      "stand here in one box, and are compared with the other when shares are joined",
      options.own.ToString(), options.verify.spec.cells, options.path, file.size(), pairs.sent(),
      pairs.received()));
  return true;
}

bool Make(const ShareOptions& options, VerifyReport* report) {
  const Nanos begin = SystemClock().Monotonic();
  if (!options.verify.graph_file.empty()) {
    report->errors.push_back("a graph file cannot be shared out: share a generated graph");
    return false;
  }
  if (auto wrong = RemoveFormer(options.path)) {
    report->errors.push_back(*wrong);
    return false;
  }
  Verification verification(options.verify, options.own, *report);
  if (!verification.Run()) return false;
  report->seconds = static_cast<double>(SystemClock().Monotonic() - begin) / kSecond;
  return Write(options, verification, report);
}

}  // namespace

VerifyReport MakeShare(const ShareOptions& options) {
  VerifyReport report;
  report.no_result = !Make(options, &report);
  return report;
}

}  // namespace baiwan::verify
