#include "cli/stress/outcome.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "cli/revision.h"
#include "cli/stress/folder.h"
#include "monitor/totals.h"
#include "stress/report.h"
#include "stress/stalls.h"

namespace baiwan::cli {
namespace {

constexpr std::size_t kMostLog = 65 << 20;
constexpr std::size_t kMostResult = 16 << 20;

// The longest that a cell took to make its share: the cells do it side by side.
double GenerateSeconds(const StressPlan& plan) {
  double longest = 0;
  for (const PlannedProcess& import : plan.imports) {
    const auto log = ReadFile(import.child.log_file, kMostLog);
    if (!log) continue;
    double sum = 0;
    std::istringstream lines(*log);
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, false);
      if (json.is_object()) sum += json.value("generate_s", 0.0);
    }
    longest = std::max(longest, sum);
  }
  return longest;
}

void AddCosts(const StressOptions& options, const StressPlan& plan, const Outcome& outcome,
              double messages, stress::RunResult* result) {
  std::map<std::string, std::string> roles;
  for (const auto* list : {&plan.servers, &plan.loads}) {
    for (const PlannedProcess& p : *list) roles[p.child.name] = p.role;
  }
  roles[plan.registry.child.name] = plan.registry.role;
  roles[plan.monitor.child.name] = plan.monitor.role;
  std::map<std::string, double> by_role;
  for (const supervise::ChildStatus& child : outcome.children) {
    const auto role = roles.find(child.name);
    if (role == roles.end()) continue;
    const double cost = static_cast<double>(child.usage.cpu_us()) / messages;
    result->cpu_us_by_process[child.name] = cost;
    by_role[role->second] += cost;
    const double rss = static_cast<double>(child.usage.max_rss_kib) / 1024;
    result->peak_rss_mib_by_process[child.name] = rss;
    result->peak_rss_mib += rss;
  }
  result->cpu_us_by_process["operator"] = static_cast<double>(outcome.own_cpu_us) / messages;
  for (const auto& [name, cost] : result->cpu_us_by_process) result->cpu_us_per_message += cost;
  if (options.layout == "role") result->cpu_us_by_role = std::move(by_role);
}

stress::RunMachine MachineOf(const Outcome& outcome) {
  const monitor::MachineInfo about = monitor::ReadMachine();
  stress::RunMachine machine;
  machine.cpus = about.cpus;
  machine.cpu = about.cpu;
  machine.memory_mib = about.memory_mib;
  machine.system = about.system;
  machine.steal_share = monitor::Between(outcome.cpu_before, outcome.cpu_after).steal;
  return machine;
}

stress::RunResult WhatWasAsked(const StressOptions& options, const Outcome& outcome) {
  stress::RunResult r;
  r.cells = options.spec.cells;
  r.options = {options.spec,
               options.protocol,
               options.layout,
               options.drive.concurrency,
               options.drive.messages_per_frame,
               options.drive.in_flight,
               options.rate};
  r.revision = Revision();
  r.began_ms = outcome.began_ms;
  r.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                       fmt::gmtime(static_cast<std::time_t>(outcome.began_ms / 1000)));
  r.machine = MachineOf(outcome);
  return r;
}

stress::RunPhases PhasesOf(const StressPlan& plan, const Outcome& outcome) {
  stress::RunPhases phases;
  phases.generate = GenerateSeconds(plan);
  phases.import = std::max(0.0, outcome.import_seconds - phases.generate);
  phases.start = outcome.start_seconds;
  phases.verify = outcome.verify_seconds;
  return phases;
}

std::vector<stress::TimelineEvent> TimelineOf(const std::string& folder, const Outcome& outcome) {
  stress::Timeline timeline;
  for (const stress::TimelineEvent& event : outcome.happened) timeline.Add(event);
  // Where there is no record, that is among the problems of a run that came so far.
  stress::AddStalls(folder + "/" + stress::kSeriesFile, &timeline);
  return timeline.Take();
}

stress::RunMessages MessagesOf(const verify::VerifyReport& report) {
  using verify::Kind;
  stress::RunMessages m;
  m.sent = report.expected_messages;
  m.stored = report.stored;
  m.delivered = report.delivered;
  m.acknowledged = report.acknowledged;
  m.verified = report.verified();
  m.lost = report.count(Kind::kLost);
  m.duplicated = report.count(Kind::kDuplicated);
  m.reordered = report.count(Kind::kReordered);
  m.altered = report.count(Kind::kAltered);
  m.foreign = report.count(Kind::kForeign);
  m.counter = report.count(Kind::kCounter);
  return m;
}

}  // namespace

stress::DriveResults ReadDriveResults(const StressPlan& plan, const std::string& folder,
                                      std::vector<std::string>* problems) {
  stress::DriveResults all;
  for (const PlannedProcess& load : plan.loads) {
    const auto text =
        ReadFile(fmt::format("{}/results/{}.json", folder, load.child.name), kMostResult);
    auto one = text ? stress::DriveResult::FromJson(*text)
                    : Result<stress::DriveResult, std::string>::Failure(text.error());
    if (one) {
      all.emplace_back(load.child.name, std::move(*one));
    } else {
      problems->push_back(fmt::format("{}: {}", load.child.name, one.error()));
    }
  }
  return all;
}

stress::RunResult ResultOfFailure(const StressOptions& options, const StressPlan& plan,
                                  const std::string& folder, const Outcome& outcome,
                                  int exit_code) {
  stress::RunResult r = WhatWasAsked(options, outcome);
  r.users = stress::TotalUsers(options.spec);
  r.relations = stress::TotalRelations(options.spec);
  r.messages.sent = stress::TotalMessages(options.spec);
  for (const auto& [name, one] : outcome.load) {
    r.messages.stored += one.stored;
    r.messages.delivered += one.delivered;
  }
  r.messages.acknowledged = r.messages.delivered;  // load clients know what senders were told
  r.phase_seconds = PhasesOf(plan, outcome);
  r.exit_code = exit_code;
  r.problems = outcome.problems;
  stress::TakeLoad(outcome.load, &r);
  r.offer.valid = false;
  r.offer.reason = "the run did not come to its end";
  r.latency_stored = r.latency_delivered = std::nullopt;
  AddCosts(options, plan, outcome,
           static_cast<double>(std::max<std::uint64_t>(r.messages.acknowledged, 1)), &r);
  r.disk_bytes = BytesBelow(folder + "/stores");
  r.timeline = TimelineOf(folder, outcome);
  return r;
}

stress::RunResult ResultOf(const StressOptions& options, const StressPlan& plan,
                           const std::string& folder, const Outcome& outcome) {
  stress::RunResult r = WhatWasAsked(options, outcome);
  const verify::VerifyReport& verified = outcome.verified;
  r.users = verified.users;
  r.relations = verified.relations;
  r.messages = MessagesOf(verified);
  for (const verify::Mismatch& m : verified.listed) r.problems.push_back(m.what);
  for (const std::string& error : verified.errors) r.problems.push_back(error);
  r.problems.insert(r.problems.end(), outcome.problems.begin(), outcome.problems.end());
  r.phase_seconds = PhasesOf(plan, outcome);
  r.exit_code = verified.ExitCode();
  stress::TakeLoad(outcome.load, &r);
  const auto messages = static_cast<double>(std::max<std::uint64_t>(r.messages.acknowledged, 1));
  AddCosts(options, plan, outcome, messages, &r);
  r.disk_bytes = verified.disk_bytes;
  if (const auto totals = monitor::CounterTotals(folder + "/series.jsonl")) {
    const auto resent = totals->find("resent_total");
    r.resent_share = resent == totals->end() ? 0 : resent->second / messages;
  } else {
    r.problems.push_back("how much was sent again is not known: " + totals.error());
  }
  r.timeline = TimelineOf(folder, outcome);
  return r;
}

}  // namespace baiwan::cli
