#include "verify/report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace baiwan::verify {

const char* Name(Kind kind) {
  switch (kind) {
    case Kind::kLost:
      return "lost";
    case Kind::kDuplicated:
      return "duplicated";
    case Kind::kReordered:
      return "reordered";
    case Kind::kAltered:
      return "altered";
    case Kind::kForeign:
      return "foreign";
    case Kind::kCounter:
      return "counter";
  }
  return "unknown";
}

std::uint64_t VerifyReport::mismatches() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t VerifyReport::verified() const {
  const std::uint64_t copies = stored + delivered;
  return std::min({stored, delivered, copies > distinct ? copies - distinct : 0});
}

std::string VerifyReport::ToText() const {
  fmt::memory_buffer out;
  const auto to = fmt::appender(out);
  fmt::format_to(
      to,
      "verified {} of {} messages, each in both boxes, of {} users with {} relations, in "
      "{:.1f} s\n",
      verified(), complete ? expected_messages : sent, users, relations, seconds);
  fmt::format_to(to, "sent {}, stored {}, delivered {}, acknowledged {}\n", sent, stored, delivered,
                 acknowledged);
  for (std::size_t k = 0; k < kKinds; ++k) {
    fmt::format_to(to, "{}{} {}", k == 0 ? "" : ", ", Name(static_cast<Kind>(k)), counts[k]);
  }
  fmt::format_to(to, "\n");
  for (const Mismatch& m : listed) fmt::format_to(to, "  {}: {}\n", Name(m.kind), m.what);
  const std::uint64_t all = mismatches();
  std::uint64_t shown = 0;
  for (const Mismatch& m : listed) shown += m.count;
  if (all > shown) fmt::format_to(to, "  … and {} more\n", all - shown);
  for (const std::string& error : errors) fmt::format_to(to, "  not verified: {}\n", error);
  for (const std::string& note : notes) fmt::format_to(to, "  note: {}\n", note);
  return fmt::to_string(out);
}

std::string VerifyReport::ToJson() const {
  nlohmann::ordered_json kinds;
  for (std::size_t k = 0; k < kKinds; ++k) kinds[Name(static_cast<Kind>(k))] = counts[k];
  nlohmann::ordered_json mismatched = nlohmann::ordered_json::array();
  for (const Mismatch& m : listed) {
    mismatched.push_back({{"kind", Name(m.kind)}, {"count", m.count}, {"what", m.what}});
  }
  const nlohmann::ordered_json json = {{"verified", verified()}, {"expected", expected_messages},
                                       {"sent", sent},           {"stored", stored},
                                       {"delivered", delivered}, {"acknowledged", acknowledged},
                                       {"voids", voids},         {"users", users},
                                       {"relations", relations}, {"mismatches", kinds},
                                       {"listed", mismatched},   {"errors", errors},
                                       {"notes", notes},         {"disk_bytes", disk_bytes},
                                       {"seconds", seconds},     {"exit_code", ExitCode()}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void Findings::MergeInto(VerifyReport* report) {
  for (std::size_t k = 0; k < kKinds; ++k) report->counts[k] += counts_[k];
  for (Mismatch& m : listed_) {
    if (report->listed.size() < kListed) report->listed.push_back(std::move(m));
  }
  for (std::string& error : errors_) report->errors.push_back(std::move(error));
  for (std::string& note : notes_) report->notes.push_back(std::move(note));
  *this = {};
}

}  // namespace baiwan::verify
