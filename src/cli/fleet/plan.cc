// `baiwan fleet plan`.
#include "fleet/plan.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <ctime>
#include <memory>

#include "base/file.h"
#include "base/units.h"
#include "cli/fleet/fleet.h"
#include "cli/output.h"
#include "cli/stress/machine.h"
#include "fleet/layout.h"

namespace baiwan::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kStep = 64 * kMiB;
constexpr std::uint64_t kShortRun = 5'000'000;  // messages
constexpr const char* kNetns = "netns";         // its hosts are parts of this machine

std::string NewRunName() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "run-%Y%m%d-%H%M%S", &parts);
  return text;
}

// What was not said: in a way that the plan's own check finds nothing wrong with.
void FillIn(fleet::FleetPlan* plan, bool memory_given) {
  if (plan->run.empty()) plan->run = NewRunName();
  if (plan->provider == "aws" && plan->hosts.type.empty()) {
    plan->hosts.type = plan->hosts.architecture == "aarch64" ? "c7g.large" : "c7i.large";
  }
  plan->workload.partitions =
      std::max(plan->workload.partitions, std::bit_ceil(fleet::CellsOf(*plan)));
  if (plan->provider == kNetns) {
    plan->limits.open_files = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(plan->limits.open_files, ThisMachine(".").open_files));
  }
  // A look every ten seconds would show nothing of a short run.
  if (plan->limits.monitor_interval == fleet::LimitsPlan{}.monitor_interval &&
      stress::TotalMessages(fleet::WorkloadOf(*plan)) < kShortRun) {
    plan->limits.monitor_interval = kSecond;
  }
  // Not before the end; a default that is too short would have to be mended by hand each time.
  if (plan->deadline == 0) {
    fleet::ProviderFacts facts;
    facts.shared = plan->provider == kNetns;
    const Nanos hour = 3600 * kSecond;
    const Nanos needed = fleet::TimeNeeded(*plan, facts) / 4 * 5;
    plan->deadline = std::max(fleet::FleetPlan{}.deadline, (needed + hour - 1) / hour * hour);
  }
  if (memory_given) return;
  // A quarter more than the estimate; hosts that share a machine take no more than that.
  const std::uint64_t needed = fleet::NeedsOf(*plan).memory_bytes / 4 * 5;
  const std::uint64_t least = plan->provider == kNetns ? 256 * kMiB : 1024 * kMiB;
  plan->limits.memory = std::max(least, (needed + kStep - 1) / kStep * kStep);
}

int RunPlan(FleetPlanOptions o) {
  if (const auto wrong = FinishPlan(&o)) return Fail(*wrong);
  const std::string text = fleet::WritePlan(o.plan);
  if (o.out == "-") {
    Print(text);
    return kDone;
  }
  if (access(o.out.c_str(), F_OK) == 0) {
    return Fail(o.out + " is there already: choose another name with --out, or remove it");
  }
  if (const auto wrong = ReplaceFile(o.out, text)) return Fail(*wrong);
  Print(o.out + "\n");
  return kDone;
}

}  // namespace

std::string ThisArchitecture() {
  utsname about{};
  return uname(&about) == 0 ? about.machine : "x86_64";
}

void AddMachineFacts(const fleet::FleetPlan& plan, fleet::ProviderFacts* facts) {
  if (plan.provider != kNetns) return;
  const Machine machine = ThisMachine(".");
  facts->shared = true;
  facts->architecture = ThisArchitecture();
  facts->cores = machine.cores;
  facts->memory_bytes = machine.memory_bytes;
  facts->disk_bytes = machine.disk_free_bytes;
  facts->open_files =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(machine.open_files, facts->open_files));
}

std::optional<std::string> FinishPlan(FleetPlanOptions* o) {
  std::vector<std::string> wrong;
  if (!o->memory.empty()) {
    const auto bytes = ParseBytes(o->memory);
    if (!bytes) wrong.push_back("--memory: " + bytes.error());
    if (bytes) o->plan.limits.memory = *bytes;
  }
  if (!o->budget.empty()) {
    const auto cents = fleet::ParseMoney(o->budget);
    if (!cents) wrong.push_back("--budget: " + cents.error());
    if (cents) o->plan.budget = *cents;
  }
  if (!wrong.empty()) return fmt::format("{}", fmt::join(wrong, "\n"));
  FillIn(&o->plan, !o->memory.empty());
  // Whatever cannot be read again is not written: the ranges stand in one place.
  const auto read = fleet::ParsePlan(fleet::WritePlan(o->plan), "plan");
  if (!read) return ToText(read.error());
  return std::nullopt;
}

void FleetPlanArgs(Args& args, FleetPlanOptions* o) {
  o->plan.hosts.architecture = ThisArchitecture();
  o->plan.deadline = 0;
  args.Text("--run", &o->plan.run, "its name; from the time, if not given");
  args.Text("--provider", &o->plan.provider, "where the hosts come from: netns, aws");
  args.Number("--hosts", &o->plan.hosts.count, "workers, each with a cell", 1, fleet::kMaxHosts);
  args.Number("--users-per-host", &o->plan.hosts.users_per_host, "of each worker", 1,
              stress::kMaxUsersPerCell);
  args.Number("--rounds", &o->plan.workload.rounds, "how often each user writes to its friends", 1,
              1000);
  args.Text("--type", &o->plan.hosts.type, "what the provider calls this kind of host");
  args.Choice("--architecture", &o->plan.hosts.architecture, {"x86_64", "aarch64"}, "of the hosts");
  args.Text("--memory", &o->memory, "of a host's processes; from the users, if not given");
  args.Duration("--deadline", &o->plan.deadline,
                "everything is destroyed by then; 0: from the number of messages");
  args.Text("--budget", &o->budget, "what it may cost, like \"12.50 USD\"");
}

Command FleetPlanCommand() {
  return {"plan", "Writes the plan of a run, with a comment above every value, for editing.",
          "  baiwan fleet plan --hosts 4 --users-per-host 1000\n"
          "  baiwan fleet plan --provider aws --hosts 40 --users-per-host 25000 "
          "--budget \"30 USD\" --out full.toml\n",
          [](Args& args) {
            auto o = std::make_shared<FleetPlanOptions>();
            FleetPlanArgs(args, o.get());
            args.Text("--out", &o->out, "the file, which must not be there yet; - for output");
            return [o] { return RunPlan(*o); };
          }};
}

}  // namespace baiwan::cli
