#include "fleet/plan_check.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/units.h"
#include "fleet/bill.h"

namespace baiwan::fleet {
namespace {

constexpr Nanos kCheckWithin = 60 * kSecond;

// `final`: when it says no, to ask again would not help.
Result<std::string, Failure> Ask(const ProviderAt& at, const FleetPlan& plan, const char* command,
                                 bool final) {
  using Out = Result<std::string, Failure>;
  auto end =
      RunTool({command, {at.program, command}, at.folder, ProviderRequest(plan, at.state), false},
              kCheckWithin);
  if (!end) return Out::Failure({end.error(), at.program, "", false});
  if (end->code == 0) return std::move(end->output);
  Failure failure = ParseProviderFailure(end->output, end->error_tail);
  failure.final = final;
  return Out::Failure(std::move(failure));
}

}  // namespace

Result<PlanAnswer, Failure> CheckWithProvider(const ProviderAt& at, const FleetPlan& plan,
                                              const ProviderFacts& known) {
  using Out = Result<PlanAnswer, Failure>;
  if (::access(at.program.c_str(), X_OK) != 0) {
    return Out::Failure(
        {fmt::format("there is no provider '{}': {} is not there", plan.provider, at.program), "",
         "", true});
  }
  PlanAnswer answer;
  answer.facts = known;
  const auto facts = Ask(at, plan, "check", true);
  if (!facts) {
    answer.errors = CheckPlan(plan, answer.facts);
    if (answer.errors.empty()) return Out::Failure(facts.error());
    answer.errors.push_back({"", "provider", facts.error().why});
    return answer;
  }
  if (const auto wrong = AddFacts(*facts, &answer.facts)) {
    return Out::Failure({*wrong, at.program, *facts, true});
  }
  answer.errors = CheckPlan(plan, answer.facts);
  if (answer.errors.empty() && (answer.facts.memory_bytes == 0 || answer.facts.disk_bytes == 0)) {
    return Out::Failure({fmt::format("the provider does not tell what memory and disk a host of "
                                     "type '{}' has",
                                     plan.hosts.type),
                         at.program, *facts, true});
  }
  if (!answer.errors.empty()) return answer;
  const auto price = Ask(at, plan, "price", false);
  if (!price) return Out::Failure(price.error());
  auto estimate = ParseEstimate(*price, plan.deadline);
  if (!estimate) return Out::Failure({estimate.error(), at.program, *price, true});
  std::string over = OverBudget(*estimate, plan.budget, plan.deadline);
  if (!over.empty()) answer.errors.push_back({"", "budget", std::move(over)});
  answer.price = std::move(*estimate);
  return answer;
}

}  // namespace baiwan::fleet
