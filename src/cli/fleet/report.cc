#include "cli/fleet/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "cli/revision.h"
#include "fleet/control_crew.h"
#include "fleet/host_files.h"
#include "fleet/journey_timeline.h"
#include "monitor/host_record.h"
#include "monitor/machine.h"
#include "monitor/totals.h"
#include "stress/drive_result.h"
#include "stress/process_timeline.h"
#include "stress/report.h"
#include "stress/result.h"
#include "stress/stalls.h"
#include "supervise/usage_file.h"

namespace baiwan::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kMostResult = 16 << 20;
constexpr std::size_t kMostSeries = 512 << 20;

class Maker {
 public:
  Maker(const fleet::FleetPlan& plan, const fleet::Journey& journey, const std::string& home)
      : plan_(plan), journey_(journey), home_(home), hosts_(fleet::FilesOf(plan, {})) {}

  std::optional<std::string> Make() {
    std::error_code error;
    std::filesystem::create_directories(Report(), error);
    if (error) return fmt::format("cannot make {}: {}", Report(), error.message());
    WhatWasAsked();
    if (!journey_.gave_up.empty()) r_.problems.push_back(journey_.gave_up);
    Verified();
    Load();
    Costs();
    Series();
    Happened();
    for (const std::string& problem : problems_) r_.problems.push_back(problem);
    if (auto wrong = ReplaceFile(Report() + "/" + stress::kResultFile, stress::ToJson(r_))) {
      return wrong;
    }
    const auto report = stress::WriteReport({.folder = Report()});
    if (!report) return report.error();
    return std::nullopt;
  }

 private:
  std::string Report() const { return home_ + "/report"; }
  std::string Collected(const std::string& host, const std::string& file) const {
    return fmt::format("{}/collected/{}/{}", home_, host, file);
  }

  double Seconds(fleet::Step step) const {
    std::int64_t began = 0;
    std::int64_t ended = 0;
    for (const fleet::Task& task : journey_.of(step)) {
      if (task.began_ms > 0 && (began == 0 || task.began_ms < began)) began = task.began_ms;
      ended = std::max(ended, task.ended_ms);
    }
    return began > 0 && ended > began ? static_cast<double>(ended - began) / 1000 : 0;
  }

  void WhatWasAsked() {
    const stress::WorkloadSpec spec = fleet::WorkloadOf(plan_);
    r_.name = plan_.run;
    r_.cells = spec.cells;
    r_.options = {spec,
                  plan_.load.protocol,
                  plan_.roles.layout,
                  plan_.load.concurrency,
                  plan_.load.messages_per_frame,
                  plan_.load.in_flight,
                  static_cast<double>(plan_.load.rate)};
    r_.revision = Revision();
    r_.began_ms = journey_.began_ms;
    r_.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                          fmt::gmtime(static_cast<std::time_t>(journey_.began_ms / 1000)));
    const monitor::MachineInfo about = monitor::ReadMachine();
    r_.machine.cpus = about.cpus;
    r_.machine.cpu = about.cpu;
    r_.machine.memory_mib = about.memory_mib;
    r_.machine.system = about.system;
    r_.phase_seconds.import = Seconds(fleet::Step::kImport);
    r_.phase_seconds.start = Seconds(fleet::Step::kStart);
    r_.phase_seconds.verify = Seconds(fleet::Step::kVerify);
  }

  void Verified() {
    const auto text = ReadFile(home_ + "/" + fleet::kVerifyFile, kMostResult);
    const auto in = text ? json::parse(*text, nullptr, false) : json();
    if (!in.is_object()) {
      if (journey_.gave_up.empty()) problems_.push_back("nothing was verified");
      r_.exit_code = 2;
      r_.users = stress::TotalUsers(r_.options.spec);
      r_.relations = stress::TotalRelations(r_.options.spec);
      r_.messages.sent = stress::TotalMessages(r_.options.spec);
      return;
    }
    const auto number = [](const json& from, const char* key) {
      return from.value(key, std::uint64_t{0});
    };
    stress::RunMessages& m = r_.messages;
    m.sent = number(in, "expected");
    m.stored = number(in, "stored");
    m.delivered = number(in, "delivered");
    m.acknowledged = number(in, "acknowledged");
    m.verified = number(in, "verified");
    const json kinds = in.value("mismatches", json::object());
    m.lost = number(kinds, "lost");
    m.duplicated = number(kinds, "duplicated");
    m.reordered = number(kinds, "reordered");
    m.altered = number(kinds, "altered");
    m.foreign = number(kinds, "foreign");
    m.counter = number(kinds, "counter");
    r_.users = number(in, "users");
    r_.relations = number(in, "relations");
    r_.disk_bytes = number(in, "disk_bytes");
    r_.exit_code = in.value("exit_code", 2);
    // What was verified is, but the run did not come to its end.
    if (r_.exit_code == 0 && !journey_.gave_up.empty()) r_.exit_code = 2;
    for (const json& one : in.value("listed", json::array())) {
      problems_.push_back(one.value("what", std::string()));
    }
    for (const json& one : in.value("errors", json::array())) problems_.push_back(one);
  }

  void Load() {
    stress::DriveResults all;
    stress::DriveResult sum;
    for (const fleet::HostFiles& host : hosts_) {
      const std::string folder = Collected(host.name, "results");
      std::error_code error;
      for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
        if (file.path().filename().string().rfind("drive-", 0) != 0) continue;
        const auto text = ReadFile(file.path().string(), kMostResult);
        const auto one = text ? stress::DriveResult::FromJson(*text)
                              : Result<stress::DriveResult, std::string>::Failure(text.error());
        if (one) all.emplace_back(file.path().stem().string() + " on " + host.name, *one);
        if (!one) problems_.push_back(file.path().string() + ": " + one.error());
      }
      const bool plays = !host.load.empty() && fleet::Settled(journey_, fleet::Step::kRun) &&
                         journey_.Find(fleet::Step::kRun, host.name)->state == fleet::State::kDone;
      if (plays && error) problems_.push_back(host.name + ": no results of its load client");
    }
    for (const auto& [name, one] : all) sum.Merge(one);
    if (r_.messages.verified == 0 && r_.exit_code == 2) {  // as the load clients know
      r_.messages.stored = sum.stored;
      r_.messages.delivered = r_.messages.acknowledged = sum.delivered;
    }
    if (const auto wrong = ReplaceFile(Report() + "/load.json", sum.ToJson())) {
      problems_.push_back(*wrong);
    }
    stress::TakeLoad(all, &r_);
    if (journey_.gave_up.empty()) return;
    r_.offer.valid = false;
    r_.offer.reason = "the run did not come to its end";
    r_.latency_stored = r_.latency_delivered = std::nullopt;
  }

  void Costs() {
    const double messages =
        static_cast<double>(std::max<std::uint64_t>(r_.messages.acknowledged, 1));
    for (const fleet::HostFiles& host : hosts_) {
      for (const char* file : {"results/usage-servers.json", "results/usage-load.json"}) {
        const auto usage = supervise::ReadUsage(Collected(host.name, file));
        if (!usage) continue;
        for (const auto& [name, kept] : *usage) {
          const double cost = static_cast<double>(kept.usage.cpu_us()) / messages;
          r_.cpu_us_by_process[name] += cost;
          r_.cpu_us_per_message += cost;
          const double rss = static_cast<double>(kept.usage.max_rss_kib) / 1024;
          r_.peak_rss_mib_by_process[name] = rss;
          r_.peak_rss_mib += rss;
        }
      }
    }
  }

  void Happened() {
    stress::Timeline timeline;
    fleet::AddJourney(journey_, &timeline);
    for (const fleet::HostFiles& host : hosts_) {
      stress::ProcessTimeline processes(host.name);
      for (const char* file : {"results/events-servers.jsonl", "results/events-load.jsonl"}) {
        for (const supervise::KeptEvent& event :
             supervise::ReadEvents(Collected(host.name, file))) {
          processes.Take(event);
        }
      }
      processes.AddTo(&timeline);
    }
    // Without a record there are none, and that there is none has been said.
    stress::AddStalls(Report() + "/" + stress::kSeriesFile, &timeline);
    r_.timeline = timeline.Take();
  }

  void Series() {
    const std::string from = Collected(fleet::kControl, "series.jsonl");
    const auto text = ReadFile(from, kMostSeries);
    if (!text) return problems_.push_back("no curves: " + text.error());
    if (const auto wrong = ReplaceFile(Report() + "/" + stress::kSeriesFile, *text)) {
      problems_.push_back(*wrong);
    }
    Hosts(from);
    const auto totals = monitor::CounterTotals(from);
    if (!totals) return problems_.push_back(totals.error());
    const auto resent = totals->find("resent_total");
    if (resent != totals->end() && r_.messages.acknowledged > 0) {
      r_.resent_share = resent->second / static_cast<double>(r_.messages.acknowledged);
    }
  }

  void Hosts(const std::string& series) {
    for (const fleet::Notice& notice : journey_.notices) {
      r_.warnings.push_back(fleet::NoticeLine(notice));
    }
    auto record = monitor::ReadHostRecord(series);
    if (!record) return problems_.push_back(record.error());
    r_.machine.steal_share = record->steal_share;
    for (monitor::Machine& machine : record->machines) {
      const monitor::HostUse& use = machine.use;
      r_.hosts.push_back({machine.name(), machine.hosts.size(), use.cpus, use.busy, use.steal,
                          use.memory >> 20, use.memory_available >> 20, use.disk >> 20,
                          use.disk_free >> 20, machine.disk_host, use.exceeded});
    }
  }

  const fleet::FleetPlan& plan_;
  const fleet::Journey& journey_;
  const std::string home_;
  const std::vector<fleet::HostFiles> hosts_;
  stress::RunResult r_;
  std::vector<std::string> problems_;
};

}  // namespace

std::optional<std::string> MakeFleetReport(const fleet::FleetPlan& plan,
                                           const fleet::Journey& journey, const std::string& home) {
  return Maker(plan, journey, home).Make();
}

}  // namespace baiwan::cli
