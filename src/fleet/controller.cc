#include "fleet/controller.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

#include "base/units.h"

namespace baiwan::fleet {
namespace {

constexpr int kSoonAgain = 6;  // times as often it is looked while a host seems to be gone

class Controller {
 public:
  Controller(Journey* journey, Crew& crew, const Clock& clock, const ControllerOptions& options)
      : journey_(*journey), crew_(crew), clock_(clock), o_(options) {}

  std::optional<std::string> Run() {
    while (error_.empty() && !(o_.stop && o_.stop())) {
      const Journey before = journey_;
      const Action action = Next(&journey_, Now());
      if (!journey_.gave_up.empty()) EndWhatWasGivenUp();
      if (!(before == journey_)) Save();
      const bool mine = action.kind != Action::kEnded && action.step <= o_.last &&
                        (action.step >= o_.first || action.step == Step::kUp);
      if (!mine && under_way_.empty()) break;
      if (mine && action.kind == Action::kDo) Start(action);
      Watch();
      TakeNotices();
      LookNowAndThen();
      std::this_thread::sleep_for(std::chrono::nanoseconds(o_.look));
    }
    if (error_.empty()) return std::nullopt;
    return error_;
  }

 private:
  struct UnderWay {
    Step step;
    std::vector<std::string> hosts;  // not yet reported
    Nanos until;
    std::unique_ptr<Activity> activity;
  };

  std::optional<Nanos> Left() const {
    if (journey_.deadline_ms == 0) return std::nullopt;
    return (journey_.deadline_ms - Now()) * kMillisecond;
  }

  std::int64_t Now() const { return static_cast<std::int64_t>(clock_.WallMillis()); }

  void Save() {
    if (auto wrong = SaveJourney(o_.file, journey_)) error_ = *wrong;
    if (o_.on_change) o_.on_change(journey_);
  }

  void Start(const Action& action) {
    for (const std::string& host : action.hosts) fleet::Begin(&journey_, action.step, host, Now());
    Save();
    if (!error_.empty()) return;
    under_way_.push_back({action.step, action.hosts,
                          clock_.Monotonic() + crew_.LimitOf(action.step),
                          crew_.Begin(action.step, action.hosts, Left())});
  }

  // What cleans up goes on: it is still under way in the journey, and nobody would begin it again.
  void EndWhatWasGivenUp() {
    for (UnderWay& one : under_way_) {
      const auto ended = [&](const std::string& host) {
        return journey_.Find(one.step, host)->state != State::kUnderWay;
      };
      one.hosts.erase(std::remove_if(one.hosts.begin(), one.hosts.end(), ended), one.hosts.end());
    }
    EraseEnded();
  }

  void EraseEnded() {
    const auto over = [](const UnderWay& one) { return one.hosts.empty(); };
    under_way_.erase(std::remove_if(under_way_.begin(), under_way_.end(), over), under_way_.end());
  }

  void Watch() {
    bool changed = false;
    bool failed = false;
    for (UnderWay& one : under_way_) {
      const bool ended = one.activity->ended();  // first, so that nothing comes after the poll
      for (HostReport& report : one.activity->Poll()) {
        const auto at = std::find(one.hosts.begin(), one.hosts.end(), report.host);
        if (at == one.hosts.end()) continue;
        one.hosts.erase(at);
        failed |= report.failure.has_value();
        Settle(one.step, report);
        changed = true;
      }
      std::string why;
      if (ended) why = "nothing was said about this host";
      if (clock_.Monotonic() > one.until) {
        why = "not done within " + FormatDuration(crew_.LimitOf(one.step));
      }
      if (why.empty()) continue;
      for (const std::string& host : one.hosts) {
        Settle(one.step, {host, Failure{why, "", "", false}});
        changed = failed = true;
      }
      one.hosts.clear();
    }
    EraseEnded();
    if (failed && journey_.gave_up.empty()) Lost(crew_.LookForLost());
    if (changed) Save();
  }

  void TakeNotices() {
    auto more = o_.watch ? o_.watch(journey_) : std::vector<Notice>();
    if (more.empty()) return;
    AddNotices(&journey_.notices, std::move(more));
    Save();
  }

  void Settle(Step step, const HostReport& report) {
    if (report.failure) {
      fleet::Fail(&journey_, step, report.host, *report.failure, Now());
    } else {
      fleet::Done(&journey_, step, report.host, Now());
    }
  }

  // A failure that has its reason in a host that is gone is the host's, not the step's.
  bool Lost(const std::vector<Crew::Gone>& lost) {
    bool changed = false;
    for (const Crew::Gone& gone : lost) {
      if (!HostLost(&journey_, gone.host, gone.disk_kept, gone.why, Now())) continue;
      changed = true;
      for (UnderWay& one : under_way_) {
        const auto at = std::find(one.hosts.begin(), one.hosts.end(), gone.host);
        if (at != one.hosts.end()) one.hosts.erase(at);
      }
    }
    return changed;
  }

  // Without a failure beside it a host must be gone at two looks: a cloud's list of hosts may lag.
  void LookNowAndThen() {
    if (o_.look_for_lost == 0 || clock_.Monotonic() < look_for_lost_at_) return;
    const auto step = CurrentStep(journey_);
    if (!journey_.gave_up.empty() || !step || *step > Step::kRun) return;
    std::vector<Crew::Gone> gone = crew_.LookForLost();
    std::set<std::string> now;
    std::vector<Crew::Gone> twice;
    for (Crew::Gone& one : gone) {
      if (gone_before_.count(one.host) == 0) {
        now.insert(one.host);
      } else {
        twice.push_back(std::move(one));
      }
    }
    gone_before_ = std::move(now);
    const Nanos pause = gone_before_.empty() ? o_.look_for_lost : o_.look_for_lost / kSoonAgain;
    look_for_lost_at_ = clock_.Monotonic() + pause;
    if (Lost(twice)) Save();
  }

  Journey& journey_;
  Crew& crew_;
  const Clock& clock_;
  const ControllerOptions& o_;
  std::vector<UnderWay> under_way_;
  Nanos look_for_lost_at_ = 0;
  std::set<std::string> gone_before_;  // at the last of these looks
  std::string error_;
};

class AtOnce : public Activity {
 public:
  AtOnce(const std::vector<std::string>& hosts, const std::optional<Failure>& failure) {
    for (const std::string& host : hosts) reports_.push_back({host, failure});
  }
  std::vector<HostReport> Poll() override { return std::exchange(reports_, {}); }
  bool ended() override { return true; }

 private:
  std::vector<HostReport> reports_;
};

}  // namespace

std::optional<std::string> RunJourney(Journey* journey, Crew& crew, const Clock& clock,
                                      const ControllerOptions& options) {
  return Controller(journey, crew, clock, options).Run();
}

std::unique_ptr<Activity> DoneAtOnce(const std::vector<std::string>& hosts,
                                     const std::optional<Failure>& failure) {
  return std::make_unique<AtOnce>(hosts, failure);
}

}  // namespace baiwan::fleet
