#include "fleet/notice.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>

namespace baiwan::fleet {
namespace {

constexpr std::size_t kNamed = 4;
constexpr std::size_t kShown = 8;

std::string Hosts(const Notice& notice) {
  std::string out;
  const std::size_t named = std::min(notice.hosts.size(), kNamed);
  for (std::size_t i = 0; i < named; ++i) {
    out += (i == 0 ? "" : ", ") + notice.hosts[i];
    if (i < notice.values.size()) out += " " + notice.values[i];
  }
  if (notice.hosts.size() > named) {
    const std::size_t others = notice.hosts.size() - named;
    out += fmt::format(" and {} other{}", others, others == 1 ? "" : "s");
  }
  return out;
}

// Each kind and host whose last word is that it began.
std::size_t GoingOn(const std::vector<Notice>& notices) {
  std::set<std::pair<std::string, std::string>> open;
  for (const Notice& notice : notices) {
    for (const std::string& host : notice.hosts) {
      if (notice.over) {
        open.erase({notice.kind, host});
      } else {
        open.insert({notice.kind, host});
      }
    }
  }
  std::set<std::string> kinds;
  for (const auto& [kind, host] : open) kinds.insert(kind);
  return kinds.size();
}

}  // namespace

void AddNotices(std::vector<Notice>* all, std::vector<Notice> more) {
  for (Notice& notice : more) {
    if (all->size() >= kMaxNotices) return;
    if (all->size() + 1 == kMaxNotices) {
      notice = {notice.at_ms, "", false, "there is more than is told here", {}, {}};
    }
    all->push_back(std::move(notice));
  }
}

std::string NoticeText(const Notice& notice) {
  std::string out = (notice.over ? "over: " : "warning: ") + notice.text + "\n";
  if (!notice.hosts.empty()) out += "  " + Hosts(notice) + "\n";
  return out;
}

std::string NoticeLine(const Notice& notice) {
  return fmt::format(
      "{:%H:%M:%S} {}{}{}", fmt::gmtime(static_cast<std::time_t>(notice.at_ms / 1000)),
      notice.over ? "over: " : "", notice.text, notice.hosts.empty() ? "" : ": " + Hosts(notice));
}

std::string NoticesText(const std::vector<Notice>& notices) {
  if (notices.empty()) return "";
  const auto begun = static_cast<std::size_t>(std::count_if(
      notices.begin(), notices.end(), [](const Notice& notice) { return !notice.over; }));
  std::string out =
      fmt::format("{} warning{}, {} going on\n", begun, begun == 1 ? "" : "s", GoingOn(notices));
  const std::size_t from = notices.size() > kShown ? notices.size() - kShown : 0;
  for (std::size_t i = from; i < notices.size(); ++i) {
    const Notice& n = notices[i];
    out += fmt::format("  {:%H:%M:%S}  {}{}\n",
                       fmt::localtime(static_cast<std::time_t>(n.at_ms / 1000)),
                       n.over ? "over: " : "", n.text);
    if (!n.hosts.empty()) out += fmt::format("{:12}{}\n", "", Hosts(n));
  }
  return out;
}

}  // namespace baiwan::fleet
