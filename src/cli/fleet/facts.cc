// `baiwan fleet facts`: on a host, before anything of the run is on it.
#include <chrono>
#include <memory>
#include <thread>

#include "cli/fleet/fleet.h"
#include "cli/output.h"
#include "fleet/host_ready.h"
#include "monitor/host_facts.h"

namespace baiwan::cli {
namespace {

constexpr Nanos kLongest = 60 * kSecond;

struct FactsOptions {
  std::string host;
  std::string folder = ".";
  std::uint64_t open_files = 0;
  Nanos over = kSecond;
};

int RunFacts(const FactsOptions& o) {
  if (const std::string wrong = monitor::WrongHostName(o.host); !wrong.empty() || o.host.empty()) {
    return Fail("--host: " + (wrong.empty() ? "a name is needed" : wrong));
  }
  if (o.over < 10 * kMillisecond || o.over > kLongest) return Fail("--over: from 10ms to 60s");
  monitor::HostTracker tracker;
  tracker.Take(monitor::ReadHostFacts(monitor::ThisHost(), o.host, o.folder));
  std::this_thread::sleep_for(std::chrono::nanoseconds(o.over));
  const auto facts = monitor::ReadHostFacts(monitor::ThisHost(), o.host, o.folder);
  // Without these words the step that asked has nothing.
  return Print(fleet::ToJson({tracker.Take(facts), o.open_files}) + "\n") ? kDone : kUsage;
}

}  // namespace

Command FleetFactsCommand() {
  return {"facts", "On a host: tells how it is, as a line of JSON (called by the step deploy).",
          "  baiwan fleet facts --host worker-007 --folder /var/lib/baiwan\n", [](Args& args) {
            auto o = std::make_shared<FactsOptions>();
            args.Text("--host", &o->host, "its name in the run");
            args.Required("--host");
            args.Text("--folder", &o->folder, "whose disk counts");
            args.Number("--open-files", &o->open_files, "what a process may have, to pass on",
                        std::uint64_t{0}, std::uint64_t{1} << 40);
            args.Duration("--over", &o->over, "how long its CPU is looked at");
            return [o] { return RunFacts(*o); };
          }};
}

}  // namespace baiwan::cli
