#include "fleet/bill.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/units.h"

namespace baiwan::fleet {
namespace {

using nlohmann::json;

constexpr double kNanosOfHour = 3600.0 * kSecond;

bool PaidByTime(const std::string& unit) { return unit == "hour" || unit == "GB-month"; }

// Throws what is wrong; caught below.
stress::RunCost CostFrom(const json& in) {
  stress::RunCost cost;
  cost.currency = in.at("currency").get<std::string>();
  cost.total = in.at("total").get<double>();
  for (const json& item : in.at("items")) {
    cost.items.push_back({item.at("item").get<std::string>(), item.at("quantity").get<double>(),
                          item.at("unit").get<std::string>(), item.at("each").get<double>(),
                          item.at("cost").get<double>()});
  }
  return cost;
}

double Hours(const Journey& journey) {
  std::int64_t began = 0;
  std::int64_t ended = 0;
  for (const Task& task : journey.of(Step::kUp)) {
    if (task.began_ms > 0 && (began == 0 || task.began_ms < began)) began = task.began_ms;
  }
  for (const Task& task : journey.of(Step::kDown)) ended = std::max(ended, task.ended_ms);
  return began > 0 && ended > began ? static_cast<double>(ended - began) / 3'600'000 : 0;
}

}  // namespace

Result<stress::RunCost, std::string> ParseEstimate(std::string_view text, Nanos deadline) {
  using Out = Result<stress::RunCost, std::string>;
  try {
    const json in = json::parse(text);
    stress::RunCost cost = CostFrom(in);
    const auto region = in.value("region", std::string());
    const auto as_of = in.value("as_of", std::string());
    cost.prices = region.empty() ? as_of : region + ", " + as_of;
    cost.hours = static_cast<double>(deadline) / kNanosOfHour;
    return cost;
  } catch (const std::exception& error) {
    return Out::Failure(fmt::format("the provider's prices cannot be read: {}", error.what()));
  }
}

std::string ToJson(const stress::RunCost& cost) {
  json items = json::array();
  for (const auto& i : cost.items) {
    items.push_back({{"item", i.item},
                     {"quantity", i.quantity},
                     {"unit", i.unit},
                     {"each", i.each},
                     {"cost", i.cost}});
  }
  const json out = {{"currency", cost.currency},
                    {"prices", cost.prices},
                    {"hours", cost.hours},
                    {"total", cost.total},
                    {"items", items}};
  return out.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<stress::RunCost, std::string> CostFromJson(std::string_view text) {
  using Out = Result<stress::RunCost, std::string>;
  try {
    const json in = json::parse(text);
    stress::RunCost cost = CostFrom(in);
    cost.prices = in.at("prices").get<std::string>();
    cost.hours = in.at("hours").get<double>();
    return cost;
  } catch (const std::exception& error) {
    return Out::Failure(fmt::format("no estimate: {}", error.what()));
  }
}

std::optional<stress::RunCost> ActualCost(const stress::RunCost& estimate, const Journey& journey) {
  const double hours = Hours(journey);
  if (hours <= 0 || estimate.hours <= 0) return std::nullopt;
  stress::RunCost cost = estimate;
  cost.hours = hours;
  cost.total = 0;
  for (auto& item : cost.items) {
    const double part = PaidByTime(item.unit) ? hours / estimate.hours : 1;
    item.quantity *= part;
    item.cost *= part;
    cost.total += item.cost;
  }
  return cost;
}

std::string OverBudget(const stress::RunCost& estimate, Cents budget, Nanos deadline) {
  if (budget == 0) return "";
  const auto cents = static_cast<Cents>(std::ceil(estimate.total * 100 - 1e-9));
  if (cents <= budget) return "";
  double by_time = 0;
  for (const auto& item : estimate.items) by_time += PaidByTime(item.unit) ? item.cost : 0;
  const double left = static_cast<double>(budget) / 100 - (estimate.total - by_time);
  std::string way = "raise it, or take fewer or smaller hosts";
  if (left > 0 && by_time > 0) {
    const auto minutes = static_cast<std::int64_t>(static_cast<double>(deadline) /
                                                   (60.0 * kSecond) * left / by_time);
    if (minutes > 0) way += fmt::format(", or lower deadline to \"{}m\"", minutes);
  }
  return fmt::format(
      "until the deadline, {} from its beginning, all hosts cost up to {}, and {} "
      "are allowed: {}",
      FormatDuration(deadline), FormatMoney(cents), FormatMoney(budget), way);
}

std::string CostText(const stress::RunCost& cost, std::string_view title) {
  std::string text = fmt::format("{} ({:.2f} hours", title, cost.hours);
  text += cost.prices.empty() ? ")\n" : fmt::format(", prices of {})\n", cost.prices);
  for (const auto& i : cost.items) {
    text += fmt::format("  {:<28} {:>10.3f} {:<9} × {:>8.4f} {:>9.2f} {}\n", i.item, i.quantity,
                        i.unit, i.each, i.cost, cost.currency);
  }
  return text + fmt::format("  {:<28} {:>41.2f} {}\n", "together", cost.total, cost.currency);
}

}  // namespace baiwan::fleet
