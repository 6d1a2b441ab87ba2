#include "fleet/health.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace baiwan::fleet {
namespace {

constexpr std::size_t kMostRead = 4 << 20;
constexpr std::int64_t kLookMs = 1000;

std::uint64_t SizeOf(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 ? static_cast<std::uint64_t>(about.st_size) : 0;
}

}  // namespace

// ---------------------------------------------------------------- the record

HostBeats::HostBeats(std::string series) : series_(std::move(series)), read_(SizeOf(series_)) {}

void HostBeats::OnSample(const monitor::Sample& sample) {
  if (const auto facts = monitor::HostFactsOf(sample.values)) {
    if (hosts_.size() < monitor::kMostHosts || hosts_.count(facts->name) > 0) {
      hosts_[facts->name] = tracker_.Take(*facts);
    }
  }
  const double messages = monitor::ValueOf(sample.values, "drive_messages");
  if (messages <= 0 || (loads_.size() >= monitor::kMostHosts && loads_.count(sample.name) == 0)) {
    return;
  }
  loads_[sample.name] = {messages, monitor::ValueOf(sample.values, "drive_delivered_total")};
}

void HostBeats::OnBeat(const monitor::Beat& beat) {
  HostBeat& mine = beats_.emplace_back();
  mine.at_ms = static_cast<std::int64_t>(beat.ms);
  double messages = 0;
  double delivered = 0;
  for (const auto& [name, load] : loads_) {
    messages += load.messages;
    delivered += load.delivered;
  }
  if (messages > 0) mine.done = delivered / messages;
  for (auto& [name, host] : hosts_) {
    mine.hosts.push_back(host);
    host.answers = false;  // until it does in the next beat
  }
}

std::vector<HostBeat> HostBeats::New() {
  beats_.clear();
  const UniqueFd fd(::open(series_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  if (SizeOf(series_) < read_) {  // another file
    read_ = 0;
    begun_.clear();
  }
  std::string more(kMostRead, '\0');
  const ssize_t n = ::pread(fd.get(), more.data(), more.size(), static_cast<off_t>(read_));
  if (n <= 0) return {};
  more.resize(static_cast<std::size_t>(n));
  read_ += more.size();
  std::string_view data = more;
  for (auto end = data.find('\n'); end != std::string_view::npos; end = data.find('\n')) {
    begun_ += data.substr(0, end);
    data.remove_prefix(end + 1);
    monitor::VisitLine(begun_, *this);
    begun_.clear();
  }
  begun_ += data;
  if (begun_.size() > monitor::kMaxSeriesLine) begun_.clear();
  return std::move(beats_);
}

// ---------------------------------------------------------------- the run

Health::Health(const FleetPlan& plan, std::string series, const std::vector<Notice>& told)
    : watch_(plan, told), beats_(std::move(series)) {}

std::string Health::Ready(const HostReady& host) {
  std::string why = CannotBe(watch_.needs(host.use.name), host.use);
  if (why.empty()) ready_[host.use.name] = host;
  return why;
}

std::vector<Notice> Health::Look(const Journey& journey, std::int64_t now_ms) {
  const auto step = CurrentStep(journey);
  std::vector<Notice> notices;
  // All of them together, so that what is the same is told together.
  if (!ready_.empty() && (!step || *step > Step::kDeploy)) {
    std::vector<HostReady> hosts;
    hosts.reserve(ready_.size());
    for (auto& [name, host] : std::exchange(ready_, {})) hosts.push_back(std::move(host));
    notices = watch_.Before(hosts, now_ms);
  }
  const bool going = step && *step >= Step::kStart && *step <= Step::kStop;
  if (!going || now_ms < next_ms_) return notices;
  next_ms_ = now_ms + kLookMs;
  for (const HostBeat& beat : beats_.New()) {
    for (Notice& notice : watch_.Look(beat)) notices.push_back(std::move(notice));
  }
  return notices;
}

}  // namespace baiwan::fleet
