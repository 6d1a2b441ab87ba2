// `baiwan fleet check`.
#include "fleet/check.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/units.h"
#include "cli/fleet/fleet.h"
#include "cli/output.h"
#include "fleet/bill.h"
#include "fleet/layout.h"
#include "fleet/plan_check.h"

namespace baiwan::cli {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

std::uint64_t InMiB(std::uint64_t bytes) { return (bytes + kMiB - 1) / kMiB; }

struct FleetCheckOptions {
  std::string file;
  std::string memory;
  std::string disk;
  std::uint32_t cores = 2;
  std::string architecture;
  std::vector<std::string> packages;

  bool given() const { return !memory.empty() || !disk.empty(); }
};

// A folder for the streams of the provider's calls.
class Streams {
 public:
  Streams() {
    std::string path = (std::filesystem::temp_directory_path() / "baiwan-check-XXXXXX").string();
    if (::mkdtemp(path.data()) != nullptr) path_ = path;
  }
  ~Streams() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<fleet::PlanAnswer, std::string> AskTheProvider(const fleet::FleetPlan& plan,
                                                      const fleet::ProviderFacts& known) {
  using Out = Result<fleet::PlanAnswer, std::string>;
  const std::string deploy = DeployFolder();
  if (deploy.empty()) {
    return Out::Failure(
        "the folder 'deploy' is neither beside this program nor in its source tree");
  }
  const Streams streams;
  if (streams.path().empty()) return Out::Failure("cannot make a folder for the provider's words");
  auto answer = fleet::CheckWithProvider(
      {fmt::format("{}/providers/{}/provider", deploy, plan.provider), streams.path(),
       std::filesystem::absolute(fmt::format("fleet/{}/provider", plan.run)).string()},
      plan, known);
  if (answer) return std::move(*answer);
  const fleet::Failure& why = answer.error();
  return Out::Failure(fmt::format(
      "{}{}{}\nto check without asking '{}', give what a host has: --host-memory, --host-disk",
      why.why, why.log_tail.empty() ? "" : "\n", why.log_tail, plan.provider));
}

std::optional<std::string> GivenFacts(const FleetCheckOptions& o, fleet::ProviderFacts* facts) {
  if (o.memory.empty() || o.disk.empty()) return "give both, --host-memory and --host-disk";
  const auto size = [](const char* flag, const std::string& text,
                       std::uint64_t* out) -> std::optional<std::string> {
    const auto bytes = ParseBytes(text);
    if (!bytes) return fmt::format("{}: {}", flag, bytes.error());
    if (*bytes == 0) return fmt::format("{}: a host with nothing cannot do anything", flag);
    *out = *bytes;
    return std::nullopt;
  };
  if (auto wrong = size("--host-memory", o.memory, &facts->memory_bytes)) return wrong;
  return size("--host-disk", o.disk, &facts->disk_bytes);
}

void Tell(const fleet::FleetPlan& plan, const fleet::PlanAnswer& answer) {
  const fleet::HostNeeds needs = fleet::NeedsOf(plan);
  const Nanos time = fleet::TimeNeeded(plan, answer.facts);
  Print(fmt::format(
      "{}: {} hosts and the control host, {} cells of {} users, {} messages\n"
      "a host needs about {} MiB of memory and {} MiB of disk; the run is given {} minutes\n",
      plan.run, plan.hosts.count, fleet::CellsOf(plan), plan.hosts.users_per_host,
      stress::TotalMessages(fleet::WorkloadOf(plan)), InMiB(needs.memory_bytes),
      InMiB(needs.disk_bytes), (time + 60 * kSecond - 1) / (60 * kSecond)));
  if (!answer.price) {
    Print("what it costs was not asked\n");
  } else if (answer.price->total > 0) {
    Print(fleet::CostText(*answer.price, "until the deadline it may cost"));
  } else {
    Print("it costs nothing\n");
  }
}

int RunCheck(const FleetCheckOptions& o) {
  const auto plan = fleet::ReadPlan(o.file);
  if (!plan) {
    std::fputs(ToText(plan.error()).c_str(), stderr);
    return kUsage;
  }
  fleet::PlanAnswer answer;
  fleet::ProviderFacts& facts = answer.facts;
  facts.cores = o.cores;
  facts.architecture = plan->hosts.architecture;
  facts.packages = o.packages.empty() ? std::vector{ThisArchitecture()} : o.packages;
  AddMachineFacts(*plan, &facts);
  if (!o.architecture.empty()) facts.architecture = o.architecture;
  if (o.given()) {
    if (const auto wrong = GivenFacts(o, &facts)) return Fail(*wrong);
    answer.errors = fleet::CheckPlan(*plan, facts);
  } else {
    auto asked = AskTheProvider(*plan, facts);
    if (!asked) return Fail(asked.error());
    answer = std::move(*asked);
  }
  for (ConfigError& error : answer.errors) error.where = o.file;
  if (answer.errors.empty()) {
    Tell(*plan, answer);
    return kDone;
  }
  if (answer.price) std::fputs(fleet::CostText(*answer.price, "the price").c_str(), stderr);
  std::fputs(ToText(answer.errors).c_str(), stderr);
  return kUsage;
}

}  // namespace

Command FleetCheckCommand() {
  return {"check", "Checks a plan before anything is started: all mistakes, each with the way out.",
          "  baiwan fleet check plan.toml\n"
          "  baiwan fleet check full.toml --host-memory 4GiB --host-disk 20GiB  # asks nobody\n",
          [](Args& args) {
            auto o = std::make_shared<FleetCheckOptions>();
            args.Positional("file", &o->file, "the plan");
            args.Required("file");
            args.Text("--host-memory", &o->memory,
                      "of a host; with --host-disk, instead of asking the provider");
            args.Text("--host-disk", &o->disk, "free on a host; with --host-memory");
            args.Number("--host-cores", &o->cores, "of a host", 1u, 1024u);
            args.Text("--host-architecture", &o->architecture, "as the plan has it, if not given");
            args.Texts("--package", &o->packages,
                       "an architecture that there is a package for; may be repeated");
            return [o] { return RunCheck(*o); };
          }};
}

}  // namespace baiwan::cli
