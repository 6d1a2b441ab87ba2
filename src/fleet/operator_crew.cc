#include "fleet/operator_crew.h"

#include <fmt/format.h>

#include "fleet/control_crew.h"

namespace baiwan::fleet {
namespace {

constexpr std::size_t kTail = 2048;

// Done when the program ends with 0.
class ToolActivity : public Activity {
 public:
  ToolActivity(std::unique_ptr<Tool> tool, std::vector<std::string> hosts)
      : tool_(std::move(tool)), hosts_(std::move(hosts)) {}

  std::vector<HostReport> Poll() override {
    std::vector<HostReport> reports;
    if (!tool_->Ended()) return reports;
    std::optional<Failure> failure;
    if (const int code = *tool_->Ended(); code != 0) {
      failure = Failure{fmt::format("it ended with code {}", code), tool_->command(),
                        tool_->ErrorTail(kTail), false};
    }
    for (const std::string& host : std::exchange(hosts_, {})) reports.push_back({host, failure});
    return reports;
  }
  bool ended() override { return tool_->Ended().has_value(); }

 private:
  std::unique_ptr<Tool> tool_;
  std::vector<std::string> hosts_;
};

}  // namespace

OperatorCrew::OperatorCrew(const FleetPlan& plan, OperatorCrewOptions options)
    : plan_(plan), o_(std::move(options)) {}

Nanos OperatorCrew::LimitOf(Step step) { return fleet::LimitOf(plan_, step); }

std::unique_ptr<Activity> OperatorCrew::Begin(Step step, const std::vector<std::string>& hosts,
                                              std::optional<Nanos> left) {
  if (step == Step::kPlan) return DoneAtOnce(hosts, o_.check());
  if (step != Step::kPackage) return ProviderStep(o_.provider, plan_, step, hosts, left);
  auto tool = Tool::Start({NameOf(step), o_.package, o_.provider.folder, ""});
  if (!tool) return DoneAtOnce(hosts, Failure{tool.error(), o_.package[0], "", false});
  return std::make_unique<ToolActivity>(std::move(*tool), hosts);
}

}  // namespace baiwan::fleet
