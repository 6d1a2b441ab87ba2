#include "fleet/control_crew.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "stress/estimate.h"

namespace baiwan::fleet {
namespace {

using nlohmann::json;

constexpr std::size_t kTail = 2048;
constexpr Nanos kDescribeWithin = 30 * kSecond;
constexpr int kAsksWithinSilence = 3;
constexpr double kVerifiedPerSecond = 50'000;  // a host at its slowest

std::string Text(const json& in, const char* key) {
  const auto at = in.find(key);
  return at != in.end() && at->is_string() ? at->get<std::string>() : "";
}

class EngineActivity : public Activity {
 public:
  using ReadyFn = std::function<std::string(const HostReady&)>;
  EngineActivity(std::unique_ptr<Tool> tool, std::vector<std::string> hosts, ReadyFn ready)
      : tool_(std::move(tool)), left_(std::move(hosts)), ready_(std::move(ready)) {}

  std::vector<HostReport> Poll() override {
    std::vector<HostReport> reports;
    const bool over = ended();  // before its last lines are read
    for (const std::string& line : tool_->NewLines()) Take(line, &reports);
    if (!over) return reports;
    for (const std::string& host : std::exchange(left_, {})) {
      reports.push_back(
          {host, Failure{fmt::format("the step engine ended with code {} and no word of this host",
                                     *tool_->Ended()),
                         tool_->command(), tool_->ErrorTail(kTail), *tool_->Ended() == 2}});
    }
    return reports;
  }
  bool ended() override { return tool_->Ended().has_value(); }

 private:
  void Take(const std::string& line, std::vector<HostReport>* reports) {
    const auto event = json::parse(line, nullptr, false);
    if (!event.is_object()) return;
    const std::string what = Text(event, "event");
    if (what == "facts") TakeFacts(Text(event, "host"), Text(event, "text"));
    if (what != "done" && what != "failed") return;
    const auto at = std::find(left_.begin(), left_.end(), Text(event, "host"));
    if (at == left_.end()) return;
    HostReport report{*at, std::nullopt};
    if (const auto refused = refused_.find(*at); refused != refused_.end()) {
      report.failure = Failure{refused->second, "", "", true};  // it will be no larger next time
    }
    if (what == "failed") {
      report.failure = Failure{Text(event, "why"), Text(event, "command"), Text(event, "log_tail")};
      const std::string cut = Text(event, "cut");
      report.failure->cut = !cut.empty();
      report.failure->reached = cut == "lost";
    }
    left_.erase(at);
    reports->push_back(std::move(report));
  }

  void TakeFacts(const std::string& host, const std::string& text) {
    auto ready = HostReadyFromJson(text);
    if (!ready || !ready_ || std::find(left_.begin(), left_.end(), host) == left_.end()) return;
    ready->use.name = host;
    std::string why = ready_(*ready);
    if (!why.empty()) refused_[host] = std::move(why);
  }

  std::unique_ptr<Tool> tool_;
  std::vector<std::string> left_;
  const ReadyFn ready_;
  std::map<std::string, std::string> refused_;  // hosts, and why
};

// The workers' shares first; the control host's part is to put them together.
class VerifyActivity : public Activity {
 public:
  VerifyActivity(std::unique_ptr<Activity> shares, Argv join, std::string home,
                 std::vector<std::string> files)
      : shares_(std::move(shares)),
        join_(std::move(join)),
        home_(std::move(home)),
        files_(std::move(files)) {}

  std::vector<HostReport> Poll() override {
    std::vector<HostReport> reports;
    if (shares_) {
      const bool over = shares_->ended();
      reports = shares_->Poll();
      if (!over) return reports;
      shares_.reset();
    }
    if (over_) return reports;
    if (files_.empty()) {  // another service: each host has verified itself
      Report(std::nullopt, &reports);
      return reports;
    }
    if (!tool_) Start(&reports);
    if (tool_ && tool_->Ended()) Finish(&reports);
    return reports;
  }
  bool ended() override { return over_; }

 private:
  void Report(std::optional<Failure> failure, std::vector<HostReport>* reports) {
    over_ = true;
    reports->push_back({kControl, std::move(failure)});
  }

  void Start(std::vector<HostReport>* reports) {
    for (const std::string& file : files_) {
      if (::access(file.c_str(), R_OK) == 0) continue;
      return Report(Failure{"there is no share yet: " + file, "", "", false}, reports);
    }
    auto tool = Tool::Start({"join", join_, home_ + "/tools", ""});
    if (!tool) return Report(Failure{tool.error(), join_[0], "", false}, reports);
    tool_ = std::move(*tool);
  }

  void Finish(std::vector<HostReport>* reports) {
    const int code = *tool_->Ended();
    const std::string output = tool_->Output();
    if (code > 1) {
      return Report(Failure{"the shares do not fit together", tool_->command(),
                            tool_->ErrorTail(kTail), false},
                    reports);
    }
    if (const auto wrong = ReplaceFile(home_ + "/" + kVerifyFile, output)) {
      return Report(Failure{*wrong, "", "", false}, reports);
    }
    if (code == 0) return Report(std::nullopt, reports);
    // What does not agree now will not agree the next time.
    Report(Failure{"messages are not as they should be", tool_->command(), output.substr(0, kTail),
                   true},
           reports);
  }

  std::unique_ptr<Activity> shares_;
  const Argv join_;
  const std::string home_;
  const std::vector<std::string> files_;
  std::unique_ptr<Tool> tool_;
  bool over_ = false;
};

}  // namespace

Nanos LimitOf(const FleetPlan& plan, Step step) {
  const Nanos hosts = plan.hosts.count + Nanos{1};
  // How long another service's load or check takes only its author knows.
  if (IsOther(plan) && (step == Step::kRun || step == Step::kVerify)) return plan.deadline;
  const auto minutes = [](Nanos n) { return n * 60 * kSecond; };
  const stress::WorkloadSpec spec = WorkloadOf(plan);
  const auto messages = static_cast<double>(stress::TotalMessages(spec));
  switch (step) {
    case Step::kRun:
      return minutes(2) + stress::TimeFor(spec, static_cast<double>(plan.load.rate));
    case Step::kVerify:
      return minutes(5) + static_cast<Nanos>(messages / kVerifiedPerSecond) * kSecond;
    case Step::kImport:
      return minutes(5) + stress::TotalUsers(spec) * kMillisecond;
    case Step::kUp:
    case Step::kDown:
      return minutes(10) + hosts * 5 * kSecond;
    default:
      return minutes(3) + hosts * 5 * kSecond;
  }
}

Nanos DescribeWithin(const FleetPlan& plan) {
  const Nanos silence = plan.limits.silence;
  return silence > 0 ? std::min(kDescribeWithin, silence / kAsksWithinSilence) : kDescribeWithin;
}

ControlCrew::ControlCrew(const FleetPlan& plan, ControlCrewOptions options)
    : plan_(plan), o_(std::move(options)) {}

Nanos ControlCrew::LimitOf(Step step) { return fleet::LimitOf(plan_, step); }

std::unique_ptr<Activity> ControlCrew::Begin(Step step, const std::vector<std::string>& hosts,
                                             std::optional<Nanos> left) {
  if (step == Step::kUp) return ProviderStep(o_.provider, plan_, step, hosts, left);
  if (step == Step::kReport) return DoneAtOnce(hosts, o_.report());
  std::vector<std::string> by_engine = hosts;
  bool join = false;
  if (step == Step::kVerify) {
    const auto control = std::find(by_engine.begin(), by_engine.end(), kControl);
    join = control != by_engine.end();
    if (join) by_engine.erase(control);
  }
  std::unique_ptr<Activity> engine;
  if (!by_engine.empty()) {
    auto tool = Tool::Start({NameOf(step),
                             {o_.engine, NameOf(step), "--folder", o_.home, "--hosts",
                              fmt::format("{}", fmt::join(by_engine, ",")), "--limit",
                              std::to_string(LimitOf(step) / kSecond)},
                             o_.home + "/tools",
                             ""});
    if (!tool) return DoneAtOnce(hosts, Failure{tool.error(), o_.engine, "", false});
    engine = std::make_unique<EngineActivity>(std::move(*tool), by_engine, o_.ready);
  }
  if (!join) return engine;
  std::vector<std::string> files;
  for (const HostFiles& host : FilesOf(plan_, o_.paths)) {
    if (!host.share.empty()) files.push_back(fmt::format("{}/shares/{}.share", o_.home, host.name));
  }
  Argv argv = JoinOf(plan_, o_.paths, files);
  return std::make_unique<VerifyActivity>(std::move(engine), std::move(argv), o_.home,
                                          std::move(files));
}

std::vector<Crew::Gone> ControlCrew::LookForLost() {
  std::vector<Gone> gone;
  const auto found = Describe(o_.provider, plan_, DescribeWithin(plan_));
  if (!found) return gone;  // nothing is known, so nothing is done about it
  for (const ProvidedHost& host : found->hosts) {
    if (host.state == "running" || host.state == "starting" || host.state == "unknown") continue;
    gone.push_back({host.name, host.disk_kept, fmt::format("the host is {}", host.state)});
  }
  return gone;
}

}  // namespace baiwan::fleet
